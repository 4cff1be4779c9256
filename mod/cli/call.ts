/**
 * One call of the command line, as every command gets it, and what several of
 * them make of it.
 *
 * @module
 */

import { denoCacheDir, HelperError, refuseWritable } from "../../ffi/helper.ts";
import { readOwnVariable } from "../caller.ts";
import type { KeeperWords } from "../container/launch/keeper.ts";
import type { Place } from "../container/model.ts";
import { ContainerError } from "../errors.ts";
import { mainFile } from "../program.ts";
import type { Parsed } from "./parse.ts";
import { exitCodeOf, formatError, type Reporting } from "./report.ts";

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
  return {
    error: (error: ContainerError) =>
      json ? JSON.stringify(error) + "\n" : formatError(error),
    exit: (error: ContainerError) => exitCodeOf(call, error.exitCode),
    ...(json ? { json: `{"id":${JSON.stringify(id)},` } : {}),
  };
}
