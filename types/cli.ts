/**
 * `@std/cli` from the npm registry: the one entry that we use, with the types
 * that its republish lacks. (The package's root entry also loads prompts.)
 *
 * @module
 */

// @ts-types="./cli.d.ts"
export { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
