/**
 * The engine's threads, seen from the program: a few workers, each of which does
 * one call at a time. They start when they are needed, and keep no program alive
 * that has nothing asked of them.
 *
 * A container may hold what enters it, and with that the thread that waits for it
 * (a process of it stops the helper, SIGSTOP). So few calls of one container are
 * done at once, and a call that lasts has a thread beside those that work.
 *
 * @module
 */

import { makeEvent, ringEvent } from "../../ffi/event.ts";
import { closeFd } from "../../ffi/libc.ts";
import { ContainerError } from "../errors.ts";
import {
  type Answer,
  type CallArgs,
  type CallName,
  type CallResult,
  type Failure,
  GIVEN_UP,
  type Message,
} from "./engine/calls.ts";
import { startThread, type Thread } from "./threads.ts";

/** As many threads work: a call waits for the kernel more than it computes. */
const THREADS = Math.min(8, Math.max(2, navigator.hardwareConcurrency));
/** Starts in one container at once, and calls about its files: no more threads are
 * held by it. */
const EACH = 2;
/** How long a call lasts before another thread works in its place, in
 * milliseconds: on a busy machine that is one thread more, and no harm. */
const HELD_MS = 500;

/** How a call is asked for that a container may hold. */
export interface Held {
  /** What may hold it: the starts, or the files, of a container; absent where that
   * is not there yet. */
  of?: string;
  /** Ends the call, which rejects with its reason. */
  signal?: AbortSignal;
  /** It is done, or would be if others were not held there. */
  begun?: () => void;
}

interface Waiting {
  message: Message;
  /** Who has called, as a stack that is made when somebody reads it. */
  from: { stack?: string };
  held: Held;
  /** Hears of the signal. */
  abort: () => void;
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
}

interface Worker {
  thread: Thread;
  /** What it does, and since when. */
  call: Waiting | undefined;
  since: number;
}

/** Everything that goes wrong in the library is a ContainerError: with the code
 * "internal" what is a bug in rustyrun. */
function toError(failure: Failure): ContainerError {
  const { message, code = "internal", hint, exitCode, stack } = failure;
  const error = new ContainerError(
    failure.code === undefined ? `Cannot go on: ${message}` : message,
    {
      code,
      hint: failure.code === undefined
        ? "This is a bug in rustyrun: please report it with the cause's stack"
        : hint,
      exitCode,
      ...(stack === undefined ? {} : { cause: stack }),
    },
  );
  error.suppressed.push(...failure.suppressed.map(toError));
  return error;
}

/** Where the library's own files are, in a stack. */
const OWN = import.meta.url.slice(0, import.meta.url.lastIndexOf("/"));

function whoCalls(): { stack?: string } {
  const from = {};
  Error.captureStackTrace(from, whoCalls);
  return from;
}

/** Gives an error of the engine's thread the stack of who has called, for it is
 * what Deno prints of an error that nobody catches: with the hint, and without the
 * library's lines. */
function traceTo(
  { stack = "" }: { stack?: string },
  error: ContainerError,
): ContainerError {
  const all = stack.split("\n").slice(1);
  const theirs = all.filter((it) => !it.includes(OWN));
  // In a program that is one file with the library, all are.
  const lines = theirs.length > 0 ? theirs : all;
  const { name, message, hint } = error;
  const told = hint === undefined ? "" : `\n  hint: ${hint}`;
  error.stack = [`${name}: ${message}${told}`, ...lines].join("\n");
  return error;
}

let workers: Worker[] = [];
const queue: Waiting[] = [];
let next = 1;
let ticking = false;

const isHeld = ({ call, since }: Worker) =>
  call !== undefined && performance.now() - since >= HELD_MS;

/** @returns how many threads work, or could */
const countWorking = () => workers.filter((it) => !isHeld(it)).length;

function startWorker(): Worker {
  const worker: Worker = {
    thread: startThread(
      new URL("./engine/thread.ts", import.meta.url),
      (message) => finish(worker, message as Answer),
    ),
    call: undefined,
    since: 0,
  };
  workers.push(worker);
  return worker;
}

