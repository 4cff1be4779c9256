/**
 * The engine's threads, seen from the program: a few workers, each of which does
 * one call at a time. They start when they are needed, and keep no program alive
 * that has nothing asked of them.
 *
 * @module
 */

import { ContainerError } from "../errors.ts";
import type {
  Answer,
  CallArgs,
  CallName,
  CallResult,
  Failure,
} from "./engine/calls.ts";
import { startThread, type Thread } from "./threads.ts";

/** At most as many threads: a call waits for the kernel more than it computes. */
const THREADS = Math.min(8, Math.max(2, navigator.hardwareConcurrency));

interface Waiting {
  message: [number, CallName, unknown[]];
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
}

interface Worker {
  thread: Thread;
  /** What it does. */
  call: Waiting | undefined;
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

const workers: Worker[] = [];
const queue: Waiting[] = [];
let next = 1;

function startWorker(): Worker {
  const worker: Worker = {
    thread: startThread(
      new URL("./engine/thread.ts", import.meta.url),
      (message) => finish(worker, message as Answer),
    ),
    call: undefined,
  };
  workers.push(worker);
  return worker;
}

function finish(worker: Worker, message: Answer): void {
  const { call } = worker;
  worker.call = undefined;
  worker.thread.unref();
  if ("failure" in message) call?.reject(toError(message.failure));
  else call?.resolve(message.result);
  const waiting = queue.shift();
  if (waiting !== undefined) give(worker, waiting);
}

function give(worker: Worker, call: Waiting): void {
  worker.call = call;
  worker.thread.ref();
  try {
    worker.thread.post(call.message);
  } catch (cause) {
    // Functions and the like do not go to another thread. This one is idle again.
    finish(worker, {
      id: call.message[0],
      failure: {
        message: `Cannot use the options of ${call.message[1]}(): ${
          cause instanceof Error ? cause.message : cause
        }`,
        code: "invalid-option",
        hint: "See docs/library.md for what each option takes",
        suppressed: [],
      },
    });
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
  return new Promise((resolve, reject) => {
    const call: Waiting = {
      message: [next++, name, args],
      resolve: resolve as (result: unknown) => void,
      reject,
    };
    const idle = workers.find((it) => it.call === undefined) ??
      (workers.length < THREADS ? startWorker() : undefined);
    if (idle === undefined) queue.push(call);
    else give(idle, call);
  });
}
