/**
 * Files by the descriptor of their directory and a name in it, so that nobody
 * who renames meanwhile leads anywhere else. What a name stands for is opened
 * with O_PATH first: a FIFO does not wait, a device does nothing.
 *
 * @module
 */

import { fromBytes } from "./bytes.ts";
import { AT, O, O_BY_ARCH, RESOLVE } from "./constants.ts";
import { SyscallError } from "./errno.ts";
import { readEntriesOf } from "./files.ts";
import { type FileStat, statAt } from "./identity.ts";
import type { Owner } from "./owner.ts";
import { closeFd, cstring, openFd, seek, syscall, trySyscall } from "./libc.ts";
import { tryOpenAt2 } from "./rootfs.ts";

const AT_FDCWD = -100;
const AT_REMOVEDIR = 0x200;
const EMPTY = new Uint8Array(1);
const { DIRECTORY, NOFOLLOW } =
  O_BY_ARCH[Deno.build.arch === "aarch64" ? "aarch64" : "x86_64"];

/**
 * Finds a name in a directory, and what it stands for itself: a link is not
 * followed. Without RESOLVE_BENEATH, which one name does not need, and which says
 * EXDEV of what is moved away meanwhile.
 *
 * @param name one name, not ".."
 * @param sameMount EXDEV where something is mounted there
 * @returns an O_PATH descriptor, or minus an errno
 */
export function findBelow(
  dir: number,
  name: string,
  sameMount = false,
): number {
  const resolve = sameMount ? RESOLVE.NO_XDEV : 0;
  return tryOpenAt2(
    dir,
    name,
    O.PATH | NOFOLLOW,
    RESOLVE.NO_SYMLINKS | resolve,
  );
}

/**
 * Opens the file that an O_PATH descriptor stands for. It never waits: not for a
 * FIFO's other end, nor for whoever holds a lease on the file (EAGAIN), fcntl(2).
 *
 * @returns a close-on-exec descriptor
 * @throws {SyscallError}
 */
export function reopen(fd: number, flags: number): number {
  return openFd(`/proc/self/fd/${fd}`, flags | O.NONBLOCK | O.NOCTTY);
}

/** Looks at an open file, or at what an O_PATH descriptor stands for.
 *
 * @throws {SyscallError} */
export function statFd(fd: number): FileStat {
  return statAt(fd, "", AT.EMPTY_PATH)!;
}

/** Looks at a name in a directory, not where a link leads.
 *
 * @returns undefined where nothing has that name
 * @throws {SyscallError} */
export function statBelow(dir: number, name: string): FileStat | undefined {
  const AT_NO_AUTOMOUNT = 0x800;
  return statAt(dir, name, AT.SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);
}

/** The names in a directory; its descriptor may be O_PATH.
 *
 * @throws {SyscallError} */
export function* listNames(dir: number): Generator<string> {
  const fd = openFd(".", DIRECTORY, 0, dir);
  try {
    for (const { name } of readEntriesOf(fd)) yield name;
  } finally {
    closeFd(fd);
  }
}

/** Where a link points, by its O_PATH descriptor.
 *
 * @throws {SyscallError} */
export function readLinkFd(fd: number): string {
  for (let size = 4096;; size *= 2) {
    const bytes = new Uint8Array(size);
    const n = syscall("readlinkat", fd, EMPTY, bytes, size);
    if (n < size) return fromBytes(bytes.subarray(0, n));
  }
}

/** Makes a file that is not there yet, to be written; umask(2) counts.
 *
 * @returns a close-on-exec descriptor, or minus an errno: EEXIST also for a link
 */
export function createBelow(dir: number, name: string, mode: number): number {
  return trySyscall(
    "openat",
    dir,
    cstring(name),
    O.WRONLY | O.CREAT | O.EXCL | NOFOLLOW | O.CLOEXEC,
    mode,
  );
}

/** Makes a directory; umask(2) counts.
 *
 * @returns 0, or minus an errno */
export function makeDirBelow(dir: number, name: string, mode: number): number {
  return trySyscall("mkdirat", dir, cstring(name), mode);
}

/** Makes a symbolic link.
 *
 * @throws {SyscallError} */
export function linkBelow(dir: number, name: string, target: string): void {
  syscall("symlinkat", cstring(target), dir, cstring(name));
}

/** Gives what has a name in a directory another one there; what had that is
 * gone.
 *
 * @throws {SyscallError} */
export function renameBelow(dir: number, from: string, to: string): void {
  syscall("renameat2", dir, cstring(from), dir, cstring(to), 0);
}

/** Moves what has a name in one directory into another of the same mount, where
 * the name must be free.
 *
 * @throws {SyscallError} */
export function moveBelow(
  dir: number,
  name: string,
  into: number,
  as: string,
): void {
  const NOREPLACE = 1;
  syscall("renameat2", dir, cstring(name), into, cstring(as), NOREPLACE);
}

/** Removes a name; an empty directory only where `directory` says so.
 *
 * @returns 0, or minus an errno */
