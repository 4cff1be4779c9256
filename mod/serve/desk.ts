/**
 * The process that listens: it hands each connection to a worker that is free,
 * starts another when all are busy, ends those that nobody needs, and itself
 * when nobody calls. It reads nothing of what is asked.
 *
 * @module
 */

import { SyscallError } from "../../ffi/errno.ts";
import { ContainerError } from "../errors.ts";
import { closeFd, trySyscall } from "../../ffi/libc.ts";
import { pollFds } from "../../ffi/poll.ts";
import { acceptPackets, unblock } from "../../ffi/listening.ts";
import { packetPair, receivePacket, sendWithFds } from "../../ffi/packets.ts";
import { encodeRecord, VERB } from "./protocol.ts";

/** What the desk goes by. */
export interface DeskOptions {
  /** The listening socket. */
  listener: number;
  /** Starts a worker with this socket to the desk. */
  start(socket: number): void;
  /** Whether the program is still the one that was started; asked at each call. */
  isCurrent(): boolean;
  /** Workers that stay, and workers at most. */
  least: number;
  most: number;
  /** As many may have work at once: beyond them another is started only when those
   * there are do not come to an end with theirs. */
  cpus: number;
  /** Milliseconds without a call after which the engine ends; 0: never. */
  idle: number;
}

/** A worker's socket. */
interface Worker {
  socket: number;
  state: "starting" | "free" | "busy";
  /** When it came into that state. */
  since: number;
}

/** A front that waits for a worker. */
interface Waiting {
  front: number;
  since: number;
}

/** Milliseconds that a worker which need not stay is kept without a call. */
const SPARE_MS = 20_000;
/** Milliseconds without a worker that became free after which a call is done cold:
 * it is held there, as those before it are. While one after the other comes to its
 * end, to wait for its turn takes less of the machine than a cold start. */
const PATIENCE_MS = 400;
/** Milliseconds after which another worker is started though every CPU has one. A
 * new one takes more CPU time for its start, and for its first calls, than some
 * dozen calls of the others. */
const STALL_MS = 50;

/** As many workers may end at their start before the engine does. */
const FAILED_MAX = 3;

const QUEUED = encodeRecord(VERB.queued);
const COLD = encodeRecord(VERB.cold);
/** What a worker says when it can take a call, and the desk with a call; alone it
 * lets the worker go. */
const WORD = new Uint8Array([1]);

/** Tells the desk that this worker is free.
 *
 * @returns false when there is no desk any more */
export function sayFree(desk: number): boolean {
  return trySend(desk, WORD);
}

/** @returns false when nobody is at the other end */
function trySend(
  socket: number,
  bytes: Uint8Array,
  fds?: readonly number[],
): boolean {
  try {
    sendWithFds(socket, bytes, fds);
    return true;
  } catch (error) {
    if (error instanceof SyscallError && error.code === "EPIPE") return false;
    throw error;
  }
}

class Desk {
  readonly #options: DeskOptions;
  #workers: Worker[] = [];
  #queue: Waiting[] = [];
  /** Workers that have ended at their start, one after the other. */
  #failed = 0;
  /** When there was something to do. */
  #last = performance.now();
  /** When a worker became free. */
  #freed = 0;

  constructor(options: DeskOptions) {
    this.#options = options;
    unblock(options.listener);
  }

  /** Serves until nobody calls, or the program is another one. */
  run(): void {
    const { listener, isCurrent } = this.#options;
    for (;;) {
      const now = performance.now();
      if (this.#isIdle(now)) return;
      this.#tend(now);
      const [called, ...heard] = pollFds(
        [listener, ...this.#workers.map((it) => it.socket)],
        this.#next(now),
      );
      [...this.#workers].forEach((it, i) => {
        if (heard[i]) this.#hear(it);
      });
      // Had one become free by then, it would be heard: this process may have had
      // no turn for a while.
      if (!heard.some(Boolean)) this.#relieve(now);
      if (called) this.#accept();
      this.#serve();
      // Behind the hand-over, so that no call waits for it: a worker looks itself.
      if (called && !isCurrent()) return;
    }
  }

  /** Lets everybody go: a worker ends after its call. */
  close(): void {
    for (const { front } of this.#queue) this.#refuse(front);
    for (const { socket } of this.#workers) closeFd(socket);
  }

  #refuse(front: number): void {
    trySend(front, COLD);
    closeFd(front);
  }

  #isIdle(now: number): boolean {
    const { idle } = this.#options;
    return idle > 0 && now - this.#last >= idle && this.#queue.length === 0 &&
      this.#workers.every((it) => it.state !== "busy");
  }

  /** Does something for who waits while nobody becomes free.
   *
   * @param now before it was looked whether somebody is */
  #relieve(now: number): void {
    const at = this.#wantsMoreAt;
    if (at !== undefined && now >= at) this.#add(now);
    while (this.#queue.length > 0 && now - this.#stuckSince >= PATIENCE_MS) {
      this.#refuse(this.#queue.shift()!.front);
    }
  }

