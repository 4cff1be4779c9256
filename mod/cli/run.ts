/**
 * `rustyrun run`.
 *
 * @module
 */

import "./create.ts";
import { existsSync } from "../../ffi/files.ts";
import { isWritable } from "../caller/status.ts";
import type { Config } from "../config/config.ts";
import { checkMaxOutput, readBounds } from "../config/flags/bounds.ts";
import { checkResultFd } from "../config/flags/result_fd.ts";
import { flagOn, flagValue } from "../config/flags/use.ts";
import { configFromBundle } from "../config/from_bundle.ts";
import { runForeground } from "../container/foreground.ts";
import { createAndStart } from "../container/detached.ts";
import { countListenFds } from "../container/properties/activation.ts";
import { checkTerminal } from "../container/properties/handover.ts";
import { ContainerError } from "../errors.ts";
import { gatherFacts } from "../host.ts";
import { selfCommand } from "../program.ts";
import {
  type Call,
  needProcessFor,
  refuseSharedCache,
  wordsOf,
} from "./call.ts";
import { runDetached } from "./detach.ts";
import { load } from "./load.ts";
import { printStdout, warnTo } from "./report.ts";

/** The configuration of a bundle. */
async function readBundle(call: Call): Promise<Config> {
  try {
    return configFromBundle(call, call.caller);
  } catch (error) {
    const here = !call.flags.has("bundle") && !call.flags.has("config");
    if (!here || !(error instanceof ContainerError)) throw error;
    // What no id is says nothing of a bundle yet.
    const missing = error.code === "invalid-id"
      ? !existsSync(`${call.caller.directory()}/config.json`)
      : error.code === "config-unreadable" &&
        error.cause instanceof Deno.errors.NotFound;
    if (!missing) throw error;
    const { usageWords } = await load<typeof import("./texts.ts")>("texts");
    throw usageWords.imageMeant(call.args[0]!, call.caller, error);
  }
}

/** Runs a container in the foreground, or explains it. */
export async function run(call: Call): Promise<number> {
  const detach = flagOn(call.flags, "detach");
  const fd = flagValue(call.global, "detached-fd");
  // To whoever takes the terminal, we are the runtime that leaves it alone.
  const kept = call.friendly && detach &&
    flagValue(call.flags, "console-socket") === undefined;
  const bounds = readBounds(call.flags, kept || !detach);
  if (kept && fd === undefined && !flagOn(call.flags, "explain")) {
    return runDetached(call);
  }
  const config = call.friendly
    ? (await load<typeof import("./friendly.ts")>("friendly")).readFlags(call)
    : await readBundle(call);
  checkMaxOutput(bounds, config.spec.process?.terminal ?? false);
  if (bounds.resultFd !== undefined) config.counted = true;
  const facts = gatherFacts(call.caller);
  if (flagOn(call.flags, "explain")) {
    const { explain } = await load<typeof import("./rare.ts")>("rare");
    return explain(config, facts, call);
  }
  needProcessFor(call, config);
  const { caller } = call;
  const passedOn = config.preserveFds +
    countListenFds(caller.environment, caller.pid);
  checkResultFd(bounds.resultFd, passedOn, (it) => isWritable(caller.proc, it));
  refuseSharedCache();
  checkTerminal(config, { caller, detached: detach });
  // Docker's way. To an engine, which has chosen the id, nothing is said.
  const answer = call.reporting.json
    ? JSON.stringify({ id: config.id }) + "\n"
    : `${config.id}\n`;
  if (detach && !kept) {
    createAndStart(config, facts, call, warnTo(call));
    if (call.friendly) printStdout(call, answer);
    return 0;
  }
  const words = wordsOf(call, config.id);
  const remove = call.flags.get("rm")?.at(-1)?.value ?? !detach;
  return runForeground(config, facts, {
    place: call,
    words,
    bounds,
    keep: flagOn(call.flags, "keep") || remove === false,
    ...(fd === undefined ? {} : { detached: { fd: Number(fd), text: answer } }),
    warn: warnTo(call),
    self: selfCommand,
  });
}
