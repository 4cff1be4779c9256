/**
 * Packets between processes, with descriptors: unix(7), cmsg(3).
 *
 * @module
 */

import { address, syscall } from "./libc.ts";

/** A connected pair of AF_UNIX sockets that keep packets apart, close-on-exec.
 *
 * @throws {SyscallError} */
export function packetPair(): [number, number] {
  const pair = new Int32Array(2);
  // AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC
  syscall("socketpair", 1, 5 | 0o2000000, 0, new Uint8Array(pair.buffer));
  return [pair[0]!, pair[1]!];
}

const control = new Uint8Array(64);
const message = new Uint8Array(56);
const vector = new Uint8Array(16);

function fillMessage(data: Uint8Array, controlLength: number): void {
  const io = new BigUint64Array(vector.buffer);
  io[0] = address(data);
  io[1] = BigInt(data.length);
  const view = new BigUint64Array(message.buffer);
  view.fill(0n);
  view[2] = address(vector);
  view[3] = 1n;
  if (controlLength > 0) {
    view[4] = address(control);
    view[5] = BigInt(controlLength);
  }
}

/**
 * Receives one packet and the descriptors that came with it (at most 8, made
 * close-on-exec); recvmsg(2). Blocks.
 *
 * @returns undefined at the end of the file
 * @throws {SyscallError}
 */
export function receivePacket(
  fd: number,
  buffer: Uint8Array,
): { length: number; fds: number[] } | undefined {
  fillMessage(buffer, control.length);
  const length = syscall("recvmsg", fd, message, 0x40000000); // MSG_CMSG_CLOEXEC
  if (length === 0) return undefined;
  const view = new DataView(control.buffer);
  const got = Number(new BigUint64Array(message.buffer)[5]);
  const fds: number[] = [];
  if (
    got >= 20 && view.getInt32(8, true) === 1 && view.getInt32(12, true) === 1
  ) {
    const end = Number(view.getBigUint64(0, true));
    for (let at = 16; at + 4 <= end; at += 4) fds.push(view.getInt32(at, true));
  }
  return { length, fds };
}

/**
 * Sends bytes with descriptors (at most 8); sendmsg(2), MSG_NOSIGNAL.
 *
 * @throws {SyscallError}
 */
export function sendWithFds(
  fd: number,
  bytes: Uint8Array,
  fds: readonly number[] = [],
): void {
  if (fds.length > 0) {
    const view = new DataView(control.buffer);
    view.setBigUint64(0, BigInt(16 + 4 * fds.length), true);
    view.setInt32(8, 1, true); // SOL_SOCKET
    view.setInt32(12, 1, true); // SCM_RIGHTS
    fds.forEach((it, i) => view.setInt32(16 + 4 * i, it, true));
  }
  fillMessage(bytes, fds.length > 0 ? (16 + 4 * fds.length + 7) & ~7 : 0);
  syscall("sendmsg", fd, message, 0x4000); // MSG_NOSIGNAL
}
