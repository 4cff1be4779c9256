/**
 * Deno's calls on files, for paths and texts of any bytes (ffi/bytes.ts). Deno
 * takes and gives UTF-8 alone. So a path that is none is opened here, and Deno
 * gets the descriptor's name in /proc; what Deno gives with U+FFFD in it, or
 * refuses to give, is read here. A path of UTF-8 goes straight to Deno.
 *
 * @module
 */

import { fromBytes, toBytes } from "./bytes.ts";
import { errnoText, SyscallError } from "./errno.ts";
import {
  closeFd,
  cstring,
  openFd,
  syscall,
  trySyscall,
  writeFd,
} from "./libc.ts";

const AT_FDCWD = -100;
const AT_REMOVEDIR = 0x200;
const O_WRONLY = 1, O_CREAT = 0o100, O_EXCL = 0o200, O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const O_PATH = 0o10000000, O_CLOEXEC = 0o2000000;
const ENOENT = 2;
const [O_DIRECTORY, O_NOFOLLOW] = Deno.build.arch === "aarch64"
  ? [0o40000, 0o100000]
  : [0o200000, 0o400000];
/** A file's whole name, if it is no UTF-8: up to the last part that is none. */
const BYTES = /^.*[\udc80-\udcff][^/]*/su;

/** Deno's class of errors for an errno, as Deno chooses it. */
const CLASSES: Record<string, new (message: string) => Error> = {
  EACCES: Deno.errors.PermissionDenied,
  EPERM: Deno.errors.PermissionDenied,
  ENOENT: Deno.errors.NotFound,
  EEXIST: Deno.errors.AlreadyExists,
  ENOTDIR: Deno.errors.NotADirectory,
  EISDIR: Deno.errors.IsADirectory,
  ELOOP: Deno.errors.FilesystemLoop,
  EPIPE: Deno.errors.BrokenPipe,
};

/** Calls what makes system calls, and words a failure as Deno does.
 *
 * @param path "" for none */
export function asDeno<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    const words = errnoText(error.errno);
    const text = words.slice(0, 1).toUpperCase() + words.slice(1);
    throw new (CLASSES[error.code] ?? Error)(
      `${text} (os error ${error.errno})` +
        (path === "" ? "" : `: ${error.call} '${path}'`),
    );
  }
}

/** Calls Deno with a name of what a path leads to. */
function reach<T>(path: string, call: (name: string) => T, flags = 0): T {
  if (path.isWellFormed()) return call(path);
  const bytes = BYTES.exec(path)![0];
  const rest = path.slice(bytes.length);
  const fd = asDeno(
    path,
    () => openFd(bytes, O_PATH | (rest === "" ? flags : 0)),
  );
  try {
    return call(`/proc/self/fd/${fd}${rest}`);
  } finally {
    closeFd(fd);
  }
}

/** Whether the last part of a path is no UTF-8: then no name in /proc stands
 * for what is not there yet, or is to be renamed or removed. */
function endsInBytes(path: string): boolean {
  return !path.isWellFormed() &&
    BYTES.exec(path)![0] === path.replace(/\/+$/, "");
}

/** As Deno.readFileSync. */
export function readFileSync(path: string): Uint8Array<ArrayBuffer> {
  return reach(path, Deno.readFileSync);
}

/** As Deno.readTextFileSync; what is no UTF-8 is kept. */
export function readTextFileSync(path: string): string {
  return reach(path, (name) => {
    const text = Deno.readTextFileSync(name);
    return text.includes("\ufffd") ? fromBytes(Deno.readFileSync(name)) : text;
  });
}

/**
 * As {@linkcode readTextFileSync}, for what need not be a small file, nor end.
 *
 * @param most bytes
 * @returns undefined where there are more
 */
export function readTextUpToSync(
  path: string,
  most: number,
): string | undefined {
  using file = openSync(path);
  let bytes = new Uint8Array(Math.min(most, 1 << 16));
  let size = 0;
  for (;;) {
    const count = file.readSync(bytes.subarray(size));
    if (count === null) break;
    size += count;
    if (size < bytes.length) continue;
    if (size > most) return undefined;
    const more = new Uint8Array(Math.min(most + 1, 2 * size));
    more.set(bytes);
    bytes = more;
  }
  return fromBytes(bytes.subarray(0, size));
}

