/**
 * Many cgroups side by side are removed in as many steps.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { isFile, testOn } from "../needs.ts";
import { findCgroups, killKeepers, makeRubbishRoom } from "./rubbish_room.ts";
import { deleteByForce, NEEDS } from "./rubbish_calls.ts";

/** What they are called. kernfs has its names by a hash in which "an" and "bc" are
 * the same (kernfs_name_hash() in fs/kernfs/dir.c). */
const NAMES: [string, (i: number) => string][] = [
  ["names of their own", (i) => `wide${i}`],
  [
    "names of one hash",
    (i) =>
      i.toString(2).padStart(9, "0").replaceAll("0", "an").replaceAll(
        "1",
        "bc",
      ),
  ],
];

for (const [what, name] of NAMES) {
  testOn(
    [...NEEDS, "strace", "cold"],
    `many cgroups with ${what} and others below are removed in one walk`,
    async () => {
      const wrap: string[] = [];
      await using room = makeRubbishRoom({ wrap });
      const running = await room.start("exec sleep 1000");
      const [cgroup] = findCgroups(room.id);
      const WIDE = 300;
      for (let i = 0; i < WIDE; i++) {
        Deno.mkdirSync(`${cgroup}/${name(i)}/below`, { recursive: true });
      }
      await killKeepers(running);
      const trace = `${room.dir}/trace`;
      wrap.push("strace", "-f", "-qq", "-o", trace);
      wrap.push("-e", "trace=unlinkat,getdents64");
      await deleteByForce(room);
      assertEquals(findCgroups(room.id), []);
      const calls = Deno.readTextFileSync(trace).split("\n");
      // A walk that removes, and a few that kill and look; none begins a directory
      // anew for each that is in it.
      const removals = calls.filter((it) => it.includes("unlinkat(")).length;
      assert(removals >= 2 * WIDE && removals < 10 * WIDE, `${removals}`);
      const reads = calls.filter((it) => it.includes("getdents64(")).length;
      assert(reads < 4 * WIDE, `${reads}`);
      await running.done;
    },
  );
}

testOn(
  [...NEEDS, "cgroup-v1", "strace", "cold"],
  "a kill writes no limit where there is none",
  async () => {
    const wrap: string[] = [];
    await using room = makeRubbishRoom({ wrap });
    const running = await room.start("exec sleep 1000", "--cpus", "2");
    const quota = "cpu.cfs_quota_us";
    const limited = findCgroups(room.id).find((it) => isFile(`${it}/${quota}`));
    for (let i = 0; i < 100; i++) Deno.mkdirSync(`${limited}/wide${i}`);
    await killKeepers(running);
    const trace = `${room.dir}/trace`;
    wrap.push("strace", "-f", "-qq", "-y", "-o", trace, "-e", "trace=write");
    await deleteByForce(room);
    const writes = Deno.readTextFileSync(trace).split("\n")
      .filter((it) => it.includes(quota));
    assert(writes.length <= 2, `${writes.length}`);
    await running.done;
  },
);
