/**
 * `@std/path` from the npm registry: the POSIX functions, with the types that
 * the republish lacks. (The package's root entry asks globalThis.process for
 * the platform, which costs 12 ms of start-up in Deno 2.9.)
 *
 * @module
 */

// @ts-types="./path.d.ts"
export { basename } from "npm:deno-std@1.4.0/path/posix/basename.js";
// @ts-types="./path.d.ts"
export { dirname } from "npm:deno-std@1.4.0/path/posix/dirname.js";
// @ts-types="./path.d.ts"
export { fromFileUrl } from "npm:deno-std@1.4.0/path/posix/from_file_url.js";
// @ts-types="./path.d.ts"
export { isAbsolute } from "npm:deno-std@1.4.0/path/posix/is_absolute.js";
// @ts-types="./path.d.ts"
export { join } from "npm:deno-std@1.4.0/path/posix/join.js";
// @ts-types="./path.d.ts"
export { normalize } from "npm:deno-std@1.4.0/path/posix/normalize.js";
// @ts-types="./path.d.ts"
export { relative } from "npm:deno-std@1.4.0/path/posix/relative.js";
// @ts-types="./path.d.ts"
export { resolve } from "npm:deno-std@1.4.0/path/posix/resolve.js";
