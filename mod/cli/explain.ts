/**
 * `--explain`: prints what would be done, and does nothing.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { flagOn } from "../config/flags/use.ts";
import { prepare } from "../container/launch/prepare.ts";
import { addWarden } from "../container/launch/warden.ts";
import { explainPlan, formatExplanation } from "../explain.ts";
import type { Facts } from "../host.ts";
import type { Call } from "./call.ts";
import { printStdout } from "./report.ts";
import type { Gate } from "../container/model.ts";

/** Explains a configuration; returns the exit code. */
export function explain(
  config: Config,
  facts: Facts,
  call: Call,
  gate: Gate = "keeper",
): number {
  const prepared = prepare(config, facts, {
    place: call,
    gate,
    token: "00000000",
  });
  if (gate === "keeper") addWarden(prepared, call, ["state"]);
  const { steps, cgroup, resctrl, warnings } = prepared;
  const lines = explainPlan(
    steps,
    cgroup,
    config,
    resctrl,
    warnings.map((it) => it.message),
  );
  printStdout(
    call,
    flagOn(call.flags, "json")
      ? JSON.stringify(lines) + "\n"
      : formatExplanation(lines),
  );
  return 0;
}
