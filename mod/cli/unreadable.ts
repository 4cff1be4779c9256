/**
 * A command line that makes no sense.
 *
 * @module
 */

import type { Caller } from "../caller.ts";
import type { ContainerError } from "../errors.ts";

/** What knows the long words for it: mod/cli/usage_error.ts, which is loaded for
 * nothing else. */
export type UsageWords = typeof import("./usage_error.ts");

/** A command line that makes no sense, to be worded. */
export class Unreadable extends Error {
  override name = "Unreadable";
  /** @param word what words it, for a caller in some directory */
  constructor(
    readonly word: (
      words: UsageWords,
      at: Pick<Caller, "directory">,
    ) => ContainerError,
  ) {
    super();
  }
}
