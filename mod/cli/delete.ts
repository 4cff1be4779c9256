/**
 * The commands that end containers: kill and delete.
 *
 * @module
 */

import "./lifecycle.ts";
import { flagOn } from "../config/flags/use.ts";
import { deleteEnded } from "../container/ended.ts";
import { killContainer } from "../container/kill.ts";
import { parseSignal } from "../signals.ts";
import type { Call } from "./call.ts";
import { idsOf } from "./ids.ts";
import { load } from "./load.ts";

/** `rustyrun kill ID [SIGNAL]`. */
export async function kill(call: Call): Promise<number> {
  const signal = parseSignal(call.args[1] ?? "TERM");
  const all = flagOn(call.flags, "all");
  for (const id of idsOf(call)) {
    let hidden = false;
    killContainer(call.root, id, signal, all, () => hidden = true);
    if (!hidden) continue;
    const rest = await load<typeof import("./delete_rest.ts")>("delete_rest");
    rest.killHidden(call, id, all);
  }
  return 0;
}

/** `rustyrun delete ID`. */
export async function remove(call: Call): Promise<number> {
  for (const id of idsOf(call)) {
    if (deleteEnded(call.root, id)) continue;
    const rest = await load<typeof import("./delete_rest.ts")>("delete_rest");
    rest.remove(call, id);
  }
  return 0;
}
