/**
 * Waiting for descriptors, poll(2).
 *
 * @module
 */

import { syscall } from "./libc.ts";

/** POLLIN and POLLOUT of poll(2). */
export const POLLIN = 1, POLLOUT = 4;

/**
 * Waits until one of the descriptors can be read, or has hung up; ppoll(2).
 *
 * @param milliseconds how long at the most; -1: for ever
 * @returns the events of each, 0 for none; empty when the time is over
 * @throws {SyscallError}
 */
export function pollFds(
  fds: readonly number[],
  milliseconds = -1,
  events = POLLIN,
): number[] {
  const bytes = new Uint8Array(8 * fds.length);
  const view = new DataView(bytes.buffer);
  fds.forEach((fd, i) => {
    view.setInt32(8 * i, fd, true);
    view.setInt16(8 * i + 4, events, true);
  });
  const time = milliseconds < 0 ? null : new Uint8Array(
    new BigInt64Array([
      BigInt(Math.floor(milliseconds / 1000)),
      BigInt(Math.round(milliseconds % 1000) * 1_000_000),
    ]).buffer,
  );
  if (syscall("ppoll", bytes, fds.length, time, null, 8) === 0) return [];
  return fds.map((_, i) => view.getInt16(8 * i + 6, true));
}

/**
 * Waits until a descriptor can be read, or a process ends, by its pidfd. poll(2)
 * looks at one after the other, and what the process has said just before its end
 * may come between the two.
 *
 * @returns whether there is something to read, and whether the process has ended;
 * neither after that many milliseconds
 */
export function pollUntilEnd(
  fd: number,
  pidfd: number,
  milliseconds = -1,
): { news: boolean; ended: boolean } {
  const [news = 0, end = 0] = pollFds([fd, pidfd], milliseconds);
  const last = news === 0 && end !== 0 && pollFds([fd], 0).length > 0;
  return { news: news !== 0 || last, ended: end !== 0 };
}
