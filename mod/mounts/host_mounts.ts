/**
 * What the host has mounted, as far as a container with a user namespace must
 * not take it away: mountinfo, proc_pid_mountinfo(5).
 *
 * @module
 */

import { MOUNT_ATTR } from "../../ffi/constants.ts";
import { lstatSync, readTextFileSync } from "../../ffi/files.ts";
import {
  type FileId,
  identifyFile,
  isSameFile,
  type MountedFile,
} from "../../ffi/identity.ts";
import { type Facts, unescapeMountinfo } from "../host.ts";
import type { MountHost, Unbindable } from "./model.ts";
import { isUnder, listAbove, splitPath } from "./path.ts";

interface Mounted {
  id: number;
  /** Id of the mount that it lies on. */
  parent: number;
  /** Its file system: "8:1". */
  device: string;
  /** Which directory of that it shows. */
  inside: string;
  path: string;
  /** Type of its file system: "proc". */
  type: string;
  readonly: boolean;
  /** MOUNT_ATTR.NOSUID and its like. */
  forbids: number;
  unbindable: boolean;
}

/** What a mount may forbid, whatever lies on it. */
const FORBIDS = new Map([
  ["nosuid", MOUNT_ATTR.NOSUID],
  ["nodev", MOUNT_ATTR.NODEV],
  ["noexec", MOUNT_ATTR.NOEXEC],
]);

/** All mounts that the caller can reach, oldest first.
 *
 * @param proc where /proc shows it */
export function listMounts(proc: string): Mounted[] {
  return readTextFileSync(`${proc}/mountinfo`).split("\n")
    .map((line) => line.split(" "))
    .filter((it) => it.length > 5)
    .map((it) => ({
      id: Number(it[0]),
      parent: Number(it[1]),
      device: it[2]!,
      inside: unescapeMountinfo(it[3]!),
      path: unescapeMountinfo(it[4]!),
      type: it[it.indexOf("-", 6) + 1]!,
      readonly: it[5]!.split(",").includes("ro"),
      forbids: it[5]!.split(",")
        .reduce((all, word) => all | (FORBIDS.get(word) ?? 0), 0),
      unbindable: it.slice(6, it.indexOf("-")).includes("unbindable"),
    }));
}

/** The directory of the root file system. */
export interface RootDirectory extends FileId {
  /** Its path without links. */
  path: string;
  /** Id of the mount that it is in, as in mountinfo. */
  mount: number;
}

/** What is mounted in the root file system, and whether its own mount is
 * read-only. What is mounted there is found by paths: who may rename a directory
 * above can keep this from finding it, which `unsure` says. */
export function lookAtRoot(
  root: RootDirectory,
  { proc, uid }: Pick<Facts, "proc" | "uid">,
): Pick<MountHost, "below" | "unsure" | "isHostRoot" | "rootReadonly"> {
  const mounts = listMounts(proc);
  return {
    below: mounts.filter(({ path }) =>
      path !== root.path && isUnder(path, root.path)
    ).map(({ path }) =>
      root.path === "/" ? path : path.slice(root.path.length)
    ),
    unsure: [root.path, ...listAbove(root.path)].some((it) =>
      it !== "/" && mayOthersRename(it, uid)
    ),
    isHostRoot: isSameFile(root, identifyFile("/")),
    rootReadonly: mounts.some((it) => it.id === root.mount && it.readonly),
  };
}

/** What the root file system's mount forbids: nosuid, nodev, noexec.
 *
 * @param proc where /proc shows the caller */
export function findForbidden(
  { mount }: Pick<RootDirectory, "mount">,
  proc: string,
): number {
  return listMounts(proc).find((it) => it.id === mount)?.forbids ?? 0;
}

/** Whether others than root and the caller may rename a directory: who may write
 * in the one above, path_resolution(7); with the sticky bit, inode(7), only its
 * owner. */
function mayOthersRename(path: string, caller: number): boolean {
  const isOthers = (uid: number | null) => uid !== 0 && uid !== caller;
  const above = lstatSync(splitPath(path).parent);
  const mode = above.mode ?? 0;
  return isOthers(above.uid) || (mode & 0o022) !== 0 &&
      ((mode & 0o1000) === 0 || isOthers(lstatSync(path).uid));
}

/** What leads to a mount: the directories above it, and the file systems that
 * it hangs on. */
interface Way {
  above: FileId[];
  devices: Set<string>;
  /** Somebody else may rename one of these, now and while we look. */
  unsure: boolean;
}

function findWay(
  { path, parent }: Mounted,
  mounts: ReadonlyMap<number, Mounted>,
  caller: number,
): Way {
  const devices = new Set<string>();
  for (let id = parent; mounts.has(id);) {
    const on = mounts.get(id)!;
    devices.add(on.device);
    if (on.parent === id) break;
    id = on.parent;
  }
  const above = listAbove(path);
  try {
    return {
      above: [...above, "/"].map((it) => identifyFile(it)),
      devices,
      unsure: [path, ...above].some((it) => mayOthersRename(it, caller)),
    };
  } catch {
    // It has another name by now.
    return { above: [], devices, unsure: true };
  }
}

/**
 * Finds an unbindable mount below each of these files, by their paths: the kernel
 * leaves it out of a copy of the tree.
 *
 * Neither the mount nor the file is told by a path, which others may change
 * meanwhile: a directory that leads to the mount is known by what it is. Where
 * others may rename one of those, the mount counts as below whatever is on a file
 * system that it hangs on.
 */
export function findUnbindable(
  files: readonly (readonly [
    path: string,
    file: Pick<MountedFile, "dev" | "ino" | "mount">,
  ])[],
  { proc, uid }: Pick<Facts, "proc" | "uid">,
): Map<string, Unbindable> {
  const all = listMounts(proc);
  const found = new Map<string, Unbindable>();
  const points = all.filter((it) => it.unbindable && it.path !== "/");
  if (points.length === 0) return found;
  const mounts = new Map(all.map((it) => [it.id, it]));
  for (const point of points) {
    const { above, devices, unsure } = findWay(point, mounts, uid);
    for (const [path, file] of files) {
      const device = mounts.get(file.mount)?.device;
      const isBelow = above.some((it) => isSameFile(it, file));
      const mayBe = unsure && (device === undefined || devices.has(device));
      if ((isBelow || mayBe) && !found.has(path)) {
        found.set(path, { path: point.path, unsure: !isBelow });
      }
    }
  }
  return found;
}
