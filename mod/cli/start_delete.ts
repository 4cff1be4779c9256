/**
 * `rustyrun start`, `rustyrun delete`, and what a keeper runs at a container's
 * end.
 *
 * @module
 */

import "./lifecycle.ts";
import { flagOn } from "../config/flags/use.ts";
import { deleteContainer, runPoststop } from "../container/delete.ts";
import { startContainer, StartError } from "../container/start.ts";
import type { Call } from "./call.ts";
import { idsOf } from "./ids.ts";
import { load } from "./load.ts";
import { warnTo } from "./report.ts";

/** `rustyrun start ID`. */
export async function start(call: Call): Promise<number> {
  try {
    startContainer(call.args[0]!, call);
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    const { wordStart } = await load<typeof import("./exec.ts")>("exec");
    throw wordStart(error, call);
  }
  return 0;
}

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
