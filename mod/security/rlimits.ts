/**
 * Resource limits: from names to the numbers that prlimit(2) takes.
 *
 * @module
 */

import { RLIMITS } from "../../ffi/names.ts";
import type { FileLimit } from "../caller/status.ts";
import type { Config } from "../config/config.ts";
import { ContainerError } from "../errors.ts";
import type { Facts } from "../host.ts";

/** One limit, for prlimit(2). */
export interface ResourceLimit {
  /** "RLIMIT_NOFILE". */
  name: string;
  resource: number;
  soft: bigint;
  hard: bigint;
  /** The config key; absent for what every container gets. */
  from?: string;
}

/**
 * Returns the limits to apply from outside, at the last sync: those of the
 * configuration, and RLIMIT_NOFILE's soft value as the caller had it.
 *
 * @param nofile the caller's RLIMIT_NOFILE; absent: it is left as it is
 * @throws {ContainerError} for a name that is none, a name that comes twice,
 * and a soft value above the hard one
 */
export function rlimitsOf(
  config: Config,
  _facts: Facts,
  nofile?: FileLimit,
): ResourceLimit[] {
  const limits: ResourceLimit[] = [];
  for (const [at, limit] of (config.spec.process?.rlimits ?? []).entries()) {
    const key = `process.rlimits[${at}]`;
    const resource = RLIMITS.get(limit.type);
    if (resource === undefined) {
      throw new ContainerError(
        `Cannot set the limit "${limit.type}": no such limit (${key})`,
        {
          code: "rlimit-unknown",
          hint: `Use one of ${[...RLIMITS.keys()].join(", ")}`,
        },
      );
    }
    if (limits.some((it) => it.name === limit.type)) {
      throw new ContainerError(
        `Cannot set the limit "${limit.type}": it is listed twice (${key})`,
        { code: "rlimit-duplicate", hint: "Remove one of the two entries" },
      );
    }
    const [soft, hard] = [BigInt(limit.soft), BigInt(limit.hard)];
    if (soft > hard) {
      throw new ContainerError(
        `Cannot set the limit "${limit.type}": the soft value ${soft} is above the hard value ${hard} (${key})`,
        {
          code: "rlimit-order",
          hint: "Make the soft value at most the hard one",
        },
      );
    }
    limits.push({ name: limit.type, resource, soft, hard, from: key });
  }
  const name = "RLIMIT_NOFILE";
  if (nofile !== undefined && !limits.some((it) => it.name === name)) {
    limits.push({ name, resource: RLIMITS.get(name) ?? 7, ...nofile });
  }
  return limits;
}