/** As Deno.openSync, of what is there. */
export function openSync(
  path: string,
  options?: Deno.OpenOptions,
): Deno.FsFile {
  return reach(path, (name) => Deno.openSync(name, options));
}

/** As Deno.statSync. */
export function statSync(path: string): Deno.FileInfo {
  return reach(path, Deno.statSync);
}

/** As Deno.lstatSync. */
export function lstatSync(path: string): Deno.FileInfo {
  return endsInBytes(path)
    // The descriptor of a link leads to the link itself.
    ? reach(path, Deno.statSync, O_NOFOLLOW)
    : reach(path, Deno.lstatSync);
}

/**
 * Whether something has that path, a link that leads nowhere too: for what is
 * often missing, since the first exception of a program costs it 0.5 ms.
 *
 * @throws what Deno.lstatSync would, but for Deno.errors.NotFound
 */
export function existsSync(path: string): boolean {
  const fd = trySyscall(
    "openat",
    AT_FDCWD,
    cstring(path),
    O_PATH | O_NOFOLLOW | O_CLOEXEC,
    0,
  );
  if (fd === -ENOENT) return false;
  if (fd < 0) {
    asDeno(path, () => {
      throw new SyscallError("openat", -fd);
    });
  }
  closeFd(fd);
  return true;
}

/** Whether a path is a symbolic link, wherever it leads; false where nobody can
 * tell. */
export function isLink(path: string): boolean {
  try {
    return lstatSync(path.replace(/(?<=.)\/+$/, "")).isSymlink;
  } catch {
    return false;
  }
}

/** Reads a link by readlinkat(2). */
function readLinkAt(fd: number, path: string): string {
  for (let size = 4096;; size *= 2) {
    const bytes = new Uint8Array(size);
    const n = syscall("readlinkat", fd, cstring(path), bytes, size);
    if (n < size) return fromBytes(bytes.subarray(0, n));
  }
}

/** Calls Deno for a path and, where the answer is no UTF-8, something else. */
function orElse(deno: () => string, ours: () => string): string {
  try {
    return deno();
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
    return ours();
  }
}

/** As Deno.readLinkSync. */
export function readLinkSync(path: string): string {
  const ours = () => asDeno(path, () => readLinkAt(AT_FDCWD, path));
  return path.isWellFormed()
    ? orElse(() => Deno.readLinkSync(path), ours)
    : ours();
}

/** As Deno.realPathSync. */
export function realPathSync(path: string): string {
  const ours = () =>
    asDeno(path, () => {
      const fd = openFd(path, O_PATH);
      try {
        return readLinkAt(AT_FDCWD, `/proc/self/fd/${fd}`);
      } finally {
        closeFd(fd);
      }
    });
  return path.isWellFormed()
    ? orElse(() => Deno.realPathSync(path), ours)
    : ours();
}

/** d_type of a directory's entry, readdir(3). Some file systems say none. */
const DT_UNKNOWN = 0, DT_DIR = 4, DT_REG = 8, DT_LNK = 10;
/** Where a struct linux_dirent64 has its length, type and name, getdents64(2). */
const D_RECLEN = 16, D_TYPE = 18, D_NAME = 19;

/** An entry of a directory: its name, and readdir(3)'s d_type (0: unknown). */
export interface RawEntry {
  name: string;
  type: number;
}

/**
 * Reads an open directory from where its descriptor is, but "." and "..";
 * getdents64(2).
 *
 * @throws {SyscallError}
 */
export function* readEntriesOf(fd: number): Generator<RawEntry> {
  const bytes = new Uint8Array(1 << 15);
  const view = new DataView(bytes.buffer);
  for (;;) {
    const end = syscall("getdents64", fd, bytes, bytes.length);
    if (end === 0) return;
    for (let at = 0; at < end; at += view.getUint16(at + D_RECLEN, true)) {
      const from = at + D_NAME;
      const name = fromBytes(bytes.subarray(from, bytes.indexOf(0, from)));
      if (name !== "." && name !== "..") {
        yield { name, type: bytes[at + D_TYPE]! };
      }
    }
  }
}

