/**
 * Where a symbolic link is the cause, the hint says so.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, makeSpec, type Spec } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

const bind = (source: string, destination = "/mnt"): Spec => ({
  destination,
  type: "bind",
  source,
  options: ["bind"],
});

for (
  const [what, over, mounts] of [
    ["command", { process: { args: ["/nowhere"] } }, () => []],
    ["working directory", { process: { cwd: "/nowhere" } }, () => []],
    [
      "working directory in a circle",
      { process: { cwd: "/circle" } },
      () => [],
    ],
    ["source", {}, (rootfs: string) => [bind(`${rootfs}/nowhere`)]],
    ["source in a circle", {}, (rootfs: string) => [bind(`${rootfs}/circle`)]],
    ["mount point", {}, () => [bind("/proc", "/circle/a")]],
    ["masked path", { linux: { maskedPaths: ["/circle"] } }, () => []],
  ] as const
) {
  testOn(NEEDS, `a hint says that a ${what} is a symbolic link`, async () => {
    await using caller = makeCaller();
    const { bundle, id, rootfs } = caller;
    Deno.symlinkSync("/no/such/place", `${rootfs}/nowhere`);
    Deno.symlinkSync("circle", `${rootfs}/circle`);
    const spec = makeSpec(id, over);
    spec["mounts"].push(...mounts(rootfs));
    caller.write(spec);
    const { code, stderr } = await caller.call(["run", "--bundle", bundle, id]);
    assertEquals(code, 1);
    assertMatch(stderr, /hint: .*symbolic link/);
  });
}
