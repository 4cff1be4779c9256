/**
 * A descriptor that can be read once it was rung; eventfd(2).
 *
 * @module
 */

import { syscall, writeFd } from "./libc.ts";

/** EFD_CLOEXEC and EFD_NONBLOCK. */
const FLAGS = 0o2004000;
const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** Makes one, close-on-exec.
 *
 * @returns its descriptor
 * @throws {SyscallError} */
export function makeEvent(): number {
  return syscall("eventfd2", 0, FLAGS);
}

/** Makes it readable.
 *
 * @throws {SyscallError} */
export function ringEvent(fd: number): void {
  writeFd(fd, ONE);
}
