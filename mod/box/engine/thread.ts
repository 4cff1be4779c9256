/**
 * A thread of the engine: it does one call after the other. The entry of a worker.
 *
 * @module
 */

import { parentPort } from "node:worker_threads";
import { HelperError, unpackHelper } from "../../../ffi/helper.ts";
import { ContainerError } from "../../errors.ts";
import { wordForProgram } from "../words.ts";
import { type Answer, type CallName, CALLS, type Failure } from "./calls.ts";

function toFailure(error: unknown): Failure {
  if (error instanceof ContainerError) {
    const { message, code, hint, exitCode, suppressed } = error;
    return {
      message: wordForProgram(message),
      code,
      hint: hint === undefined ? hint : wordForProgram(hint),
      exitCode,
      suppressed: suppressed.map(toFailure),
    };
  }
  if (error instanceof HelperError) {
    return {
      message: error.message,
      code: `helper-${error.reason}`,
      hint: "Load the package anew: deno cache --reload",
      suppressed: [],
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

const unpacked = unpackHelper();
// Each call has its failure to answer with.
unpacked.catch(() => {});

parentPort!.on("message", async (message: [number, CallName, unknown[]]) => {
  const [id, name, args] = message;
  try {
    await unpacked;
  } catch (error) {
    return parentPort!.postMessage({ id, failure: toFailure(error) });
  }
  parentPort!.postMessage(answer(id, name, args));
});
