/**
 * The error of a command line, from its words.
 *
 * @module
 */

import { ContainerError } from "../errors.ts";

/** Returns an error in reading the command line. */
export function fail(
  why: string,
  hint: string,
  exitCode: number,
  code = "usage",
): ContainerError {
  return new ContainerError(`Cannot read the command line: ${why}`, {
    code,
    hint,
    exitCode,
  });
}
