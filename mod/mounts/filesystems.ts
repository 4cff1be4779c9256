/**
 * `mounts[]`: each entry as operations, in the order of the list.
 *
 * @module
 */

import { MOUNT_ATTR as ATTR } from "../../ffi/constants.ts";
import {
  hasUserNamespace,
  isMapped,
  namespaceUse,
} from "../config/namespaces.ts";
import { ContainerError, sayLink } from "../errors.ts";
import { COVER, type Op, TARGET } from "../plan.ts";
import { planAttributes, planIdmap, setAttr } from "./attributes.ts";
import { leaveLocked, planLocked, withLater } from "./locked.ts";
import { planBrought } from "./brought.ts";
import { planCgroupMount } from "./cgroup.ts";
import { checkEntry } from "./check.ts";
import {
  checkSeen,
  checkWhole,
  cloneTree,
  type MountContext,
  takeInTurn,
} from "./context.ts";
import { type MountEntry, refuse } from "./entry.ts";
import { type MountOptions, parseMountOptions, splitData } from "./options.ts";
import { listFilled } from "./outer.ts";
import { absolutePath, joinPath } from "./path.ts";
import { hostPropagation, volumePropagation } from "./propagation.ts";
import { attach, findPlace, findTarget, planTarget } from "./target.ts";

/** File systems that are the kernel's own: nothing but the mount is read-only. */
const VIRTUAL = new Set([
  "proc",
  "sysfs",
  "tmpfs",
  "devpts",
  "devtmpfs",
  "mqueue",
]);

/** Those that linux.mountLabel is not for: SELinux has labels for what is in
 * them. */
const UNLABELLED = new Set(["proc", "sysfs"]);

/**
 * Plans all mounts of the configuration.
 *
 * @throws {ContainerError} when an entry contradicts itself, its source is
 * missing, or it is one that no container may have
 */
export function planFileSystems(context: MountContext): Op[] {
  const mounts = context.config.spec.mounts ?? [];
  const filled = listFilled(context);
  return mounts.flatMap((mount, index) => {
    const entry: MountEntry = {
      index,
      from: `mounts[${index}]`,
      mount,
      type: mount.type ?? "",
      destination: joinPath("/", mount.destination),
      options: parseMountOptions(mount.options ?? []),
    };
    checkEntry(entry);
    if (context.unruled && entry.options.bind) closeDevices(context, entry);
    if (entry.options.remount) return planRemount(context, entry);
    if (entry.options.bind) {
      return planBind(context, withLater(context, entry, filled));
    }
    if (entry.type === "cgroup" || entry.type === "cgroup2") {
      return planCgroupMount(context, entry);
    }
    if (
      entry.type === "sysfs" && context.userns &&
      namespaceUse(context.config, "network") === "inherit"
    ) {
      return planHostSysfs(context, entry);
    }
    return planFileSystem(context, entry, filled.has(entry.destination));
  });
}

/** Without device rules no device opens in a volume, unless its options say so.
 *
 * @throws {ContainerError} for one on /dev, where all would be missing */
function closeDevices({ config }: MountContext, entry: MountEntry): void {
  const { destination, from, mount, options } = entry;
  if (["dev", "rdev"].some((it) => mount.options?.includes(it))) return;
  if (destination === "/dev") {
    refuse(
      { ...entry, from: config.flags.get(from) ?? from },
      "without device rules (--cgroup-manager disabled) no device in it could be opened",
      'Add the option "dev" to open all of them, or leave --cgroup-manager disabled out',
    );
  }
  options.recursiveSet |= ATTR.NODEV;
}

function planRemount(context: MountContext, entry: MountEntry): Op[] {
  const { destination, from, options } = entry;
  const { at, below } = findPlace(context, destination);
  const isOwn = at !== "" && below === "";
  const slot = isOwn ? at : "target";
  const ops: Op[] = isOwn ? [] : [findTarget(context, destination, {
    kind: TARGET.any,
    why: `find what is mounted on "${destination}"`,
    from,
  })];
  const data = splitData(options.data);
  if (data.length > 0 && !options.bind) {
    ops.push({
      do: "reconfigure",
      slot,
      options: data,
      why: "change the options of the file system",
      from,
    });
  }
  ops.push(...planAttributes(entry, slot, true));
  return ops;
}

