/** Where nobody makes cgroups, and so nothing of the machine's devices is denied. */

import { assertEquals } from "@std/assert";
import { planCgroups } from "../../mod/cgroups.ts";
import { friendly, LOOKS, MACHINES, oci } from "./machines.ts";

const DENY = { allow: false, access: "rwm" };

for (
  const [name, config, facts] of [
    ["nobody asks for any", oci("/c1"), MACHINES.v2],
    [
      "they deny nothing",
      oci("/c1", {
        devices: [DENY, { allow: true, type: "a", major: -1, access: "rwm" }],
      }),
      MACHINES.v2,
    ],
    ["the caller is no root", oci("/c1", { devices: [DENY] }), MACHINES.v1User],
  ] as const
) {
  Deno.test(`planCgroups() without a manager has no device rules where ${name}`, () => {
    const plan = planCgroups(
      { ...config, cgroupManager: "disabled" },
      facts,
      "t0",
      LOOKS.root,
    );
    assertEquals(plan.notes, [
      "no cgroup and no device rules: the manager is disabled",
    ]);
    assertEquals([plan.devices, plan.dirs], [undefined, []]);
  });
}

Deno.test("planCgroups() without a manager says what stands for device rules", () => {
  const config = friendly({ devices: [DENY] }, { cgroupManager: "disabled" });
  assertEquals(planCgroups(config, MACHINES.v2, "t0", LOOKS.root).notes, [
    "no cgroup: the manager is disabled",
    "device rules: none without a cgroup, so that no device can be opened in the root file system and in volumes (nodev), and none can be made (no CAP_MKNOD, but in a user namespace)",
  ]);
});
