/**
 * Which file a path leads to: what was judged on the host is told by it from
 * what lies there when it is used.
 *
 * @module
 */

import { AT, makedev, S_IF } from "./constants.ts";
import { SyscallError } from "./errno.ts";
import { cstring, syscall, trySyscall } from "./libc.ts";

/** What no two files of a machine share while both are there. */
export interface FileId {
  dev: bigint;
  ino: bigint;
}

/** A file that was looked at. */
export interface SeenFile extends FileId {
  /** Type and permissions, inode(7). */
  mode: number;
}

/** One whose mount is known, too. */
export interface MountedFile extends SeenFile {
  /** Id of the mount that it is in, as in mountinfo. */
  mount: number;
}

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const ENOENT = -2, ENOTDIR = -20;
/** STATX_TYPE, STATX_MODE, STATX_INO and, since Linux 5.8, STATX_MNT_ID. */
const MASK = 0x1103;

/**
 * Looks at a file by its path, links and automounts followed, or by a
 * descriptor; statx(2). A number of JavaScript does not hold every inode's.
 *
 * @throws {SyscallError} when there is none, or the caller may not see it
 */
export function identifyFile(file: string | number): MountedFile {
  const bytes = new Uint8Array(256);
  const [at, path, flags] = typeof file === "string"
    ? [AT_FDCWD, file, 0]
    : [file, "", AT_EMPTY_PATH];
  syscall("statx", at, cstring(path), flags, MASK, bytes);
  const view = new DataView(bytes.buffer);
  return {
    mode: view.getUint16(28, true),
    ino: view.getBigUint64(32, true),
    mount: Number(view.getBigUint64(144, true)),
    dev: makedev(view.getUint32(136, true), view.getUint32(140, true)),
  };
}

/** What statx(2) tells of a file. */
export interface FileStat extends SeenFile {
  uid: number;
  gid: number;
  /** Bytes; rounded above 2^53. */
  size: number;
  /** What device it is, makedev(3); 0 for what is none. */
  rdev: bigint;
  /** When it was changed last, as in a struct timespec. */
  mtime: readonly [seconds: bigint, nanoseconds: bigint];
}

/** STATX_BASIC_STATS. */
const BASIC = 0x7ff;

/**
 * Looks at a file by a path from a directory, or by a descriptor; statx(2).
 * Deno's own stat makes three Dates of its times, and the first Date of a program
 * reads the time zone.
 *
 * @param flags AT_SYMLINK_NOFOLLOW and its like
 * @returns undefined where nothing has that path
 * @throws {SyscallError}
 */
export function statAt(
  dir: number,
  path: string,
  flags: number,
): FileStat | undefined {
  const bytes = new Uint8Array(256);
  const done = trySyscall("statx", dir, cstring(path), flags, BASIC, bytes);
  if (done === ENOENT || done === ENOTDIR) return undefined;
  if (done < 0) throw new SyscallError("statx", -done);
  const view = new DataView(bytes.buffer);
  const u32 = (at: number) => view.getUint32(at, true);
  return {
    uid: u32(20),
    gid: u32(24),
    mode: view.getUint16(28, true),
    ino: view.getBigUint64(32, true),
    size: Number(view.getBigUint64(40, true)),
    mtime: [view.getBigInt64(112, true), BigInt(u32(120))],
    rdev: makedev(u32(128), u32(132)),
    dev: makedev(u32(136), u32(140)),
  };
}

/** As lstat(2), and stat(2), in {@linkcode FileStat}.
 *
 * @returns undefined where nothing has that path
 * @throws {SyscallError} */
export function lookAt(path: string, follow = false): FileStat | undefined {
  return statAt(AT_FDCWD, path, follow ? 0 : AT.SYMLINK_NOFOLLOW);
}

/** Whether a file is of that type, of {@linkcode S_IF}. */
export function isType(
  { mode }: Pick<SeenFile, "mode">,
  type: number,
): boolean {
  return (mode & S_IF.MT) === type;
}

/** Whether two are one file. */
export function isSameFile(a: FileId, b: FileId): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** What fstatfs(2) tells of a file system. */
export interface FsSize {
  /** A number of {@linkcode MAGIC}, or of a type that is not there. */
  type: number;
  /** How large it is, in blocks; 0 for one that stores nothing. */
  blocks: bigint;
}

/**
 * Looks at the file system that a descriptor is on.
 *
 * @throws {SyscallError} when the file system cannot be asked
 */
export function readFsSize(fd: number): FsSize {
  const bytes = new Uint8Array(120);
  syscall("fstatfs", fd, bytes);
  const view = new DataView(bytes.buffer);
  return {
    type: view.getUint32(0, true),
    blocks: view.getBigUint64(16, true),
  };
}

/** Its type alone.
 *
 * @throws {SyscallError} when the file system cannot be asked */
export function readFsType(fd: number): number {
  return readFsSize(fd).type;
}
