/**
 * What a container does before it is started, and what a process of exec keeps
 * of the container's own.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, makeSpec, QUIET } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

for (const signal of ["TERM", "HUP", "INT", "QUIT"]) {
  testOn(NEEDS, `SIG${signal} to a created container ends it`, async () => {
    await using caller = makeCaller({ process: { args: ["sleep", "1000"] } });
    const { bundle, id } = caller;
    await caller.hold(["create", "--bundle", bundle, id]);
    assertEquals(await caller.call(["kill", id, "USR1"]), QUIET);
    assertEquals((await caller.state())["status"], "created");
    assertEquals(await caller.call(["kill", id, signal]), QUIET);
    await caller.waitFor("stopped");
    const { code, stderr } = await caller.call(["start", id]);
    assertEquals(code, 1);
    assertMatch(stderr, /cannot start a container that has stopped/);
    assertEquals(await caller.call(["delete", id]), QUIET);
  });
}

testOn(
  NEEDS,
  "the command of a created container has no handler of its own yet",
  async () => {
    await using caller = makeCaller({
      process: {
        args: ["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"],
      },
    });
    const { bundle, id } = caller;
    const { stdout } = await caller.call(["run", "--bundle", bundle, id]);
    const none = "0".repeat(16);
    const want = `SigBlk:\t${none}\nSigIgn:\t${none}\nSigCgt:\t${none}\n`;
    assertEquals(stdout, want);
    const out = `${caller.dir}/out`;
    caller.write(makeSpec(id, {
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        {
          destination: "/out",
          type: "bind",
          source: caller.dir,
          options: ["bind"],
        },
      ],
      process: {
        args: [
          "sh",
          "-c",
          "exec grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status >/out/out",
        ],
      },
    }));
    await caller.hold(["create", "--bundle", bundle, id]);
    assertEquals(await caller.call(["start", id]), QUIET);
    await caller.waitFor("stopped");
    assertEquals(Deno.readTextFileSync(out), want);
  },
);

testOn(NEEDS, "exec keeps the container's memory policy", async () => {
  await using caller = makeCaller({
    process: { args: ["sleep", "1000"] },
    linux: { memoryPolicy: { mode: "MPOL_INTERLEAVE", nodes: "0" } },
  });
  const { bundle, id } = caller;
  await caller.hold(["create", "--bundle", bundle, id]);
  assertEquals(await caller.call(["start", id]), QUIET);
  const { code, stdout } = await caller.call([
    "exec",
    id,
    "head",
    "-n1",
    "/proc/self/numa_maps",
  ]);
  assertEquals(code, 0);
  assertMatch(stdout, /^\w+ interleave:0 /);
});
