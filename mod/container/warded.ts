/**
 * The host's part of a container in the foreground that has its warden: what it
 * says to it, and how it gives up.
 *
 * @module
 */

import { closeFd, trySyscall, waitProcess } from "../../ffi/libc.ts";
import type { PlanRun } from "../process.ts";

/** A plan that runs, and the socket of its warden. */
export interface Warded {
  run: PlanRun;
  control: number;
}

/** Tells the warden whose the cgroups are: "C" ours, "N" not (c/warden.c). */
export function tellWarden(control: number, letter: "C" | "N"): void {
  trySyscall("write", control, new TextEncoder().encode(letter), 1);
}

/** Gives up; the warden removes everything that there is already.
 *
 * @returns whether it has; something may have killed it */
export function abandon({ run, control }: Warded): boolean {
  run.abort();
  closeFd(control);
  return waitProcess(run.helper) === 0;
}
