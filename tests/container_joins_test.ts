/**
 * How a process comes into the cgroups of its container.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { chooseJoins } from "../mod/container/launch/order.ts";
import { makeConfig, makeFacts } from "./manager_fixtures.ts";

Deno.test("chooseJoins() enters a v2 cgroup by clone3 without a user namespace", () => {
  const joins = { tasks: ["/a"], v2: "/cg/box" };
  assertEquals(chooseJoins(makeConfig(), { inUserns: false }, joins), joins);
  assertEquals(chooseJoins(makeConfig(), { inUserns: true }, joins), {
    tasks: ["/a", "/cg/box/cgroup.procs"],
  });
});

for (const path of [undefined, "/proc/1/ns/user"]) {
  Deno.test(
    `chooseJoins() enters a v2 cgroup by cgroup.procs from a user namespace ${
      path === undefined ? "that is new" : "that is joined"
    }`,
    () => {
      const config = makeConfig({
        linux: { namespaces: [{ type: "user", ...(path && { path }) }] },
      });
      assertEquals(
        chooseJoins(config, makeFacts(), { tasks: ["/a"], v2: "/cg/box" }),
        { tasks: ["/a", "/cg/box/cgroup.procs"] },
      );
      assertEquals(chooseJoins(config, makeFacts(), { tasks: ["/a"] }), {
        tasks: ["/a"],
      });
    },
  );
}
