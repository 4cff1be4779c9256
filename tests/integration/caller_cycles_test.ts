/**
 * Many lives of a container, one after another: nothing stays. Many at once are
 * in crash_race_test.ts.
 *
 * RUSTYRUN_CYCLES says how many; 1,000 for the proof, less by default.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { testOn } from "../needs.ts";
import { type Caller, makeCaller } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;
const CYCLES = Number(Deno.env.get("RUSTYRUN_CYCLES") ?? 40);

/** Mounts of its bundle that are seen here (other tests make others at the same
 * time), and descriptors that it holds. */
function countHeld({ dir, pid }: Caller): {
  mounts: number;
  descriptors: number;
} {
  return {
    mounts: Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
      .filter((line) => line.includes(dir)).length,
    descriptors: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
  };
}

testOn(
  NEEDS,
  `${CYCLES} times create, start, kill, delete leave nothing`,
  async () => {
    await using caller = makeCaller({
      process: { args: ["sh", "-c", "sleep 1000 & exec sleep 1000"] },
    });
    // Its answer says that it is past its own start.
    await caller.ask({ do: "descendants" });
    const before = countHeld(caller);
    const { done, wrong } = await caller.ask({
      do: "cycle",
      count: CYCLES,
      workers: 1,
      prefix: caller.id,
      ...caller.line(),
    });
    assertEquals([wrong, done], ["", CYCLES]);
    assertEquals(countHeld(caller), before);
    assertEquals(await caller.ask({ do: "descendants" }), { left: [] });
    // Disposal looks for cgroups, mounts and states of every id.
  },
);
