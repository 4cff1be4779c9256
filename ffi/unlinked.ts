/**
 * A program in a file without a name, where the kernel runs none from memory
 * (vm.memfd_noexec=2). Nothing can be sealed there; so the file is made for one
 * start, nobody else has a name for it, and the kernel refuses to write to what
 * is being executed.
 *
 * @module
 */

import {
  closeFd,
  cstring,
  openFd,
  syscall,
  trySyscall,
  writeFd,
} from "./libc.ts";
import { SyscallError } from "./errno.ts";

const AT_FDCWD = -100;
const O_WRONLY = 1, O_CREAT = 0o100, O_EXCL = 0o200;
const O_DIRECTORY = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;
/** With O_EXCL it can never get a name; open(2). */
const O_TMPFILE = 0o20000000 | O_DIRECTORY | O_EXCL;
const X_OK = 1;
/** For the owner alone; nobody writes. */
const MODE = 0o500;
/** What a file system says that has no O_TMPFILE: EISDIR, EINVAL, EOPNOTSUPP. */
const NO_TMPFILE = [21, 22, 95];

/** Makes a file by name and takes that away at once.
 *
 * @returns a descriptor for writing, close-on-exec
 * @throws {SyscallError} */
export function createUnlinked(dir: string): number {
  const path = `${dir}/.rustyrun-helper-${crypto.randomUUID()}`;
  const fd = openFd(path, O_WRONLY | O_CREAT | O_EXCL, MODE);
  syscall("unlinkat", AT_FDCWD, cstring(path), 0);
  return fd;
}

function openUnlinked(dir: string): number {
  const fd = trySyscall(
    "openat",
    AT_FDCWD,
    cstring(dir),
    O_TMPFILE | O_WRONLY | 0o2000000,
    MODE,
  );
  if (fd >= 0) return fd;
  if (!NO_TMPFILE.includes(-fd)) throw new SyscallError("openat", -fd);
  return createUnlinked(dir);
}

/**
 * Puts a program into a file that has no name any more.
 *
 * @param dir where; others may write there
 *
 * @returns a descriptor for reading, close-on-exec
 * @throws {SyscallError} also EACCES from "faccessat" where the file system runs
 * no programs
 */
export function unlinkedProgram(
  dir: string,
  bytes: Uint8Array<ArrayBuffer>,
): number {
  const writer = openUnlinked(dir);
  try {
    writeFd(writer, bytes);
    const name = `/proc/self/fd/${writer}`;
    syscall("faccessat", AT_FDCWD, cstring(name), X_OK);
    // What somebody has open for writing does not run: ETXTBSY.
    return openFd(name, 0);
  } finally {
    closeFd(writer);
  }
}
