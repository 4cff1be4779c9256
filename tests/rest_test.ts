/**
 * The rest of a plan, with the helper itself: c/rest.c takes it in one packet, as
 * sealed as the first part, and trusts nothing of it.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import {
  closeFd,
  fillMemfd,
  makeMemfd,
  openFd,
  readFd,
  waitProcess,
  writeFd,
} from "../ffi/libc.ts";
import { pollFds } from "../ffi/poll.ts";
import { sendWithFds } from "../ffi/packets.ts";
import { makePipe } from "../ffi/pipe.ts";
import { sendRest } from "../mod/container/launch/rest.ts";
import { streamSlot } from "../mod/container/launch/order.ts";
import type { Op } from "../mod/plan.ts";
import { encodePlan } from "../mod/plan/encode.ts";
import { HelperDied, OperationError, startPlan } from "../mod/process.ts";
import { testOn } from "./needs.ts";

const why = "";
const FIRST: Op[] = [
  { do: "closeFds", keep: 0, fifo: "", why },
  { do: "rest", why },
];
const SH = "/bin/sh";

/** A command of the shell, its output in the second stream. */
const run = (line: string): Op[] => [
  { do: "dup", slot: streamSlot(1), fd: 1, why },
  { do: "closeFds", keep: 0, fifo: "", why },
  { do: "findExec", candidates: [SH], why },
  { do: "signals", end: 0, why },
  { do: "exec", argv: [SH, "-c", line], env: ["A=1"], why },
];

function start() {
  const room = Deno.makeTempDirSync();
  const plan = startPlan(FIRST, room);
  // There is no fork: the helper is the one that waits.
  plan.pid = plan.helper;
  assertEquals(plan.serve({}), "waiting");
  const end = () => {
    plan.close();
    Deno.removeSync(room, { recursive: true });
  };
  const waiting = {
    channel: plan.channel,
    pid: plan.helper,
    warden: plan.helper,
  };
  return { waiting, close: () => plan.close(), [Symbol.dispose]: end };
}

testOn(["helper"], "what waits runs what comes, with its streams alone", () => {
  using held = start();
  const [out, theirs] = makePipe("read");
  const ops = run('echo "$A $(ls /proc/$$/fd | tr "\\n" " ")"');
  const streams = [theirs, theirs, theirs];
  assertEquals(sendRest(held.waiting, ops, streams).serve({}), "exec");
  closeFd(theirs);
  assertEquals(waitProcess(held.waiting.pid), 0);
  const text = new TextDecoder().decode(readFd(out, 100));
  closeFd(out);
  // The shell may have the pipe of $(...) open.
  assertEquals(/^1 0 1 2 /.test(text), true, text);
});

testOn(["helper"], "what waits ends with who made it", () => {
  using held = start();
  held.close();
  assertEquals(waitProcess(held.waiting.pid), 125 << 8);
});

testOn(["helper"], "an operation of the rest that fails is told", () => {
  using held = start();
  const ops: Op[] = [{ do: "findExec", candidates: ["/no/such"], why }];
  const error = assertThrows(
    () => sendRest(held.waiting, ops, []).serve({}),
    OperationError,
  );
  assertEquals([error.op.do, error.errno], ["findExec", 2]);
  waitProcess(held.waiting.pid);
});

/** Packets that are none, by what is wrong with them. */
const WRONG: Record<string, (channel: number) => void> = {
  "no descriptor": (channel) => sendWithFds(channel, new Uint8Array(1)),
  "two bytes": (channel) => sendWithFds(channel, new Uint8Array(2)),
  "a plan that could change"(channel) {
    const file = openFd("/proc/self/exe", 0);
    sendWithFds(channel, new Uint8Array(1), [file]);
    closeFd(file);
  },
  "no plan"(channel) {
    const memfd = makeMemfd("rest");
    fillMemfd(memfd, new Uint8Array(100));
    sendWithFds(channel, new Uint8Array(1), [memfd]);
    closeFd(memfd);
  },
  "a stream that has not come"(channel) {
    const memfd = makeMemfd("rest");
    fillMemfd(memfd, encodePlan(run("true"), new Map([[streamSlot(1), 1]])));
    sendWithFds(channel, new Uint8Array(1), [memfd, 0]);
    closeFd(memfd);
  },
  "more descriptors than there is room for"(channel) {
    const memfd = makeMemfd("rest");
    fillMemfd(memfd, encodePlan(run("true"), new Map([[streamSlot(1), 0]])));
    sendWithFds(channel, new Uint8Array(1), [memfd, 0, 0, 0, 0, 0]);
    closeFd(memfd);
  },
};

for (const [what, send] of Object.entries(WRONG)) {
  testOn(["helper"], `what waits runs nothing of a packet with ${what}`, () => {
    using held = start();
    send(held.waiting.channel);
    pollFds([held.waiting.channel]);
    assertEquals(waitProcess(held.waiting.pid), 125 << 8);
    assertThrows(
      () => writeFd(held.waiting.channel, new Uint8Array(1)),
      Error,
      "EPIPE",
    );
  });
}

testOn(["helper"], "what was killed while it waited is told as such", () => {
  using held = start();
  Deno.kill(held.waiting.pid, "SIGKILL");
  assertEquals(waitProcess(held.waiting.pid), 9);
  const error = assertThrows(() =>
    sendRest(held.waiting, run("true"), []).serve({})
  );
  assertEquals(error instanceof HelperDied, false);
  assertEquals((error as { code?: string }).code, "EPIPE");
});
