/**
 * `delete` of a container that has ended as most do: it has left empty cgroups, and
 * a state of plain files. That takes a few system calls; whatever is more is for
 * delete.ts, which starts the helper, and is half as much again to load
 * (docs/performance.md).
 *
 * @module
 */

import { readDirSync } from "../../ffi/files.ts";
import { closeFd, cstring, trySyscall } from "../../ffi/libc.ts";
import {
  holdState,
  isAlive,
  readLeftovers,
  readState,
  type State,
  type StateDir,
  tryLockState,
} from "../state.ts";
import { isSameFile } from "../state/root.ts";
import { sharesCgroups } from "./kill.ts";
import type { Noted } from "./model.ts";

const AT_FDCWD = -100, AT_REMOVEDIR = 0x200;
const ENOENT = -2, EBUSY = -16, ENOTEMPTY = -39;

function removeDirectory(path: string): number {
  return trySyscall("unlinkat", AT_FDCWD, cstring(path), AT_REMOVEDIR);
}

const isGone = (errno: number) => errno === 0 || errno === ENOENT;

/** Whether no more than cgroups and its own files may be left of it. */
function isPlain(root: string, state: State, dir: StateDir): boolean {
  const { cgroup, hasPoststop, resctrl, sharesPids } = state;
  if (hasPoststop || sharesPids || resctrl || cgroup.unit) return false;
  const { mount, upper } = (readLeftovers(dir) ?? {}) as Partial<Noted>;
  return mount === undefined && upper === undefined && !isAlive(state) &&
    isSameFile(dir.path, dir.fd) && !sharesCgroups(root, state);
}

/** What is in the state's directory, the state last: while it is there, all that is
 * left has a name. */
function removeFiles({ path, fd }: StateDir): boolean {
  const entries = readDirSync(path);
  if (entries.some((it) => it.isDirectory)) return false;
  const names = entries.map((it) => it.name)
    .filter((it) => it !== "state.json");
  return [...names, "state.json"].every((it) =>
    isGone(trySyscall("unlinkat", fd, cstring(it), 0))
  ) && isGone(removeDirectory(path));
}

function removePlain(state: State, dir: StateDir): boolean {
  const { dirs, parents = [] } = state.cgroup;
  return dirs.every((it) => it.systemd || isGone(removeDirectory(it.path))) &&
    // Others may be in these.
    parents.toReversed().every((it) =>
      [0, ENOENT, EBUSY, ENOTEMPTY].includes(removeDirectory(it))
    ) && removeFiles(dir);
}

/**
 * Deletes a container, if it has ended and no more than that is to be done.
 *
 * @returns whether it is gone; else `deleteContainer()` does the rest, or says why
 * not
 */
export function deleteEnded(root: string, id: string): boolean {
  const lock = tryLockState(root, id);
  if (typeof lock !== "number") return false;
  try {
    const dir = holdState(root, id, 0);
    if (typeof dir !== "object") return false;
    try {
      const state = readState(root, id);
      return state !== undefined && isPlain(root, state, dir) &&
        removePlain(state, dir);
    } finally {
      closeFd(dir.fd);
    }
  } finally {
    closeFd(lock);
  }
}
