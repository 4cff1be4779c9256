/**
 * Waits for whatever lasts: ends of processes, and pipes. One thread sits in one
 * epoll(7) for all of them; a descriptor is armed by the program's own thread, so
 * nothing is asked of the other one and nothing is looked at by the clock.
 *
 * @module
 */

import { armEpoll, disarmEpoll, makeEpoll } from "../../ffi/epoll.ts";
import { startThread, type Thread } from "./threads.ts";

interface Wait {
  fd: number;
  done: (events: number) => void;
  /** The program is kept alive for it. */
  counts: boolean;
}

const waits = new Map<number, Wait>();
/** The wait for each descriptor: one at a time. */
const keys = new Map<number, number>();
/** Those that the epoll knows. */
const known = new Set<number>();
let next = 1;
let counted = 0;
let epoll = -1;
let thread: Thread | undefined;

function hear(message: unknown): void {
  const found = message as Uint32Array;
  for (let at = 0; at < found.length; at += 2) {
    settle(found[at]!, found[at + 1]!);
  }
}

function settle(key: number, events: number): void {
  const wait = waits.get(key);
  // It was forgotten meanwhile.
  if (wait === undefined) return;
  waits.delete(key);
  keys.delete(wait.fd);
  if (wait.counts && --counted === 0) thread!.unref();
  wait.done(events);
}

/**
 * Waits until something can be done with a descriptor. Before it is closed, it is
 * to be forgotten.
 *
 * @param events bits of EPOLL
 * @param counts whether the program stays alive for it
 * @returns what can be done; 0: it was forgotten
 */
export function untilReady(
  fd: number,
  events: number,
  counts = true,
): Promise<number> {
  if (thread === undefined) {
    epoll = makeEpoll();
    thread = startThread(
      new URL("./watcher_thread.ts", import.meta.url),
      hear,
      epoll,
    );
  }
  return new Promise((done) => {
    const key = next++;
    if (next > 0xffff_ffff) next = 1;
    waits.set(key, { fd, done, counts });
    keys.set(fd, key);
    if (counts && counted++ === 0) thread!.ref();
    armEpoll(epoll, fd, events, key, known.has(fd));
    known.add(fd);
  });
}

/** Ends the wait for a descriptor that is about to be closed. One that was never
 * waited for is fine. */
export function forget(fd: number): void {
  if (!known.delete(fd)) return;
  disarmEpoll(epoll, fd);
  const key = keys.get(fd);
  if (key !== undefined) settle(key, 0);
}
