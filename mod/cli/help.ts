/**
 * The texts of `--help`, made from the flag table.
 *
 * @module
 */

import { type Command, type Flag, readRow } from "./flag_row.ts";
import {
  findCommand,
  formatUsage,
  globalFlags,
  listCommands,
} from "./flags.ts";

/** What the exit codes of `run` mean; the only place that says it. */
export const EXIT_CODES: readonly (readonly [string, string])[] = [
  ["N", "the command's own exit code"],
  ["128+N", "the command was ended by signal N"],
  ["124", "--timeout ended it"],
  ["125", "rustyrun itself failed"],
  ["126", "the command cannot be executed"],
  ["127", "the command was not found"],
];

/** Examples for help and the manual page: what they do, and how. */
export const EXAMPLES: readonly (readonly [string, string])[] = [
  ["A shell in a root file system", "rustyrun run --rootfs ./alpine -it"],
  [
    "This machine's own programs; all changes are discarded",
    "rustyrun run --rootfs / --ephemeral -v .:/src -w /src --memory 256m -- make test",
  ],
  [
    "A directory of the host, read-only, and another user",
    "rustyrun run --rootfs ./debian -v ./src:/src:ro -w /src -u 1000 -- python3 app.py",
  ],
  [
    "What would be done, and why",
    "rustyrun run --rootfs ./alpine --explain",
  ],
  ["An OCI bundle", "rustyrun run --bundle ./bundle my-id"],
];

/** The lines that `run` can be written in. */
export const RUN_USAGE: readonly string[] = [
  "rustyrun run --rootfs DIR [FLAGS] [--] [COMMAND ARGS...]",
  "rustyrun run --bundle DIR [FLAGS] ID",
];

const WIDTH = 80;
/** Where the text begins. */
const COLUMN = 30;

/** Returns `text` in lines of at most `width` characters. */
function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1)!;
    if (last !== "" && last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines;
}

/** Returns a term and its text in two columns, indented. */
function formatItem(term: string, text: string, column = COLUMN): string {
  const lines = wrap(text, WIDTH - column);
  const head = `  ${term}`;
  const first = head.length + 2 > column
    ? `${head}\n${" ".repeat(column)}${lines[0]}`
    : head.padEnd(column) + lines[0];
  return [first, ...lines.slice(1).map((l) => " ".repeat(column) + l)]
    .join("\n");
}

/** Returns a flag as help shows it: "-e, --env NAME[=VALUE]...". */
export function formatFlag(flag: Flag): string {
  const names = [flag.name, ...flag.aliases].map((n) => `--${n}`).join(", ");
  const value = flag.type === "optional"
    ? `[=${flag.value}]`
    : flag.value === ""
    ? ""
    : ` ${flag.value}${flag.type === "list" ? "..." : ""}`;
  return `${flag.short ? `-${flag.short}, ` : ""}${names}${value}`;
}

/** Returns the flags of a command that are shown, by heading, in order. */
export function groupFlags(command: Command): Map<string, Flag[]> {
  const groups = new Map<string, Flag[]>();
  for (const row of command.flags()) {
    const flag = readRow(row);
    if (flag.hidden) continue;
    const name = flag.group === "" ? "Flags" : flag.group;
    groups.set(name, [...groups.get(name) ?? [], flag]);
  }
  return groups;
}

function formatFlags(heading: string, flags: readonly Flag[]): string {
  // Long names line up below those with a letter.
  const items = flags.map((flag) =>
    formatItem(`${flag.short ? "" : "    "}${formatFlag(flag)}`, flag.help)
  );
  return `${heading}:\n${items.join("\n")}`;
}

function formatExitCodes(): string {
  return "Exit codes of run:\n" +
    EXIT_CODES.map(([code, text]) => formatItem(code, text, 12)).join("\n");
}

/** Returns the usage lines of a command. */
export function listUsage(command: Command): string[] {
  if (command.name === "run") return [...RUN_USAGE];
  return [formatUsage(command)];
}

function formatMainHelp(): string {
  const commands = listCommands().filter((c) => !c.hidden);
  const flags = globalFlags().map(readRow).filter((f) => !f.hidden);
  return [
    "rustyrun runs a command in a container of its own.",
    `Usage:\n  ${
      RUN_USAGE[0]
    }\n  rustyrun [GLOBAL FLAGS] COMMAND [FLAGS] [ARGS...]`,
    `Commands:\n${
      commands.map((c) => formatItem(c.name, c.summary, 15)).join("\n")
    }`,
    formatFlags("Global flags", flags),
    formatExitCodes(),
    "rustyrun COMMAND --help shows the flags of a command.",
  ].join("\n\n") + "\n";
}

/**
 * Returns the help of a command, or of rustyrun for none, with a newline at
 * its end.
 *
 * @throws {RangeError} when there is no such command
 */
export function formatHelp(name?: string): string {
  if (name === undefined) return formatMainHelp();
  const command = findCommand(name);
  if (!command) throw new RangeError(`Cannot show help: no command "${name}"`);
  const usage = listUsage(command).map((line) => `  ${line}`).join("\n");
  const parts = [`${command.summary}.`, `Usage:\n${usage}`];
  if (command.note !== undefined) {
    parts.push(wrap(command.note, WIDTH).join("\n"));
  }
  for (const [heading, flags] of groupFlags(command)) {
    parts.push(formatFlags(heading, flags));
  }
  if (name === "run") {
    parts.push(
      `Examples:\n${
        EXAMPLES.map(([what, how]) => `  # ${what}\n  ${how}`).join("\n")
      }`,
      formatExitCodes(),
    );
  }
  return parts.join("\n\n") + "\n";
}
