/**
 * The attributes of what is taken of the host for a container with a user
 * namespace: set before the kernel locks them (stage.ts), the container cannot
 * undo them.
 *
 * @module
 */

import { MOUNT_ATTR as ATTR } from "../../ffi/constants.ts";
import type { Mount } from "../config/schema.ts";
import { type Op, TARGET } from "../plan.ts";
import { setAttr } from "./attributes.ts";
import type { MountContext } from "./context.ts";
import type { MountEntry } from "./entry.ts";
import { type MountOptions, parseMountOptions } from "./options.ts";
import { findOuter, isRemount, listFilled } from "./outer.ts";
import { eachPath, isUnder, joinPath } from "./path.ts";
import { placeIn } from "./place.ts";

/** What can be set before: what takes something from the container, and the
 * kind of access time, which nothing in a user namespace can change. What the
 * host has forbidden is not allowed here: that is asked for in the container,
 * where the kernel refuses it. */
function lockable(options: MountOptions) {
  return {
    below: {
      // What the mount itself is to have otherwise stays open.
      set: options.recursiveSet & ~options.clear,
      clear: options.recursiveClear & ATTR.ATIME,
    },
    own: { set: options.set, clear: options.clear & ATTR.ATIME },
  };
}

/** What a mount may be made later, and stays. */
const LATER = ATTR.RDONLY | ATTR.NOSUID | ATTR.NODEV | ATTR.NOEXEC |
  ATTR.NOSYMFOLLOW;

/** Adds what entries after `index` make of what is mounted there. */
function addRemounts(
  mounts: readonly Mount[],
  destination: string,
  index: number,
  options: Pick<
    MountOptions,
    "set" | "clear" | "recursiveSet" | "recursiveClear"
  >,
): void {
  for (const it of mounts.slice(index + 1)) {
    if (joinPath("/", it.destination) !== destination) continue;
    const later = parseMountOptions(it.options ?? []);
    // Another mount lies over it.
    if (!later.remount) break;
    const [set, below] = [later.set & LATER, later.recursiveSet & LATER];
    options.set = (options.set | set) & ~(later.clear & LATER);
    options.recursiveSet = (options.recursiveSet | below) &
      ~(later.recursiveClear & LATER);
    options.clear &= ~(set | below);
    options.recursiveClear &= ~below;
  }
}

/** Sets what entries ask for that remount what the host has mounted in a volume,
 * or in the root file system: on the stage, where it gets locked. */
export function planInner(context: MountContext): Op[] {
  const { config, destinations, host } = context;
  const { mounts = [] } = config.spec;
  const filled = listFilled(context);
  const done = new Set<string>();
  return mounts.flatMap((mount, at): Op[] => {
    const path = joinPath("/", mount.destination);
    if (!isRemount(mount) || !host.present?.has(at) || filled.has(path)) {
      return [];
    }
    const outer = findOuter(mounts, path, at) ??
      { index: -1, below: path };
    const tree = outer.index >= 0
      ? destinations.get(outer.index)
      : config.ephemeral === undefined
      ? "root"
      : undefined;
    if (tree === undefined || outer.below === "") return [];
    if (done.has(`${tree} ${path}`)) return [];
    done.add(`${tree} ${path}`);
    const all = { set: 0, clear: 0, recursiveSet: 0, recursiveClear: 0 };
    addRemounts(mounts, path, outer.index, all);
    if ((all.set | all.recursiveSet) === 0) return [];
    const from = `mounts[${at}]`;
    const why = `change what the host has mounted on "${path}", for good`;
    return [
      {
        do: "target",
        into: "target",
        ...placeIn(tree, outer.below),
        kind: TARGET.any,
        mode: 0,
        why: `find what the host has mounted on "${path}"`,
        from,
      },
      ...all.recursiveSet === 0 ? [] : [setAttr("target", {
        set: all.recursiveSet,
        recursive: true,
      }, { why, from })],
      ...all.set === 0
        ? []
        : [setAttr("target", { set: all.set }, { why, from })],
    ];
  });
}

/** With what makes it read-only later as well: a path of linux.readonlyPaths that
 * it lies at or below, and entries that remount it. It is locked with that, unless
 * something may still have to be made in it.
 *
 * @param filled directories in which something is made */
export function withLater(
  context: MountContext,
  entry: MountEntry,
  filled: ReadonlySet<string>,
): MountEntry {
  const { destination, index } = entry;
  if (!context.staged || filled.has(destination)) return entry;
  const options = { ...entry.options };
  const { linux, mounts = [] } = context.config.spec;
  addRemounts(mounts, destination, index, options);
  for (const [path] of eachPath(linux?.readonlyPaths ?? [])) {
    if (!isUnder(destination, joinPath("/", path))) continue;
    options.recursiveSet |= ATTR.RDONLY;
    options.clear &= ~ATTR.RDONLY;
    options.recursiveClear &= ~ATTR.RDONLY;
  }
  return { ...entry, options };
}

/** Sets them, on the host. */
export function planLocked(
  context: MountContext,
  entry: MountEntry,
  slot: string,
): Op[] {
  if (!context.staged) return [];
  const { below, own } = lockable(entry.options);
  const { from } = entry;
  const ops: Op[] = [];
  if (below.set || below.clear) {
    ops.push(setAttr(slot, { ...below, recursive: true }, {
      why: "set the attributes of the mount and of those below it, for good",
      from,
    }));
  }
  if (own.set || own.clear) {
    ops.push(setAttr(slot, own, {
      why: "set the attributes of the mount, for good",
      from,
    }));
  }
  return ops;
}

/** What is left to set in the container. */
export function leaveLocked(
  context: MountContext,
  entry: MountEntry,
): MountEntry {
  if (!context.staged) return entry;
  const { options } = entry;
  const { below, own } = lockable(options);
  return {
    ...entry,
    options: {
      ...options,
      set: options.set & ~own.set,
      clear: options.clear & ~own.clear,
      recursiveSet: options.recursiveSet & ~below.set,
      recursiveClear: options.recursiveClear & ~below.clear,
    },
  };
}
