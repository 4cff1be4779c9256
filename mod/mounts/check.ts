/**
 * What an entry of `mounts[]` may not ask for: what contradicts itself, and
 * what would be left out in silence.
 *
 * @module
 */

import { asksIdmap } from "./attributes.ts";
import { type MountEntry, refuse } from "./entry.ts";
import { isUnder } from "./path.ts";

/** Files of lxcfs that may lie over the kernel's own. */
const LXCFS = new Set([
  "/proc/cpuinfo",
  "/proc/diskstats",
  "/proc/meminfo",
  "/proc/stat",
  "/proc/swaps",
  "/proc/uptime",
  "/proc/loadavg",
  "/proc/slabinfo",
  "/proc/sys/kernel/ns_last_pid",
  "/proc/sys/crypto/fips_enabled",
]);

/**
 * Checks one entry.
 *
 * @throws {ContainerError} for one that no container may have
 */
export function checkEntry(entry: MountEntry): void {
  const { destination, options, type, mount } = entry;
  if (destination === "/") {
    refuse(
      entry,
      "it would lie over the whole root file system",
      "Set root.path to what the container shall have as its root",
    );
  }
  if (!options.bind && !options.remount && (type === "" || type === "bind")) {
    refuse(
      entry,
      type === ""
        ? "it has no type"
        : 'the type "bind" alone makes no bind mount',
      'Add "bind" or "rbind" to its options, or name a type',
    );
  }
  if (isUnder(destination, "/proc")) checkProc(entry);
  const isNew = !options.bind && !options.remount;
  if (options.copyUp && !(isNew && type === "tmpfs")) {
    refuse(
      entry,
      "tmpcopyup is for a tmpfs only",
      'Use the type "tmpfs", or leave tmpcopyup out',
    );
  }
  const isCgroup = isNew && (type === "cgroup" || type === "cgroup2");
  if ((options.remount || isCgroup) && asksIdmap(entry)) {
    refuse(
      entry,
      isCgroup
        ? "the ids of cgroups cannot be mapped"
        : "the ids of what is mounted already cannot be mapped",
      "Leave idmap, uidMappings and gidMappings out",
    );
  }
  const maps = [mount.uidMappings, mount.gidMappings]
    .filter((it) => it !== undefined && it.length > 0).length;
  if (maps === 1) {
    refuse(
      entry,
      "only one of uidMappings and gidMappings is given",
      "Give both, or neither",
    );
  }
}

/** Nothing but a procfs on /proc, and below it only what lxcfs provides: the
 * LSM labels and sysctls of other runtimes went astray there. */
function checkProc(entry: MountEntry): void {
  const { destination, options, type, mount } = entry;
  if (destination === "/proc") {
    const source = mount.source ?? "";
    if (options.bind ? isUnder(source, "/proc") : type === "proc") return;
    if (options.remount) return;
    refuse(
      entry,
      'only a file system of the type "proc" may be on /proc',
      'Use the type "proc"',
    );
  }
  if (options.bind && LXCFS.has(destination)) return;
  refuse(
    entry,
    "it would lie inside /proc",
    "Use linux.maskedPaths to hide a file there",
  );
}
