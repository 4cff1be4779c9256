/** `update` by flags, and what it says where they are none. */

import { assertEquals } from "@std/assert";
import { readCaller } from "../../mod/caller.ts";
import { gatherFacts } from "../../mod/host.ts";
import { testOn } from "../needs.ts";
import { makeCaller, QUIET } from "./caller.ts";

/** The CPU limit that the kernel has for a container: quota and period. */
function readCpuLimit(id: string): string {
  const [dir] = gatherFacts(readCaller()).cgroups.filter((it) =>
    it.controllers.includes("cpu")
  );
  const read = (file: string) =>
    Deno.readTextFileSync(`${dir!.path}/${id}/${file}`).trim();
  return dir!.version === 2
    ? read("cpu.max")
    : `${read("cpu.cfs_quota_us")} ${read("cpu.cfs_period_us")}`;
}

testOn(
  ["root", "helper", "busybox", "python3"],
  "update --cpus is a quota in a period, and update without a limit an error",
  async () => {
    await using caller = makeCaller();
    const { id, bundle } = caller;
    const made = await caller.hold(["create", "--bundle", bundle, id]);
    assertEquals(made.code, 0);
    assertEquals(await caller.callBare(["update", "--cpus", "0.5", id]), QUIET);
    assertEquals(readCpuLimit(id), "50000 100000");
    const refused = async (...flags: string[]) => {
      const { code, stderr } = await caller.callBare(["update", ...flags, id]);
      assertEquals(code, 1);
      return stderr;
    };
    assertEquals(
      await refused(),
      `rustyrun: Cannot change anything: no limit is named
  hint: Name one, such as --memory 512m: rustyrun update --help lists them
`,
    );
    assertEquals(
      await refused("--cpus", "2", "--cpu-period", "50000"),
      `rustyrun: Cannot use "--cpus 2": it excludes --cpu-quota and --cpu-period
  hint: Leave it out, or both of them: --cpus N is the quota divided by the period
`,
    );
    assertEquals(
      await refused("--cpus", "x"),
      `rustyrun: Cannot use "--cpus x": "x" is not a number of CPUs
  hint: Write a number from 0.01: 0.5 is half of one CPU, 2 is two
`,
    );
    assertEquals(readCpuLimit(id), "50000 100000");
    assertEquals(await caller.callBare(["delete", "--force", id]), QUIET);
  },
);
