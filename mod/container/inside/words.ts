/**
 * What is wrong with a path, a file or a tree, in words.
 *
 * @module
 */

import { isNoBytes } from "../../../ffi/bytes.ts";
import { S_IF } from "../../../ffi/constants.ts";
import { errnoText, SyscallError } from "../../../ffi/errno.ts";
import type { SeenFile } from "../../../ffi/identity.ts";
import { storesFiles } from "../../../ffi/rootfs.ts";
import { ContainerError } from "../../errors.ts";

/** Codes of errors about files. */
export type FileCode =
  | "file-access"
  | "file-kind"
  | "file-missing"
  | "file-path"
  | "file-too-large";

const HINTS: Record<FileCode, string> = {
  "file-access":
    "Look at its owner, its mode and its file system; only root may act for every user",
  "file-kind": "Name another path",
  "file-missing": "List the directory above it",
  "file-path": "Give a path such as /work/file",
  "file-too-large": "Give a greater limit",
};

const CODES: Record<string, FileCode> = {
  ENOENT: "file-missing",
  ENOTDIR: "file-kind",
  EISDIR: "file-kind",
  ELOOP: "file-kind",
  EEXIST: "file-kind",
  ENOTEMPTY: "file-kind",
  EFBIG: "file-too-large",
  ENAMETOOLONG: "file-path",
};

/** What says more than strerror(3) does. */
const WORDS: Record<string, string> = {
  ELOOP:
    "a symbolic link on the way leads nowhere, in a circle, or is one of procfs",
  EAGAIN: "somebody in the container holds a lease on it, or keeps renaming",
  EOVERFLOW:
    "the owner has no id in the user namespace that its file system is of",
  EXDEV: "a file system is mounted there",
};

/** An error about a file: "Cannot " and what was wanted, and why not. */
export function fileError(
  doing: string,
  why: string,
  code: FileCode,
  { hint = HINTS[code], cause }: { hint?: string; cause?: unknown } = {},
): ContainerError {
  return new ContainerError(`Cannot ${doing}: ${why}`, { code, hint, cause });
}

/** The same for a system call that failed. */
export function errnoError(doing: string, cause: SyscallError): ContainerError {
  const { code, errno } = cause;
  return fileError(
    doing,
    WORDS[code] ?? errnoText(errno),
    CODES[code] ?? "file-access",
    { cause },
  );
}

/**
 * Calls what makes system calls.
 *
 * @param doing what is wanted: 'read "/a" in the container'
 * @throws {ContainerError} where one of them fails
 */
export function attempt<T>(doing: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw error instanceof SyscallError ? errnoError(doing, error) : error;
  }
}

/**
 * Refuses what the kernel takes for no path.
 *
 * @throws {ContainerError}
 */
export function checkPath(doing: string, path: string): void {
  const why = path === ""
    ? "it is empty"
    : path.includes("\0")
    ? "it holds a NUL"
    : isNoBytes(path)
    ? "it holds half a surrogate pair"
    : undefined;
  if (why !== undefined) throw fileError(doing, why, "file-path");
}

const KINDS: ReadonlyMap<number, string> = new Map([
  [S_IF.DIR, "a directory"],
  [S_IF.REG, "a file"],
  [S_IF.LNK, "a symbolic link"],
  [S_IF.IFO, "a FIFO"],
  [S_IF.SOCK, "a socket"],
]);

/** What a file is: "a FIFO". */
export function describeKind({ mode }: Pick<SeenFile, "mode">): string {
  return KINDS.get(mode & S_IF.MT) ?? "a device";
}

/**
 * Refuses what is on a file system that stores nothing, such as procfs, sysfs or
 * a cgroup hierarchy: to write there is to command the kernel, with the rights
 * of who calls, and what is read may never end. A container that may mount can
 * show another one than it was given, and a link may lead there.
 *
 * @throws {ContainerError}
 * @throws {SyscallError}
 */
export function refuseKernelFile(doing: string, fd: number): void {
  if (storesFiles(fd)) return;
  throw fileError(
    doing,
    "it lies in a file system that stores no files, such as procfs",
    "file-kind",
    { hint: "Let a command in the container do it, which has no more rights" },
  );
}
