/**
 * The containers that a command's words mean.
 *
 * @module
 */

import { flagOn } from "../config/flags/use.ts";
import { listStates } from "../container/status.ts";
import { ContainerError } from "../errors.ts";
import type { Call } from "./call.ts";

/** The ids that a command means: one, or those that a regular expression
 * matches. */
export function idsOf(call: Call): string[] {
  const id = call.args[0]!;
  if (!flagOn(call.flags, "regex")) return [id];
  let pattern: RegExp;
  try {
    pattern = new RegExp(id);
  } catch (cause) {
    throw new ContainerError(
      `Cannot use "${id}" as a regular expression: ${
        cause instanceof Error ? cause.message : cause
      }`,
      { code: "regex", hint: "Leave --regex out for an id", cause },
    );
  }
  return listStates(call.root).map((it) => it.id)
    .filter((it) => pattern.test(it));
}
