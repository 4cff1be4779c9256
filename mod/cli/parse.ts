/**
 * Reads the command line by the flag table. The grammar is runc's wherever an
 * engine could call: global flags before the command, `--flag v`, `--flag=v`,
 * `-flag` for a known long name, else a bundle of short ones (`-it`, `-u1000`),
 * and flags after the container id as well, but for `exec` and `ps`.
 *
 * @module
 */

import type { Flags, FlagUse } from "../config/flags/use.ts";
import { ContainerError } from "../errors.ts";
import { findLong, findShort, type Flag, type Row } from "./flag_row.ts";
import { type Command, findCommand, globalFlags } from "./flags.ts";

import { checkCount, checkRun } from "./check_words.ts";
import { fail } from "./fail.ts";
import { Unreadable } from "./unreadable.ts";

/** A command line that was understood. */
export interface Parsed {
  /** A command of the table, or "version". With `--help` anywhere: "help",
   * and the command that it was asked of in `args`. */
  command: string;
  /** `run` with --rootfs: flags in docker's sense, `args` are the command's
   * own words. Else `args` of `run` holds the container's id. */
  friendly: boolean;
  /** Flags before the command. */
  global: Flags;
  /** Flags of the command. */
  flags: Flags;
  /** The words that are no flags. */
  args: readonly string[];
}

/** The flags that were used, by name. */
export type Uses = Map<string, FlagUse[]>;
type Rows = readonly Row[];

/** Reads one flag's value and returns what it is. Go's words for booleans are
 * taken, because callers written in Go print them. */
function readValue(flag: Flag, text: string, reader: Reader) {
  if (flag.type === "boolean") {
    if (/^(1|t|true)$/i.test(text)) return true;
    if (/^(0|f|false)$/i.test(text)) return false;
    throw fail(
      `invalid boolean value "${text}" for --${flag.name}`,
      `Write --${flag.name}, --${flag.name}=true or --${flag.name}=false`,
      reader.exitCode,
    );
  }
  if (flag.choices && !flag.choices.includes(text)) {
    const all = flag.choices.join(", ");
    throw fail(
      `invalid value "${text}" for --${flag.name}`,
      `The values are: ${all}`,
      reader.exitCode,
    );
  }
  return text;
}

/** The state of reading one command line. */
class Reader {
  at = 0;
  /** The friendly form's exit code for our own failures is docker's. */
  implied = false;
  /** Once it is known. */
  command = "";
  /** All flags are read. */
  done = false;
  constructor(readonly argv: readonly string[]) {}

  /** Of run, all is friendly that names no bundle: one among the flags that
   * were read, or that may still come. Before the command is known, a root file
   * system says that run is meant. */
  get exitCode(): number {
    const { argv, command } = this;
    const rootfs = (w: string) => /^(--?rootfs(=|$)|-r)/.test(w);
    const bundle = (w: string) => /^(--?(bundle|config)(=|$)|-[bf])/.test(w);
    const named = this.taken.some(([{ form }]) => form === "oci") ||
      !this.done && argv.slice(this.at).some(bundle);
    return this.implied || command === "run" && !named ||
        (command === "" || command === "run") && argv.some(rootfs)
      ? 125
      : 1;
  }

  /** The flags read, each with the words as typed. */
  readonly taken: [Flag, string][] = [];

