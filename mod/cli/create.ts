/**
 * `rustyrun create`.
 *
 * @module
 */

import "./delete.ts";
import "./start.ts";
import { flagOn } from "../config/flags/use.ts";
import { configFromBundle } from "../config/from_bundle.ts";
import { createContainer } from "../container/create.ts";
import { checkTerminal } from "../container/properties/handover.ts";
import { gatherFacts } from "../host.ts";
import { HelperDied, OperationError } from "../process.ts";
import { type Call, needProcessFor, refuseSharedCache } from "./call.ts";
import { load } from "./load.ts";
import { warnTo } from "./report.ts";

/** `rustyrun create ID`. */
export async function create(call: Call): Promise<number> {
  const config = configFromBundle(call, call.caller);
  const facts = gatherFacts(call.caller);
  if (flagOn(call.flags, "explain")) {
    const { explain } = await load<typeof import("./rare.ts")>("rare");
    return explain(config, facts, call, "fifo");
  }
  needProcessFor(call, config);
  refuseSharedCache();
  checkTerminal(config, { caller: call.caller, detached: true });
  try {
    createContainer(config, facts, call, warnTo(call));
  } catch (error) {
    if (!(error instanceof OperationError || error instanceof HelperDied)) {
      throw error;
    }
    const { wordPlanError } = await load<typeof import("./exec.ts")>("exec");
    throw wordPlanError(error, config, facts);
  }
  return 0;
}
