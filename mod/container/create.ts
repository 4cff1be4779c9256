/**
 * `create`: a container that waits at its fifo, and nothing that lingers
 * between it and the caller.
 *
 * @module
 */

import { closeFd } from "../../ffi/libc.ts";
import type { Config } from "../config/config.ts";
import { suppress } from "../errors.ts";
import type { Facts } from "../host.ts";
import { hookState } from "../hooks.ts";
import type { PlanRun } from "../process.ts";
import { Helper } from "../process/await.ts";
import {
  disownState,
  makeExecFifo,
  type StateDir,
  writeLeftovers,
} from "../state.ts";
import { applyNotifySocket } from "./properties/activation.ts";
import { handOver } from "./properties/handover.ts";
import { sayWarnings, serveLaunch, writePidFile } from "./launch/serve.ts";
import { makeGroups } from "./launch/groups.ts";
import { makeToken, prepare } from "./launch/prepare.ts";
import { claimContainer, discardPrepared, planNoted } from "./kept/reclaim.ts";
import { removeState } from "./kept/removal.ts";
import { undoClass } from "./properties/resctrl.ts";
import {
  closeSharedRoot,
  holdSharedRoot,
  sharedSlots,
} from "./properties/shared_root.ts";
import type { Place, Prepared, Warn } from "./model.ts";

/** Removes what a create or a restore that fails has made. Where that fails too,
 * the directory stays: it names what the next command is to remove. */
export function discardNew(
  dir: StateDir,
  prepared: Prepared | undefined,
  error: unknown,
): void {
  try {
    if (prepared?.resctrl !== undefined) undoClass(prepared.resctrl, error);
    if (prepared === undefined) removeState(dir);
    else discardPrepared(prepared, dir);
  } catch (failure) {
    if (error instanceof Error) suppress(error, failure);
    disownState(dir);
  }
}

/** Starts the plan of a container that is going to wait at its fifo. */
function startWaiting(
  helper: Helper,
  prepared: Prepared,
  dir: StateDir,
): PlanRun {
  const fifo = makeExecFifo(dir);
  try {
    return helper.run(prepared.ops, [["fifo", fifo], ...sharedSlots(prepared)]);
  } finally {
    closeFd(fifo);
  }
}

/**
 * Makes a container that waits for `start`.
 *
 * @param warn hears what the container does not get and need not
 * @throws {ContainerError | OperationError | HelperDied} when it cannot be made;
 * nothing is left. The words for what the child stage could not do are those of
 * mod/failure.ts, which is not loaded for a container that can be made
 */
export function createContainer(
  config: Config,
  facts: Facts,
  place: Place,
  warn: Warn,
): void {
  using helper = new Helper(place);
  const dir = claimContainer(place.root, config.id);
  let prepared: Prepared | undefined;
  let run: PlanRun | undefined;
  try {
    const notifySocket = applyNotifySocket(config, place);
    const made = prepared = prepare(config, facts, {
      place,
      gate: "fifo",
      token: makeToken(),
    });
    const noted = planNoted(prepared);
    holdSharedRoot(prepared, noted, dir, place);
    writeLeftovers(dir, noted);
    run = startWaiting(helper, prepared, dir);
    serveLaunch(run, prepared, dir, {
      kind: { foreground: false, waits: true, notifySocket },
      makeGroups: (pid) => makeGroups(made, pid),
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
    // Only now: podman reads an error from a log that holds nothing else.
    sayWarnings(prepared.warnings, warn);
    run.reap();
  } catch (error) {
    run?.abort();
    run?.reap();
    discardNew(dir, prepared, error);
    throw error;
  } finally {
    run?.close();
    if (prepared !== undefined) closeSharedRoot(prepared);
    closeFd(dir.fd);
  }
}
