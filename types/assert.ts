/**
 * `@std/assert` from the npm registry, with the types that its republish lacks.
 * deno.jsr.json maps the same name to the original.
 *
 * @module
 */

// @ts-types="./assert.d.ts"
export * from "npm:deno-std@1.4.0/assert/mod.js";
