/**
 * Pipes between this process and one that it starts, pipe(7), and what is done
 * with descriptors of both.
 *
 * @module
 */

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

const POLLIN = 1, POLLOUT = 4, POLLERR = 8;
const NOW = new Uint8Array(16);

/** What can be done with a descriptor now; ppoll(2). A pipe that is looked at
 * first says nothing by an errno, which an allocation of the engine's on its way
 * to us can change. */
function look(fd: number, events: number): number {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, events, true);
  syscall("ppoll", bytes, 1, NOW, null, 8);
  return view.getInt16(6, true);
}

/** Reads what is there. Nobody else may read it.
 *
 * @returns how many bytes, 0 at the end; undefined: nothing yet
 * @throws {SyscallError} */
export function readPipe(fd: number, into: Uint8Array): number | undefined {
  if (look(fd, POLLIN) === 0) return undefined;
  return syscall("read", fd, into, into.length);
}

/** Writes as much as there is room for. Nobody else may write into it.
 *
 * @returns how many bytes; undefined: nobody reads it any more
 * @throws {SyscallError} */
export function writePipe(fd: number, bytes: Uint8Array): number | undefined {
  if (bytes.length === 0) return 0;
  const can = look(fd, POLLOUT);
  if ((can & POLLERR) !== 0) return undefined;
  if (can === 0) return 0;
  const count = trySyscall("write", fd, bytes, bytes.length);
  // It was the reader's end meanwhile; else there was room.
  return count < 0 ? undefined : count;
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
