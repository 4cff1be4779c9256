/**
 * Loads a file of mod/cli when a command needs it. Deno reads and analyses all
 * that a program names by `import("./run.ts")` before it runs a line of it, 3 ms
 * at each start; what a variable names it does not know of.
 *
 * @module
 */

/** The files that are loaded so, by kin of commands: the bundle has one of its own
 * for each (scripts/bundle.ts), and more of them would cut what they share into
 * more chunks, 0.05 ms each. */
export const FILES = [
  "create",
  "delete",
  "delete_rest",
  "exec",
  "friendly",
  "lifecycle",
  "rare",
  "run",
  "start",
  "texts",
] as const;

/** This file in a clone. In the bundle it is a part of a file at the top. */
const HERE = "/mod/cli/load.ts";
const [dir, extension] = import.meta.url.endsWith(HERE)
  ? [".", "ts"]
  : ["./mod/cli", "js"];

/** Returns a file's module: `load<typeof import("./rare.ts")>("rare")`. */
export function load<Module>(name: typeof FILES[number]): Promise<Module> {
  const path = `${dir}/${name}.${extension}`;
  return import(path);
}
