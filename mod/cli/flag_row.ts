/**
 * A row of the flag table (mod/cli/flags.ts): what it says, and how it is read.
 *
 * A row's first word is the flag as help shows it, and is read as such:
 * `--init` takes no value, `--memory SIZE` takes one, `--env NAME...` may be
 * repeated, `--ephemeral[=DIR]` takes one only with "=", and lower-case words
 * with a bar between them (`text|json`) are the only values allowed.
 *
 * @module
 */

/** What a shell can complete a value with. */
export type Completion = "file" | "dir" | "container" | readonly string[];

/** One flag. */
export interface Flag {
  /** Long name, without dashes. */
  name: string;
  /** Further long names. */
  aliases: readonly string[];
  /** One letter. */
  short?: string;
  /** optional: a value only with "=". list: may be repeated. */
  type: "boolean" | "string" | "list" | "optional";
  /** Placeholder of the value: "DIR"; "" for none. */
  value: string;
  /** One line, no full stop. */
  help: string;
  /** The only values allowed. */
  choices?: readonly string[];
  complete?: Completion;
  /** Heading in help. */
  group: string;
  /** `run` only: friendly needs --rootfs, oci excludes it. */
  form?: "friendly" | "oci";
  hidden?: boolean;
}

/** One command. */
export interface Command {
  name: string;
  /** One line, no full stop. */
  summary: string;
  /** What a user of docker would expect and does not get: a sentence or two. */
  note?: string;
  /** The words after the flags, as help shows them. */
  usage: string;
  /** Number of words after the flags: least and most. */
  args: readonly [number, number];
  /** Flags end at the first word that is none (runc's StopOnNthArg); for `run`,
   * where that is the command of the friendly form. */
  stops: boolean;
  /** What the first word completes to. */
  complete?: Completion;
  hidden?: boolean;
  /** A function, so that only the flags of one command are made. */
  flags: () => readonly Row[];
}

type More = Partial<Pick<Flag, "complete" | "form" | "hidden" | "group">>;

/** A row as the table has it. It is read only when it is asked for: a start
 * has no time for sixty of them. */
export interface Row {
  row: string;
  help: string;
  more: More;
}

/** Returns a row of the table. */
export function flag(row: string, help: string, more: More = {}): Row {
  return { row, help, more };
}

/** Returns rows that share what `more` says. */
export function group(more: More, rows: Row[]): Row[] {
  for (const row of rows) row.more = { ...more, ...row.more };
  return rows;
}

/** Returns the flag that a row describes. Without regular expressions: the
 * first use of each costs a start more than the rest of this. */
export function readRow({ row, help, more }: Row): Flag {
  const aliases: string[] = [];
  let short: string | undefined;
  let at = 0;
  let rest = "";
  while (at < row.length) {
    let end = at + 1;
    while (end < row.length && !" ,[".includes(row[end]!)) end++;
    const word = row.slice(at, end);
    if (word[1] === "-") aliases.push(word.slice(2));
    else short = word[1];
    if (row[end] !== ",") {
      rest = row.slice(end);
      break;
    }
    at = end + 2;
  }
  const optional = rest.startsWith("[=");
  const list = rest.endsWith("...");
  const value = optional
    ? rest.slice(2, -1)
    : rest.slice(1, list ? -3 : undefined);
  const choices = value.includes("|") && value === value.toLowerCase() &&
    !value.includes("=");
  const flag: Flag = {
    name: aliases.shift()!,
    aliases,
    type: optional
      ? "optional"
      : list
      ? "list"
      : value === ""
      ? "boolean"
      : "string",
    value,
    help,
    group: "",
    ...more,
  };
  if (short !== undefined) flag.short = short;
  if (choices) flag.choices = flag.complete = value.split("|");
  return flag;
}

/** Returns the flag with that long name. */
export function findLong(rows: readonly Row[], name: string): Flag | undefined {
  const word = `--${name}`;
  for (const row of rows) {
    const at = row.row.indexOf(word);
    // Behind the name the row goes on with its value, an alias, or nothing;
    // before it stands the beginning or ", ".
    if (
      at >= 0 && ", [".includes(row.row[at + word.length] ?? " ") &&
      (at === 0 || row.row[at - 1] === " ")
    ) {
      return readRow(row);
    }
  }
}

/** Returns the flag with that letter. */
export function findShort(rows: readonly Row[], letter: string) {
  const row = rows.find((r) => r.row[1] === letter && r.row[0] === "-");
  return row && readRow(row);
}
