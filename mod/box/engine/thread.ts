/**
 * A thread of the engine: it does one call after the other. The entry of a worker.
 *
 * @module
 */

import { parentPort } from "node:worker_threads";
import { HelperError, unpackHelper } from "../../../ffi/helper.ts";
import { ContainerError } from "../../errors.ts";
import { wordForProgram } from "../words.ts";
import { CallLeft } from "../../outlet.ts";
import {
  type Answer,
  CALLS,
  type Failure,
  GIVEN_UP,
  type Message,
} from "./calls.ts";
import { callWithEnd } from "./place.ts";

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
  if (error instanceof CallLeft) {
    return { message: error.message, code: GIVEN_UP, suppressed: [] };
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

function answer([id, name, args, abort]: Message): Answer {
  try {
    const call = CALLS[name] as (...args: unknown[]) => unknown;
    return { id, result: callWithEnd(abort, () => call(...args)) };
  } catch (error) {
    return { id, failure: toFailure(error) };
  }
}

const unpacked = unpackHelper();
// Each call has its failure to answer with.
unpacked.catch(() => {});

parentPort!.on("message", async (message: Message) => {
  try {
    await unpacked;
  } catch (error) {
    const [id] = message;
    return parentPort!.postMessage({ id, failure: toFailure(error) });
  }
  parentPort!.postMessage(answer(message));
});
