/**
 * `rustyrun delete`.
 *
 * @module
 */

import "./lifecycle.ts";
import { deleteEnded } from "../container/ended.ts";
import type { Call } from "./call.ts";
import { idsOf } from "./ids.ts";
import { load } from "./load.ts";

/** `rustyrun delete ID`. */
export async function remove(call: Call): Promise<number> {
  for (const id of idsOf(call)) {
    if (deleteEnded(call.root, id)) continue;
    const rest = await load<typeof import("./delete_rest.ts")>("delete_rest");
    rest.remove(call, id);
  }
  return 0;
}