export function unlinkBelow(
  dir: number,
  name: string,
  directory = false,
): number {
  return trySyscall(
    "unlinkat",
    dir,
    cstring(name),
    directory ? AT_REMOVEDIR : 0,
  );
}

/** Sets permissions of what an O_PATH descriptor stands for, which is no link;
 * umask(2) does not count.
 *
 * @throws {SyscallError} */
export function chmodFd(fd: number, mode: number): void {
  // fchmod(2) takes no O_PATH.
  syscall("fchmodat", AT_FDCWD, cstring(`/proc/self/fd/${fd}`), mode);
}

/** Gives what an O_PATH descriptor stands for to somebody.
 *
 * @throws {SyscallError} */
export function chownFd(fd: number, { uid, gid }: Owner): void {
  syscall("fchownat", fd, EMPTY, uid, gid, AT.EMPTY_PATH);
}

/** The room for an attribute's value. */
const VALUE = 4096;
const ENODATA = -61, ERANGE = -34, EOPNOTSUPP = -95;

/** One of a file's extended attributes, by its O_PATH descriptor; getxattr(2).
 *
 * @returns its text, "" where that is longer than 4 KiB; undefined where it has
 * none, or the caller may not see it
 * @throws {SyscallError} */
export function readAttribute(fd: number, name: string): string | undefined {
  const bytes = new Uint8Array(VALUE);
  const path = cstring(`/proc/self/fd/${fd}`);
  const n = trySyscall("getxattr", path, cstring(name), bytes, VALUE);
  if (n === ENODATA || n === EOPNOTSUPP) return undefined;
  if (n === ERANGE) return "";
  if (n < 0) throw new SyscallError("getxattr", -n);
  return fromBytes(bytes.subarray(0, n));
}

/** Sets when a file was changed last; it counts as read then, too.
 *
 * @throws {SyscallError} */
export function setMtime(fd: number, mtime: FileStat["mtime"]): void {
  const times = new BigInt64Array([...mtime, ...mtime]);
  syscall(
    "utimensat",
    AT_FDCWD,
    cstring(`/proc/self/fd/${fd}`),
    new Uint8Array(times.buffer),
    0,
  );
}

/** How many bytes are moved at once. */
const CHUNK = 1 << 20;
const SEEK_DATA = 3, SEEK_HOLE = 4;
const ENXIO = -6, EINVAL = -22;

/** Where data begins at or behind `at`, and where it ends; lseek(2).
 *
 * @returns undefined when there is none
 * @throws {SyscallError} */
function findData(
  fd: number,
  at: number,
  size: number,
): [from: number, to: number] | undefined {
  if (at >= size) return undefined;
  const from = seek(fd, at, SEEK_DATA);
  if (from === ENXIO || from >= size) return undefined;
  // Not every file system knows its holes.
  if (from === EINVAL) return [at, size];
  if (from < 0) throw new SyscallError("lseek", -from);
  const to = seek(fd, from, SEEK_HOLE);
  if (to < 0) throw new SyscallError("lseek", -to);
  return [from, Math.min(to, size)];
}

/**
 * Copies the first `size` bytes of a file into an empty one. Holes stay holes;
 * what is missing because somebody cuts the file meanwhile is one as well.
 *
 * @param count told of the bytes before they are written; may throw
 * @throws {SyscallError}
 */
export function copyData(
  from: number,
  to: number,
  size: number,
  count: (bytes: number) => void,
): void {
  const room = new Uint8Array(Math.min(size, CHUNK));
  let data: [number, number] | undefined;
  for (let at = 0; (data = findData(from, at, size)); at = data[1]) {
    let [start, end] = data;
    while (start < end) {
      const want = Math.min(end - start, room.length);
      const n = syscall("pread64", from, room, want, start);
      if (n === 0) break;
      count(n);
      for (let done = 0; done < n;) {
        const rest = room.subarray(done, n);
        done += syscall("pwrite64", to, rest, rest.length, start + done);
      }
      start += n;
    }
  }
  syscall("ftruncate", to, size);
}

function readAt(fd: number, room: Uint8Array, at: number): number {
  let done = 0;
  while (done < room.length) {
    const rest = room.subarray(done);
    const n = syscall("pread64", fd, rest, rest.length, at + done);
    if (n === 0) break;
    done += n;
  }
  return done;
}

/**
 * Whether the first `size` bytes of two files are the same.
 *
 * @throws {SyscallError}
 */
export function isSameData(a: number, b: number, size: number): boolean {
  const rooms = [a, b].map(() => new Uint8Array(Math.min(size, CHUNK)));
  for (let at = 0;;) {
    // Where both have a hole there is nothing to compare.
    at = Math.min(...[a, b].map((fd) => findData(fd, at, size)?.[0] ?? size));
    if (at >= size) return true;
    const want = Math.min(size - at, CHUNK);
    const [one, other] = [a, b].map((fd, i) => {
      const room = rooms[i]!.subarray(0, want);
      return room.subarray(0, readAt(fd, room, at));
    }) as [Uint8Array, Uint8Array];
    if (one.length !== other.length) return false;
    if (one.some((byte, i) => byte !== other[i])) return false;
    if (one.length < want) return true;
    at += want;
  }
}
