/**
 * A machine with resctrl.
 *
 * @module
 */

import type { Resctrl } from "../mod/host.ts";
import { type ClassPlan, type Group, planIntelRdt } from "../mod/intel_rdt.ts";
import type { IntelRdt } from "../mod/config/schema.ts";
import { makeConfig } from "./manager_fixtures.ts";

export const MOUNT = "/sys/fs/resctrl";

export const MACHINE: Resctrl = {
  known: true,
  path: MOUNT,
  resources: ["L3", "MB", "L3_MON"],
};

const ROOT: Group = {
  schemata: "    MB:0=100\n    L3:0=fffff\n",
  tasks: "1\n",
};

/** What `intelRdt` comes to, where these groups are. */
export function plan(
  intelRdt: IntelRdt,
  groups: Record<string, Group | "other"> = {},
  machine: Resctrl = MACHINE,
): ClassPlan | undefined {
  return planIntelRdt(
    makeConfig({ linux: { intelRdt } }),
    () => machine,
    (path) => ({ [MOUNT]: ROOT, ...groups })[path],
    () => 10,
  );
}

export const GUEST = `${MOUNT}/guest`;

export const GROUP: Group = {
  schemata: "    MB:0=30\n    L3:0=ff\n",
  tasks: "",
};
