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
  path: string;
  readonly: boolean;
  unbindable: boolean;
}

/** All mounts that the caller can reach, oldest first. */
export function listMounts(): Mounted[] {
  return readTextFileSync("/proc/self/mountinfo").split("\n")
    .map((line) => line.split(" "))
    .filter((it) => it.length > 5)
    .map((it) => ({
      path: unescapeMountinfo(it[4]!),
      readonly: it[5]!.split(",").includes("ro"),
      unbindable: it.slice(6, it.indexOf("-")).includes("unbindable"),
    }));
}

/** What is mounted in the root file system, and whether its own mount is
 * read-only. */
export function lookAtRoot(
  { path: root, ...own }: FileId & { path: string },
): { below: string[]; isHostRoot: boolean; rootReadonly: boolean } {
  let at = { path: "/", readonly: false };
  const below: string[] = [];
  for (const mount of listMounts()) {
    const { path } = mount;
    if (isUnder(root, path) && isUnder(path, at.path)) at = mount;
    if (path !== root && isUnder(path, root)) {
      below.push(root === "/" ? path : path.slice(root.length));
    }
  }
  return {
    below,
    isHostRoot: isSameFile(own, identifyFile("/")),
    rootReadonly: at.readonly,
  };
}

/** An unbindable mount below each of these paths: the kernel leaves it out of a
 * copy of the tree. */
export function findUnbindable(paths: readonly string[]): Map<string, string> {
  const points = listMounts().filter((it) => it.unbindable)
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
