/**
 * Changes of a config.json that breaks no rule.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { checkSpec } from "../mod/config/check.ts";
import type { Problem } from "../mod/config/rules.ts";
import type { Spec } from "../mod/config/schema.ts";

/** A configuration in which every namespace is new. */
const BASE: Spec = {
  ociVersion: "1.3.0",
  root: { path: "rootfs" },
  process: { cwd: "/", args: ["sh"] },
  linux: {
    namespaces: [
      { type: "pid" },
      { type: "network" },
      { type: "mount" },
      { type: "ipc" },
      { type: "uts" },
      { type: "cgroup" },
      { type: "time" },
    ],
  },
};

/** Lays one object over another, deep; lists are replaced. */
function overlay(base: unknown, change: unknown): unknown {
  if (
    typeof base !== "object" || base === null || Array.isArray(base) ||
    typeof change !== "object" || change === null || Array.isArray(change)
  ) {
    return change;
  }
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(change)) {
    result[key] = overlay(result[key], value);
  }
  return result;
}

/** Makes a configuration of the right shape. */
export function makeSpec(change: unknown): Spec {
  const spec = overlay(BASE, change);
  assertEquals(checkSpec(spec), []);
  return spec as Spec;
}

/** Problems as one text each: "path message (clause; instead)". */
export function show(problems: Problem[]): string[] {
  return problems.map(({ path, message, clause, instead }) =>
    `${path} ${message} (${clause}; ${instead})`
  );
}

export const process = (change: unknown) => ({ process: change });

export const linux = (change: unknown) => ({ linux: change });

export const resources = (change: unknown) => linux({ resources: change });

export const mounts = (...list: unknown[]) => ({ mounts: list });

export const MAP = { containerID: 0, hostID: 1000, size: 10 };

export const proc = { destination: "/data", type: "tmpfs" };

export const fuse = { type: "c", path: "/dev/fuse", major: 10, minor: 229 };

export const deadline = {
  policy: "SCHED_DEADLINE",
  runtime: 1,
  deadline: 2,
  period: 3,
};

export const user = { namespaces: [{ type: "user" }] };

export const maps = { uidMappings: [MAP], gidMappings: [MAP] };
