/**
 * The lock of a container: one command at a time.
 *
 * @module
 */

import { closeFd, cstring, syscall, trySyscall } from "../../ffi/libc.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { isSameFile } from "./directory.ts";

const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000;
const LOCK_EX = 2, LOCK_NB = 4;
const EWOULDBLOCK = -11;

/**
 * Locks a container against other commands for the time of one, and waits for
 * them. (The directory's own lock says who made it: a keeper holds that.)
 *
 * @returns the lock's descriptor, to be closed; undefined when there is no such
 * container
 */
export function lockState(root: string, id: string): number | undefined {
  const path = `${root}/${id}/lock`;
  for (;;) {
    const fd = openLock(path);
    if (fd === undefined) return undefined;
    syscall("flock", fd, LOCK_EX);
    if (isSameFile(path, fd)) return fd;
    closeFd(fd);
  }
}

/** {@linkcode lockState} without waiting: "busy" when another command has it. */
export function tryLockState(
  root: string,
  id: string,
): number | "busy" | undefined {
  const path = `${root}/${id}/lock`;
  for (;;) {
    const fd = openLock(path);
    if (fd === undefined) return undefined;
    if (trySyscall("flock", fd, LOCK_EX | LOCK_NB) === EWOULDBLOCK) {
      closeFd(fd);
      return "busy";
    }
    if (isSameFile(path, fd)) return fd;
    closeFd(fd);
  }
}

function openLock(path: string): number | undefined {
  const fd = trySyscall(
    "openat",
    -100,
    cstring(path),
    // O_RDWR | O_CREAT | O_CLOEXEC
    0o2000102 | O_NOFOLLOW,
    0o600,
  );
  if (fd === -2 || fd === -20) return undefined;
  if (fd < 0) throw new SyscallError("openat", -fd);
  return fd;
}
