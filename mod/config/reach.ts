/**
 * What a container with CAP_SYS_ADMIN could come to by its mounts, though it was
 * not given: devices, and the host's cgroups in the host's own sysfs.
 *
 * @module
 */

import { ContainerError } from "../errors.ts";
import { type Facts, takesEarly } from "../host.ts";
import type { Config } from "./config.ts";
import { checkDeviceReach } from "./device_rules.ts";
import { hasUserNamespace, namespaceUse } from "./namespaces.ts";
import type { Mount } from "./schema.ts";

const isBind = ({ options = [] }: Mount) =>
  options.includes("bind") || options.includes("rbind");

/** Returns which of `mounts` are the host's own sysfs in place of a new one, which
 * a user namespace cannot mount without a network namespace. What a caller binds by
 * itself is none of them. */
export function listHostSysfs(
  config: Config,
  facts: Pick<Facts, "inUserns">,
): number[] {
  const { flags, mode, spec } = config;
  if (
    !hasUserNamespace(config) && !facts.inUserns ||
    namespaceUse(config, "network") !== "inherit"
  ) return [];
  return [...(spec.mounts ?? []).entries()].filter(([at, mount]) =>
    isBind(mount)
      ? mode === "friendly" && mount.destination === "/sys" &&
        !flags.has(`mounts[${at}]`)
      : mount.type === "sysfs" && !mount.options?.includes("remount")
  ).map(([at]) => at);
}

/**
 * Makes sure that a process cannot come to that. In the host's sysfs lie the
 * host's cgroups, and where that is not locked the process takes away what the
 * container has over them: it could kill whatever the caller may.
 *
 * @param wanted what cannot be done with a capability: "give the container"
 * @param made what the container was made of, where `config` only enters it
 * @throws {ContainerError} for such a capability
 */
export function checkReach(
  config: Config,
  facts: Facts,
  wanted: string,
  made = config,
): void {
  checkDeviceReach(config, facts, wanted);
  if (hasUserNamespace(made) && takesEarly(facts)) return;
  const { capabilities } = config.spec.process ?? {};
  const all = Object.values(capabilities ?? {}).flat();
  if (
    !all.includes("CAP_SYS_ADMIN") || listHostSysfs(made, facts).length === 0
  ) return;
  const friendly = made.mode === "friendly";
  throw new ContainerError(
    `Cannot ${wanted} CAP_SYS_ADMIN: without a network namespace of its own it has the host's /sys, in which it could write to the host's cgroups and kill other processes of yours`,
    {
      code: "sysfs-sys-admin",
      hint: friendly
        ? "Leave out CAP_SYS_ADMIN, or --network host"
        : 'Leave CAP_SYS_ADMIN out, or add {"type":"network"} to linux.namespaces',
    },
  );
}
