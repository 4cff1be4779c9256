/**
 * `rustyrun delete` where more is left than most leave, what a keeper runs at a
 * container's end, and what a sweep leaves to a process of its own.
 *
 * @module
 */

import "./lifecycle.ts";
import { flagOn } from "../config/flags/use.ts";
import { deleteContainer, runPoststop, sweepNow } from "../container/delete.ts";
import type { Call } from "./call.ts";
import { warnTo } from "./report.ts";

/** `rustyrun delete ID`, where more is left than most leave. */
export function remove(call: Call, id: string): void {
  const force = flagOn(call.flags, "force");
  deleteContainer(id, force, call, warnTo(call, true));
}

/** `rustyrun poststop ID`: what a keeper runs at the end. */
export function poststop(call: Call): number {
  runPoststop(call.root, call.args[0]!, warnTo(call, true));
  return 0;
}

/** `rustyrun sweep ID...`: what is left of containers with poststop hooks. */
export function sweep(call: Call): number {
  for (const id of call.args) sweepNow(id, call, warnTo(call, true));
  return 0;
}
