/**
 * The host's part of a container in the foreground, or of an exec, that has its
 * warden: how it plans and starts it, what it says to it, and how it gives up.
 *
 * @module
 */

import { closeFd, trySyscall } from "../../../ffi/libc.ts";
import { packetPair } from "../../../ffi/packets.ts";
import { namespaceUse } from "../../config/namespaces.ts";
import type { Op } from "../../plan.ts";
import { encodePlan } from "../../plan/encode.ts";
import type { PlanRun } from "../../process.ts";
import type { Helper } from "../../process/await.ts";
import { planLeftovers } from "../kept/leftovers.ts";
import type { Place, Prepared } from "../model.ts";

const SHUT_RDWR = 2;

/**
 * Puts the warden in front of a plan: it must be there before anything exists
 * that could be left behind.
 *
 * @param slots that the plan begins with, in order: "state" is the state
 * directory, which holds its lock; "root" the shared root, where there is one
 */
export function addWarden(
  prepared: Prepared,
  { root }: Pick<Place, "root">,
  slots: readonly string[],
): void {
  const { config, cgroup, resctrl, sharedRoot, upper } = prepared;
  const left = planLeftovers({
    cgroups: cgroup.dirs,
    parents: cgroup.parents,
    resctrl,
    state: { root, id: config.id },
    trees: upper === undefined ? [] : [upper],
    mount: sharedRoot !== undefined,
    sharesPids: namespaceUse(config, "pid") !== "new",
    also: {
      terminal: config.spec.process?.terminal === true &&
        config.consoleSocket === undefined,
    },
  });
  // Its plan has slots of the one around it where that has descriptors.
  const wardens = ["state", "root"].map((it): [string, number] => [
    it,
    slots.indexOf(it),
  ]).filter(([, at]) => at >= 0);
  const warden: Op = {
    do: "warden",
    control: "control",
    config: encodePlan(left, new Map(wardens)),
    why: "leave a process that cleans up if this one is killed",
  };
  prepared.steps.unshift(["warden", [warden]]);
  prepared.ops.unshift(warden);
}

/** A plan that runs, and the socket of its warden. */
export interface Warded {
  run: PlanRun;
  control: number;
}

/** The slots that a plan with a warden begins with: the report channel, its socket,
 * and others. */
export function wardedSlots(others: readonly string[]): string[] {
  return ["channel", "control", ...others];
}

/** Has a helper run a plan; the warden is its first step, so that from here on a
 * SIGKILL of this process leaves nothing.
 *
 * @param inherited slot name -> descriptor, beside the warden's
 * @throws {ContainerError} when the helper cannot be started
 */
export function startWarded(
  helper: Helper,
  ops: readonly Op[],
  inherited: readonly (readonly [string, number])[] = [],
): Warded {
  const [control, wardens] = packetPair();
  try {
    return {
      run: helper.run(ops, [["control", wardens], ...inherited]),
      control,
    };
  } catch (error) {
    closeFd(control);
    throw error;
  } finally {
    closeFd(wardens);
  }
}

/** Lets go what goes on without this process. */
export function dismissWarden(warded: Warded): void {
  tellWarden(warded.control, "D");
  warded.run.reapForker();
  warded.run.reap();
  leaveWarded(warded);
}

/** Tells the warden whose the cgroups are: "C" ours, "N" not; "D": done
 * (c/warden.c). */
export function tellWarden(control: number, letter: "C" | "N" | "D"): void {
  trySyscall("write", control, new TextEncoder().encode(letter), 1);
}

/** Closes what this process has of it; what runs goes on. */
export function leaveWarded({ run, control }: Warded): void {
  run.close();
  closeFd(control);
}

/** Gives up; the warden removes everything that there is already.
 * {@linkcode leaveWarded} comes after.
 *
 * @returns whether it has; something may have killed it */
export function abandon({ run, control }: Warded): boolean {
  run.kill();
  // What is frozen ends when the warden lets it go on.
  trySyscall("shutdown", control, SHUT_RDWR);
  run.abort();
  return run.reap() === 0;
}
