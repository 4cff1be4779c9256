/**
 * Where a path leads in a container's root. `root` is an O_PATH descriptor of
 * that, as /proc/PID/root gives it: the container's mounts are seen, and whoever
 * renames in there meanwhile leads nobody out.
 *
 * @module
 */

import { chmodFd, findBelow, makeDirBelow, statFd } from "../../../ffi/at.ts";
import { type FileStat, isType } from "../../../ffi/identity.ts";
import { S_IF } from "../../../ffi/constants.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import { closeFd } from "../../../ffi/libc.ts";
import { findInRoot } from "../../../ffi/rootfs.ts";
import { refuseVolume, type Walk } from "./rights.ts";
import { describeKind, fileError, refuseKernelFile } from "./words.ts";

const ENOENT = -2, EEXIST = -17, ENOTDIR = 20;

/** A descriptor, closed at the end of its block. */
export class Held implements Disposable {
  readonly fd: number;

  /** @param fd minus an errno of `call`, where that has failed
   * @throws {SyscallError} then */
  constructor(fd: number, call = "openat2") {
    if (fd < 0) throw new SyscallError(call, -fd);
    this.fd = fd;
  }

  [Symbol.dispose](): void {
    closeFd(this.fd);
  }
}

/** A path's directory and its last name; the name is "" where there is none that
 * could be made or removed: "/", "..". */
export function splitPath(path: string): { parent: string; name: string } {
  const bare = path.replace(/\/+$/, "");
  const at = bare.lastIndexOf("/");
  const name = bare.slice(at + 1);
  return name === "" || name === "." || name === ".."
    ? { parent: bare || "/", name: "" }
    : { parent: bare.slice(0, at) || (at < 0 ? "." : "/"), name };
}

/** A regular file, open with O_PATH. */
export class FoundFile extends Held {
  readonly stat: FileStat;

  constructor(fd: number, stat: FileStat) {
    super(fd);
    this.stat = stat;
  }
}

/**
 * Finds a regular file that a file system stores.
 *
 * @returns undefined where nothing has that name
 * @throws {ContainerError} where it is something else
 * @throws {SyscallError}
 */
export function findFile(
  doing: string,
  walk: Walk,
  path: string,
): FoundFile | undefined {
  const fd = findInRoot(walk.fd, path, walk.links);
  if (fd === ENOENT) return undefined;
  return closing(new Held(fd), () => {
    refuseVolume(walk, fd);
    const stat = statFd(fd);
    if (!isType(stat, S_IF.REG)) {
      throw fileError(doing, `it is ${describeKind(stat)}`, "file-kind");
    }
    refuseKernelFile(doing, fd);
    return new FoundFile(fd, stat);
  });
}

/** Closes what is held where `call` throws. */
export function closing<T>(held: Held, call: () => T): T {
  try {
    return call();
  } catch (error) {
    held[Symbol.dispose]();
    throw error;
  }
}

/**
 * Makes sure that there is a directory of that name, and no link to one.
 *
 * @param mode of the one that is made; umask(2) counts
 * @throws {SyscallError} ENOTDIR where the name is something else's
 */
export function enterDirectory(
  dir: number,
  name: string,
  mode: number,
): { held: Held; made: boolean } {
  const done = makeDirBelow(dir, name, mode);
  if (done < 0 && done !== EEXIST) throw new SyscallError("mkdirat", -done);
  const held = new Held(findBelow(dir, name));
  return closing(held, () => {
    if (isType(statFd(held.fd), S_IF.DIR)) return { held, made: done === 0 };
    throw new SyscallError("mkdirat", ENOTDIR);
  });
}

/**
 * Finds the directory that something is to be made or removed in.
 *
 * @param make those that are missing, mode 0755
 * @throws {ContainerError} where it is the kernel's own
 * @throws {SyscallError} where there is none
 */
export function findDirectory(
  doing: string,
  walk: Walk,
  path: string,
  make = false,
): Held {
  const parts = path.split("/").filter((it) => it !== "" && it !== ".");
  let { held, count } = findExisting(walk, parts, make);
  checkDirectory(doing, walk, held);
  for (const name of parts.slice(count)) {
    using above = held;
    if (name === "..") throw new SyscallError("openat2", -ENOENT);
    const made = enterDirectory(above.fd, name, 0o755);
    held = made.held;
    checkDirectory(doing, walk, held);
    if (made.made) restoreMode(held.fd, 0o755);
  }
  return held;
}

/** Finds a directory, or else the last one above it that is there.
 *
 * @returns how many of the parts are there
 * @throws {SyscallError} */
function findExisting(
  { fd: root, links }: Walk,
  parts: readonly string[],
  above: boolean,
): { held: Held; count: number } {
  for (let count = parts.length;; count--) {
    const path = `/${parts.slice(0, count).join("/")}`;
    const fd = findInRoot(root, path, links);
    if (fd !== ENOENT || count === 0 || !above) {
      return { held: new Held(fd), count };
    }
  }
}

/** Closes it where it is none that files are made in. */
function checkDirectory(doing: string, walk: Walk, held: Held): void {
  closing(held, () => {
    refuseVolume(walk, held.fd);
    if (!isType(statFd(held.fd), S_IF.DIR)) {
      throw new SyscallError("openat2", ENOTDIR);
    }
    refuseKernelFile(doing, held.fd);
  });
}

/** Gives a directory that was made the permissions that umask(2) has taken. */
export function restoreMode(fd: number, mode: number): void {
  if ((statFd(fd).mode & 0o7777) !== mode) chmodFd(fd, mode);
}
