/**
 * Most containers leave no more than empty cgroups and plain files.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { makeCrashBox } from "./crash_box.ts";
import { NEEDS } from "./rubbish_calls.ts";

testOn(
  [...NEEDS, "strace", "cold"],
  "delete of a container that has left no more than most starts no helper",
  async () => {
    await using box = makeCrashBox({ process: { args: ["true"] } });
    const { bundle, name, dir } = box;
    await box.callQuiet("create", "--bundle", bundle, name);
    await box.callQuiet("start", name);
    assertEquals(
      await waitFor(() => box.status(name), (it) => it === "stopped"),
      "stopped",
    );
    const trace = `${dir}/trace`;
    const { code, stderr } = await box.runApart([
      ...["strace", "-f", "-qq", "-o", trace, "-e", "trace=execve"],
      ...box.argv("delete", name),
    ]);
    assertEquals([code, stderr, await box.findRest()], [0, "", []]);
    const calls = Deno.readTextFileSync(trace);
    assert(calls.includes("delete"), calls);
    assert(!calls.includes("helper"), calls);
  },
);