/** What the mount of a source may be that its bind mount is not, unless it is
 * named. */
const FLAGS = ATTR.RDONLY | ATTR.NOSUID | ATTR.NODEV | ATTR.NOEXEC |
  ATTR.NOSYMFOLLOW;

/** As under runc, a bind mount for which a flag is named has the flags that are
 * named, and not its source's; mount(2) "Remounting an existing mount". With a
 * user namespace the kernel locks those of the host: they stay where nobody asked
 * otherwise. */
function nameFlags(context: MountContext, entry: MountEntry): MountEntry {
  const { options } = entry;
  const { set, clear, recursiveSet } = options;
  if (context.userns || (set | clear) === 0) return entry;
  const unnamed = FLAGS & ~set & ~recursiveSet;
  return { ...entry, options: { ...options, clear: clear | unnamed } };
}

function planBind(context: MountContext, given: MountEntry): Op[] {
  const entry = nameFlags(context, given);
  const { config, host } = context;
  const { from, index, mount, options } = entry;
  const brought = host.brought?.get(index);
  if (brought !== undefined) return planBrought(context, entry, brought);
  const source = absolutePath(config.bundle, mount.source ?? "");
  const type = host.sources.get(index);
  if (type === "missing" || type === "link" || type === "denied") {
    const denied = type === "denied";
    throw new ContainerError(
      `Cannot mount "${mount.source ?? ""}" on "${mount.destination}": ${
        denied ? "permission denied" : "no such file or directory"
      } (${from})`,
      {
        code: `mount-source-${denied ? type : "missing"}`,
        hint: denied
          ? `Give yourself access to "${source}"`
          : type === "link"
          ? sayLink(source)
          : `Make "${source}" first, or correct the path`,
      },
    );
  }
  const slot = `mount.${index}`;
  checkWhole(
    context,
    source,
    `mount "${source}" on "${mount.destination}"`,
    from,
  );
  // With what is mounted below it, so that the kernel can judge what lies bare
  // without: only from the stage.
  const alone = options.recursiveBind ? undefined : {
    why: `mount "${source}" without what is mounted below it`,
    from,
  };
  const whole = alone === undefined || context.staged;
  const take = [
    cloneTree(slot, "", source, whole, {
      why: `take "${source}" of the host`,
      from,
    }),
    ...checkSeen(context, slot, {
      why: `take the "${source}" that was looked at`,
      from,
    }),
  ];
  const base = volumePropagation(context, entry);
  const inTurn = base !== 0 && isTakenInTurn(context, source);
  // Only the owner of the file system may map its ids: before a user namespace.
  const idmap = planIdmap(context, entry, slot);
  // While it still is a peer of the host's mounts.
  const isPeer = base === 0 && config.mode === "oci";
  if (isPeer) context.peers.push(...take, ...idmap);
  let again: Op[] = [];
  if (!inTurn && !isPeer) {
    const locked = planLocked(context, entry, slot);
    again = takeInTurn(
      context,
      { slot, path: source, ...alone && { alone } },
      ...take,
      ...idmap,
      ...locked,
    );
    context.destinations.set(index, slot);
  }
  return [
    ...again,
    ...(inTurn ? [...take, ...idmap] : []),
    ...planTarget(
      context,
      entry,
      type === "file" ? TARGET.file : TARGET.directory,
    ),
    ...planAttributes(leaveLocked(context, entry), slot, true, base),
    attach(context, slot, entry),
  ];
}

/**
 * Whether a volume is taken in its turn among the mounts, where the host's are
 * still to be found: then its descriptor is open for a moment alone, and
 * mountinfo, which lists mounts by their age since 6.8, has the order of the
 * list. Before are taken: what enters a user namespace from outside; what the
 * root, or what lies under it, comes to lie over or in.
 */
function isTakenInTurn(context: MountContext, source: string): boolean {
  const { config, early, host } = context;
  return !(early && hasUserNamespace(config)) && !host.hidden.has(source);
}

