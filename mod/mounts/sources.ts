/**
 * What the sources of volumes are on the host, beside their type: where they
 * lead, and what their mounts propagate.
 *
 * @module
 */

import { MS } from "../../ffi/constants.ts";
import { lstatSync, readTextFileSync, realPathSync } from "../../ffi/files.ts";
import { identifyFile } from "../../ffi/identity.ts";
import { closeFd, openFd } from "../../ffi/libc.ts";
import { identifyMount } from "../../ffi/mount.ts";
import type { Config } from "../config/config.ts";
import { type MountOptions, parseMountOptions } from "./options.ts";
import { findOuter, isRemount } from "./outer.ts";
import { absolutePath, isUnder, joinPath } from "./path.ts";

const O_PATH = 0o10000000;

/** Which of the paths are not to be looked for while something lies on a place:
 * they lead to it or below it, or what they lead to would have that in it. */
export function findHidden(
  place: string,
  paths: readonly string[],
): Set<string> {
  const real = (path: string) => {
    try {
      return realPathSync(path);
    } catch {
      // What is missing is refused elsewhere.
      return path;
    }
  };
  const top = real(place);
  return new Set(paths.filter((it) => {
    const found = real(it);
    return isUnder(found, top) || isUnder(top, found) ||
      isUnder(joinPath("/", it), place);
  }));
}

/** Looks up the peer groups of mounts by their ids: "shared:5", "master:2". The
 * list of mounts is read once, when it is needed.
 *
 * @param proc where /proc shows the caller */
export function lookAtGroups(proc: string): (id: number) => readonly string[] {
  let groups: Map<number, string[]> | undefined;
  return (id) => {
    groups ??= new Map(
      readTextFileSync(`${proc}/mountinfo`).split("\n").map((line) => {
        const fields = line.slice(0, line.indexOf(" - ")).split(" ");
        return [Number(fields[0]), fields.slice(6)];
      }),
    );
    return groups.get(id) ?? [];
  };
}

/** What a source's mount is not, though a propagation needs it. */
export function findLack(
  path: string,
  propagation: MountOptions["propagation"],
  groupsOf: (id: number) => readonly string[],
): string | undefined {
  const type = propagation.at(-1)?.type;
  if (type !== MS.SHARED && type !== MS.SLAVE) return undefined;
  const fd = openFd(path, O_PATH);
  const { id } = identifyMount(fd);
  closeFd(fd);
  const groups = groupsOf(id);
  if (groups.some((it) => it.startsWith("shared:"))) return undefined;
  if (type === MS.SHARED) return "shared";
  return groups.some((it) => it.startsWith("master:"))
    ? undefined
    : "shared or a slave";
}

/** Finds out which mounts have their place in a volume, or in the root file
 * system, already, with no link on the way to it; of what remounts, only where the
 * host has mounted something.
 *
 * @param brought what the host does not have where its source says */
export function findPresent(
  { bundle, rootfs, spec }: Config,
  brought: ReadonlyMap<number, string>,
): Set<number> {
  const mounts = spec.mounts ?? [];
  const present = new Set<number>();
  for (const [at, mount] of mounts.entries()) {
    const path = joinPath("/", mount.destination);
    const outer = findOuter(mounts, path, at);
    let [source, below, recursive] = [rootfs, path, true];
    if (outer !== undefined) {
      const volume = mounts[outer.index]!;
      const options = parseMountOptions(volume.options ?? []);
      if (!options.bind || brought.has(outer.index)) continue;
      source = absolutePath(bundle, volume.source ?? "");
      below = outer.below;
      recursive = options.recursiveBind;
    }
    if (isThere(source, below, { recursive, asMount: isRemount(mount) })) {
      present.add(at);
    }
  }
  return present;
}

function isThere(
  source: string,
  below: string,
  { recursive, asMount }: { recursive: boolean; asMount: boolean },
): boolean {
  try {
    let path = source;
    let { mount } = identifyFile(source);
    let isMount = false;
    for (const name of below.split("/").slice(1)) {
      path = absolutePath(path, name);
      if (lstatSync(path).isSymlink) return false;
      const found = identifyFile(path);
      isMount = found.mount !== mount;
      // It would not come along.
      if (isMount && !recursive) return false;
      mount = found.mount;
    }
    return isMount || !asMount;
  } catch {
    return false;
  }
}