/** What an entry is; undefined when it has gone since, as the directory of a
 * thread in /proc that ends while it is listed. */
function lookAgain(path: string): Deno.FileInfo | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function readEntries(path: string): Deno.DirEntry[] {
  const fd = openFd(path, O_DIRECTORY);
  try {
    const entries: Deno.DirEntry[] = [];
    for (const { name, type } of readEntriesOf(fd)) {
      const kind = type === DT_UNKNOWN ? lookAgain(`${path}/${name}`) : {
        isFile: type === DT_REG,
        isDirectory: type === DT_DIR,
        isSymlink: type === DT_LNK,
      };
      if (kind === undefined) continue;
      const { isFile, isDirectory, isSymlink } = kind;
      entries.push({ name, isFile, isDirectory, isSymlink });
    }
    return entries;
  } finally {
    closeFd(fd);
  }
}

/** As Deno.readDirSync, which leaves out what is no UTF-8 (2.6) or misspells it
 * (2.9). */
export function readDirSync(path: string): Deno.DirEntry[] {
  return asDeno(path, () => readEntries(path));
}

/** As Deno.mkdirSync. */
export function mkdirSync(path: string, options: Deno.MkdirOptions = {}): void {
  if (path.isWellFormed()) return Deno.mkdirSync(path, options);
  const { mode = 0o777, recursive = false } = options;
  const made = trySyscall("mkdirat", AT_FDCWD, cstring(path), mode);
  if (made === 0) return;
  const above = path.slice(0, path.lastIndexOf("/"));
  if (recursive && made === -2 && above !== "") {
    mkdirSync(above, options);
    return mkdirSync(path, { mode });
  }
  if (recursive && made === -17 && statSync(path).isDirectory) return;
  asDeno(path, () => {
    throw new SyscallError("mkdirat", -made);
  });
}

/** As Deno.removeSync. */
export function removeSync(
  path: string,
  { recursive = false }: Deno.RemoveOptions = {},
): void {
  if (!endsInBytes(path)) {
    return reach(path, (it) => Deno.removeSync(it, { recursive }));
  }
  const directory = lstatSync(path).isDirectory;
  if (directory && recursive) {
    for (const { name } of readDirSync(path)) {
      removeSync(`${path}/${name}`, { recursive });
    }
  }
  asDeno(path, () => {
    const flags = directory ? AT_REMOVEDIR : 0;
    syscall("unlinkat", AT_FDCWD, cstring(path), flags);
  });
}

/** As Deno.renameSync. */
export function renameSync(from: string, to: string): void {
  if (from.isWellFormed() && to.isWellFormed()) {
    return Deno.renameSync(from, to);
  }
  asDeno(from, () => {
    const [a, b] = [cstring(from), cstring(to)];
    syscall("renameat2", AT_FDCWD, a, AT_FDCWD, b, 0);
  });
}

/** As Deno.writeFileSync. */
export function writeFileSync(
  path: string,
  bytes: Uint8Array,
  options: Deno.WriteFileOptions = {},
): void {
  if (!endsInBytes(path)) {
    return reach(path, (it) => Deno.writeFileSync(it, bytes, options));
  }
  const { append, create = true, createNew, mode = 0o666 } = options;
  const flags = O_WRONLY | (append ? O_APPEND : O_TRUNC) |
    (createNew ? O_CREAT | O_EXCL : create ? O_CREAT : 0);
  asDeno(path, () => {
    const fd = openFd(path, flags, mode);
    try {
      writeFd(fd, bytes);
    } finally {
      closeFd(fd);
    }
  });
}

/** As Deno.writeTextFileSync. */
export function writeTextFileSync(
  path: string,
  text: string,
  options: Deno.WriteFileOptions = {},
): void {
  if (path.isWellFormed() && text.isWellFormed()) {
    Deno.writeTextFileSync(path, text, options);
  } else writeFileSync(path, toBytes(text), options);
}

/** As Deno.chmodSync. */
export function chmodSync(path: string, mode: number): void {
  reach(path, (it) => Deno.chmodSync(it, mode));
}

/** As Deno.chownSync. */
export function chownSync(path: string, uid: number, gid: number): void {
  reach(path, (it) => Deno.chownSync(it, uid, gid));
}