/** The calls that are being done there. */
const callsOf = (of: string) => workers.filter((it) => it.call?.held.of === of);

/** Whether too much is done there already. */
const isFull = ({ of }: Held) => of !== undefined && callsOf(of).length >= EACH;

/** Takes the next call that may be done. */
function takeNext(): Waiting | undefined {
  const at = queue.findIndex((it) => !isFull(it.held));
  return at < 0 ? undefined : queue.splice(at, 1)[0];
}

function finish(worker: Worker, message: Answer): void {
  const { call } = worker;
  worker.call = undefined;
  worker.thread.unref();
  if (call !== undefined) settle(call, message);
  const waiting = takeNext();
  if (waiting !== undefined) return give(worker, waiting);
  if (countWorking() <= THREADS) return;
  workers = workers.filter((it) => it !== worker);
  worker.thread.end();
}

function settle(call: Waiting, message: Answer): void {
  const { message: [, , , abort], held: { signal } } = call;
  signal?.removeEventListener("abort", call.abort);
  if (abort >= 0) closeFd(abort);
  if (!("failure" in message)) call.resolve(message.result);
  else if (message.failure.code === GIVEN_UP) call.reject(signal?.reason);
  else call.reject(traceTo(call.from, toError(message.failure)));
}

function give(worker: Worker, call: Waiting): void {
  const { message, held } = call;
  worker.call = call;
  worker.since = performance.now();
  worker.thread.ref();
  try {
    if (held.signal !== undefined) message[3] = makeEvent();
    worker.thread.post(message);
    held.begun?.();
  } catch (cause) {
    // Functions and the like do not go to another thread. This one is idle again.
    finish(worker, {
      id: message[0],
      failure: {
        message: `Cannot use the options of ${message[1]}(): ${
          cause instanceof Error ? cause.message : cause
        }`,
        code: "invalid-option",
        hint: "See docs/library.md for what each option takes",
        suppressed: [],
      },
    });
  }
}

/** Sees to it, while calls wait, that as many threads work as should: one more at
 * a time. */
function tick(): void {
  ticking = false;
  const call = countWorking() < THREADS ? takeNext() : undefined;
  if (call !== undefined) give(startWorker(), call);
  for (const { held } of queue) {
    if (isFull(held) && callsOf(held.of!).every(isHeld)) held.begun?.();
  }
  tickLater();
}

function tickLater(): void {
  if (ticking || queue.length === 0) return;
  ticking = true;
  setTimeout(tick, HELD_MS);
}

/** Gives a call up. */
function abort(call: Waiting): void {
  const at = queue.indexOf(call);
  if (at >= 0) {
    queue.splice(at, 1);
    call.reject(call.held.signal!.reason);
  } else {
    ringEvent(call.message[3]);
  }
}

/**
 * Asks the engine.
 *
 * @throws {ContainerError} as the call does
 */
export function callEngine<K extends CallName>(
  name: K,
  ...args: CallArgs<K>
): Promise<CallResult<K>> {
  return callHeld({}, name, ...args);
}

/**
 * Asks the engine for what a container may hold.
 *
 * @throws {ContainerError} as the call does; the signal's reason
 */
export function callHeld<K extends CallName>(
  held: Held,
  name: K,
  ...args: CallArgs<K>
): Promise<CallResult<K>> {
  const from = whoCalls();
  return new Promise((resolve, reject) => {
    held.signal?.throwIfAborted();
    const call: Waiting = {
      message: [next++, name, args, -1],
      from,
      held,
      abort: () => abort(call),
      resolve: resolve as (result: unknown) => void,
      reject,
    };
    held.signal?.addEventListener("abort", call.abort);
    const idle = isFull(held)
      ? undefined
      : workers.find((it) => it.call === undefined) ??
        (countWorking() < THREADS ? startWorker() : undefined);
    if (idle !== undefined) return give(idle, call);
    queue.push(call);
    tickLater();
  });
}
