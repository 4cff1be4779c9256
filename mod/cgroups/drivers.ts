/**
 * Which driver makes, changes and removes a container's cgroups: by what the plan
 * or the state says, never by a flag of the command that asks.
 *
 * @module
 */

import { CGROUPFS } from "./cgroupfs.ts";
import type { CgroupDriver } from "./driver.ts";
import type { Unit } from "./model.ts";
import { SYSTEMD } from "./systemd/driver.ts";

/** @param unit the container's, if it has one */
export function driverOf(unit: Unit | undefined): CgroupDriver {
  return unit === undefined ? CGROUPFS : SYSTEMD;
}
