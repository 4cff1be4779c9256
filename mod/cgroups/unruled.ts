/**
 * Containers without device rules: those without a cgroup, and a user's.
 *
 * @module
 */

import { listRules } from "./devices.ts";
import type { Limit } from "./limits.ts";
import { type CgroupConfig, type CgroupPlan, refuse } from "./model.ts";

/**
 * Refuses a device that the container is to read or to write only: without
 * rules it may do what the node's mode allows. Nodes that may not be made need
 * no rule: without them nobody makes any.
 *
 * @throws {ContainerError} for such a device
 */
export function refusePart({ flags, hostDevices }: CgroupConfig): void {
  for (const { host, access } of hostDevices) {
    if (access.includes("r") && access.includes("w")) continue;
    refuse(
      flags,
      "hostDevices",
      host,
      `only device rules hold a container to "${access}" of "${host}", and this one has none`,
      {
        code: "device-rules-missing",
        hint:
          `Leave ":${access}" out, or run it as root and without --cgroup-manager disabled`,
      },
    );
  }
}

/** The first of a bundle's device rules that denies something: none does where
 * one behind it allows everything. */
function findDenial(config: CgroupConfig): number {
  const devices = config.spec.linux?.resources?.devices ?? [];
  const rules = listRules(devices, false, config.flags)
    .slice(1, 1 + devices.length);
  const all = rules.findLastIndex(({ allow, type, major, minor, access }) =>
    allow && type === "a" && major === null && minor === null &&
    access === "rwm"
  );
  return rules.findIndex(({ allow }, at) => at > all && !allow);
}

/**
 * The plan of a container for which nobody makes cgroups.
 *
 * @throws {ContainerError} for a limit, and for a bundle's device rules that
 * would deny something
 */
export function withoutCgroups(
  config: CgroupConfig,
  rootless: boolean,
  plan: CgroupPlan,
  limits: readonly Limit[],
): CgroupPlan {
  const [limit] = limits;
  if (limit) {
    refuse(
      config.flags,
      limit.from,
      limit.value,
      "the cgroup manager is disabled",
      { hint: "Leave out --cgroup-manager disabled, or the limit" },
    );
  }
  if (!rootless && config.mode === "friendly") {
    // config/device_rules.ts
    plan.notes.push(
      "no cgroup: the manager is disabled",
      "device rules: none without a cgroup, so that no device can be opened in the root file system and in volumes (nodev), and none can be made (no CAP_MKNOD, but in a user namespace)",
    );
    return plan;
  }
  const denial = rootless ? -1 : findDenial(config);
  if (denial >= 0) {
    refuse(
      config.flags,
      `linux.resources.devices[${denial}]`,
      undefined,
      "it denies devices, and the cgroup manager is disabled",
      {
        code: "device-rules-missing",
        hint:
          "Leave out --cgroup-manager disabled, or all rules that deny something",
      },
    );
  }
  plan.notes.push("no cgroup and no device rules: the manager is disabled");
  return plan;
}
