/**
 * Files of a container, read and written from the host by safe paths. Only
 * regular files are opened, and only those that a file system stores: a FIFO
 * cannot make the caller wait, a device or /proc cannot be written for somebody
 * who put a link there.
 *
 * @module
 */

import {
  chmodFd,
  createBelow,
  findBelow,
  listNames,
  readLinkFd,
  reopen,
  statBelow,
  statFd,
  unlinkBelow,
} from "../../../ffi/at.ts";
import { isType } from "../../../ffi/identity.ts";
import { O, S_IF } from "../../../ffi/constants.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import { syscall, writeFd } from "../../../ffi/libc.ts";
import { findInRoot } from "../../../ffi/rootfs.ts";
import { findDirectory, findFile, Held, splitPath } from "./paths.ts";
import { refuseVolume, type Root, type Walk, within } from "./rights.ts";
import { removeTree } from "./tree.ts";
import { checkPath, fileError } from "./words.ts";

const ENOENT = -2, EISDIR = -21, EEXIST = -17, ENOTEMPTY = -39;

/**
 * Reads a regular file; links are followed inside the root.
 *
 * @param max how many bytes it may have
 * @throws {ContainerError} file-missing, file-kind, file-too-large, file-access,
 * file-path
 */
export function readFile(
  root: Root,
  path: string,
  max: number,
): Uint8Array<ArrayBuffer> {
  const doing = `read "${path}" in the container`;
  checkPath(doing, path);
  const refuse = (size: string) =>
    fileError(
      doing,
      `it has ${size} bytes, the limit is ${max}`,
      "file-too-large",
    );
  return within(doing, root, false, (walk) => {
    using file = findFile(doing, walk, path);
    if (file === undefined) throw new SyscallError("openat2", -ENOENT);
    const { size } = file.stat;
    if (size > max) throw refuse(`${size}`);
    using open = new Held(reopen(file.fd, O.RDONLY));
    // One more than there should be: its end must be seen.
    let bytes = new Uint8Array(size + 1);
    for (let at = 0;;) {
      const rest = bytes.subarray(at);
      const n = syscall("read", open.fd, rest, rest.length);
      if (n === 0) return bytes.subarray(0, at);
      at += n;
      if (at > max) throw refuse("more");
      if (at < bytes.length) continue;
      // Somebody writes to it.
      const more = new Uint8Array(Math.min(2 * at, max) + 1);
      more.set(bytes);
      bytes = more;
    }
  });
}

/** How a file is written. */
export interface WriteOptions {
  /** Permissions that it has afterwards; without, a new one has 0644 and another
   * keeps its own. */
  mode?: number | undefined;
  /** Writes behind what it holds. */
  append?: boolean | undefined;
}

/**
 * Writes a regular file; links are followed inside the root. What is made, the
 * missing directories of the path as well (mode 0755), belongs to the user; a
 * file that is there keeps its own, and what else it is. A new file that cannot
 * be written whole is removed.
 *
 * @throws {ContainerError} file-kind, file-access, file-path
 */
export function writeFile(
  root: Root,
  path: string,
  data: Uint8Array,
  options: WriteOptions = {},
): void {
  const doing = `write "${path}" in the container`;
  checkPath(doing, path);
  checkWrite(doing, path, options);
  within(doing, root, true, (walk) => {
    // Whoever makes and removes it all the time is not waited for.
    for (let tries = 0; tries < 128; tries++) {
      if (writeExisting(doing, walk, path, data, options)) return;
      if (writeNew(doing, walk, path, data, options)) return;
    }
    throw new SyscallError("openat", -EEXIST);
  });
}

function checkWrite(doing: string, path: string, { mode }: WriteOptions): void {
  if (path.endsWith("/") || splitPath(path).name === "") {
    throw fileError(doing, "it is the name of a directory", "file-kind");
  }
  const valid = mode === undefined ||
    (Number.isInteger(mode) && mode >= 0 && mode <= 0o7777);
  if (valid) return;
  throw fileError(doing, `its mode would be ${mode}`, "file-path", {
    hint: "Give permissions from 0 to 0o7777",
  });
}

/** Returns false where there is none. */
function writeExisting(
  doing: string,
  walk: Walk,
  path: string,
  data: Uint8Array,
  { mode, append }: WriteOptions,
): boolean {
  using file = findFile(doing, walk, path);
  if (file === undefined) return false;
  const how = append ? O.APPEND : O.TRUNC;
  using open = new Held(reopen(file.fd, O.WRONLY | how));
  if (mode !== undefined) chmodFd(open.fd, mode);
  writeFd(open.fd, data);
  return true;
}

