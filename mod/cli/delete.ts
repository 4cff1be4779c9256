/**
 * `rustyrun delete`, what a keeper runs at a container's end, and what a sweep
 * leaves to a process of its own.
 *
 * @module
 */

import "./lifecycle.ts";
import { flagOn } from "../config/flags/use.ts";
import { deleteContainer, runPoststop, sweepNow } from "../container/delete.ts";
import type { Call } from "./call.ts";
import { idsOf } from "./ids.ts";
import { warnTo } from "./report.ts";

/** `rustyrun delete ID`. */
export function remove(call: Call): number {
  const force = flagOn(call.flags, "force");
  const warn = warnTo(call, true);
  for (const id of idsOf(call)) deleteContainer(id, force, call, warn);
  return 0;
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
