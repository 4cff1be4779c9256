/**
 * A helper that is started before its plan is made: c/child.c takes that in one
 * packet, and trusts nothing of it.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../ffi/errno.ts";
import {
  closeFd,
  fillMemfd,
  makeMemfd,
  openFd,
  readFd,
  waitProcess,
} from "../ffi/libc.ts";
import { packetPair, sendWithFds } from "../ffi/packets.ts";
import { makePipe } from "../ffi/pipe.ts";
import { ContainerError } from "../mod/errors.ts";
import { type Outlet, ownOutlet } from "../mod/outlet.ts";
import type { Op } from "../mod/plan.ts";
import { encodePlan } from "../mod/plan/encode.ts";
import { Helper } from "../mod/process/await.ts";
import { wordStart } from "../mod/process/errors.ts";
import { openHelper } from "../mod/process/helper.ts";
import { testOn } from "./needs.ts";

const why = "";
const SH = "/bin/sh";

/** A command of the shell, with the slot "out" as its output. */
const run = (line: string): Op[] => [
  { do: "dup", slot: "out", fd: 1, why },
  { do: "closeFds", keep: 0, fifo: "", why },
  { do: "findExec", candidates: [SH], why },
  { do: "signals", end: 0, why },
  { do: "exec", argv: [SH, "-c", line], env: [], why },
];

/** An outlet that notes whom it has started. */
function watched(): { outlet: Outlet; pids: number[] } {
  const pids: number[] = [];
  const outlet: Outlet = {
    ...ownOutlet,
    spawn(...words) {
      const pid = ownOutlet.spawn(...words);
      pids.push(pid);
      return pid;
    },
  };
  return { outlet, pids };
}

testOn(
  ["helper"],
  "a helper that waits runs the plan that comes, and holds nothing else",
  () => {
    const { outlet } = watched();
    const [out, theirs] = makePipe("read");
    using helper = new Helper({ outlet, root: "/tmp" });
    // What came with the plan and is no slot of it is closed.
    const inherited = [["out", theirs], ["other", theirs]] as const;
    const line = 'echo "$(ls /proc/$$/fd | tr "\\n" " ")"';
    const plan = helper.run(run(line), inherited);
    assertEquals(plan.serve({}), "exec");
    closeFd(theirs);
    assertEquals(plan.reap(), 0);
    plan.close();
    const text = new TextDecoder().decode(readFd(out, 100));
    closeFd(out);
    // The shell may have the pipe of $(...) open.
    assertEquals(/^0 1 2 /.test(text), true, text);
  },
);

testOn(["helper"], "a helper that gets no plan ends, and is reaped", () => {
  const { outlet, pids } = watched();
  assertThrows(
    () => {
      using _helper = new Helper({ outlet, root: "/tmp" });
      throw new RangeError("no plan");
    },
    RangeError,
  );
  assertEquals(pids.length, 1);
  assertEquals(waitProcess(pids[0]!), undefined);
});

testOn(
  ["helper"],
  "a helper that was killed while it waited is told as such",
  () => {
    const { outlet, pids } = watched();
    using helper = new Helper({ outlet, root: "/tmp" });
    Deno.kill(pids[0]!, "SIGKILL");
    assertEquals(waitProcess(pids[0]!), 9);
    const error = assertThrows(
      () => helper.run(run("true"), []),
      ContainerError,
    );
    assertEquals(error.code, "helper-start");
  },
);

testOn(
  ["helper"],
  "what cannot be started is told when its plan is made",
  () => {
    const outlet: Outlet = {
      ...ownOutlet,
      spawnSoon: () => () => {
        throw new SyscallError("posix_spawn", 13);
      },
    };
    using helper = new Helper({ outlet, root: "/tmp" });
    const error = assertThrows(
      () => helper.run(run("true"), []),
      ContainerError,
    );
    assertEquals(error.code, "helper-start");
  },
);

Deno.test("a plan that cannot be sent says whose descriptors are too many", () => {
  const error = wordStart(new SyscallError("sendmsg", 109));
  assertEquals(
    error instanceof ContainerError && [error.message, error.code, error.hint],
    [
      "Cannot start the helper: sendmsg: ETOOMANYREFS (too many references: cannot splice)",
      "helper-start",
      "Processes of this user have too many descriptors on their way in sockets: end the container that sends them, or raise the limit of open files (ulimit -n)",
    ],
  );
});

/** Packets that are none, by what is wrong with them. */
const WRONG: Record<string, (channel: number) => void> = {
  "no descriptor": (channel) => sendWithFds(channel, new Uint8Array(1)),
  "a plan that could change"(channel) {
    const file = openFd("/proc/self/exe", 0);
    sendWithFds(channel, new Uint8Array(1), [file]);
    closeFd(file);
  },
  "no plan": (channel) => sendPlan(channel, new Uint8Array(100)),
  "a descriptor that has not come": (channel) =>
    sendPlan(
      channel,
      encodePlan(run("true"), new Map([["channel", 0], ["out", 1]])),
    ),
  "no place for the channel": (channel) =>
    sendPlan(channel, encodePlan(run("true"), new Map([["channel", 7]]))),
};

function sendPlan(channel: number, bytes: Uint8Array): void {
  const memfd = makeMemfd("plan");
  fillMemfd(memfd, bytes);
  sendWithFds(channel, new Uint8Array(1), [memfd]);
  closeFd(memfd);
}

for (const [what, send] of Object.entries(WRONG)) {
  testOn(["helper"], `what waits for its plan runs nothing of ${what}`, () => {
    const [channel, child] = packetPair();
    const argv = ["rustyrun-helper", "await", String(child)];
    const pid = ownOutlet.spawn(openHelper("/tmp"), argv, [child]);
    closeFd(child);
    send(channel);
    assertEquals(waitProcess(pid), 125 << 8);
    closeFd(channel);
  });
}
