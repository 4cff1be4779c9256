/**
 * Removes what most containers leave: empty cgroups, and a state's plain files.
 * That takes a few system calls, and no helper is started for it (1 ms, and 3 in a
 * cold command: docs/performance.md). Whatever is more is the helper's, which
 * begins anew: what is gone already is fine.
 *
 * @module
 */

import { readDirSync } from "../../../ffi/files.ts";
import { cstring, trySyscall } from "../../../ffi/libc.ts";
import type { StateDir } from "../../state.ts";
import { isSameFile } from "../../state/root.ts";
import type { Leftovers } from "./leftovers.ts";

const AT_FDCWD = -100, AT_REMOVEDIR = 0x200;
const ENOENT = -2, EBUSY = -16, ENOTEMPTY = -39;

/** rmdir(2); true where it is gone afterwards. */
function removeEmpty(path: string): boolean {
  const done = trySyscall("unlinkat", AT_FDCWD, cstring(path), AT_REMOVEDIR);
  return done === 0 || done === ENOENT;
}

/** The same for what others may be in. */
function removeUnused(path: string): boolean {
  const done = trySyscall("unlinkat", AT_FDCWD, cstring(path), AT_REMOVEDIR);
  return [0, ENOENT, EBUSY, ENOTEMPTY].includes(done);
}

/** Removes a state that this process holds: first what makes it a container. */
function removeFiles({ path, fd }: StateDir): boolean {
  if (!isSameFile(path, fd)) return false;
  const names = readDirSync(path).map((it) => it.name);
  const first = names.indexOf("state.json");
  if (first > 0) names.unshift(...names.splice(first, 1));
  return names.every((it) =>
    trySyscall("unlinkat", fd, cstring(it), 0) === 0
  ) &&
    removeEmpty(path);
}

/**
 * Removes what is named, if that is no more than empty directories and plain files.
 *
 * @param dir the state's directory; absent where the state stays
 * @returns whether nothing of it is left
 */
export function removePlain(
  { cgroups, parents = [], resctrl, trees = [], mount }: Leftovers,
  dir: StateDir | undefined,
): boolean {
  return trees.length === 0 && !mount &&
    cgroups.every((it) => it.systemd || removeEmpty(it.path)) &&
    (resctrl?.remove ?? []).every(removeEmpty) &&
    parents.toReversed().every(removeUnused) &&
    (dir === undefined || removeFiles(dir));
}
