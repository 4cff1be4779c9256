/**
 * `mounts[]`: each entry as operations, in the order of the list.
 *
 * @module
 */

import { MOUNT_ATTR as ATTR, O, RESOLVE } from "../../ffi/constants.ts";
import { isMapped, namespaceUse } from "../config/namespaces.ts";
import { ContainerError } from "../errors.ts";
import { type Op, TARGET } from "../plan.ts";
import { planAttributes, planIdmap, setAttr } from "./attributes.ts";
import { planCgroupMount } from "./cgroup.ts";
import { addSource, cloneTree, type MountContext } from "./context.ts";
import { type MountEntry, refuse } from "./entry.ts";
import { type MountOptions, parseMountOptions } from "./options.ts";
import { absolutePath, isUnder, joinPath } from "./path.ts";
import { hostPropagation, volumePropagation } from "./propagation.ts";

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
 * Plans all mounts of the configuration.
 *
 * @throws {ContainerError} when an entry contradicts itself, its source is
 * missing, or it is one that no container may have
 */
export function planFileSystems(context: MountContext): Op[] {
  return (context.config.spec.mounts ?? []).flatMap((mount, index) => {
    const entry: MountEntry = {
      index,
      from: `mounts[${index}]`,
      mount,
      type: mount.type ?? "",
      destination: joinPath("/", mount.destination),
      options: parseMountOptions(mount.options ?? []),
    };
    checkEntry(entry);
    if (entry.options.remount) return planRemount(entry);
    if (entry.options.bind) return planBind(context, entry);
    if (entry.type === "cgroup" || entry.type === "cgroup2") {
      return planCgroupMount(context, entry);
    }
    if (
      entry.type === "sysfs" && context.userns &&
      namespaceUse(context.config, "network") === "inherit"
    ) {
      return planHostSysfs(context, entry);
    }
    return planFileSystem(context, entry);
  });
}

function checkEntry(entry: MountEntry): void {
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

/** The place of a mount. For proc and sysfs no link is followed: an image's
 * "/proc -> /sys" would mislead later steps (CVE-2023-27561). */
export function planTarget(
  context: MountContext,
  entry: MountEntry,
  kind: number,
  strict = false,
): Op[] {
  const { destination, from } = entry;
  const why = `find the place of "${destination}"`;
  if (!strict) {
    return [{
      do: "target",
      into: "target",
      root: "root",
      path: destination,
      kind,
      mode: 0o755,
      why,
      from,
    }];
  }
  const name = destination.slice(1);
  const make: Op = name.includes("/")
    ? {
      do: "target",
      into: "target",
      root: "root",
      path: destination,
      kind,
      mode: 0o755,
      why: `make "${destination}" where it is missing`,
      from,
    }
    : {
      do: "mkdir",
      at: "root",
      name,
      mode: 0o755,
      why: `make "${destination}" where it is missing`,
      from,
    };
  return [make, {
    do: "open",
    into: "target",
    at: "root",
    path: name,
    flags: O.PATH | context.flags.DIRECTORY | context.flags.NOFOLLOW,
    mode: 0,
    resolve: RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS,
    why,
    from,
  }];
}

/** The last step of every mount. */
export function attach(slot: string, entry: MountEntry): Op {
  return {
    do: "moveMount",
    tree: slot,
    onto: "target",
    why: `mount it on "${entry.destination}"`,
    from: entry.from,
  };
}

function planRemount(entry: MountEntry): Op[] {
  const { destination, from, options } = entry;
  const ops: Op[] = [{
    do: "target",
    into: "target",
    root: "root",
    path: destination,
    kind: TARGET.any,
    mode: 0,
    why: `find what is mounted on "${destination}"`,
    from,
  }];
  const data = splitData(options.data);
  if (data.length > 0 && !options.bind) {
    ops.push({
      do: "reconfigure",
      slot: "target",
      options: data,
      why: "change the options of the file system",
      from,
    });
  }
  if (options.recursiveSet || options.recursiveClear) {
    ops.push(setAttr("target", {
      set: options.recursiveSet,
      clear: options.recursiveClear,
      recursive: true,
    }, {
      why: "change the attributes of the mount and of those below it",
      from,
    }));
  }
  if (options.set || options.clear) {
    ops.push(setAttr("target", { set: options.set, clear: options.clear }, {
      why: "change the attributes of the mount",
      from,
    }));
  }
  return ops;
}

function planBind(context: MountContext, entry: MountEntry): Op[] {
  const { config, host } = context;
  const { from, index, mount, options } = entry;
  const source = absolutePath(config.bundle, mount.source ?? "");
  const type = host.sources.get(index);
  if (type === "missing" || type === "denied") {
    throw new ContainerError(
      `Cannot mount "${mount.source ?? ""}" on "${mount.destination}": ${
        type === "missing" ? "no such file or directory" : "permission denied"
      } (${from})`,
      {
        code: `mount-source-${type}`,
        hint: type === "missing"
          ? `Make "${source}" first, or correct the path`
          : `Give yourself access to "${source}"`,
      },
    );
  }
  const slot = `mount.${index}`;
  const take = cloneTree(slot, "", source, options.recursiveBind, {
    why: `take "${source}" of the host`,
    from,
  });
  // Only the owner of the file system may map its ids: before a user namespace.
  const idmap = planIdmap(context, entry, slot);
  // A bundle's are taken in their turn where nothing speaks against it:
  // mountinfo lists mounts by their age since 6.8, and they must be found in the
  // order of the list. A volume is taken before "/" becomes private: an rslave
  // one has to have a master, and a shared one the host's mounts as peers.
  const base = volumePropagation(context, entry);
  const plain = config.mode === "oci" && !context.userns;
  const inTurn = plain && config.ephemeral === undefined &&
    idmap.length === 0 && base !== 0;
  if (plain && base === 0) context.peers.push(take, ...idmap);
  else if (!inTurn) {
    addSource(context, take);
    context.sources.push(...idmap);
  }
  return [
    ...(inTurn ? [take] : []),
    ...planTarget(
      context,
      entry,
      type === "file" ? TARGET.file : TARGET.directory,
    ),
    ...planAttributes(entry, slot, true, base),
    attach(slot, entry),
  ];
}

/** A sysfs belongs to a network namespace; one of the host's cannot be mounted
 * anew by a user namespace, so the host's is shown, read-only. */
function planHostSysfs(context: MountContext, entry: MountEntry): Op[] {
  const slot = `mount.${entry.index}`;
  addSource(
    context,
    cloneTree(slot, "", "/sys", true, {
      why: "take the host's sysfs",
      from: entry.from,
    }),
  );
  const options: MountOptions = {
    ...entry.options,
    data: [],
    recursiveSet: entry.options.recursiveSet | ATTR.RDONLY,
  };
  return [
    ...planTarget(context, entry, TARGET.directory, true),
    ...planAttributes(
      { ...entry, options },
      slot,
      true,
      hostPropagation(context),
    ),
    attach(slot, entry),
  ];
}

/** Splits what is left for the file system at its commas, as mount(2) would;
 * not inside quotes and not after a backslash. */
export function splitData(words: readonly string[]): string[] {
  const parts: string[] = [];
  for (const word of words) {
    for (const [part] of word.matchAll(/(?:"[^"]*"|\\.|[^,"\\])+/g)) {
      parts.push(part.replaceAll('"', ""));
    }
  }
  return parts;
}

