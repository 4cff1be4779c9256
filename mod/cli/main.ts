/**
 * From the command line to a command, and from whatever it throws to one error.
 *
 * @module
 */

import { ContainerError } from "../errors.ts";
import { claimSharedRoot, ownRoot } from "../state/place.ts";
import { readResultFd } from "../config/flags/result_fd.ts";
import {
  flagOn,
  type Flags,
  flagValue,
  resolvePath,
} from "../config/flags/use.ts";
import { CallLeft } from "../outlet.ts";
import { VERSION } from "../version.ts";
import "./common.ts";
import type { Call, CommandFunction } from "./call.ts";
import { load } from "./load.ts";
import { parseArgs, type Parsed, type Uses } from "./parse.ts";
import { Unreadable } from "./unreadable.ts";
import {
  exitCodeOf,
  LOG_LEVELS,
  logDebug,
  openLog,
  printError,
  type Reporting,
} from "./report.ts";

const exec = () => load<typeof import("./exec.ts")>("exec");
const create = () => load<typeof import("./create.ts")>("create");
const lifecycle = () => load<typeof import("./lifecycle.ts")>("lifecycle");
const remove = () => load<typeof import("./delete.ts")>("delete");
const removeRest = () => load<typeof import("./delete_rest.ts")>("delete_rest");
const run = () => load<typeof import("./run.ts")>("run");
const start = () => load<typeof import("./start.ts")>("start");
const rare = () => load<typeof import("./rare.ts")>("rare");
const texts = () => load<typeof import("./texts.ts")>("texts");

/** The commands; each file is loaded when its command is called. */
const COMMANDS: Record<string, () => Promise<CommandFunction>> = {
  run: async () => (await run()).run,
  create: async () => (await create()).create,
  exec: async () => (await exec()).run,
  state: async () => (await lifecycle()).state,
  kill: async () => (await remove()).kill,
  wait: async () => (await lifecycle()).wait,
  list: async () => (await lifecycle()).list,
  ps: async () => (await lifecycle()).ps,
  pause: async () => (await lifecycle()).pause,
  resume: async () => (await lifecycle()).resume,
  start: async () => (await start()).start,
  delete: async () => (await remove()).remove,
  poststop: async () => (await removeRest()).poststop,
  sweep: async () => (await removeRest()).sweep,
  update: async () => (await rare()).update,
  events: async () => (await rare()).events,
  checkpoint: async () => (await rare()).checkpoint,
  restore: async () => (await rare()).restore,
  serve: async () => {
    const { serve } = await rare();
    return (call) => serve(call, main);
  },
  front: async () => (await rare()).front,
  spec: async () => (await rare()).spec,
  validate: async () => (await rare()).validate,
  features: async () => (await rare()).features,
  doctor: async () => (await rare()).doctor,
  help: async () => (await texts()).help,
  version: async () => (await texts()).version,
  completions: async () => (await texts()).completions,
  man: async () => (await texts()).man,
};

/** Commands that look at no container, and so leave nothing. */
const STATELESS: readonly string[] = [
  "help",
  "version",
  "completions",
  "man",
  "doctor",
  "features",
  "spec",
  "validate",
  "serve",
  "front",
];

function keepsState({ command, flags }: Parsed): boolean {
  return !flagOn(flags, "explain") &&
    !STATELESS.includes(command);
}

/** The call as far as it is known before a word is read. */
type Outside = Pick<Call, "caller" | "outlet">;

function reportingOf(
  { caller, outlet }: Outside,
  global: Flags,
  command: Flags,
): Reporting {
  const log = flagValue(global, "log");
  const resultFd = readResultFd(command);
  const logLevel = flagOn(global, "debug")
    ? "debug"
    : LOG_LEVELS.find((it) => it === flagValue(global, "log-level")) ??
      "warning";
  return {
    ...(log === undefined ? {} : { log }),
    ...(resultFd === undefined ? {} : { resultFd }),
    logFormat: flagValue(global, "log-format") === "json" ? "json" : "text",
    logLevel,
    json: flagOn(command, "json"),
    verbose: flagOn(global, "verbose") || flagOn(command, "verbose") ||
      logLevel === "debug" && log === undefined,
    caller,
    outlet,
  };
}

/** The current directory for the log: one that was deleted is its matter alone
 * who needs it. */
function showDirectory({ directory }: Call["caller"]): string {
  try {
    return directory();
  } catch (error) {
    if (!(error instanceof ContainerError)) throw error;
    return "a directory that was deleted";
  }
}

/** The oldest Deno that rustyrun is tried with: major and minor. */
const OLDEST = [2, 6] as const;

/**
 * Checks that Deno is new enough.
 *
 * @throws {ContainerError} when it is not
 */
export function checkDeno(version: string): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > OLDEST[0] || major === OLDEST[0] && minor >= OLDEST[1]) return;
  throw new ContainerError(
    `Cannot run on Deno ${version}: it is too old`,
    {
      code: "deno-old",
      hint: `Take Deno ${
        OLDEST.join(".")
      } or newer: deno upgrade, or npx -y deno@latest in place of deno`,
    },
  );
}

/**
 * Runs rustyrun.
 *
 * @param outside who called, and where what it does goes
 * @returns the exit code
 * @throws {CallLeft} for a caller that is another process
 */
export async function main(outside: Outside): Promise<number> {
  const { caller } = outside;
  let reporting: Reporting | undefined;
  let parsed: Parsed | undefined;
  const global: Uses = new Map();
  const flags: Uses = new Map();
  try {
    parsed = parseArgs(caller.words, global, flags);
    reporting = reportingOf(outside, parsed.global, parsed.flags);
    checkDeno(Deno.version.deno);
    const own = flagValue(parsed.global, "root");
    if (own !== undefined && /^\/+$/.test(own)) {
      throw new ContainerError(
        'Cannot keep the containers\' state in "/": --root argument should not be set to /',
        {
          code: "root-is-slash",
          hint: "Name a directory of its own: --root /run/rustyrun",
        },
      );
    }
    const root = own !== undefined
      ? resolvePath(caller.directory, own)
      : ownRoot(caller);
    if (own === undefined && root.startsWith("/tmp/") && keepsState(parsed)) {
      claimSharedRoot(root, caller.uid);
    }
    const find = COMMANDS[parsed.command];
    if (find === undefined) {
      throw new ContainerError(
        `Cannot run "${parsed.command}": this build of rustyrun has no such command`,
        { code: "unknown-command", exitCode: 1 },
      );
    }
    openLog(reporting);
    const { command, args } = parsed;
    logDebug(
      reporting,
      () =>
        `rustyrun ${VERSION}: ${command} ${
          args[0] ?? ""
        }, by user ${caller.uid} in ${
          showDirectory(caller)
        }, states in ${root}`,
    );
    const run = await find();
    const code = await run({ ...parsed, ...outside, root, reporting });
    logDebug(
      reporting,
      () => `rustyrun ${command} ends with exit code ${code}`,
    );
    return code;
  } catch (error) {
    if (error instanceof CallLeft) throw error;
    // Nobody reads what it prints any more: it ends as by SIGPIPE.
    if (error instanceof Deno.errors.BrokenPipe) return 128 + 13;
    reporting ??= {
      ...reportingOf(outside, global, flags),
      json: caller.words.includes("--json"),
    };
    return printError(
      error instanceof Unreadable
        ? error.word((await texts()).usageWords, caller)
        : error,
      reporting,
      // A command line that cannot be read has its code from the parser.
      (code) => parsed === undefined ? code : exitCodeOf(parsed, code),
    );
  }
}
