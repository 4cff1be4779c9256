/**
 * What is said of a command line that makes no sense.
 *
 * @module
 */

import { assert } from "@std/assert";
import { parseArgs } from "../mod/cli/parse.ts";
import { Unreadable } from "../mod/cli/unreadable.ts";
import * as usageWords from "../mod/cli/usage_error.ts";
import { ContainerError } from "../mod/errors.ts";

/** Returns the error of a command line, which must have one.
 *
 * @param at the current directory */
export function refuse(
  words: readonly string[],
  at = "/",
): ContainerError {
  try {
    parseArgs(words);
  } catch (error) {
    const told = error instanceof Unreadable
      ? error.word(usageWords, { directory: () => at })
      : error;
    assert(told instanceof ContainerError);
    return told;
  }
  throw new Error(`It was read: ${words.join(" ")}`);
}
