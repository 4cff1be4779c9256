/**
 * What `run --rootfs` runs: nothing that a bundle needs.
 *
 * @module
 */

import "./common.ts";
import "./common.ts";
import type { Config } from "../config/config.ts";
import { flagsHost } from "../config/flags/here.ts";
import { flagOn } from "../config/flags/use.ts";
import { configFromFlags } from "../config/from_flags.ts";
import type { Call } from "./call.ts";

/** Returns the configuration that the flags describe. */
export function readFlags(call: Call): Config {
  const host = flagsHost(call.root, call.caller);
  // What only tells needs no terminal.
  return configFromFlags(
    call,
    flagOn(call.flags, "explain")
      ? { ...host, isTerminal: { stdin: true, stdout: true, stderr: true } }
      : host,
  );
}
