/**
 * Waiting for many descriptors at once; epoll(7). A descriptor is armed for one
 * event at a time (EPOLLONESHOT), by any thread, also while another one waits.
 *
 * @module
 */

import { SyscallError } from "./errno.ts";
import { syscall, trySyscall } from "./libc.ts";

/** What a descriptor is waited for; epoll_ctl(2). Errors and hang-ups come
 * unasked. */
export const EPOLL = { in: 1, priority: 2, out: 4 } as const;

const ONESHOT = 1 << 30;
const ADD = 1, DELETE = 2, MODIFY = 3;
const CLOEXEC = 0o2000000;
const EINTR = -4;

// struct epoll_event is packed on x86_64 alone.
const PACKED = Deno.build.arch === "x86_64";
const SIZE = PACKED ? 12 : 16;
const DATA = PACKED ? 4 : 8;

/** Makes an epoll instance.
 *
 * @returns its descriptor, close-on-exec
 * @throws {SyscallError} */
export function makeEpoll(): number {
  return syscall("epoll_create1", CLOEXEC);
}

/**
 * Arms a descriptor for its next event.
 *
 * @param events bits of {@linkcode EPOLL}
 * @param key what {@linkcode waitEpoll} names it by
 * @param again it was armed before, and not disarmed
 * @throws {SyscallError} EPERM for a file, which is always ready
 */
export function armEpoll(
  epoll: number,
  fd: number,
  events: number,
  key: number,
  again = false,
): void {
  const event = new Uint8Array(SIZE);
  const view = new DataView(event.buffer);
  view.setUint32(0, events | ONESHOT, true);
  view.setUint32(DATA, key, true);
  syscall("epoll_ctl", epoll, again ? MODIFY : ADD, fd, event);
}

/** Forgets a descriptor, before it is closed; one that was never armed is fine. */
export function disarmEpoll(epoll: number, fd: number): void {
  trySyscall("epoll_ctl", epoll, DELETE, fd, null);
}

/**
 * Waits, without an end, until something has happened. Blocks the thread.
 *
 * @returns key, events, key, events, ... of at most 64 descriptors
 * @throws {SyscallError}
 */
export function waitEpoll(epoll: number): Uint32Array<ArrayBuffer> {
  const events = new Uint8Array(64 * SIZE);
  for (;;) {
    const count = trySyscall("epoll_pwait", epoll, events, 64, -1, null, 8);
    if (count === EINTR) continue;
    if (count < 0) throw new SyscallError("epoll_pwait", -count);
    const view = new DataView(events.buffer);
    const found = new Uint32Array(2 * count);
    for (let i = 0; i < count; i++) {
      found[2 * i] = view.getUint32(i * SIZE + DATA, true);
      found[2 * i + 1] = view.getUint32(i * SIZE, true);
    }
    return found;
  }
}
