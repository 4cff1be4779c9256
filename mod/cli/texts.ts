/**
 * The commands that only print a text: help, version, completions, man.
 *
 * @module
 */

import { SPEC_VERSION, VERSION } from "../version.ts";
import type { Call } from "./call.ts";
import { printStdout } from "./report.ts";

/** `rustyrun help`, and `--help` anywhere. */
export async function help(call: Call): Promise<number> {
  const { formatHelp } = await import("./help.ts");
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
export async function completions(call: Call): Promise<number> {
  const { formatCompletions } = await import("./completions.ts");
  printStdout(call, formatCompletions(call.args[0] ?? ""));
  return 0;
}

/** `rustyrun man`: the manual page as roff. */
export async function man(call: Call): Promise<number> {
  const { formatMan } = await import("./man.ts");
  printStdout(call, formatMan(VERSION));
  return 0;
}
