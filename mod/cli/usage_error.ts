/**
 * What is said of a command line that makes no sense, where it is more than a
 * line: loaded when it is needed.
 *
 * @module
 */

import type { ContainerError } from "../errors.ts";
import type { FlagUse } from "../config/flags/use.ts";
import { findNearest } from "../config/flags/nearest.ts";
import { commandElsewhere, flagElsewhere } from "./elsewhere.ts";
import { findLong, readRow, type Row } from "./flag_row.ts";
import { globalFlags, listCommands } from "./flags.ts";
import { fail } from "./fail.ts";

export { imageMeant, rootfsElsewhere, wordlessElsewhere } from "./elsewhere.ts";

/** Returns the error for a flag that no table has. */
export function unknownFlag(
  word: string,
  rows: readonly Row[],
  globals: readonly Row[],
  command: string,
  uses: ReadonlyMap<string, readonly FlagUse[]>,
  exitCode: number,
): ContainerError {
  const head = word.replace(/=.*$/s, "");
  const name = head.replace(/^--?/, "");
  const of = command === "" ? "" : ` of "${command}"`;
  const why = `unknown flag${of}: ${head}`;
  if (globals !== rows && findLong(globals, name)) {
    return fail(
      why,
      `${head} is a global flag: write it before "${command}"`,
      exitCode,
      "unknown-flag",
    );
  }
  const shown = (command === "" ? [...rows, ...globals] : rows)
    .map(readRow).filter((f) => !f.hidden)
    .flatMap((f) => [f.name, ...f.aliases]);
  const nearest = word.startsWith("--") || name.length > 2
    ? findNearest(name, shown)
    : undefined;
  const help = `rustyrun ${command ? command + " " : ""}--help`;
  const own = uses.has("command")
    ? "Write -- before the command's own words when they begin with a dash"
    : undefined;
  // -p80:80, docker's way to write it
  const letter = /^-[A-Za-z]\d/.test(word) ? name[0]! : name;
  const hint = (word.startsWith("--") ? undefined : own) ??
    flagElsewhere(command, letter) ??
    (nearest === undefined ? own : `The nearest one is --${nearest}`) ??
    `${help} lists the flags`;
  return fail(why, hint, exitCode, "unknown-flag");
}

/** Returns the error for a command that there is not. */
export function unknownCommand(name: string): ContainerError {
  const nearest = findNearest(
    name,
    listCommands().filter((c) => !c.hidden).map((c) => c.name),
  );
  return fail(
    `unknown command "${name}"`,
    commandElsewhere(name) ??
      (nearest !== undefined
        ? `The nearest one is "${nearest}"`
        : findLong(globalFlags(), name)
        ? `Write rustyrun --${name}`
        : "To run a command in a root file system, write rustyrun run --rootfs DIR COMMAND; rustyrun --help lists the rest"),
    1,
    "unknown-command",
  );
}
