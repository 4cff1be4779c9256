/**
 * What every command is loaded with. Each file of `load.ts` imports it, whether
 * it needs all of it or not: the bundler makes a chunk for each set of files that
 * share something, and each costs a start 0.05 ms. So it is one chunk here, not
 * nine. For the same reason a file imports the one before it that it has most in
 * common with, and `main.ts` imports this one: else it would be a chunk alone, with
 * nothing in it.
 *
 * @module
 */

import "../caller.ts";
import "../config/flags/numbers.ts";
import "../config/flags/result_fd.ts";
import "../config/id.ts";
import "../outlet.ts";
import "../state/place.ts";
import "../version.ts";
import "./load.ts";
import "./parse.ts";
import "./report.ts";
