/**
 * How long a container may run, and who is told how it ended: what the process
 * that stays with it in the foreground watches.
 *
 * @module
 */

import { flagOn, type Flags, flagTyped, flagValue, refuse } from "./use.ts";
import { parseDuration, parseSize } from "./numbers.ts";
import { readResultFd } from "./result_fd.ts";

/** What is watched. */
export interface Bounds {
  /** --timeout: milliseconds from the command's start, and the flag as typed. */
  timeout?: { ms: number; typed: string };
  /** --max-output: bytes of standard output and error together. */
  maxOutput?: { bytes: number; typed: string };
  /** --result-fd: the caller's descriptor that gets the result. */
  resultFd?: number;
}

/**
 * Returns what the flags say.
 *
 * @param attended whether somebody of rustyrun's stays with the container
 * @throws {ContainerError} for a value that is none, and for what nobody would
 * be there to do
 */
export function readBounds(flags: Flags, attended: boolean): Bounds {
  const bounds: Bounds = {};
  const text = flagValue(flags, "timeout");
  if (text !== undefined) {
    const typed = flagTyped(flags, "timeout");
    // A number alone is seconds, as with timeout(1) and podman.
    const seconds = /^\d+(\.\d+)?$/.test(text) ? "s" : "";
    const ms = Math.ceil(parseDuration(text + seconds) ?? NaN);
    if (!(ms > 0 && ms <= Number.MAX_SAFE_INTEGER)) {
      throw refuse(
        typed,
        ms === 0 ? "it leaves no time to run" : `"${text}" is not a duration`,
        "timeout",
        ms === 0
          ? "Leave --timeout out for no limit"
          : "Write a number and a unit: 500ms, 30s, 5m, 1h30m",
      );
    }
    if (!attended) {
      throw refuse(
        typed,
        "nobody of rustyrun's stays with the container to end it",
        "timeout",
        "Leave --detach out, or end it by rustyrun kill",
      );
    }
    bounds.timeout = { ms, typed };
  }
  const size = flagValue(flags, "max-output");
  if (size !== undefined) {
    const typed = flagTyped(flags, "max-output");
    const bytes = parseSize(size);
    if (bytes === undefined) {
      throw refuse(
        typed,
        `"${size}" is not a size`,
        "max-output",
        "Write a number and a unit: 512k, 1m, 1.5g",
      );
    }
    if (flagOn(flags, "detach")) {
      throw refuse(
        typed,
        "with --detach nothing of the output is kept",
        "max-output",
        "Leave --detach out, or limit the file that it writes: --ulimit fsize=BYTES",
      );
    }
    bounds.maxOutput = { bytes, typed };
  }
  if (flags.has("result-fd")) {
    const typed = flagTyped(flags, "result-fd");
    const fd = readResultFd(flags);
    if (fd === undefined) {
      throw refuse(
        typed,
        `"${
          flagValue(flags, "result-fd")
        }" is not the number of a descriptor from 3 on`,
        "result-fd",
        "0 to 2 are the command's: open another one, as with 3>FILE in a shell",
      );
    }
    if (flagOn(flags, "detach")) {
      throw refuse(
        typed,
        "with --detach nobody waits for the result",
        "result-fd",
        "Leave --detach out, or ask for the exit code by rustyrun wait ID",
      );
    }
    bounds.resultFd = fd;
  }
  return bounds;
}

/**
 * Checks that what is to be counted comes by a pipe.
 *
 * @param terminal whether the command gets a terminal
 * @throws {ContainerError} when it does: its bytes are for a person
 */
export function checkMaxOutput({ maxOutput }: Bounds, terminal: boolean): void {
  if (maxOutput === undefined || !terminal) return;
  throw refuse(
    maxOutput.typed,
    "the command writes to a terminal",
    "max-output",
    "Leave -t (process.terminal) out: a terminal is for somebody who looks on",
  );
}
