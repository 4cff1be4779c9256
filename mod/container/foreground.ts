/**
 * `run` in the foreground: the plan, the warden, and the hand-off to the
 * keeper.
 *
 * @module
 */

import { closeFd } from "../../ffi/libc.ts";
import { makeCgroups } from "../cgroups.ts";
import type { Config } from "../config/config.ts";
import { ContainerError } from "../errors.ts";
import { wordPlanError } from "../failure.ts";
import type { Facts } from "../host.ts";
import { hookState, runHooks } from "../hooks.ts";
import { type Op } from "../plan.ts";
import type { PlanRun } from "../process.ts";
import { type StateDir, writeLeftovers } from "../state.ts";
import { sweep } from "./delete.ts";
import { handOver } from "./properties/handover.ts";
import { type KeeperWords, planEnd, planWatch } from "./launch/keeper.ts";
import { sayWarnings, serveLaunch, writePidFile } from "./launch/serve.ts";
import { makeToken, prepare } from "./launch/prepare.ts";
import { claimContainer, discardPrepared, planNoted } from "./kept/reclaim.ts";
import { removeState } from "./kept/removal.ts";
import { makeClass, undoClass } from "./properties/resctrl.ts";
import {
  closeSharedRoot,
  holdSharedRoot,
  sharedSlots,
} from "./properties/shared_root.ts";
import {
  abandon,
  addWarden,
  leaveWarded,
  startWarded,
  tellWarden,
  type Warded,
} from "./launch/warden.ts";
import {
  FD_TAG,
  type Noted,
  type Place,
  type Prepared,
  type Warn,
} from "./model.ts";

/** How a container is run in the foreground. */
export interface ForegroundOptions {
  place: Place;
  words: KeeperWords;
  /** Leave the state and the cgroups to `delete`, and its poststop hooks. */
  keep: boolean;
  /** Says of what could not be swept, of hooks that may only warn, and of what
   * the container does not get and need not. */
  warn: Warn;
  /** It runs in the background: the socket of who waits for the start, and what
   * that is told then. */
  detached?: { fd: number; text: string };
  /** The program and arguments that run the poststop hooks of this container
   * at its end, when it has any. */
  poststop: readonly string[];
}

/** Gives up; what the warden did not remove, this process does. */
function giveUp(warded: Warded, prepared: Prepared, dir: StateDir): void {
  const cleaned = abandon(warded);
  if (prepared.resctrl !== undefined) undoClass(prepared.resctrl, undefined);
  if (!cleaned) discardPrepared(prepared, dir);
}

/** Poststart hooks need the process started while this is still Deno.
 *
 * @returns whether it runs; the keeper lets it go otherwise */
function runPoststart(run: PlanRun, config: Config): boolean {
  const hooks = config.spec.hooks?.poststart;
  if (!hooks?.length) return false;
  run.release();
  run.serve({});
  const state = hookState(
    { ...config.spec, id: config.id, bundle: config.bundle },
    "running",
    run.pid,
  );
  runHooks("poststart", hooks, state);
  return true;
}

/**
 * Runs a container in the foreground.
 *
 * @returns as `Outlet.become`: the caller's process becomes the keeper,
 * and ends as the container
 * @throws {ContainerError} when the container cannot be made; nothing is left
 */
export function runForeground(
  config: Config,
  facts: Facts,
  options: ForegroundOptions,
): number {
  const { place, detached } = options;
  sweep(place, options.warn);
  const token = makeToken();
  const prepared = prepare(config, facts, {
    place,
    gate: "keeper",
    token,
    detached: detached !== undefined,
  });
  const noted = planNoted(prepared);
  const dir = claimContainer(place.root, config.id);
  try {
    return launch(prepared, noted, dir, options);
  } finally {
    closeFd(dir.fd);
    closeSharedRoot(prepared);
  }
}

/** Starts what is prepared, in a state directory that this process holds. */
function launch(
  prepared: Prepared,
  noted: Noted,
  dir: StateDir,
  options: ForegroundOptions,
): number {
  const { config, facts } = prepared;
  const { place, keep, detached } = options;
  let started: Warded;
  try {
    holdSharedRoot(prepared, noted, dir, place);
    // The plan makes it before it waits for this process.
    if (prepared.upper !== undefined) writeLeftovers(dir, noted);
    const plan = (slots: ReadonlyMap<string, number>) => {
      addWarden(prepared, place, slots);
      return prepared.ops;
    };
    started = startWarded(place, plan, [
      ["state", dir.fd],
      ...sharedSlots(prepared),
    ]);
  } catch (error) {
    removeState(dir);
    throw error;
  }
  const { run, control } = started;
  try {
    writeLeftovers(dir, noted);
    makeCgroups(prepared.cgroup);
    if (prepared.resctrl !== undefined) makeClass(prepared.resctrl);
    tellWarden(control, "C");
    const kind = { foreground: !keep, waits: false };
    let end: Op[] = [];
    serveLaunch(run, prepared, dir, kind, () => {
      end = planEnd(
        prepared,
        place.root,
        options.words,
        // One that does not start is not kept: nobody has its id.
        keep && detached === undefined,
      );
    });
    handOver(
      run,
      config,
      "standard",
      hookState(
        { ...config.spec, id: config.id, bundle: config.bundle },
        "created",
        run.pid,
      ),
    );
    writePidFile(config, run.pid);
    sayWarnings(prepared.warnings, options.warn);
    const runs = runPoststart(run, config);
    const slots = new Map([["control", control], ["state", dir.fd]]);
    if (prepared.sharedRoot) slots.set("root", prepared.sharedRoot.tree);
    if (!runs) slots.set("channel", run.channel);
    const master = run.received.get(FD_TAG.master);
    if (master !== undefined) slots.set("master", master);
    const plan = [...planWatch(run, { runs, warden: run.helper }), ...end];
    if (config.spec.hooks?.poststop?.length && !keep) {
      plan.push({
        do: "kDelete",
        argv: options.poststop,
        env: place.caller.environment,
        why: "run the poststop hooks",
      });
    }
    if (detached !== undefined) slots.set("caller", detached.fd);
    if (detached !== undefined || keep) {
      plan.push({
        do: "kDetach",
        caller: detached === undefined ? "" : "caller",
        text: detached?.text ?? "",
        dir: keep ? "state" : "",
        why: "say that it runs, and keep its exit code",
      });
    }
    const code = run.becomeKeeper(place.root, plan, slots);
    leaveWarded(started);
    return code;
  } catch (error) {
    // Cgroups that were there before belong to somebody else.
    if (!prepared.cgroup.made) tellWarden(control, "N");
    const worded = wordPlanError(error, config, facts);
    try {
      giveUp(started, prepared, dir);
    } catch (failure) {
      // The directory stays then, and names what the next command removes.
      if (worded instanceof ContainerError) worded.suppressed.push(failure);
    }
    throw worded;
  }
}