  /** Since when the first call in the queue has seen no worker become free. */
  get #stuckSince(): number {
    return Math.max(this.#queue[0]?.since ?? Infinity, this.#freed);
  }

  /** When another worker is started for who waits; undefined: not at all. */
  get #wantsMoreAt(): number | undefined {
    const { cpus, most } = this.#options;
    const count = this.#workers.length;
    if (
      this.#queue.length === 0 || count >= most ||
      this.#workers.some((it) => it.state === "starting")
    ) return undefined;
    return count < cpus ? 0 : this.#stuckSince + STALL_MS;
  }

  /** Starts those who stay, and lets one go who is not needed. */
  #tend(now: number): void {
    // Reaps those that have ended.
    while (trySyscall("wait4", -1, null, 1, null) > 0);
    const { least } = this.#options;
    while (this.#workers.length < least) this.#add(now);
    const spare = this.#workers.findLast((it) =>
      it.state === "free" && now - it.since >= SPARE_MS
    );
    if (this.#workers.length > least && spare) {
      trySend(spare.socket, WORD);
      this.#remove(spare);
    }
  }

  /** How long there is nothing to do, in milliseconds. */
  #next(now: number): number {
    const { idle, least } = this.#options;
    const ends = [
      ...(idle > 0 ? [this.#last + idle] : []),
      ...(this.#queue.length > 0 ? [this.#stuckSince + PATIENCE_MS] : []),
      ...[this.#wantsMoreAt].filter((it) => it !== undefined),
      ...(this.#workers.length > least
        ? this.#workers.filter((it) => it.state === "free")
          .map((it) => it.since + SPARE_MS)
        : []),
    ];
    return ends.length === 0
      ? -1
      : Math.max(1, Math.ceil(Math.min(...ends) - now));
  }

  #add(since: number): void {
    const [socket, theirs] = packetPair();
    this.#workers.push({ socket, state: "starting", since });
    this.#options.start(theirs);
    closeFd(theirs);
  }

  #remove(worker: Worker): void {
    closeFd(worker.socket);
    this.#workers = this.#workers.filter((it) => it !== worker);
  }

  /** A worker is free, or has ended. */
  #hear(worker: Worker): void {
    const { state } = worker;
    this.#last = worker.since = performance.now();
    if (receivePacket(worker.socket, new Uint8Array(1)) !== undefined) {
      worker.state = "free";
      this.#freed = worker.since;
      this.#failed = 0;
      return;
    }
    this.#remove(worker);
    // One may have been killed; else the next one would end as well.
    if (state === "starting" && ++this.#failed === FAILED_MAX) {
      throw new ContainerError(
        "Cannot serve: the processes of the engine end at their start",
        { code: "serve", hint: "What it has said stands above" },
      );
    }
  }

  #accept(): void {
    const since = this.#last = performance.now();
    for (;;) {
      const front = acceptPackets(this.#options.listener);
      if (front === undefined) return;
      this.#queue.push({ front, since });
      // Its first word must come soon.
      this.#serve();
      if (this.#queue.length === 0) continue;
      if (this.#isHeld(since)) this.#refuse(this.#queue.pop()!.front);
      else trySend(front, QUEUED);
    }
  }

  /** Whether nobody is likely to be free soon: a container may hold the exec that
   * a worker serves. */
  #isHeld(now: number): boolean {
    return this.#workers.length >= this.#options.most &&
      this.#workers.every((it) =>
        it.state === "busy" && now - it.since >= PATIENCE_MS
      );
  }

  #serve(): void {
    for (const worker of this.#workers) {
      if (worker.state !== "free") continue;
      const next = this.#queue.shift();
      if (next === undefined) return;
      worker.state = "busy";
      // One that has ended says so by its own socket; then this one is closed.
      trySend(worker.socket, WORD, [next.front]);
      closeFd(next.front);
    }
  }
}

/**
 * Keeps the desk.
 *
 * @returns when nobody has called for a while, or the program has changed
 * @throws {SyscallError}
 */
export function keepDesk(options: DeskOptions): void {
  const desk = new Desk(options);
  try {
    desk.run();
  } finally {
    desk.close();
  }
}