/** A sysfs belongs to a network namespace; one of the host's cannot be mounted
 * anew by a user namespace, so the host's is shown, read-only. */
function planHostSysfs(context: MountContext, entry: MountEntry): Op[] {
  const slot = `mount.${entry.index}`;
  const asked = entry.options.set | entry.options.recursiveSet;
  if ((asked & ATTR.RDONLY) === 0) {
    refuse(
      entry,
      "with a user namespace and the host's network there is only the host's own sysfs, read-only",
      'Add "ro" to its options, or give the container a network namespace',
    );
  }
  const options: MountOptions = {
    ...entry.options,
    data: [],
    recursiveSet: entry.options.recursiveSet | ATTR.RDONLY,
  };
  const whole = { ...entry, options };
  checkWhole(context, "/sys", "mount the host's sysfs", entry.from);
  const again = takeInTurn(
    context,
    { slot, path: "/sys" },
    cloneTree(slot, "", "/sys", true, {
      why: "take the host's sysfs",
      from: entry.from,
    }),
    ...planLocked(context, whole, slot),
  );
  context.destinations.set(entry.index, slot);
  return [
    ...again,
    ...planTarget(context, entry, TARGET.directory, true),
    ...planAttributes(
      leaveLocked(context, whole),
      slot,
      true,
      hostPropagation(context),
    ),
    attach(context, slot, entry),
  ];
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
  }
  // To mount(2) MS_RDONLY is both: without, a disk's journal would be replayed.
  if ((entry.options.set & ATTR.RDONLY) !== 0 && !VIRTUAL.has(type)) {
    data.push("ro");
  }
  const label = config.spec.linux?.mountLabel;
  if (label && !UNLABELLED.has(type)) data.push(`context=${label}`);
  return [...(mount.source ? [`source=${mount.source}`] : []), ...data];
}

/** As under runc, a tmpfs has the mode of the directory that it covers, unless
 * one is given, and the kernel's default where there is none. What it covers is
 * known once everything before it is mounted. One that is filled with what it
 * covers has its owner as well. */
function planCover(
  context: MountContext,
  entry: MountEntry,
  slot: string,
  data: readonly string[],
): Op[] {
  const { destination, from, options } = entry;
  const isGiven = (key: string) => data.some((it) => it.startsWith(`${key}=`));
  const take = (isGiven("mode") ? 0 : COVER.mode) |
    (!options.copyUp || isGiven("uid") ? 0 : COVER.uid) |
    (!options.copyUp || isGiven("gid") ? 0 : COVER.gid);
  if (take === 0) return [];
  return [{
    do: "cover",
    tree: slot,
    ...findPlace(context, destination),
    mode: 0o1777,
    take,
    why: `give it the mode of "${destination}"`,
    from,
  }];
}

function planFileSystem(
  context: MountContext,
  entry: MountEntry,
  isFilled: boolean,
): Op[] {
  const { destination, from, index, options, type } = entry;
  const ro = (options.set & ATTR.RDONLY) !== 0;
  // A tmpfs and /dev are filled first and read-only last.
  const later = ro && (type === "tmpfs" || destination === "/dev");
  const isPts = type === "devpts" && destination === "/dev/pts";
  const slot = isPts ? "devpts" : `mount.${index}`;
  if (isPts) context.devpts = slot;
  const data = planData(context, entry);
  const ops: Op[] = [{
    do: "fsmount",
    into: slot,
    fstype: type,
    options: data,
    attr: later ? options.set & ~ATTR.RDONLY : options.set,
    flags: 0,
    why: `make a file system of the type "${type}"`,
    from,
  }];
  if (type === "tmpfs") ops.push(...planCover(context, entry, slot, data));
  const strict = type === "proc" || type === "sysfs";
  ops.push(...planTarget(context, entry, TARGET.directory, strict));
  if (options.copyUp) {
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
    attach(context, slot, entry),
  );
  if (later) {
    const list = isFilled ? context.readonly : ops;
    list.push(setAttr(slot, { set: ATTR.RDONLY }, {
      why: `make "${destination}" read-only now that it is filled`,
      from,
    }));
  }
  return ops;
}
