/**
 * What the sources of volumes are on the host, beside their type: where they
 * lead, and what their mounts propagate.
 *
 * @module
 */

import { MS } from "../../ffi/constants.ts";
import { readTextFileSync, realPathSync } from "../../ffi/files.ts";
import { closeFd, openFd } from "../../ffi/libc.ts";
import { identifyMount } from "../../ffi/mount.ts";
import type { MountOptions } from "./options.ts";
import { isUnder, joinPath } from "./path.ts";

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
