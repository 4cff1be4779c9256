/**
 * A walk over a cgroup and all below it. A container may have made them deeper
 * than a path can be: it goes down and up by descriptor, two at a time.
 *
 * @module
 */

import { SyscallError } from "../../ffi/errno.ts";
import { readEntriesOf } from "../../ffi/files.ts";
import { closeFd, cstring, trySyscall } from "../../ffi/libc.ts";

const AARCH64 = Deno.build.arch === "aarch64";
/** O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC */
const FLAGS = (AARCH64 ? 0o40000 | 0o100000 : 0o200000 | 0o400000) | 0o2000000;

const ENOENT = -2, EACCES = -13;
/** d_type of a directory, readdir(3). */
const DT_DIR = 4;

/** Opens a cgroup, also where a user's container has taken its owner's rights away:
 * in it, or in the one that is open.
 *
 * @returns less than 0 when there is no such directory */
function open(path: string, at = -100): number {
  const name = cstring(path);
  const fd = trySyscall("openat", at, name, FLAGS, 0);
  if (fd !== EACCES) return fd;
  if (at >= 0) trySyscall("fchmod", at, 0o700);
  trySyscall("fchmodat", at, name, 0o700);
  return trySyscall("openat", at, name, FLAGS, 0);
}

/** The cgroups in one that is open. */
function namesIn(fd: number): string[] {
  try {
    return [...readEntriesOf(fd)].filter((it) => it.type === DT_DIR)
      .map((it) => it.name);
  } catch (error) {
    // Removed while it was open.
    if (error instanceof SyscallError && error.code === "ENOENT") return [];
    throw error;
  }
}

/**
 * Calls `visit` on a cgroup and on all below it. One that goes meanwhile is
 * passed over.
 *
 * @param visit gets a path that is short, and only good for the time of the call;
 * where it returns true, that was the last one
 * @param most it ends after so many steps
 * @throws {SyscallError} when one is there and cannot be opened
 */
export function visitCgroups(
  path: string,
  visit: (path: string) => boolean | void,
  most = Infinity,
): void {
  let fd = open(path);
  if (fd < 0 && fd !== ENOENT) throw new SyscallError("openat", -fd);
  /** What is still to be visited, from the top to the one that is open. */
  const levels: string[][] = [];
  let done = false;
  const enter = () => {
    const here = `/proc/self/fd/${fd}`;
    done = visit(here) === true;
    levels.push(namesIn(fd));
  };
  const change = (next: number) => {
    closeFd(fd);
    fd = next;
  };
  try {
    if (fd >= 0) enter();
    for (
      let step = 1;
      levels.length > 0 && fd >= 0 && !done && step < most;
      step++
    ) {
      const name = levels.at(-1)!.pop();
      if (name === undefined) {
        levels.pop();
        // Nobody moves a cgroup: ".." is where we came from.
        change(levels.length > 0 ? open("..", fd) : -1);
        continue;
      }
      const down = open(name, fd);
      if (down === ENOENT) continue;
      if (down < 0) throw new SyscallError("openat", -down);
      change(down);
      enter();
    }
  } finally {
    if (fd >= 0) closeFd(fd);
  }
}
