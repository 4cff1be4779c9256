/**
 * From the command line to a command, and from whatever it throws to one error.
 *
 * @module
 */

import { ContainerError } from "../errors.ts";
import { flagOn, type Flags, flagValue } from "../config/flags/use.ts";
import { parseArgs, type Parsed } from "./parse.ts";
import { exitCodeOf, openLog, printError, type Reporting } from "./report.ts";

/** What every command gets. */
export interface Call extends Parsed {
  /** Where containers' state is kept. */
  root: string;
  reporting: Reporting;
}

/** A command: returns its exit code. */
export type CommandFunction = (call: Call) => number | Promise<number>;

/** The commands; each file is loaded when its command is called. */
const COMMANDS: Record<string, () => Promise<CommandFunction>> = {
  run: async () => (await import("./run.ts")).run,
  help: async () => (await import("./texts.ts")).help,
  version: async () => (await import("./texts.ts")).version,
  completions: async () => (await import("./texts.ts")).completions,
  man: async () => (await import("./texts.ts")).man,
  doctor: async () => (await import("./doctor.ts")).run,
  create: async () => (await import("./lifecycle.ts")).create,
  start: async () => (await import("./lifecycle.ts")).start,
  state: async () => (await import("./lifecycle.ts")).state,
  kill: async () => (await import("./lifecycle.ts")).kill,
  delete: async () => (await import("./lifecycle.ts")).remove,
  poststop: async () => (await import("./lifecycle.ts")).poststop,
  list: async () => (await import("./lifecycle.ts")).list,
  ps: async () => (await import("./lifecycle.ts")).ps,
  pause: async () => (await import("./lifecycle.ts")).pause,
  resume: async () => (await import("./lifecycle.ts")).resume,
  exec: async () => (await import("./exec.ts")).run,
  update: async () => (await import("./resources.ts")).update,
  events: async () => (await import("./resources.ts")).events,
  spec: async () => (await import("./bundle.ts")).spec,
  validate: async () => (await import("./bundle.ts")).validate,
  features: async () => (await import("./bundle.ts")).features,
};

/** Where state is kept when --root does not say it: /run/rustyrun for root,
 * else below XDG_RUNTIME_DIR; without one, below /tmp. */
export function defaultRoot(uid: number, runtimeDir: string | undefined) {
  if (uid === 0) return "/run/rustyrun";
  return runtimeDir ? `${runtimeDir}/rustyrun` : `/tmp/rustyrun-${uid}`;
}

function reportingOf(global: Flags, command: Flags): Reporting {
  const log = flagValue(global, "log");
  return {
    ...(log === undefined ? {} : { log }),
    logFormat: flagValue(global, "log-format") === "json" ? "json" : "text",
    json: flagOn(command, "json"),
    verbose: flagOn(global, "verbose") || flagOn(global, "debug") ||
      flagOn(command, "verbose"),
  };
}

/**
 * Runs rustyrun.
 *
 * @param argv the words after the program's name
 * @returns the exit code
 */
export async function main(argv: readonly string[]): Promise<number> {
  let reporting: Reporting = {
    logFormat: "text",
    json: argv.includes("--json"),
    verbose: false,
  };
  let parsed: Parsed | undefined;
  try {
    parsed = parseArgs(argv);
    reporting = reportingOf(parsed.global, parsed.flags);
    const root = flagValue(parsed.global, "root") ??
      defaultRoot(Deno.uid() ?? 0, Deno.env.get("XDG_RUNTIME_DIR"));
    const load = COMMANDS[parsed.command];
    if (load === undefined) {
      throw new ContainerError(
        `Cannot run "${parsed.command}": this build of rustyrun has no such command`,
        { code: "unknown-command", exitCode: 1 },
      );
    }
    openLog(reporting);
    const run = await load();
    return await run({ ...parsed, root, reporting });
  } catch (error) {
    const code = printError(error, reporting);
    // A command line that cannot be read has its code from the parser.
    return parsed === undefined ? code : exitCodeOf(parsed, code);
  }
}
