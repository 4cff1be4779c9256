/**
 * Runs a plan: the helper is started from a sealed memfd, with the plan in
 * another.
 *
 * @module
 */

import { closeFd, fillMemfd, makeMemfd } from "../ffi/libc.ts";
import { askForSender, packetPair } from "../ffi/packets.ts";
import { ownOutlet } from "./outlet.ts";
import type { Op } from "./plan.ts";
import { encodePlan } from "./plan/encode.ts";
import { HelperDied, OperationError, wordStart } from "./process/errors.ts";
import { lendAll } from "./process/helper.ts";
import { PLAN, type PlanHandlers, PlanRun } from "./process/run.ts";

export { HelperDied, OperationError, type PlanHandlers, PlanRun };

/**
 * Starts the helper on a plan.
 *
 * @param ops the operations
 * @param room directory of the states, see {@linkcode lendAll}
 * @param inherited slot name -> descriptor that goes along
 * @param outlet whose child it is; without one, this process's
 * @throws {ContainerError} when the helper cannot be started
 */
export function startPlan(
  ops: readonly Op[],
  room: string,
  inherited: Iterable<readonly [string, number]> = [],
  outlet = ownOutlet,
): PlanRun {
  const [channel, child] = packetPair();
  let memfd = -1;
  try {
    askForSender(channel);
    memfd = makeMemfd(PLAN);
    const lent = lendAll(outlet, room, memfd, [
      ["channel", child],
      ...inherited,
    ]);
    fillMemfd(memfd, encodePlan(ops, lent.slots));
    const pid = outlet.spawn(
      lent.helper,
      ["rustyrun-helper", "child", String(lent.plan)],
      [lent.plan, ...lent.slots.values()],
    );
    return new PlanRun(ops, channel, pid, outlet);
  } catch (cause) {
    closeFd(channel);
    throw wordStart(cause);
  } finally {
    if (memfd >= 0) closeFd(memfd);
    closeFd(child);
  }
}

/**
 * Runs a plan to its end, and waits for the helper's: for what only that can do.
 *
 * @param args as those of {@linkcode startPlan}
 * @throws {ContainerError} when the helper cannot be started
 * @throws {OperationError} when an operation fails
 * @throws {HelperDied} when it dies
 */
export function runPlan(
  handlers: PlanHandlers,
  ...args: Parameters<typeof startPlan>
): void {
  const run = startPlan(...args);
  try {
    run.serve(handlers);
  } finally {
    run.close();
    run.reap();
  }
}
