/**
 * The commands that only print a text: help, version, completions, man. And what
 * is said of a command line that makes no sense.
 *
 * @module
 */

import "./common.ts";
import "./common.ts";
import { SPEC_VERSION, VERSION } from "../version.ts";
import type { Call } from "./call.ts";
import { formatCompletions } from "./completions.ts";
import { formatHelp } from "./help.ts";
import { formatMan } from "./man.ts";
import { printStdout } from "./report.ts";

export * as usageWords from "./usage_error.ts";

/** `rustyrun help`, and `--help` anywhere. */
export function help(call: Call): number {
  printStdout(call, formatHelp(call.args[0]));
  return 0;
}

/** `rustyrun --version`: runc's lines, which dockerd and go-runc take apart. */
export function version(call: Call): number {
  printStdout(
    call,
    `rustyrun version ${VERSION}\nspec: ${SPEC_VERSION}\ndeno: ${Deno.version.deno}\n`,
  );
  return 0;
}

/** `rustyrun completions SHELL`. */
export function completions(call: Call): number {
  printStdout(call, formatCompletions(call.args[0] ?? ""));
  return 0;
}

/** `rustyrun man`: the manual page as roff. */
export function man(call: Call): number {
  printStdout(call, formatMan(VERSION));
  return 0;
}
