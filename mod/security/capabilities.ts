/**
 * Capability sets: names to masks, and what of them this caller can grant.
 *
 * @module
 */

import { CAPS, CAPS_ALL } from "../../ffi/names.ts";
import type { Config } from "../config/config.ts";
import { hasUserNamespace } from "../config/namespaces.ts";
import type { Facts } from "../host.ts";

/** The five sets of a process, capabilities(7). */
export interface CapabilitySets {
  bounding: bigint;
  effective: bigint;
  permitted: bigint;
  inheritable: bigint;
  ambient: bigint;
}

/** The 14 capabilities that a container has unless told otherwise: Docker's
 * default set. */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  "CAP_AUDIT_WRITE",
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_MKNOD",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_RAW",
  "CAP_SETFCAP",
  "CAP_SETGID",
  "CAP_SETPCAP",
  "CAP_SETUID",
  "CAP_SYS_CHROOT",
];

const SETS = [
  "bounding",
  "effective",
  "permitted",
  "inheritable",
  "ambient",
] as const;

/** What is not granted, config.md#linux-process: it wants a warning there and no
 * failure. */
export interface Warning {
  message: string;
  /** Only for the log: engines list sets that do not fit each other, and the
   * container has what can be had of them. */
  quiet: boolean;
}

/**
 * Returns the container's capability sets. What no kernel knows, what the
 * caller has not, and what one set cannot hold without another is left out and
 * told in `warnings`.
 */
export function resolveCapabilities(
  config: Config,
  facts: Facts,
): { sets: CapabilitySets; warnings: Warning[] } {
  const asked = config.spec.process?.capabilities ?? {};
  const warnings: Warning[] = [];
  const sets: CapabilitySets = {
    bounding: 0n,
    effective: 0n,
    permitted: 0n,
    inheritable: 0n,
    ambient: 0n,
  };
  const unknown = new Map<string, Set<string>>();
  for (const set of SETS) {
    for (const name of asked[set] ?? []) {
      const bit = CAPS.get(name);
      if (bit !== undefined) sets[set] |= 1n << BigInt(bit);
      else unknown.set(name, (unknown.get(name) ?? new Set()).add(set));
    }
  }
  for (const [name, where] of unknown) {
    warnings.push({
      message:
        `Cannot grant the capability "${name}": it is not known (process.capabilities.${
          [...where].join(", ")
        })`,
      quiet: false,
    });
  }
  // Friendly mode grants what there is of the defaults without a word, and has
  // one set: what is said of it is said once, with its flag.
  const friendly = config.mode === "friendly";
  const flag = config.flags.get("process.capabilities");
  let told = 0n;
  const mine = "the caller does not have it";
  const limit = (
    set: keyof CapabilitySets,
    mask: bigint,
    why: string,
  ) => {
    const lost = sets[set] & ~mask;
    if (lost === 0n) return;
    sets[set] &= mask;
    const news = friendly ? lost & ~told : lost;
    told |= lost;
    if (news === 0n || friendly && flag === undefined) return;
    warnings.push({
      message: `Cannot grant ${formatCapabilities(news).join(", ")}: ${why} (${
        friendly ? flag : `process.capabilities.${set}`
      })`,
      quiet: why !== mine,
    });
  };
  // In a new user namespace the process has every capability there is.
  const own = hasUserNamespace(config) ? CAPS_ALL : facts.caps;
  limit("bounding", own, mine);
  limit("permitted", own, mine);
  limit("effective", sets.permitted, "it is not permitted");
  limit("inheritable", sets.bounding, "it is not in the bounding set");
  limit(
    "ambient",
    sets.permitted & sets.inheritable,
    "it is not both permitted and inheritable",
  );
  return { sets, warnings };
}

/** Names of the capabilities in a mask, in the order of their numbers. */
export function formatCapabilities(mask: bigint): string[] {
  return [...CAPS].filter(([, bit]) => (mask >> BigInt(bit)) & 1n)
    .map(([name]) => name);
}
