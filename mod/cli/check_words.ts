/**
 * What flags and words of a command line may stand beside each other.
 *
 * @module
 */

import type { Flags } from "../config/flags/use.ts";
import type { Flag } from "./flag_row.ts";
import { type Command, formatUsage } from "./flags.ts";
import { fail } from "./fail.ts";
import { Unreadable } from "./unreadable.ts";

/** Returns the error for a wrong number of words after the flags, in runc's
 * words: callers look for them. */
export function checkCount(
  command: Command,
  args: readonly string[],
  exit: number,
) {
  const [least, most] = command.args;
  if (args.length >= least && args.length <= most) return;
  const demand = least === most
    ? `exactly ${least}`
    : args.length < least
    ? `a minimum of ${least}`
    : `a maximum of ${most}`;
  throw new Unreadable(({ wordlessElsewhere }) =>
    fail(
      `"${command.name}" requires ${demand} argument(s)`,
      args.length === 0 && wordlessElsewhere(command.name) ||
        (command.usage === "ID" && args.length > 1
          ? `One id at a time: ${formatUsage(command)}`
          : `Write ${formatUsage(command)}`),
      exit,
    )
  );
}

const isRootfs = (word: string) => /^--?rootfs(=|$)/.test(word);

/** Checks what `run` may have beside each other; returns whether it is the
 * friendly form. */
export function checkRun(
  reader: { taken: readonly [Flag, string][]; exitCode: number },
  flags: Flags,
  args: readonly string[],
) {
  const friendly = flags.has("rootfs");
  for (const [{ form }, typed] of reader.taken) {
    if (friendly && form === "oci") {
      throw fail(
        `${typed} and --rootfs exclude each other`,
        "Give --rootfs DIR and a command, or --bundle DIR and an ID",
        125,
      );
    }
    if (!friendly && form === "friendly") {
      throw new Unreadable(({ rootfsElsewhere }, at) =>
        fail(
          `${typed} needs --rootfs`,
          reader.exitCode !== 125
            ? "config.json says it for an OCI bundle"
            : args.length > 0 && !args.some(isRootfs)
            ? rootfsElsewhere(args, at)
            : "Give the root file system: --rootfs DIR",
          reader.exitCode,
        )
      );
    }
  }
  const removed = flags.get("rm")?.at(-1);
  // Whoever takes the terminal takes over the container with it.
  const stays = reader.taken.find(([{ name }]) =>
    (name === "keep" || name === "detach" && flags.has("console-socket")) &&
    flags.get(name)?.at(-1)?.value === true
  );
  if (removed?.value === true && stays) {
    throw fail(
      `--rm and ${stays[1]} exclude each other`,
      "Leave one of them out: rustyrun delete ID removes a container that has ended",
      125,
    );
  }
  if (friendly || args.length === 1) return friendly;
  const { exitCode } = reader;
  if (args.length > 0 && exitCode === 125 && !args.some(isRootfs)) {
    throw new Unreadable(({ rootfsElsewhere }, at) =>
      fail(
        `"${args[0]}" stands alone: a root file system must follow --rootfs`,
        rootfsElsewhere(args, at),
        exitCode,
      )
    );
  }
  throw fail(
    '"run" requires exactly 1 argument(s)',
    args.length === 0
      ? "Give --rootfs DIR for a command in a root file system, or --bundle DIR ID for an OCI bundle"
      : args.some(isRootfs)
      ? "Write the flags before the command: rustyrun run --rootfs DIR COMMAND"
      : "An OCI bundle takes only an ID: config.json says what runs",
    exitCode,
  );
}
