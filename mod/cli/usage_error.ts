/**
 * What is said of a command line that makes no sense.
 *
 * @module
 */

import { ContainerError } from "../errors.ts";
import type { FlagUse } from "../config/flags/use.ts";
import { editDistance, findNearest } from "../config/flags/nearest.ts";
import { findLong, readRow, type Row } from "./flag_row.ts";
import { globalFlags, listCommands, UNSUPPORTED } from "./flags.ts";

/** Returns an error in reading the command line. */
export function fail(
  why: string,
  hint: string,
  exitCode: number,
  code = "usage",
): ContainerError {
  return new ContainerError(`Cannot read the command line: ${why}`, {
    code,
    hint,
    exitCode,
  });
}

/** Flags that people bring from docker, and what takes their place. */
const ELSEWHERE: Record<string, string> = {
  privileged:
    "There is no --privileged: name what is needed with --cap-add, --device and --security-opt",
  publish: "There are no published ports: --network host shares the host's",
  p: "There are no published ports: --network host shares the host's",
  entrypoint: "Write --command PROG, and its words after the flags",
  net: "The nearest one is --network",
};

const NO_IMAGES =
  "rustyrun fetches and builds no images: rustyrun run --rootfs DIR takes an unpacked one";

/** Commands of docker, and what takes their place. */
const DOCKER: Record<string, string> = {
  build: NO_IMAGES,
  images: NO_IMAGES,
  inspect: "Write rustyrun state ID",
  logs: "The output of a container goes where rustyrun's own goes",
  pull: NO_IMAGES,
  rm: "Write rustyrun delete ID",
  stop: "Write rustyrun kill ID",
};

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
  const elsewhere = command === "run" && Object.hasOwn(ELSEWHERE, name)
    ? ELSEWHERE[name]
    : undefined;
  const hint = elsewhere ??
    (nearest !== undefined
      ? `The nearest one is --${nearest}`
      : uses.has("command")
      ? "Write -- before the command's own words when they begin with a dash"
      : `${help} lists the flags`);
  return fail(why, hint, exitCode, "unknown-flag");
}

/** Returns the error for a command that there is not. */
export function unknownCommand(name: string): ContainerError {
  if (UNSUPPORTED.includes(name)) {
    return fail(
      `rustyrun has no "${name}"`,
      "Checkpoint and restore are not supported",
      1,
      "unsupported",
    );
  }
  const nearest = findNearest(
    name,
    listCommands().filter((c) => !c.hidden).map((c) => c.name),
  );
  // The word may be the command of a container: no guess from afar.
  const near = nearest !== undefined &&
    (nearest.startsWith(name) || editDistance(name, nearest) <= 2);
  return fail(
    `unknown command "${name}"`,
    Object.hasOwn(DOCKER, name)
      ? DOCKER[name]!
      : near
      ? `The nearest one is "${nearest}"`
      : findLong(globalFlags(), name)
      ? `Write rustyrun --${name}`
      : "To run a command in a root file system, write rustyrun run --rootfs DIR COMMAND; rustyrun --help lists the rest",
    // runc's own exit code for it.
    3,
    "unknown-command",
  );
}
