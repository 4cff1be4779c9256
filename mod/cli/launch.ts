/**
 * The commands that make containers, as one file of the bundle.
 *
 * @module
 */

import "./delete.ts";
import "./start.ts";
export { create } from "./create.ts";
export { run } from "./run.ts";
