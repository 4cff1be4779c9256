/**
 * The rights with which the command is looked for are those with which it runs.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, makeSpec, QUIET } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

/** A process of user 1000 with these capabilities. */
const asUser = (capabilities: readonly string[]) => ({
  user: { uid: 1000, gid: 1000 },
  capabilities: Object.fromEntries(
    ["bounding", "effective", "permitted", "inheritable", "ambient"].map(
      (set) => [set, capabilities],
    ),
  ),
});

testOn(
  NEEDS,
  "who has CAP_DAC_OVERRIDE runs a program that only root may",
  async () => {
    await using caller = makeCaller();
    const { bundle, id, rootfs } = caller;
    Deno.mkdirSync(`${rootfs}/priv`);
    Deno.copyFileSync(`${rootfs}/bin/busybox`, `${rootfs}/priv/true`);
    Deno.chmodSync(`${rootfs}/priv/true`, 0o700);
    Deno.chmodSync(`${rootfs}/priv`, 0o700);
    const run = ["run", "--bundle", bundle, id];
    for (const args of [["/priv/true"], ["true"]]) {
      const env = ["PATH=/priv"];
      caller.write(makeSpec(id, {
        process: { ...asUser(["CAP_DAC_OVERRIDE"]), args, env },
      }));
      assertEquals(await caller.call(run), QUIET, args[0]);
      caller.write(makeSpec(id, { process: { ...asUser([]), args, env } }));
      const { code, stderr } = await caller.call(run);
      assertEquals(code, 1);
      assertMatch(stderr, /permission denied|not found in \$PATH/);
    }
    caller.write(makeSpec(id, { process: asUser(["CAP_DAC_OVERRIDE"]) }));
    await caller.hold(["create", "--bundle", bundle, id]);
    assertEquals(await caller.call(["start", id]), QUIET);
    assertEquals(await caller.call(["exec", id, "/priv/true"]), QUIET);
  },
);
