/**
 * What the host stage believes of the child stage's packets: whoever may trace
 * the container's first process speaks for it.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { closeFd, openFd } from "../ffi/libc.ts";
import { askForSender, packetPair, sendWithFds } from "../ffi/packets.ts";
import { ContainerError } from "../mod/errors.ts";
import { ownOutlet } from "../mod/outlet.ts";
import { type Op, SYNC } from "../mod/plan.ts";
import { REPORT, REPORT_SIZE } from "../mod/plan/report.ts";
import { PlanRun } from "../mod/process.ts";

function makePacket(kind: number, detail: number): Uint8Array {
  const packet = new Uint8Array(REPORT_SIZE);
  const view = new DataView(packet.buffer);
  view.setUint32(0, kind, true);
  view.setInt32(12, detail, true);
  return packet;
}

/** Runs a test with a plan's run and the other end of its channel.
 *
 * @param helper the pid that counts as the one that forks */
function withRun(
  helper: number,
  test: (
    run: PlanRun,
    send: (kind: number, detail: number, fds?: number[]) => void,
    end: () => void,
  ) => void,
  ops: readonly Op[] = [],
): void {
  const [channel, child] = packetPair();
  askForSender(channel);
  const run = new PlanRun(ops, channel, helper, ownOutlet);
  let open = true;
  const end = () => {
    if (open) closeFd(child);
    open = false;
  };
  try {
    test(
      run,
      (kind, detail, fds) => sendWithFds(child, makePacket(kind, detail), fds),
      end,
    );
  } finally {
    end();
    run.close();
  }
}

/** Descriptors of this process. */
const countOpen = () => [...Deno.readDirSync("/proc/self/fd")].length;

const refuse = (run: PlanRun) =>
  assertEquals(
    assertThrows(() => run.serve({ stays() {} }), ContainerError).code,
    "report-forged",
  );

Deno.test("serve() takes the first process's pid of the one that forks, once", () => {
  withRun(Deno.pid, (run, send) => {
    send(REPORT.forked, 4711);
    send(REPORT.forked, 4712);
    refuse(run);
    assertEquals(run.pid, 4711);
  });
});

for (
  const [what, kind, detail] of [
    ["a pid", REPORT.forked, 1],
    ["who asks for its id maps", REPORT.sync, SYNC.idMaps],
    ["who asks for its cgroups", REPORT.sync, SYNC.cgroups],
  ] as const
) {
  Deno.test(`serve() does not take ${what} of anybody else`, () => {
    withRun(Deno.pid + 1, (run, send) => {
      const before = countOpen();
      send(kind, detail, [openFd("/", 0)]);
      refuse(run);
      // The one that was sent is ours alone.
      assertEquals([run.pid, countOpen()], [0, before + 1]);
    });
  });
}

for (
  const [what, packet] of [
    ["an error", makePacket(REPORT.error, 0)],
    ["half a packet", makePacket(REPORT.split, 0).subarray(0, 100)],
    ["what stays of no operation", makePacket(REPORT.stays, 0)],
  ] as const
) {
  Deno.test(`serve() keeps no descriptor that comes with ${what}`, () => {
    const [channel, child] = packetPair();
    askForSender(channel);
    const run = new PlanRun([], channel, Deno.pid, ownOutlet);
    const fd = openFd("/", 0);
    try {
      const before = countOpen();
      for (let i = 0; i < 3; i++) {
        sendWithFds(child, packet, [fd, fd]);
        refuse(run);
      }
      // What comes with an abort, too, which kills and reaps all the same.
      sendWithFds(child, packet, [fd]);
      closeFd(child);
      run.abort();
      // Both ends of the channel are closed.
      assertEquals(countOpen(), before - 2);
    } finally {
      closeFd(fd);
    }
  });
}

const SEND: Op = { do: "sendFd", slot: "master", tag: 1, why: "test" };

Deno.test("serve() keeps the descriptors that the plan sends, and no other", () => {
  withRun(Deno.pid, (run, send, end) => {
    const fd = openFd("/", 0);
    const before = countOpen();
    send(REPORT.fd, 1, [fd, fd]);
    send(REPORT.aboutToExec, 0, [fd]);
    end();
    assertEquals(run.serve({}), "exec");
    // One is kept; the child's end is closed.
    assertEquals([[...run.received.keys()], countOpen()], [[1], before]);
    closeFd(fd);
  }, [SEND]);
});

for (
  const [what, ops, tags] of [
    ["that no plan sends", [], [1]],
    ["of another kind", [SEND], [2]],
    ["for the second time", [SEND], [1, 1]],
  ] as [string, Op[], number[]][]
) {
  Deno.test(`serve() does not take a descriptor ${what}`, () => {
    withRun(Deno.pid, (run, send) => {
      const fd = openFd("/", 0);
      const before = countOpen();
      for (const tag of tags) send(REPORT.fd, tag, [fd]);
      refuse(run);
      assertEquals(countOpen() - before, tags.length - 1);
      closeFd(fd);
    }, ops);
  });
}

Deno.test("serve() does not take an operation that is not in the plan", () => {
  withRun(Deno.pid, (run, send) => {
    send(REPORT.error, 0);
    refuse(run);
  });
});
