/**
 * AF_UNIX stream sockets, by path; unix(7).
 *
 * @module
 */

import { toBytes } from "./bytes.ts";
import { closeFd, openFd, syscall } from "./libc.ts";
import { sendWithFds } from "./packets.ts";

/** sun_path with its NUL. */
const PATH_MAX = 108;
const O_PATH = 0o10000000;

function socketAddress(path: string): Uint8Array {
  const name = toBytes(path);
  const bytes = new Uint8Array(2 + PATH_MAX);
  bytes[0] = 1; // AF_UNIX
  bytes.set(name, 2);
  return bytes.subarray(0, 2 + name.length + 1);
}

/** Calls `use` with an address for `path`; one that is too long for sun_path
 * goes by its directory's descriptor. */
export function withAddress(
  path: string,
  use: (address: Uint8Array) => void,
): void {
  if (toBytes(path).length < PATH_MAX) return use(socketAddress(path));
  const slash = path.lastIndexOf("/");
  const dir = openFd(slash <= 0 ? "/" : path.slice(0, slash), O_PATH);
  try {
    use(socketAddress(`/proc/self/fd/${dir}/${path.slice(slash + 1)}`));
  } finally {
    closeFd(dir);
  }
}

/**
 * Connects to a listening socket.
 *
 * @returns the descriptor, close-on-exec
 * @throws {SyscallError}
 */
export function connectUnix(path: string): number {
  const fd = syscall("socket", 1, 1 | 0o2000000, 0);
  try {
    withAddress(path, (it) => {
      syscall("connect", fd, it, it.length);
    });
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

/**
 * Connects, sends one message with descriptors, and closes.
 *
 * @throws {SyscallError}
 */
export function sendOverSocket(
  path: string,
  payload: string,
  fds: readonly number[],
): void {
  const socket = connectUnix(path);
  try {
    sendWithFds(socket, toBytes(payload), fds);
  } finally {
    closeFd(socket);
  }
}

/**
 * Makes a datagram socket at a path, as systemd's notify protocol wants it.
 *
 * @returns the descriptor, close-on-exec
 * @throws {SyscallError}
 */
export function bindDatagram(path: string): number {
  const fd = syscall("socket", 1, 2 | 0o2000000, 0);
  try {
    withAddress(path, (it) => {
      syscall("bind", fd, it, it.length);
    });
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

/** Connects a new datagram socket; a path that begins with "@" is abstract.
 *
 * @returns the descriptor, close-on-exec
 * @throws {SyscallError} */
export function connectDatagram(path: string): number {
  const fd = syscall("socket", 1, 2 | 0o2000000, 0);
  try {
    if (path.startsWith("@")) {
      const it = socketAddress("\0" + path.slice(1));
      // An abstract name has no NUL at its end.
      syscall("connect", fd, it, it.length - 1);
    } else {
      withAddress(path, (it) => {
        syscall("connect", fd, it, it.length);
      });
    }
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}