  #add(into: Uses, flag: Flag, value: string | boolean, typed: string) {
    this.taken.push([flag, typed]);
    const uses = into.get(flag.name);
    const use = { value, typed };
    if (uses) uses.push(use);
    else into.set(flag.name, [use]);
  }

  /** Returns the next word as the value of `flag`. */
  #next(flag: Flag, word: string): string {
    const value = this.argv[++this.at];
    if (value === undefined || value === "--") {
      throw fail(
        `flag needs an argument: ${word}${
          value === undefined ? "" : `, and "--" follows it`
        }`,
        `Write ${word} ${flag.value}`,
        this.exitCode,
      );
    }
    return value;
  }

  /** Reads the flag at the present word into `into` and moves behind it.
   * Returns it, or undefined when no table has it. */
  take(rows: Rows, into: Uses): Flag | undefined {
    const word = this.argv[this.at]!;
    const equals = word.indexOf("=");
    const head = equals < 0 ? word : word.slice(0, equals);
    const name = head.replace(/^--?/, "");
    const flag = name.length > 1 || word.startsWith("--")
      ? findLong(rows, name)
      : undefined;
    if (flag) {
      if (equals >= 0) {
        const value = word.slice(equals + 1);
        this.#add(into, flag, readValue(flag, value, this), word);
      } else if (flag.type === "boolean" || flag.type === "optional") {
        this.#add(into, flag, true, word);
      } else {
        const value = this.#next(flag, word);
        this.#add(
          into,
          flag,
          readValue(flag, value, this),
          `${word} ${value}`,
        );
      }
      this.at++;
      return flag;
    }
    if (word.startsWith("--")) return undefined;
    return this.#takeBundle(rows, into, word);
  }

  /** Reads `-it`, `-u1000`, `-u=1000` or `-u 1000`. */
  #takeBundle(rows: Rows, into: Uses, word: string): Flag | undefined {
    const found: [Flag, string | boolean, string][] = [];
    for (let i = 1; i < word.length; i++) {
      const flag = findShort(rows, word[i]!);
      if (!flag) return undefined;
      const rest = word.slice(i + 1);
      if (flag.type === "boolean" && !rest.startsWith("=")) {
        found.push([flag, true, word]);
        continue;
      }
      if (rest) {
        const text = rest.startsWith("=") ? rest.slice(1) : rest;
        found.push([flag, readValue(flag, text, this), word]);
      } else {
        const value = this.#next(flag, `-${flag.short}`);
        found.push([
          flag,
          readValue(flag, value, this),
          `${word} ${value}`,
        ]);
      }
      break;
    }
    for (const [flag, value, typed] of found) {
      this.#add(into, flag, value, typed);
    }
    this.at++;
    return found[0]?.[0];
  }
}

const HELP: Row = { row: "-h, --help", help: "Show help", more: {} };

/**
 * Reads a command line.
 *
 * @param global gets the flags before the command, also when this throws
 * @param flags gets the flags of the command, as far as they were read
 * @throws {ContainerError | Unreadable} when it makes no sense; the text holds
 * runc's words where callers look for them ("flag needs an argument", "requires
 * exactly 1 argument(s)")
 */
export function parseArgs(
  argv: readonly string[],
  global: Uses = new Map(),
  flags: Uses = new Map(),
): Parsed {
  const globals = globalFlags();
  const reader = new Reader(argv);
  let command: Command | undefined;
  let rows: Rows = globals;
  while (reader.at < argv.length) {
    const word = argv[reader.at]!;
    if (word === "--") {
      reader.at++;
      break;
    }
    if (word.length < 2 || word[0] !== "-") break;
    // -v is the version for runc's callers, and a volume for who types it
    // with one behind it.
    const volume = word === "-v" && argv[reader.at + 1]?.includes(":");
    const flag = volume ? undefined : reader.take(globals, global);
    if (flag?.name === "help" && global.get("help")!.at(-1)!.value) {
      return helpOf(global);
    }
    if (flag?.name === "version" && global.get("version")!.at(-1)!.value) {
      return {
        command: "version",
        friendly: false,
        global,
        flags: new Map(),
        args: [],
      };
    }
    if (flag) continue;
    // No command word and a flag of run: it means run.
    const run = findCommand("run")!;
    rows = [...run.flags(), HELP];
    const at = reader.at;
    if (!reader.take(rows, new Map())) {
      const { exitCode } = reader;
      throw new Unreadable(({ unknownFlag }) =>
        unknownFlag(word, rows, globals, "", new Map(), exitCode)
      );
    }
    reader.at = at;
    command = run;
    break;
  }
  const implied = command !== undefined;
  if (!command) {
    const name = argv[reader.at];
    if (name === undefined) return helpOf(global);
    command = findCommand(name);
    if (!command) throw refuseCommand(name);
    reader.at++;
    rows = [...command.flags(), HELP];
  }
  return readCommand(
    reader,
    command,
    rows,
    globals,
    { global, flags },
    implied,
  );
}

