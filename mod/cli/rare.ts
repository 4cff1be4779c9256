/**
 * What is rarely called, as one file of the bundle: with a file for each the
 * others would fall into twice as many chunks.
 *
 * @module
 */

import "./exec.ts";
import "./delete.ts";
import "./start.ts";
export { features, spec, validate } from "./bundle.ts";
export { checkpoint, restore } from "./checkpoint.ts";
export { run as doctor } from "./doctor.ts";
export { explain } from "./explain.ts";
export { events, update } from "./resources.ts";
export { front, serve } from "./serve.ts";
