/**
 * The engine's errors in the words of the library. The engine speaks of flags, as
 * who calls it by a command line knows them; a program knows options. One table has
 * both: flags.ts.
 *
 * @module
 */

import { type Row, SANDBOX_FLAGS, SPAWN_FLAGS } from "./flags.ts";

/** The option that stands for each flag: of a sandbox before that of a command. */
const OPTIONS: ReadonlyMap<string, readonly [option: string, row: Row]> =
  new Map(
    [...Object.entries(SPAWN_FLAGS), ...Object.entries(SANDBOX_FLAGS)]
      .map(([option, row]) => [row.flag, [option, row]]),
  );

/** What is no flag of ours: quoted values of the caller's, and other programs'
 * words. */
const OTHERS = [
  /`[^`]*`/,
  /"(?:[^"\\]|\\.)*"/,
  /systemd-run(?: --?\S+)+/,
  /podman --\S+/,
  /start (?:it|that one|the container) with [^;]*/,
];

/** A value behind a flag: a placeholder, a word of a flag's own, or what has a
 * sign that no word of a sentence has. */
const VALUE =
  /[A-Z][A-Z:=]*\b|(?:auto|cgroupfs|disabled|host|none|nproc)\b|[^\s;()]*[:=/][^\s;()]*[^\s,:;()]/;

const FLAG = new RegExp(
  `${
    OTHERS.map((it) => it.source).join("|")
  }|(?:rustyrun )?--(?<name>[a-z][a-z-]*)(?:[ =](?<value>${VALUE.source}))?`,
  "g",
);

/** What is otherwise in the library: an option as it was given, which is in quotes
 * of its own, and what commands are called for. */
const PHRASES: readonly [RegExp, string][] = [
  [/"(\w+: (?:"(?:[^"\\]|\\.)*"|true|false))"/g, "`$1`"],
  [/\brustyrun doctor\b/g, "doctor()"],
  [/^rustyrun resume \S+$/, "resume() lets it go on"],
  [/ \(use --ignore-paused to override\)/, ""],
  [/\brustyrun list shows the containers; --root/, "--root"],
  // What is to be started in another cgroup is the caller's own program.
  [/\bDelegate=yes rustyrun \.\.\./, "Delegate=yes PROGRAM ..."],
];

/** A text as a program writes it; a placeholder as it is. */
const quote = (value: string) =>
  /^[A-Z]+$/.test(value) ? value : JSON.stringify(value);

/** An option with a value, as a program writes it. */
function write(option: string, { kind }: Row, value: string): string {
  const quoted = quote(value);
  if (kind === "list") return `${option}: [${quoted}]`;
  if (kind !== "pairs") return `${option}: ${quoted}`;
  const [name = "", ...rest] = value.split("=");
  if (rest.length > 0) {
    const key = /^\w+$/.test(name) ? name : JSON.stringify(name);
    return `${option}: { ${key}: ${quote(rest.join("="))} }`;
  }
  return option === "env"
    ? `${option}: { ${name}: undefined }`
    : `${option}.${name}`;
}

/**
 * Words a text of the engine for a program: flags become the options that stand
 * for them, commands the methods. Words in quotes are the caller's and stay.
 */
export function wordForProgram(text: string): string {
  const told = PHRASES.reduce((it, [from, to]) => it.replace(from, to), text);
  return told.replace(FLAG, (all, ...rest) => {
    const { name, value } = rest.at(-1) as Record<string, string | undefined>;
    const found = name === undefined ? undefined : OPTIONS.get(name);
    if (found === undefined) return all;
    const [option, row] = found;
    return `\`${value === undefined ? option : write(option, row, value)}\``;
  });
}
