/**
 * The lock of a container: one command at a time.
 *
 * @module
 */

import { closeFd, cstring, trySyscall } from "../../ffi/libc.ts";
import { pollFds } from "../../ffi/poll.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { ContainerError } from "../errors.ts";
import type { StateDir } from "./model.ts";
import { isSameFile } from "./root.ts";
import { cannotKeep } from "./words.ts";

const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000;
const LOCK_EX = 2, LOCK_NB = 4;
const ENOENT = -2, EWOULDBLOCK = -11, ENOTDIR = -20, EROFS = -30;
const AT_FDCWD = -100;
/** O_RDWR | O_CREAT | O_CLOEXEC */
const MAKE = 0o2000102 | O_NOFOLLOW;
/** O_RDONLY | O_CLOEXEC */
const READ = 0o2000000 | O_NOFOLLOW;

/** How long another command is waited for, in milliseconds: counted by pauses. */
const PATIENCE_MS = 30_000;
const TICK_MS = 5;

/**
 * Locks a container against other commands for the time of one, and waits for
 * them; not for ever: a hook may hang. What enters a container (exec) takes none,
 * since it may be held there. (The directory's own lock says who made it: a keeper
 * holds that.)
 *
 * @param patience milliseconds that they are waited for
 * @returns the lock's descriptor, to be closed; undefined when there is no such
 * container
 * @throws {ContainerError} when another command keeps it
 */
export function lockState(
  root: string,
  id: string,
  patience = PATIENCE_MS,
): number | undefined {
  for (let left = patience;; left -= TICK_MS) {
    const lock = tryLockState(root, id);
    if (lock !== "busy") return lock;
    if (left <= 0) throw inUse(id);
    pollFds([], TICK_MS);
  }
}

function inUse(id: string): ContainerError {
  return new ContainerError(
    `Cannot work on "${id}": another command does, and does not end`,
    {
      code: "in-use",
      hint:
        `It may be a hook that hangs: end it, or all of it by rustyrun delete --force ${id}`,
      exitCode: 1,
    },
  );
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
  let fd = open(path, MAKE);
  // Nobody can make one there; flock(2) asks for no right to write.
  if (fd === EROFS) fd = open(path, READ);
  if (fd === ENOENT || fd === ENOTDIR) return undefined;
  if (fd < 0) throw cannotKeep(path, new SyscallError("openat", -fd));
  return fd;
}

function open(path: string, flags: number): number {
  return trySyscall("openat", AT_FDCWD, cstring(path), flags, 0o600);
}

/** Makes the file that {@linkcode lockState} locks.
 *
 * @throws {SyscallError} */
export function makeLock({ path }: StateDir): void {
  const fd = open(`${path}/lock`, MAKE);
  if (fd < 0) throw new SyscallError("openat", -fd);
  closeFd(fd);
}