/** fsconfig(2) options of a new file system. */
function planData(context: MountContext, entry: MountEntry): string[] {
  const { config } = context;
  const { type, mount } = entry;
  let data = splitData(entry.options.data);
  if (type === "devpts" && config.mode === "friendly") {
    data = data.filter((it) => {
      const gid = /^gid=(\d+)$/.exec(it)?.[1];
      return gid === undefined ||
        !context.host.ttyGroupUnmapped &&
          isMapped(config.spec.linux?.gidMappings, Number(gid));
    });
  }
  if (type === "tmpfs") {
    // A tmpfs has counted its versions by itself since 6.6.
    data = data.filter((it) => it !== "iversion");
    // As runc and crun do: the mode of what it covers, not the kernel's 1777.
    if (!data.some((it) => it.startsWith("mode="))) {
      const mode = context.host.modes.get(entry.index) ?? 0o755;
      data.push(`mode=${mode.toString(8)}`);
    }
  }
  const label = config.spec.linux?.mountLabel;
  if (label && (type === "tmpfs" || type === "mqueue" || type === "devpts")) {
    data.push(`context=${label}`);
  }
  return [...(mount.source ? [`source=${mount.source}`] : []), ...data];
}

function planFileSystem(context: MountContext, entry: MountEntry): Op[] {
  const { destination, from, index, options, type } = entry;
  const ro = (options.set & ATTR.RDONLY) !== 0;
  // A tmpfs and /dev are filled first and read-only last.
  const later = ro && (type === "tmpfs" || destination === "/dev");
  const isPts = type === "devpts" && destination === "/dev/pts";
  const slot = isPts ? "devpts" : later ? `mount.${index}` : "mount";
  if (isPts) context.devpts = slot;
  const ops: Op[] = [{
    do: "fsmount",
    into: slot,
    fstype: type,
    options: planData(context, entry),
    attr: later ? options.set & ~ATTR.RDONLY : options.set,
    flags: 0,
    why: `make a file system of the type "${type}"`,
    from,
  }];
  const strict = type === "proc" || type === "sysfs";
  ops.push(...planTarget(context, entry, TARGET.directory, strict));
  if (options.copyUp) {
    if (type !== "tmpfs") {
      refuse(
        entry,
        "tmpcopyup is for a tmpfs only",
        'Use the type "tmpfs", or leave tmpcopyup out',
      );
    }
    ops.push({
      do: "copyUp",
      source: "target",
      onto: slot,
      why: `copy what "${destination}" holds into it`,
      from,
    });
  }
  ops.push(
    ...planIdmap(context, entry, slot),
    ...planAttributes(entry, slot, false),
    attach(slot, entry),
  );
  if (later) {
    context.readonly.push(setAttr(slot, { set: ATTR.RDONLY }, {
      why: `make "${destination}" read-only now that it is filled`,
      from,
    }));
  }
  return ops;
}
