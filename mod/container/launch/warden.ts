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
import { type PlanRun, startPlan } from "../../process.ts";
import { planLeftovers } from "../kept/leftovers.ts";
import type { Place, Prepared } from "../model.ts";

const SHUT_RDWR = 2;

/**
 * Puts the warden in front of a plan: it must be there before anything exists
 * that could be left behind.
 *
 * @param slots of the plan: "state" is the state directory, which holds its
 * lock; "root" the shared root, where there is one
 */
export function addWarden(
  prepared: Prepared,
  { root }: Pick<Place, "root">,
  slots: ReadonlyMap<string, number>,
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
  const wardens = [...slots].filter(([name]) =>
    name === "state" || name === "root"
  );
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

/** Starts a plan; the warden is its first step, so that from here on a SIGKILL of
 * this process leaves nothing.
 *
 * @param plan gives the plan, for its slots as they are lent
 * @param inherited slot name -> descriptor, beside the warden's
 * @throws {ContainerError} when the helper cannot be started
 */
export function startWarded(
  { root, outlet }: Place,
  plan: (slots: ReadonlyMap<string, number>) => readonly Op[],
  inherited: readonly (readonly [string, number])[] = [],
): Warded {
  const [control, wardens] = packetPair();
  try {
    const slots = [["control", wardens], ...inherited] as const;
    return { run: startPlan(plan, root, slots, outlet), control };
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
