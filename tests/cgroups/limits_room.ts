/**
 * What tests of limits share.
 *
 * @module
 */

import {
  type CgroupFacts,
  type CgroupWrite,
  planCgroups,
} from "../../mod/cgroups.ts";
import type { Resources } from "../../mod/config/schema.ts";
import { LOOKS, MACHINES, oci } from "./machines.ts";

/** v1 with every controller there ever was. */
export const V1 = {
  ...MACHINES.v1,
  cgroups: [
    ...MACHINES.v1.cgroups,
    ...["hugetlb", "net_cls", "net_prio", "rdma"].map((c) => ({
      version: 1 as const,
      controllers: [c],
      path: `/sys/fs/cgroup/${c}`,
      root: "/",
      own: "/",
    })),
  ],
};

export function writesOf(
  resources: Resources,
  facts: CgroupFacts = V1,
): CgroupWrite[] {
  return planCgroups(oci("/c", resources), facts, "t", LOOKS.root).writes;
}

/** "memory/c/memory.limit_in_bytes=64", with "?" where some errno is fine and
 * "|" before what is written where the file is missing. */
export function show(resources: Resources, facts: CgroupFacts = V1): string[] {
  return writesOf(resources, facts).map((w) => {
    const file = w.file.slice("/sys/fs/cgroup/".length);
    const optional = w.optional ? `?${w.optional}` : "";
    const instead = w.instead
      ? `|${w.instead.file.split("/").at(-1)}=${w.instead.value}`
      : "";
    return `${file}=${w.value}${optional}${instead}`;
  });
}
