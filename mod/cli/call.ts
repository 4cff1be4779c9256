/**
 * One call of the command line, as every command gets it, and what several of
 * them make of it.
 *
 * @module
 */

import { denoCacheDir, HelperError, refuseWritable } from "../../ffi/helper.ts";
import { findVariable, readOwnVariable } from "../caller.ts";
import type { Config } from "../config/config.ts";
import type { KeeperWords } from "../container/launch/keeper.ts";
import type { Place } from "../container/model.ts";
import { ContainerError } from "../errors.ts";
import { mainFile } from "../program.ts";
import type { Parsed } from "./parse.ts";
import {
  exitCodeOf,
  formatError,
  formatJsonError,
  formatResult,
  type Reporting,
} from "./report.ts";

/** What every command gets. */
export interface Call extends Parsed, Place {
  reporting: Reporting;
}

/** A command: returns its exit code. */
export type CommandFunction = (call: Call) => number | Promise<number>;

/** Deno has run what lies in its cache before our first line: this comes too late
 * for who has been attacked, and in time for who has only set it up so. */
export function refuseSharedCache(): void {
  const dir = denoCacheDir(readOwnVariable);
  if (dir === undefined) return;
  try {
    refuseWritable(dir, mainFile());
  } catch (cause) {
    if (!(cause instanceof HelperError)) throw cause;
    throw new ContainerError(cause.message, {
      code: "cache-writable",
      hint:
        "Deno runs what lies there, and had done so before this could be found out: set DENO_DIR to a directory that only root may write",
      cause,
    });
  }
}

/** How the keeper words errors and the result for this call. */
export function wordsOf(call: Call, id: string): KeeperWords {
  const { json } = call.reporting;
  const exit = (error: ContainerError) => exitCodeOf(call, error.exitCode);
  return {
    error: (error: ContainerError) =>
      json ? formatJsonError(error, exit(error)) : formatError(error),
    exit,
    ...(json ? { json: `{"id":${JSON.stringify(id)},` } : {}),
    ...(call.reporting.resultFd === undefined ? {} : { result: formatResult }),
  };
}

/** Names that lead to what is open in the process that looks. */
export const OWN =
  /\/(?:proc\/(?:self|thread-self|\d+)\/|dev\/(?:fd|stdin|stdout|stderr|tty)\b)/;

/** Says of a container that is going to be made what only a process of its own can
 * do for it: run hooks, wait until it is ready, name what is open in it.
 *
 * @throws {CallLeft} where there is none */
export function needProcessFor(
  { outlet, caller }: Call,
  { spec, mode }: Config,
): void {
  if (outlet.needProcess === undefined) return;
  const hooks = Object.values(spec.hooks ?? {});
  if (hooks.some((it) => it?.length)) outlet.needProcess("it has hooks");
  if (
    mode === "oci" && findVariable(caller.environment, "NOTIFY_SOCKET")
  ) outlet.needProcess("it tells when it is ready");
  const paths = [
    spec.root?.path,
    ...(spec.mounts ?? []).map((it) => it.source),
    ...(spec.linux?.namespaces ?? []).map((it) => it.path),
  ];
  const own = paths.find((it) => it !== undefined && OWN.test(it));
  if (own !== undefined) outlet.needProcess(`${own} is a name of its own`);
}
