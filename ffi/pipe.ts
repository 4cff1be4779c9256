/**
 * Pipes between this process and one that it starts, pipe(7), and what is done
 * with descriptors of both.
 *
 * @module
 */

import { SyscallError } from "./errno.ts";
import { syscall, trySyscall } from "./libc.ts";

const CLOEXEC = 0o2000000, NONBLOCK = 0o4000;
const F_SETFL = 4;

/** A pipe, both ends close-on-exec.
 *
 * @param ours which end does not block: the other one is a program's
 * @returns the end to read from, the end to write into
 * @throws {SyscallError} */
export function makePipe(ours: "read" | "write"): [number, number] {
  const ends = new Int32Array(2);
  syscall("pipe2", new Uint8Array(ends.buffer), CLOEXEC);
  const [read = -1, write = -1] = ends;
  syscall("fcntl", ours === "read" ? read : write, F_SETFL, NONBLOCK);
  return [read, write];
}

const EAGAIN = -11, EPIPE = -32;

/** Reads what is there.
 *
 * @returns how many bytes, 0 at the end; undefined: nothing yet
 * @throws {SyscallError} */
export function readPipe(fd: number, into: Uint8Array): number | undefined {
  const count = trySyscall("read", fd, into, into.length);
  if (count === EAGAIN) return undefined;
  if (count < 0) throw new SyscallError("read", -count);
  return count;
}

/** Writes as much as there is room for.
 *
 * @returns how many bytes; undefined: nobody reads it any more
 * @throws {SyscallError} */
export function writePipe(fd: number, bytes: Uint8Array): number | undefined {
  const count = trySyscall("write", fd, bytes, bytes.length);
  if (count === EAGAIN) return 0;
  if (count === EPIPE) return undefined;
  if (count < 0) throw new SyscallError("write", -count);
  return count;
}

/** Gives a pipe to a user of this machine; one that may not be given away stays
 * ours. */
export function givePipe(fd: number, uid: number): void {
  trySyscall("fchown", fd, uid, -1);
}

/** Another descriptor of the same, close-on-exec.
 *
 * @throws {SyscallError} */
export function duplicateFd(fd: number): number {
  return syscall("fcntl", fd, 1030, 3); // F_DUPFD_CLOEXEC
}
