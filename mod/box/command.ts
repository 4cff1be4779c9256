/**
 * What a command is given as: its words, and options of which some are the
 * engine's and some are its run's.
 *
 * @module
 */

import {
  checkOptions,
  invalidOption,
  refuseNul,
  SPAWN_FLAGS,
  unknownOption,
  WATCH_OPTIONS,
} from "./flags.ts";
import type { SpawnOptions, WatchOptions } from "./options.ts";

type Options = Readonly<Record<string, unknown>>;

/** What of options the engine reads, and what the run does. */
export function split(
  options: Options,
): { own: Options; watch: WatchOptions } {
  const own: Record<string, unknown> = {};
  const watch: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    (Object.hasOwn(WATCH_OPTIONS, name) ? watch : own)[name] = value;
  }
  return { own, watch };
}

/** The words of a command, if they are.
 *
 * @throws {ContainerError} `invalid-option` */
export function checkCommand(command: unknown): readonly string[] {
  if (
    Array.isArray(command) && command.length > 0 && command[0] !== "" &&
    command.every((it) => typeof it === "string")
  ) {
    for (const word of command) refuseNul("command", word);
    return command;
  }
  throw invalidOption(
    "command",
    command,
    "must be an array of words",
    'Give its words: ["python3", "-c", "print(1)"]',
  );
}

/** The same of a command's options in a container that is there.
 *
 * @throws {ContainerError} `invalid-option` for a name that is none */
export function splitSpawn(
  options: SpawnOptions,
): { own: Options; watch: WatchOptions } {
  checkOptions(options);
  const { own, watch } = split({ ...options });
  for (const name of Object.keys(own)) {
    if (Object.hasOwn(SPAWN_FLAGS, name)) continue;
    const names = [SPAWN_FLAGS, WATCH_OPTIONS].flatMap(Object.keys);
    throw unknownOption(name, own[name], "command", names);
  }
  return { own, watch };
}