function refuseCommand(name: string): Unreadable {
  return new Unreadable(({ unknownCommand }) => unknownCommand(name));
}

/** What "help COMMAND" comes to. */
function helpOf(global: Uses, ...args: string[]): Parsed {
  return { command: "help", friendly: false, global, flags: new Map(), args };
}

/** Whether nothing but flags of a bundle stand behind the present word of `run`,
 * which is an id then. */
function isIdOfBundle({ argv, at }: Reader, rows: Rows, flags: Uses): boolean {
  if (flags.has("rootfs")) return false;
  const ahead = new Reader(argv);
  ahead.at = at + 1;
  try {
    while (ahead.at < argv.length) {
      const word = argv[ahead.at]!;
      if (word === "--" || word.length < 2 || word[0] !== "-") return false;
      const flag = ahead.take(rows, new Map());
      if (flag === undefined || flag.form === "friendly") return false;
    }
  } catch (error) {
    // It is read once more, and told then.
    if (!(error instanceof ContainerError || error instanceof Unreadable)) {
      throw error;
    }
  }
  return true;
}

/** Reads the flags and words after the command. */
function readCommand(
  reader: Reader,
  command: Command,
  rows: Rows,
  globals: Rows,
  { global, flags }: { global: Uses; flags: Uses },
  implied: boolean,
): Parsed {
  const { argv } = reader;
  const args: string[] = [];
  const run = command.name === "run";
  reader.implied = implied;
  reader.command = command.name;
  while (reader.at < argv.length) {
    const word = argv[reader.at]!;
    if (word === "--") {
      args.push(...argv.slice(reader.at + 1));
      break;
    }
    if (word.length < 2 || word[0] !== "-") {
      if (command.stops && !(run && isIdOfBundle(reader, rows, flags))) {
        args.push(...argv.slice(reader.at));
        // kubectl's way: exec ID -- COMMAND. No program is called "--".
        if (command.name === "exec" && args[1] === "--") args.splice(1, 1);
        break;
      }
      args.push(word);
      reader.at++;
      continue;
    }
    const flag = reader.take(rows, flags) ??
      (implied || run && word === "--version"
        ? reader.take(globals, global)
        : undefined);
    if (!flag) {
      const { exitCode } = reader;
      throw new Unreadable(({ unknownFlag }) =>
        unknownFlag(word, rows, globals, command.name, flags, exitCode)
      );
    }
    const next = argv[reader.at];
    if (
      word === "-h" && run && reader.exitCode === 125 &&
      next !== undefined && !next.startsWith("-")
    ) {
      throw fail(
        `-h is help, and "${next}" follows it`,
        `A host name is --hostname ${next}`,
        125,
      );
    }
    if (flag.name === "help" || flag.name === "version") {
      return {
        command: flag.name,
        friendly: false,
        global,
        flags,
        args: flag.name === "help" ? [command.name] : [],
      };
    }
  }
  reader.done = true;
  let friendly = false;
  if (run) {
    const [word = ""] = args;
    // Of all commands, run is the one that nobody has in an image; but a
    // program may have an argument of that name.
    const meant = flags.has("rootfs")
      ? word === "run" && !flags.has("command") && argv[reader.at] !== "--"
      : findCommand(word);
    if (implied && meant) {
      throw fail(
        `${[...flags.values()][0]![0]!.typed} stands before "${word}"`,
        `Write the flags of a command after it: rustyrun ${word} ...`,
        125,
      );
    }
    friendly = checkRun(reader, flags, args);
  } else {
    checkCount(command, args, 1);
    if (command.name === "help" && args[0] && !findCommand(args[0])) {
      throw refuseCommand(args[0]);
    }
  }
  return { command: command.name, friendly, global, flags, args };
}
