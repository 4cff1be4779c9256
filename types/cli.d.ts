/** Types of `@std/cli` as published in npm:deno-std: the entries that we use. */

/** How `parseArgs` reads its arguments. */
export interface ParseOptions {
  /** Put what stands after "--" into the key "--". */
  "--"?: boolean;
  alias?: Record<string, string | string[]>;
  boolean?: boolean | string | readonly string[];
  string?: string | readonly string[];
  collect?: string | readonly string[];
  negatable?: string | readonly string[];
  default?: Record<string, unknown>;
  /** Everything after the first positional argument is positional. */
  stopEarly?: boolean;
  /** Called for a flag that is not defined; false leaves it out. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** What `parseArgs` found: a value by flag, positional arguments in `_`. */
export interface Args {
  [flag: string]: unknown;
  _: (string | number)[];
  "--"?: string[];
}

export function parseArgs(
  args: readonly string[],
  options?: ParseOptions,
): Args;
