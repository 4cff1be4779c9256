/**
 * What the host has mounted, as far as a container with a user namespace must
 * not take it away: mountinfo, proc_pid_mountinfo(5).
 *
 * @module
 */

import { lstatSync, readTextFileSync, realPathSync } from "../../ffi/files.ts";
import { type FileId, identifyFile, isSameFile } from "../../ffi/identity.ts";
import { type Facts, unescapeMountinfo } from "../host.ts";
import type { MountHost } from "./model.ts";
import { isUnder, listAbove, splitPath } from "./path.ts";

interface Mounted {
  id: number;
  path: string;
  readonly: boolean;
  unbindable: boolean;
}

/** All mounts that the caller can reach, oldest first.
 *
 * @param proc where /proc shows it */
export function listMounts(proc: string): Mounted[] {
  return readTextFileSync(`${proc}/mountinfo`).split("\n")
    .map((line) => line.split(" "))
    .filter((it) => it.length > 5)
    .map((it) => ({
      id: Number(it[0]),
      path: unescapeMountinfo(it[4]!),
      readonly: it[5]!.split(",").includes("ro"),
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

/** An unbindable mount below each of these paths: the kernel leaves it out of a
 * copy of the tree. */
export function findUnbindable(
  paths: readonly string[],
  proc: string,
): Map<string, string> {
  const points = listMounts(proc).filter((it) => it.unbindable)
    .map((it) => it.path);
  const found = new Map<string, string>();
  if (points.length === 0) return found;
  for (const path of paths) {
    let top: string;
    try {
      top = realPathSync(path);
    } catch {
      // What is missing is refused elsewhere.
      continue;
    }
    const point = points.find((it) => it !== top && isUnder(it, top));
    if (point !== undefined) found.set(path, point);
  }
  return found;
}
