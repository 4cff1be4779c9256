/**
 * `create`: a container that waits at its fifo, and nothing that lingers
 * between it and the caller.
 *
 * @module
 */

import { closeFd, waitProcess } from "../../ffi/libc.ts";
import { makeCgroups, removeCgroups } from "../cgroups.ts";
import type { Config } from "../config/config.ts";
import { wordPlanError } from "../failure.ts";
import type { Facts } from "../host.ts";
import { type PlanRun, startPlan } from "../process.ts";
import {
  claimState,
  makeExecFifo,
  removeState,
  replaceFile,
} from "../state.ts";
import { applyNotifySocket } from "./activation.ts";
import { handOver } from "./handover.ts";
import { hookState, type Place, serveLaunch } from "./launch.ts";
import { prepare, type Prepared } from "./prepare.ts";
import { makeToken } from "./token.ts";

/**
 * Makes a container that waits for `start`.
 *
 * @throws {ContainerError} when it cannot be made; nothing is left
 */
export function createContainer(
  config: Config,
  facts: Facts,
  place: Place,
): void {
  const dir = claimState(place.root, config.id);
  let prepared: Prepared | undefined;
  let run: PlanRun | undefined;
  try {
    const notifySocket = applyNotifySocket(config, place);
    prepared = prepare(config, facts, {
      place,
      gate: "fifo",
      token: makeToken(),
    });
    makeCgroups(prepared.cgroup);
    const fifo = makeExecFifo(dir);
    run = startPlan(prepared.ops, new Map([["fifo", fifo]]));
    closeFd(fifo);
    serveLaunch(run, prepared, dir, {
      foreground: false,
      waits: true,
      notifySocket,
    }, place);
    handOver(
      run,
      config,
      "standard",
      hookState(
        { ...config.spec, id: config.id, bundle: config.bundle },
        "creating",
        run.pid,
      ),
    );
    if (config.pidFile !== undefined) {
      replaceFile(config.pidFile, String(run.pid), 0o644);
    }
  } catch (error) {
    run?.abort();
    if (run !== undefined) waitProcess(run.helper);
    if (prepared !== undefined) removeCgroups(prepared.cgroup);
    removeState(dir.path);
    closeFd(dir.fd);
    throw wordPlanError(error, config, facts);
  }
  waitProcess(run.helper);
  closeFd(run.channel);
  closeFd(dir.fd);
}
