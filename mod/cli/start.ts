/**
 * `rustyrun start`.
 *
 * @module
 */

import "./lifecycle.ts";
import { startContainer, StartError } from "../container/start.ts";
import type { Call } from "./call.ts";
import { load } from "./load.ts";

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
