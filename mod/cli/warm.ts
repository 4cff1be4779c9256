/**
 * What the warm engine serves of the command line.
 *
 * @module
 */

import { errnoOf } from "../../ffi/errno.ts";
import { statSync } from "../../ffi/files.ts";
import { flagOn, flagUses, flagValue } from "../config/flags/use.ts";
import { ContainerError } from "../errors.ts";
import { OWN } from "./call.ts";
import { FILES, load } from "./load.ts";
import { parseArgs, type Parsed } from "./parse.ts";
import { Unreadable } from "./unreadable.ts";

/** Commands that engines and people call again and again, and that wait for
 * nobody. */
const WARM: ReadonlySet<string> = new Set([
  "run",
  "create",
  "start",
  "state",
  "kill",
  "delete",
  "exec",
  "list",
  "pause",
  "resume",
  "update",
  "features",
  "version",
]);

/** Files that a command line names to be read. */
function listFiles({ command, flags, friendly }: Parsed): string[] {
  const named = ["config", "process", "resources", "env-file"]
    .flatMap((name) => flagUses(flags, name).map((it) => it.value));
  const bundle = command === "create" || (command === "run" && !friendly);
  return bundle && !flags.has("config")
    ? [...named, `${flagValue(flags, "bundle") || "."}/config.json`]
    : named;
}

/** Whether whoever reads a file may wait for another process: a FIFO's reader does
 * for ever. */
function mayWait(path: string): boolean {
  try {
    return !statSync(path).isFile;
  } catch (error) {
    if (errnoOf(error) === "") throw error;
    return false;
  }
}

/** Whether a command needs a process of its own, as far as its words say. */
function needsProcess(parsed: Parsed): boolean {
  const { command, flags, global } = parsed;
  return !WARM.has(command) ||
    // Their numbers are those of the process that was given them.
    global.has("detached-fd") || flags.has("result-fd") ||
    flagOn(flags, "explain") ||
    // It waits with the container that it is in.
    flagOn(flags, "ignore-paused") ||
    (command === "update" && flagValue(flags, "resources") === "-") ||
    // It goes on in the background: the same command line once more.
    (command === "run" && parsed.friendly && flagOn(flags, "detach")) ||
    listFiles(parsed).some(mayWait);
}

/** The words without those of the container's own command: what it names is
 * inside. */
function listOutside(
  words: readonly string[],
  { command, friendly, args }: Parsed,
): readonly string[] {
  if (command !== "exec" && !(command === "run" && friendly)) return words;
  const at = words.length - args.length;
  return args.every((it, i) => it === words[at + i])
    ? words.slice(0, at)
    : words;
}

/** Whether the warm engine serves a command line, from the directory that this
 * process is in. */
export function isWarm(words: readonly string[]): boolean {
  let parsed: Parsed;
  try {
    parsed = parseArgs(words, new Map());
  } catch (error) {
    if (!(error instanceof ContainerError || error instanceof Unreadable)) {
      throw error;
    }
    return false;
  }
  return !listOutside(words, parsed).some((it) => OWN.test(it)) &&
    !needsProcess(parsed);
}

/** Loads all that a command may need: later another program may lie there. */
export async function loadAll(): Promise<void> {
  for (const name of FILES) await load(name);
}
