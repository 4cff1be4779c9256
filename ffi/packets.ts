/**
 * Packets between processes, with descriptors: unix(7), cmsg(3).
 *
 * @module
 */

import { SyscallError } from "./errno.ts";
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

const SOL_SOCKET = 1, SO_PASSCRED = 16, SCM_RIGHTS = 1, SCM_CREDENTIALS = 2;

/** Has every packet from now on say which process sent it: SO_PASSCRED. */
export function askForSender(fd: number): void {
  syscall(
    "setsockopt",
    fd,
    SOL_SOCKET,
    SO_PASSCRED,
    new Uint8Array([1, 0, 0, 0]),
    4,
  );
}

/** The end of a peer that has left a packet unread is told once as an error, before
 * what the peer had sent, unix(7): the second try says how things are. */
function onceMore(call: () => number): number {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof SyscallError) || error.code !== "ECONNRESET") {
      throw error;
    }
    return call();
  }
}

/** A packet as it came. */
export interface Packet {
  length: number;
  /** The descriptors that came with it, close-on-exec. */
  fds: number[];
  /** The process that sent it, where the socket has SO_PASSCRED. */
  pid?: number;
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
): Packet | undefined {
  fillMessage(buffer, control.length);
  // MSG_CMSG_CLOEXEC
  const length = onceMore(() => syscall("recvmsg", fd, message, 0x40000000));
  const got = Number(new BigUint64Array(message.buffer)[5]);
  const view = new DataView(control.buffer);
  const packet: Packet = { length, fds: [] };
  for (let at = 0; at + 16 <= got;) {
    const end = at + Number(view.getBigUint64(at, true));
    const kind = view.getInt32(at + 8, true) === SOL_SOCKET
      ? view.getInt32(at + 12, true)
      : 0;
    if (kind === SCM_RIGHTS) {
      for (let it = at + 16; it + 4 <= end; it += 4) {
        packet.fds.push(view.getInt32(it, true));
      }
    } else if (kind === SCM_CREDENTIALS) {
      packet.pid = view.getInt32(at + 16, true);
    }
    at = (end + 7) & ~7;
  }
  // A packet may be empty; with descriptors it is no end.
  return length === 0 && packet.fds.length === 0 ? undefined : packet;
}

/**
 * How long the next packet is, which stays; recv(2) with MSG_PEEK. Blocks.
 *
 * @returns 0 at the end of the file
 * @throws {SyscallError}
 */
export function peekPacket(fd: number): number {
  // MSG_PEEK | MSG_TRUNC
  return onceMore(() => syscall("recvfrom", fd, null, 0, 0x22, null, null));
}

/**
 * Sends bytes with descriptors (at most 8); sendmsg(2), MSG_NOSIGNAL.
 *
 * @throws {SyscallError} EPIPE when the peer has ended
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
  // MSG_NOSIGNAL
  onceMore(() => syscall("sendmsg", fd, message, 0x4000));
}

/** {@linkcode receivePacket} of one that may have ended with a packet of ours
 * unread: that is an error, once, before what it has sent; unix(7).
 *
 * @throws {SyscallError} */
export function receiveLast(
  socket: number,
  buffer: Uint8Array<ArrayBuffer>,
): Packet | undefined {
  try {
    return receivePacket(socket, buffer);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    if (error.code !== "ECONNRESET") throw error;
    return receivePacket(socket, buffer);
  }
}
