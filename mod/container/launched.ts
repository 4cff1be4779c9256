/**
 * A new container that somebody stays with: started behind its warden, up to its
 * gate. What comes then (the keeper, the library) is its caller's.
 *
 * @module
 */

import { closeFd } from "../../ffi/libc.ts";
import { stopUnit } from "../cgroups/systemd/stop.ts";
import type { Config } from "../config/config.ts";
import { ContainerError } from "../errors.ts";
import { wordPlanError } from "../failure.ts";
import type { Facts } from "../host.ts";
import { hookState } from "../hooks.ts";
import { Helper } from "../process/await.ts";
import { type StateDir, writeLeftovers } from "../state.ts";
import { claimContainer, discardPrepared, planNoted } from "./kept/reclaim.ts";
import { removeState } from "./kept/removal.ts";
import { makeGroups } from "./launch/groups.ts";
import { streamSlot } from "./launch/order.ts";
import { makeToken, prepare } from "./launch/prepare.ts";
import {
  type LaunchKind,
  sayWarnings,
  serveLaunch,
  writePidFile,
} from "./launch/serve.ts";
import {
  abandon,
  addWarden,
  leaveWarded,
  startWarded,
  tellWarden,
  type Warded,
  wardedSlots,
} from "./launch/warden.ts";
import type { Gate, Noted, Place, Prepared, Warn } from "./model.ts";
import { handOver } from "./properties/handover.ts";
import { undoClass } from "./properties/resctrl.ts";
import {
  closeSharedRoot,
  holdSharedRoot,
  sharedSlots,
} from "./properties/shared_root.ts";

/** How a container is started. */
export interface LaunchOptions {
  place: Place;
  gate: Gate;
  detached?: boolean;
  kind: LaunchKind;
  /** The upper layer of a throw-away root is wanted: `run.received` has it as
   * FD_TAG.upper, `prepared.keptUpper` says how it is read. */
  keepUpper?: boolean;
  /** Hears of what the container does not get and need not. */
  warn: Warn;
  /** Standard streams that are not this process's: by number. */
  streams?: ReadonlyMap<number, number> | undefined;
  /** Once it is planned: nothing is made yet. */
  planned?: (prepared: Prepared) => void;
  /** While the child stage works. */
  forked?: (prepared: Prepared) => void;
  /** Once all is known of the first process, which has still to come to its gate,
   * and does not wait for this. */
  ready?: (launched: Launched) => void;
}

/** A container that has come to its gate. */
export interface Launched extends Warded {
  prepared: Prepared;
  /** Its state's directory, in hand; the warden holds the same lock. */
  dir: StateDir;
}

/** Closes what this process has of it; what runs goes on. */
export function leaveLaunch(launched: Launched): void {
  leaveWarded(launched);
  closeFd(launched.dir.fd);
  closeSharedRoot(launched.prepared);
}

/** Gives up; what the warden did not remove, this process does. */
function giveUp({ prepared, dir, ...warded }: Launched): void {
  const cleaned = abandon(warded);
  if (prepared.resctrl !== undefined) undoClass(prepared.resctrl, undefined);
  if (!cleaned) return discardPrepared(prepared, dir);
  const { made, unit } = prepared.cgroup;
  if (made) stopUnit(unit);
}

/**
 * Removes a container that cannot go on; {@linkcode leaveLaunch} comes after.
 *
 * @returns the error to throw: worded, with what could not be removed
 */
export function abandonLaunch(launched: Launched, error: unknown): unknown {
  const { prepared, control } = launched;
  // Cgroups that were there before belong to somebody else.
  if (!prepared.cgroup.made) tellWarden(control, "N");
  const worded = wordPlanError(error, prepared.config, prepared.facts);
  try {
    giveUp(launched);
  } catch (failure) {
    // The directory stays then, and names what the next command removes.
    if (worded instanceof ContainerError) worded.suppressed.push(failure);
  }
  return worded;
}

/**
 * Starts a container, up to its gate.
 *
 * @throws {ContainerError} when it cannot be made; nothing is left
 */
export function launchWarded(
  config: Config,
  facts: Facts,
  options: LaunchOptions,
): Launched {
  const { place, streams = new Map<number, number>() } = options;
  using helper = new Helper(place);
  const prepared = prepare(config, facts, {
    place,
    gate: options.gate,
    token: makeToken(),
    detached: options.detached ?? false,
    keepUpper: options.keepUpper ?? false,
    streams: [...streams.keys()],
  });
  options.planned?.(prepared);
  const noted = planNoted(prepared);
  const dir = claimContainer(place.root, config.id);
  let warded: Warded;
  try {
    warded = start(helper, prepared, noted, dir, place, streams);
  } catch (error) {
    // Nothing was made for it yet.
    removeState(dir);
    closeFd(dir.fd);
    closeSharedRoot(prepared);
    throw error;
  }
  const launched = { ...warded, prepared, dir };
  try {
    writeLeftovers(dir, noted);
    serve(launched, options);
    return launched;
  } catch (error) {
    const worded = abandonLaunch(launched, error);
    leaveLaunch(launched);
    throw worded;
  }
}

function start(
  helper: Helper,
  prepared: Prepared,
  noted: Noted,
  dir: StateDir,
  place: Place,
  streams: ReadonlyMap<number, number>,
): Warded {
  holdSharedRoot(prepared, noted, dir, place);
  // The plan makes it before it waits for this process.
  if (prepared.upper !== undefined) writeLeftovers(dir, noted);
  const slots: [string, number][] = [
    ["state", dir.fd],
    ...sharedSlots(prepared),
    ...[...streams].map(([fd, it]): [string, number] => [streamSlot(fd), it]),
  ];
  addWarden(prepared, place, wardedSlots(slots.map(([name]) => name)));
  return startWarded(helper, prepared.ops, slots);
}

function serve(launched: Launched, options: LaunchOptions): void {
  const { run, control, prepared, dir } = launched;
  const { config } = prepared;
  serveLaunch(run, prepared, dir, {
    kind: options.kind,
    makeGroups(pid) {
      makeGroups(prepared, pid);
      tellWarden(control, "C");
    },
    forked: () => options.forked?.(prepared),
    ready: () => options.ready?.(launched),
  });
  const state = hookState(
    { ...config.spec, id: config.id, bundle: config.bundle },
    "created",
    run.pid,
  );
  handOver(run, config, "standard", state);
  writePidFile(config, run.pid);
  sayWarnings(prepared.warnings, options.warn);
}
