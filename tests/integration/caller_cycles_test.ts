/**
 * Many lives of a container, one after another: nothing stays. Many at once are
 * in crash_race_test.ts.
 *
 * RUSTYRUN_CYCLES says how many; 1,000 for the proof, less by default.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;
const CYCLES = Number(Deno.env.get("RUSTYRUN_CYCLES") ?? 40);

/** Mounts that are seen here, and descriptors that this process holds. */
function countHeld(): { mounts: number; descriptors: number } {
  const lines = (path: string) =>
    Deno.readTextFileSync(path).split("\n").length;
  return {
    mounts: lines("/proc/self/mountinfo"),
    descriptors: [...Deno.readDirSync("/proc/self/fd")].length,
  };
}

testOn(
  NEEDS,
  `${CYCLES} times create, start, kill, delete leave nothing`,
  async () => {
    await using caller = makeCaller({
      process: { args: ["sh", "-c", "sleep 1000 & exec sleep 1000"] },
    });
    const before = countHeld();
    const { done, wrong } = await caller.ask({
      do: "cycle",
      count: CYCLES,
      workers: 1,
      prefix: caller.id,
      ...caller.line(),
    });
    assertEquals([wrong, done], ["", CYCLES]);
    // One fewer is fine: this process may have let go of one of its own.
    const after = countHeld();
    assert(after.mounts <= before.mounts, `${after.mounts} mounts`);
    assert(after.descriptors <= before.descriptors, "descriptors");
    assertEquals(await caller.ask({ do: "descendants" }), { left: [] });
    // Disposal looks for cgroups, mounts and states of every id.
  },
);
