/**
 * Rules of `mounts` beyond their shape: config.md#mounts.
 *
 * @module
 */

import type { Mount, Spec } from "./schema.ts";
import { type Add, checkMappings, cleanPath } from "./forms.ts";
import { showValue } from "./problem.ts";

/** What may be mounted below /proc: the files that lxcfs gives, and two that
 * engines cover. All else there would let a mount pose as the kernel. */
const PROC = " cpuinfo diskstats loadavg meminfo slabinfo stat swaps uptime " +
  "sys/kernel/ns_last_pid sys/crypto/fips_enabled ";

/** Adds the problems of all mounts. */
export function checkMounts(add: Add, spec: Spec): void {
  const mounts = spec.mounts ?? [];
  for (let i = 0; i < mounts.length; i++) {
    const mount = mounts[i]!;
    checkMount(add, `mounts[${i}]`, mount, spec);
  }
}

function checkMount(add: Add, path: string, mount: Mount, spec: Spec): void {
  const { destination, type = "", source = "", options = [] } = mount;
  const clean = cleanPath(destination);
  if (clean === "/") {
    add(
      `${path}.destination`,
      `must not be the root of the container: found ${showValue(destination)}`,
      "write a directory below it, or make root.path what you want there",
    );
  }
  const bind = options.includes("bind") || options.includes("rbind");
  if (clean === "/proc" && type !== "proc" && !bind) {
    add(
      `${path}.type`,
      `must be "proc" on /proc: found ${showValue(type)}`,
      'write the type "proc", or bind a procfs there',
    );
  }
  if (
    clean.startsWith("/proc/") &&
    !PROC.includes(` ${clean.slice("/proc/".length)} `)
  ) {
    add(
      `${path}.destination`,
      `must not be inside of /proc: found ${showValue(destination)}`,
      `mount it elsewhere; allowed are /proc/ and one of:${PROC.trimEnd()}`,
    );
  }
  if (bind && source === "") {
    add(
      `${path}.source`,
      "must be set for a bind mount: found nothing",
      "write the path on the host, absolute or relative to the bundle",
    );
  }
  if (
    (type === "" || type === "bind") && !bind && !options.includes("remount")
  ) {
    add(
      `${path}.type`,
      type === ""
        ? "must be set unless the options hold bind or rbind: found nothing"
        : 'must not be "bind" alone: the option bind or rbind makes a bind mount',
      "write the type of the file system, or the option rbind",
    );
  }
  checkIdMappings(add, path, mount, options, spec);
}

function checkIdMappings(
  add: Add,
  path: string,
  mount: Mount,
  options: readonly string[],
  spec: Spec,
): void {
  const uids = mount.uidMappings ?? [];
  const gids = mount.gidMappings ?? [];
  if ((uids.length === 0) !== (gids.length === 0)) {
    add(
      `${path}.${uids.length === 0 ? "uidMappings" : "gidMappings"}`,
      "must be set when the other mapping is: found nothing",
      "write uidMappings and gidMappings together",
    );
  }
  checkMappings(add, `${path}.uidMappings`, uids);
  checkMappings(add, `${path}.gidMappings`, gids);
  if (uids.length > 0 || gids.length > 0) return;
  const word = options.find((option) =>
    option === "idmap" || option === "ridmap"
  );
  if (
    word !== undefined &&
    !spec.linux?.namespaces?.some((namespace) => namespace.type === "user")
  ) {
    add(
      `${path}.options`,
      `must not hold "${word}" without mappings and without a user namespace`,
      "write uidMappings and gidMappings for the mount",
    );
  }
}
