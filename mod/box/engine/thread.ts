/**
 * A thread of the engine: it does one call after the other. The entry of a worker.
 *
 * @module
 */

import { parentPort } from "node:worker_threads";
import { ContainerError } from "../../errors.ts";
import { type Answer, type CallName, CALLS, type Failure } from "./calls.ts";

function toFailure(error: unknown): Failure {
  if (error instanceof ContainerError) {
    const { message, code, hint, exitCode, suppressed } = error;
    return {
      message,
      code,
      hint,
      exitCode,
      suppressed: suppressed.map(toFailure),
    };
  }
  return error instanceof Error
    ? { message: error.message, stack: error.stack, suppressed: [] }
    : { message: String(error), suppressed: [] };
}

function answer(id: number, name: CallName, args: unknown[]): Answer {
  try {
    const call = CALLS[name] as (...args: unknown[]) => unknown;
    return { id, result: call(...args) };
  } catch (error) {
    return { id, failure: toFailure(error) };
  }
}

parentPort!.on("message", (message: [number, CallName, unknown[]]) => {
  parentPort!.postMessage(answer(...message));
});
