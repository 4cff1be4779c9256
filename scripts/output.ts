/**
 * What a script looks at before it works: its arguments, and where its result goes.
 *
 * @module
 */

import { describeFileError } from "../mod/errors.ts";
import { BuildError } from "./build.ts";

function openToAdd(path: string, createNew: boolean): void {
  Deno.openSync(path, { append: true, createNew }).close();
}

/**
 * Makes sure that a file can be written, before the work whose result it gets. One
 * that exists stays as it is, and none is left.
 *
 * @throws {BuildError} when it cannot be
 */
export function checkOutput(path: string): void {
  try {
    try {
      openToAdd(path, false);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      openToAdd(path, true);
      Deno.removeSync(path);
    }
  } catch (error) {
    throw new BuildError(
      `Cannot write "${path}": ${
        describeFileError(error)
      }\n  hint: Name a file in a directory that you may write`,
    );
  }
}

/**
 * For a script that takes no arguments.
 *
 * @param what it does: "bundle"
 * @param line that runs it
 * @throws {BuildError} when it was given one
 */
export function refuseArguments(what: string, line: string): void {
  const [first] = Deno.args;
  if (first === undefined) return;
  throw new BuildError(
    `Cannot ${what}: unknown argument "${first}"\n  hint: ${line}`,
  );
}
