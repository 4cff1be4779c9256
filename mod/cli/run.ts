/**
 * `rustyrun run`.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { flagOn } from "../config/flags/use.ts";
import { configFromFlags, type FlagsHost } from "../config/from_flags.ts";
import { runForeground } from "../container/foreground.ts";
import type { Place } from "../container/launch.ts";
import type { ContainerError } from "../errors.ts";
import { denoCacheDir, refuseWritable } from "../../ffi/helper.ts";
import { gatherFacts } from "../host.ts";
import type { Call } from "./main.ts";
import { formatError } from "./report.ts";

/** The caller's surroundings. */
export function flagsHost(): FlagsHost {
  return {
    env: Deno.env.toObject(),
    cwd: Deno.cwd(),
    uid: Deno.uid() ?? 0,
    gid: Deno.gid() ?? 0,
    isTerminal: {
      get stdin() {
        return Deno.stdin.isTerminal();
      },
      get stdout() {
        return Deno.stdout.isTerminal();
      },
      get stderr() {
        return Deno.stderr.isTerminal();
      },
    },
    readTextFile: Deno.readTextFileSync,
    stat: Deno.statSync,
  };
}

/** The configuration that a command line describes. */
async function readConfig(call: Call): Promise<Config> {
  if (call.friendly) return configFromFlags(call, flagsHost());
  const { configFromBundle } = await import("../config/from_bundle.ts");
  return configFromBundle(call, Deno.cwd());
}

/** Where this call's containers live. */
export function placeOf(call: Call): Place {
  const env = Object.entries(Deno.env.toObject());
  return { root: call.root, env: env.map(([k, v]) => `${k}=${v}`) };
}

/** As root, what others may write must not be run: the helper is looked at
 * where it is read, Deno's cache of compiled sources here. */
function refuseSharedCache(): void {
  const dir = denoCacheDir((name) => Deno.env.get(name));
  if (dir !== undefined) refuseWritable(dir);
}

/** Runs a container in the foreground, or explains it. */
export async function run(call: Call): Promise<number> {
  const config = await readConfig(call);
  const facts = gatherFacts();
  if (flagOn(call.flags, "explain")) {
    const { explain } = await import("./explain.ts");
    return explain(config, facts, call);
  }
  refuseSharedCache();
  const { json } = call.reporting;
  return runForeground(config, facts, placeOf(call), {
    error: (error: ContainerError) =>
      json ? JSON.stringify(error) + "\n" : formatError(error),
    ...(json ? { json: `{"id":${JSON.stringify(config.id)},` } : {}),
  });
}
