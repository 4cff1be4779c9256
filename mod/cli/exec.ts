/**
 * `rustyrun exec`.
 *
 * @module
 */

import "./lifecycle.ts";
import {
  flagOn,
  flagUses,
  flagValue,
  resolvePath,
} from "../config/flags/use.ts";
import { readLaunchOptions } from "../config/flags/launch.ts";
import { loadProcess } from "../config/load.ts";
import { type ExecOptions, execProcess } from "../container/exec.ts";
import { changeProcess } from "../container/exec_flags.ts";
import "../container/start.ts";
import type { StartError } from "../container/start.ts";
import { ContainerError } from "../errors.ts";
import { wordPlanError } from "../failure.ts";
import { gatherFacts } from "../host.ts";
import { type Call, refuseSharedCache, wordsOf } from "./call.ts";
import { warnTo } from "./report.ts";

function readOptions(call: Call): ExecOptions {
  const { flags } = call;
  const file = flagValue(flags, "process");
  if (file === undefined && call.args.length < 2) {
    throw new ContainerError(
      "Cannot run a process: process args cannot be empty",
      { code: "command-empty", hint: "Write rustyrun exec ID COMMAND ARGS..." },
    );
  }
  const launch = readLaunchOptions(call, call.caller.directory);
  const given = file === undefined
    ? undefined
    : loadProcess(resolvePath(call.caller.directory, file));
  const words = { ...call, args: call.args.slice(1) };
  return {
    process: (own, container) => {
      if (given === undefined) return changeProcess(words, own, container);
      const process = { ...given };
      if (flagOn(flags, "tty")) process.terminal = true;
      return process;
    },
    detach: flagOn(flags, "detach"),
    interactive: flagOn(flags, "interactive"),
    ignorePaused: flagOn(flags, "ignore-paused"),
    cgroups: flagUses(flags, "cgroup").map((it) => it.value),
    preserveFds: launch.preserveFds,
    ...(launch.pidFile === undefined ? {} : { pidFile: launch.pidFile }),
    ...(launch.consoleSocket === undefined
      ? {}
      : { consoleSocket: launch.consoleSocket }),
    ...(launch.pidfdSocket === undefined
      ? {}
      : { pidfdSocket: launch.pidfdSocket }),
  };
}

/** Returns the words for a start that failed. They are those of a failed exec; a
 * start that works does not load them. */
export function wordStart(error: StartError, call: Call): unknown {
  return wordPlanError(error, error.config, gatherFacts(call.caller));
}

/** The same for a create. */
export { wordPlanError };

/** Runs a process in a container; returns 0 when detached. */
export function run(call: Call): number {
  refuseSharedCache();
  const id = call.args[0]!;
  return execProcess(
    id,
    readOptions(call),
    gatherFacts(call.caller),
    call,
    wordsOf(call, id),
    warnTo(call),
  );
}
