/**
 * Versions of rustyrun and of what it speaks.
 *
 * @module
 */

/** rustyrun's own; deno.json and deno.jsr.json have the same. */
export const VERSION = "0.1.0";
/** Newest runtime-spec that is understood. */
export const SPEC_VERSION = "1.3.0";