/** Returns false where somebody else has just made one. */
function writeNew(
  doing: string,
  walk: Walk,
  path: string,
  data: Uint8Array,
  { mode = 0o644 }: WriteOptions,
): boolean {
  const { parent, name } = splitPath(path);
  using dir = findDirectory(doing, walk, parent, true);
  const fd = createBelow(dir.fd, name, 0o600);
  if (fd === EEXIST) {
    refuseLink(doing, dir.fd, name);
    return false;
  }
  using open = new Held(fd, "openat");
  try {
    chmodFd(open.fd, mode);
    writeFd(open.fd, data);
  } catch (error) {
    unlinkBelow(dir.fd, name);
    throw error;
  }
  return true;
}

/** A link that leads to nothing is not written through: nothing says that its
 * place is one of the owner's. */
function refuseLink(doing: string, dir: number, name: string): void {
  const fd = findBelow(dir, name);
  if (fd === ENOENT) return;
  using link = new Held(fd);
  if (!isType(statFd(link.fd), S_IF.LNK)) return;
  const target = readLinkFd(link.fd);
  throw fileError(
    doing,
    `it is a symbolic link to "${target}", where nothing is`,
    "file-kind",
  );
}

/** An entry of a directory. */
export interface ListedFile {
  /** Bytes that are no UTF-8 are lone surrogates, as in ffi/bytes.ts. */
  name: string;
  kind: "file" | "directory" | "link" | "other";
  /** Bytes. */
  size: number;
  /** Permissions. */
  mode: number;
}

const KINDS: ReadonlyMap<number, ListedFile["kind"]> = new Map([
  [S_IF.REG, "file"],
  [S_IF.DIR, "directory"],
  [S_IF.LNK, "link"],
]);

/** How many entries a list may have. */
const MANY = 100_000;

/**
 * Lists a directory, by name; a link to one is followed inside the root.
 *
 * @param max how many entries there may be
 * @returns what was there all the time; links are not followed
 * @throws {ContainerError} file-missing, file-kind, file-too-large, file-access,
 * file-path
 */
export function listDirectory(
  root: Root,
  path: string,
  max: number = MANY,
): ListedFile[] {
  const doing = `list "${path}" in the container`;
  checkPath(doing, path);
  return within(doing, root, false, (walk) => {
    using dir = new Held(findInRoot(walk.fd, path, walk.links));
    refuseVolume(walk, dir.fd);
    const found: ListedFile[] = [];
    for (const name of listNames(dir.fd)) {
      const stat = statBelow(dir.fd, name);
      if (stat === undefined) continue;
      found.push({
        name,
        kind: KINDS.get(stat.mode & S_IF.MT) ?? "other",
        size: stat.size,
        mode: stat.mode & 0o7777,
      });
      if (found.length > max) {
        throw fileError(
          doing,
          `it has more than ${max} entries`,
          "file-too-large",
        );
      }
    }
    return found.sort((a, b) => a.name < b.name ? -1 : 1);
  });
}

/**
 * Removes a file, a link or a directory. Links are followed inside the root on
 * the way there; what the path itself names is removed, not where it leads.
 *
 * @param recursive with all that is in it, but for what is mounted in there
 * @throws {ContainerError} file-missing, file-kind (not empty), file-access,
 * file-path
 */
export function removeFile(
  root: Root,
  path: string,
  recursive: boolean,
): void {
  const doing = `remove "${path}" in the container`;
  checkPath(doing, path);
  const { parent, name } = splitPath(path);
  if (name === "") {
    throw fileError(doing, "it is no name in a directory", "file-kind");
  }
  within(doing, root, false, (walk) => {
    using dir = findDirectory(doing, walk, parent);
    const done = unlinkBelow(dir.fd, name);
    if (done === 0) return;
    if (done !== EISDIR) throw new SyscallError("unlinkat", -done);
    if (recursive) return removeTree(dir.fd, name);
    const removed = unlinkBelow(dir.fd, name, true);
    if (removed === ENOTEMPTY) {
      throw fileError(doing, "the directory is not empty", "file-kind", {
        hint: "Remove it recursively",
      });
    }
    if (removed < 0) throw new SyscallError("unlinkat", -removed);
  });
}
