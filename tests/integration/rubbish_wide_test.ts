/**
 * Many cgroups side by side are removed in as many steps.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { testOn } from "../needs.ts";
import { findCgroups, killKeepers, makeRubbishRoom } from "./rubbish_room.ts";
import { deleteByForce, NEEDS } from "./rubbish_calls.ts";

testOn(
  [...NEEDS, "strace"],
  "many cgroups with others below them are removed in one walk",
  async () => {
    const wrap: string[] = [];
    await using room = makeRubbishRoom({ wrap });
    const running = await room.start("exec sleep 1000");
    const [cgroup] = findCgroups(room.id);
    const WIDE = 300;
    for (let i = 0; i < WIDE; i++) {
      Deno.mkdirSync(`${cgroup}/wide${i}/below`, { recursive: true });
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
    assert(reads < 40 * WIDE, `${reads}`);
    await running.done;
  },
);
