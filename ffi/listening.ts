/**
 * Listening AF_UNIX sockets that keep packets apart, and who is at the other
 * end; unix(7).
 *
 * @module
 */

import { chmodSync } from "./files.ts";
import { closeFd, syscall, trySyscall } from "./libc.ts";
import { SyscallError } from "./errno.ts";
import { withAddress } from "./socket.ts";

const AF_UNIX = 1;
const SEQPACKET = 5;
const CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_TYPE = 3, SO_PEERCRED = 17, SO_ACCEPTCONN = 30;
const SO_DOMAIN = 39;
const EAGAIN = -11, ECONNABORTED = -103;

/**
 * Listens at a path, where nothing may be yet, for its owner alone.
 *
 * @param backlog how many may wait to be accepted
 * @returns the descriptor, close-on-exec
 * @throws {SyscallError}
 */
export function listenPackets(path: string, backlog: number): number {
  const fd = syscall("socket", AF_UNIX, SEQPACKET | CLOEXEC, 0);
  try {
    withAddress(path, (it) => {
      syscall("bind", fd, it, it.length);
    });
    // Nobody can connect yet, whatever the umask.
    chmodSync(path, 0o600);
    syscall("listen", fd, backlog);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

/** Connects to a listening socket, without waiting for room in its backlog.
 *
 * @returns the descriptor, close-on-exec
 * @throws {SyscallError} EAGAIN where the backlog is full */
export function connectPackets(path: string): number {
  // SOCK_NONBLOCK
  const fd = syscall("socket", AF_UNIX, SEQPACKET | CLOEXEC | 0o4000, 0);
  try {
    withAddress(path, (it) => {
      syscall("connect", fd, it, it.length);
    });
    syscall("fcntl", fd, 4, 0); // F_SETFL: it may block from here on
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

function readOption(fd: number, option: number, words: number): Int32Array {
  const value = new Int32Array(words);
  const size = new Int32Array([4 * words]);
  syscall(
    "getsockopt",
    fd,
    SOL_SOCKET,
    option,
    new Uint8Array(value.buffer),
    new Uint8Array(size.buffer),
  );
  return value;
}

/** Whether a descriptor is a listening socket of this kind: a service manager
 * may hand over any. */
export function isListening(fd: number): boolean {
  try {
    return readOption(fd, SO_DOMAIN, 1)[0] === AF_UNIX &&
      readOption(fd, SO_TYPE, 1)[0] === SEQPACKET &&
      readOption(fd, SO_ACCEPTCONN, 1)[0] === 1;
  } catch (error) {
    if (error instanceof SyscallError) return false;
    throw error;
  }
}

/** Lets a listening socket answer at once where nobody waits.
 *
 * @throws {SyscallError} */
export function unblock(fd: number): void {
  const flags = syscall("fcntl", fd, 3, 0); // F_GETFL
  syscall("fcntl", fd, 4, flags | 0o4000); // O_NONBLOCK
}

/**
 * Takes the next connection of a listening socket; accept4(2).
 *
 * @returns the descriptor, close-on-exec; undefined where none waits
 * @throws {SyscallError}
 */
export function acceptPackets(listener: number): number | undefined {
  for (;;) {
    const fd = trySyscall("accept4", listener, null, null, CLOEXEC);
    if (fd >= 0) return fd;
    if (fd === EAGAIN) return undefined;
    if (fd !== ECONNABORTED && fd !== -4) {
      throw new SyscallError("accept4", -fd);
    }
  }
}

/** Who connected: SO_PEERCRED. */
export function readPeer(
  fd: number,
): { pid: number; uid: number; gid: number } {
  const [pid = 0, uid = -1, gid = -1] = readOption(fd, SO_PEERCRED, 3);
  return { pid, uid: uid >>> 0, gid: gid >>> 0 };
}
