/**
 * A command line that makes no sense.
 *
 * @module
 */

import type { ContainerError } from "../errors.ts";

/** What knows the long words for it: mod/cli/usage_error.ts, which is loaded for
 * nothing else. */
export type UsageWords = typeof import("./usage_error.ts");

/** A command line that makes no sense, to be worded. */
export class Unreadable extends Error {
  override name = "Unreadable";
  constructor(readonly word: (words: UsageWords) => ContainerError) {
    super();
  }
}
