/**
 * The commands that make containers, as one file of the bundle.
 *
 * @module
 */

import "./start_delete.ts";
export { create } from "./create.ts";
export { run } from "./run.ts";
