/**
 * `@std/assert` from the npm registry, with the types that its republish lacks.
 *
 * @module
 */

// @ts-types="./assert.d.ts"
export * from "npm:deno-std@1.4.0/assert/mod.js";
