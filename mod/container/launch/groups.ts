/**
 * The groups of a new container that lie on the host: its cgroups, and its class
 * of service.
 *
 * @module
 */

import { makeCgroups } from "../../cgroups.ts";
import { makeClass } from "../properties/resctrl.ts";
import type { Prepared } from "../model.ts";

/**
 * Makes them.
 *
 * @param pid the process that waits for them; 0 where none is needed
 * @throws {ContainerError} when one cannot be had
 */
export function makeGroups(
  { cgroup, resctrl }: Pick<Prepared, "cgroup" | "resctrl">,
  pid: number,
): void {
  makeCgroups(cgroup, pid);
  if (resctrl !== undefined) makeClass(resctrl);
}
