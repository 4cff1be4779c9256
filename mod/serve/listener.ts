/**
 * The socket that fronts connect to: made here, or by systemd.
 *
 * @module
 */

import {
  existsSync,
  lstatSync,
  mkdirSync,
  readTextFileSync,
  removeSync,
} from "../../ffi/files.ts";
import { errnoOf, SyscallError } from "../../ffi/errno.ts";
import {
  closeFd,
  cstring,
  openFd,
  setCloexec,
  trySyscall,
  writeFd,
} from "../../ffi/libc.ts";
import { pollFds } from "../../ffi/poll.ts";
import {
  connectPackets,
  isListening,
  listenPackets,
} from "../../ffi/listening.ts";
import { ContainerError, describeFileError } from "../errors.ts";
import { checkStateRoot, isSameFile } from "../state/root.ts";

/** How many fronts may wait to be accepted; more are cold at once. */
const BACKLOG = 128;
/** The first descriptor of a service manager's; sd_listen_fds(3). */
const GIVEN = 3;
const LOCK_EX = 2, LOCK_NB = 4;
/** O_RDWR | O_CLOEXEC, and O_CREAT */
const OPEN = 0o2000002, MAKE = OPEN | 0o100;
const AT_FDCWD = -100, AT_REMOVEDIR = 0x200;
/** How often it is looked whether who has the lock listens, and how long apart:
 * an engine does soon, what is left of a killed one is removed by then. */
const LOOKS = 200, LOOK_MS = 10;

/** Where fronts look for the engine: c/front.c has the same. A container has no
 * such name, since an id begins with no dot.
 *
 * @param uid as it is outside of any user namespace, as for the states
 * @returns undefined for a user without a directory of its own */
export function usualSocket(
  uid: number,
  runtimeDir: string | undefined,
): string | undefined {
  if (uid === 0) return "/run/rustyrun/.serve";
  return runtimeDir ? `${runtimeDir}/rustyrun/.serve` : undefined;
}

/** The socket that systemd has made.
 *
 * @param count how many descriptors it has given
 * @throws {ContainerError} when they are something else */
export function takeListener(count: number): number {
  if (count !== 1 || !isListening(GIVEN)) {
    throw new ContainerError(
      `Cannot serve on the ${count} descriptors of the service manager: one listening AF_UNIX socket of type SOCK_SEQPACKET is wanted`,
      {
        code: "serve",
        hint: "rustyrun serve --units DIR writes units that fit",
      },
    );
  }
  setCloexec(GIVEN, true);
  return GIVEN;
}

/** Removes what somebody may have removed already. */
function removeOwn(path: string): void {
  try {
    removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Makes a directory with those above it.
 *
 * @returns how many were not there */
function makeDirectories(dir: string): number {
  let made = 0;
  for (let it = dir; it !== "" && !existsSync(it); it = parentOf(it)) made++;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  return made;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

/** Removes the lock and, while they are empty, the directories that an engine has
 * made for its socket: as many as the lock says. */
function removeLock(name: string): void {
  let made: number;
  try {
    made = Number(readTextFileSync(name));
    removeSync(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return;
  }
  let dir = parentOf(name);
  for (; made > 0; made--, dir = parentOf(dir)) {
    if (trySyscall("unlinkat", AT_FDCWD, cstring(dir), AT_REMOVEDIR) < 0) {
      return;
    }
  }
}

/** A listening socket at a path, which goes with it. */
export class Listener implements Disposable {
  readonly fd: number;
  readonly #path: string;
  readonly #lock: number;

  /**
   * @param tidy remove the directories that are made for it as well: not where
   * states are kept
   * @throws {ContainerError} when another engine listens there, or the directory
   * is not the caller's alone
   */
  constructor(path: string, tidy = false) {
    this.#path = path;
    const dir = parentOf(path) || "/";
    let made: number;
    try {
      made = makeDirectories(dir);
    } catch (cause) {
      throw cannotListen(path, describeFileError(cause), cause);
    }
    checkStateRoot(dir);
    this.#lock = lock(path);
    try {
      // Of an engine that was killed.
      if (isSocket(path)) removeSync(path);
      if (tidy && made > 0) {
        writeFd(this.#lock, new TextEncoder().encode(`${made}`));
      }
      this.fd = listenPackets(path, BACKLOG);
    } catch (cause) {
      closeFd(this.#lock);
      throw cannotListen(path, describeFileError(cause), cause);
    }
  }

  [Symbol.dispose](): void {
    removeOwn(this.#path);
    closeFd(this.fd);
    removeLock(`${this.#path}.lock`);
    closeFd(this.#lock);
  }
}

function cannotListen(
  path: string,
  why: string,
  cause?: unknown,
): ContainerError {
  return new ContainerError(`Cannot listen at "${path}": ${why}`, {
    code: "serve",
    hint: "Name a path in a directory of your own: --socket PATH",
    cause,
  });
}

/**
 * Removes the socket and the lock of an engine that was killed, not those of the
 * next one that listens there. Its workers do it: SIGTERM, SIGINT and SIGKILL end
 * the process that listens at once, wherever it is.
 *
 * @throws {SyscallError}
 */
export function removeKilled(path: string): void {
  const name = `${path}.lock`;
  let fd: number;
  try {
    fd = openFd(name, OPEN);
  } catch (error) {
    // It has done so itself.
    if (errnoOf(error) === "ENOENT") return;
    throw error;
  }
  try {
    if (!tryLock(fd) || !isSameFile(name, fd)) return;
    if (isSocket(path)) removeOwn(path);
    removeLock(name);
  } finally {
    closeFd(fd);
  }
}

function tryLock(fd: number): boolean {
  return trySyscall("flock", fd, LOCK_EX | LOCK_NB) === 0;
}

/** Whether an engine listens at a path, also one that is busy or stopped. */
function isServed(path: string): boolean {
  try {
    closeFd(connectPackets(path));
    return true;
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return error.code !== "ENOENT" && error.code !== "ECONNREFUSED";
  }
}

/** Locks a path against another engine; it ends with this process. */
function lock(path: string): number {
  const name = `${path}.lock`;
  for (let looks = 0;;) {
    let fd: number;
    try {
      fd = openFd(name, MAKE, 0o600);
    } catch (cause) {
      if (!(cause instanceof SyscallError)) throw cause;
      throw cannotListen(path, cause.message, cause);
    }
    const locked = tryLock(fd);
    // One that ends has removed it in between.
    if (locked && isSameFile(name, fd)) return fd;
    closeFd(fd);
    if (locked) continue;
    if (!isServed(path) && looks++ < LOOKS) {
      pollFds([], LOOK_MS);
      continue;
    }
    throw new ContainerError(
      `Cannot listen at "${path}": another rustyrun serves there`,
      {
        code: "serve-twice",
        hint: "One is enough: it starts as many processes as it needs",
      },
    );
  }
}

function isSocket(path: string): boolean {
  try {
    return lstatSync(path).isSocket === true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}
