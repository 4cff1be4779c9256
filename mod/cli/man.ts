/**
 * The manual page, rustyrun(1), made from the flag table.
 *
 * @module
 */

import { type Flag, readRow } from "./flag_row.ts";
import { globalFlags, listCommands } from "./flags.ts";
import {
  EXAMPLES,
  EXIT_CODES,
  formatFlag,
  groupFlags,
  listUsage,
  RUN_USAGE,
} from "./help.ts";

/** Returns text as roff shows it: no escape, no request at a line's start, and
 * dashes that can be copied into a shell. */
function escapeRoff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq").replaceAll("`", "\\(ga").replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti").replace(/^\./gm, "\\&.");
}

function formatItem(term: string, text: string): string {
  return `.TP\n.B ${escapeRoff(term)}\n${escapeRoff(text)}`;
}

/** Returns help as a sentence: "..." at its end stays, and goes on. */
function formatSentence(help: string): string {
  return help.endsWith("...") ? help : `${help}.`;
}

function formatFlags(flags: readonly Flag[]): string[] {
  return flags.map((flag) =>
    formatItem(formatFlag(flag), formatSentence(flag.help))
  );
}

function formatCode(lines: readonly string[]): string {
  return [".nf", ...lines.map(escapeRoff), ".fi"].join("\n");
}

/** Returns the manual page in roff's man macros (man(7)). */
export function formatMan(version: string): string {
  const lines = [
    `.TH RUSTYRUN 1 "" "rustyrun ${escapeRoff(version)}" "User Commands"`,
    ".SH NAME",
    "rustyrun \\- run a command in a container of its own",
    ".SH SYNOPSIS",
    formatCode([
      ...RUN_USAGE,
      "rustyrun [GLOBAL FLAGS] COMMAND [FLAGS] [ARGS...]",
    ]),
    ".SH DESCRIPTION",
    escapeRoff(
      "rustyrun runs a command in a container made from plain flags, and is an OCI runtime for podman, containerd, Docker and others.",
    ),
    "With no command word and a flag of run first, it means run.",
    ".SH GLOBAL FLAGS",
    ...formatFlags(globalFlags().map(readRow).filter((f) => !f.hidden)),
    ".SH COMMANDS",
  ];
  for (const command of listCommands().filter((it) => !it.hidden)) {
    lines.push(
      `.SS ${escapeRoff(command.name)}`,
      escapeRoff(`${command.summary}.`),
      ".PP",
      formatCode(listUsage(command)),
    );
    if (command.note !== undefined) {
      lines.push(".PP", escapeRoff(command.note));
    }
    for (const [heading, flags] of groupFlags(command)) {
      if (heading !== "Flags") {
        lines.push(".PP", `.I ${escapeRoff(heading)}`);
      }
      lines.push(...formatFlags(flags));
    }
  }
  lines.push(
    ".SH EXIT STATUS",
    "Of run:",
    ...EXIT_CODES.map(([code, text]) => formatItem(code, `${text}.`)),
    ".SH EXAMPLES",
    ...EXAMPLES.map(([what, how]) =>
      `.PP\n${escapeRoff(what)}:\n.PP\n.RS 4\n${formatCode([how])}\n.RE`
    ),
  );
  return lines.join("\n") + "\n";
}
