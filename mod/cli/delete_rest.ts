/**
 * `rustyrun delete` where more is left than most leave, what a keeper runs at a
 * container's end, and what a sweep leaves to a process of its own.
 *
 * @module
 */

import "./lifecycle.ts";
import { flagOn } from "../config/flags/use.ts";
import { deleteContainer, runPoststop, sweepNow } from "../container/delete.ts";
import { killInside } from "../container/kept/reclaim.ts";
import { killContainer } from "../container/kill.ts";
import { findState } from "../container/status.ts";
import type { Call } from "./call.ts";
import { warnTo } from "./report.ts";

const SIGKILL = 9;

/** `rustyrun delete ID`, where more is left than most leave. */
export function remove(call: Call, id: string): void {
  const force = flagOn(call.flags, "force");
  deleteContainer(id, force, call, warnTo(call, true));
}

/** `rustyrun kill ID KILL`, where a user's container has given its cgroup.kill to an
 * id that is not its user's. */
export function killHidden({ root }: Call, id: string, all: boolean): void {
  if (killInside(root, findState(root, id))) return;
  killContainer(root, id, SIGKILL, all);
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
