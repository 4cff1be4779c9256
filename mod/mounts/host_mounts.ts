/**
 * What the host has mounted, as far as a container with a user namespace must
 * not take it away: mountinfo, proc_pid_mountinfo(5).
 *
 * @module
 */

import { readTextFileSync, realPathSync } from "../../ffi/files.ts";
import { type FileId, identifyFile, isSameFile } from "../../ffi/identity.ts";
import { unescapeMountinfo } from "../host.ts";
import { isUnder } from "./path.ts";

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
 * read-only. What is mounted there is found by paths: whoever owns a directory
 * above may keep this from finding all. */
export function lookAtRoot(
  root: RootDirectory,
  proc: string,
): { below: string[]; isHostRoot: boolean; rootReadonly: boolean } {
  const mounts = listMounts(proc);
  return {
    below: mounts.filter(({ path }) =>
      path !== root.path && isUnder(path, root.path)
    ).map(({ path }) =>
      root.path === "/" ? path : path.slice(root.path.length)
    ),
    isHostRoot: isSameFile(root, identifyFile("/")),
    rootReadonly: mounts.some((it) => it.id === root.mount && it.readonly),
  };
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
