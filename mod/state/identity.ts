/**
 * Which process a state means: a pid alone may be another one's after a reboot,
 * or when pids have gone round.
 *
 * @module
 */

import { readKernel } from "../host/kernel.ts";
import type { State, StateProcess } from "../state.ts";

/** Start time of a process (field 22 of /proc/PID/stat) and its state letter;
 * undefined when it is gone. */
export function readProcess(
  pid: number,
): { startTime: string; letter: string } | undefined {
  let text: string;
  try {
    text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    // ESRCH: it went while we read.
    if (error instanceof Error && error.message.includes("os error 3")) {
      return undefined;
    }
    throw error;
  }
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { letter: fields[0] ?? "?", startTime: fields[19] ?? "" };
}

let boot: string | undefined;

/** This boot's id. */
export function bootId(): string {
  return boot ??= readKernel("random/boot_id");
}

/** What a new state says of its container's first process, which is there. */
export function describeProcess(pid: number): StateProcess {
  return {
    pid,
    startTime: readProcess(pid)?.startTime ?? "",
    bootId: bootId(),
    created: new Date().toISOString(),
  };
}

/** Says whether a state's first process is there: same boot, same pid, same
 * start time, and no zombie. */
export function isAlive(state: State): boolean {
  if (state.bootId !== bootId()) return false;
  const now = readProcess(state.pid);
  return now !== undefined && now.startTime === state.startTime &&
    now.letter !== "Z" && now.letter !== "X";
}
