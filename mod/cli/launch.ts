/**
 * The commands that start processes in containers, as one file of the bundle.
 *
 * @module
 */

export { create } from "./create.ts";
export { run as exec } from "./exec.ts";
export { run } from "./run.ts";
