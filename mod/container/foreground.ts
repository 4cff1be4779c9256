/**
 * `run` in the foreground: the plan, the warden, and the hand-off to the
 * keeper.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import type { Bounds } from "../config/flags/bounds.ts";
import type { Facts } from "../host.ts";
import { hookState, runHooks } from "../hooks.ts";
import type { Op } from "../plan.ts";
import type { PlanRun } from "../process.ts";
import { Keeper } from "../process/keeper.ts";
import { type SelfCommand, sweep } from "./delete.ts";
import {
  abandonLaunch,
  type Launched,
  launchWarded,
  leaveLaunch,
} from "./launched.ts";
import { type KeeperWords, planEnd, planWatch } from "./launch/keeper.ts";
import { planBounds } from "./launch/result.ts";
import { makeOutputPipes, type OutputPipes } from "./properties/output.ts";
import { FD_TAG, type Place, type Warn } from "./model.ts";

/** How a container is run in the foreground. */
export interface ForegroundOptions {
  place: Place;
  words: KeeperWords;
  /** How long it may run, and who gets the result. */
  bounds: Bounds;
  /** Leave the state and the cgroups to `delete`, and its poststop hooks. */
  keep: boolean;
  /** Says of what could not be swept, of hooks that may only warn, and of what
   * the container does not get and need not. */
  warn: Warn;
  /** It runs in the background: the socket of who waits for the start, and what
   * that is told then. */
  detached?: { fd: number; text: string };
  /** The command line of rustyrun with other words: it runs the poststop hooks
   * of this container at its end, and of those that are swept. */
  self: SelfCommand;
}

/** Poststart hooks need the process started while this is still Deno; else the
 * keeper lets it go. */
function runPoststart(run: PlanRun, config: Config): void {
  const hooks = config.spec.hooks?.poststart;
  if (!hooks?.length) return;
  run.release();
  run.serve({});
  const state = hookState(
    { ...config.spec, id: config.id, bundle: config.bundle },
    "running",
    run.pid,
  );
  runHooks("poststart", hooks, state);
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
  const { place, keep, detached } = options;
  sweep(place, options.warn, config.id, options.self);
  using pipes = options.bounds.maxOutput === undefined
    ? undefined
    : makeOutputPipes();
  let end: Op[] = [];
  let keeper: Keeper | undefined;
  using all = new DisposableStack();
  const launched = launchWarded(config, facts, {
    place,
    gate: "keeper",
    detached: detached !== undefined,
    kind: { foreground: !keep, waits: false },
    warn: options.warn,
    streams: pipes?.theirs,
    forked(prepared) {
      end = [
        ...planEnd(
          prepared,
          place.root,
          options.words,
          // One that does not start is not kept: nobody has its id.
          keep && detached === undefined,
        ),
        ...planBounds(prepared, options.bounds, options.words),
      ];
    },
    ready(launched) {
      keeper = all.use(prepareKeeper(launched, options, end, pipes?.ours));
    },
  });
  try {
    runPoststart(launched.run, config);
    return keeper!.become();
  } catch (error) {
    throw abandonLaunch(launched, error);
  } finally {
    leaveLaunch(launched);
  }
}

/** Plans who takes over what is launched. */
function prepareKeeper(
  { run, control, prepared, dir }: Launched,
  { place, keep, detached, self, bounds }: ForegroundOptions,
  end: readonly Op[],
  output: OutputPipes["ours"] = new Map(),
): Keeper {
  const { config } = prepared;
  const runs = Boolean(config.spec.hooks?.poststart?.length);
  const slots = new Map<string, number>([
    ["control", control],
    ["state", dir.fd],
    ...output,
  ]);
  if (prepared.sharedRoot) slots.set("root", prepared.sharedRoot.tree);
  if (!runs) slots.set("channel", run.channel);
  const master = run.received.get(FD_TAG.master);
  if (master !== undefined) slots.set("master", master);
  const plan = [...planWatch(run, { runs, warden: run.helper }), ...end];
  if (config.spec.hooks?.poststop?.length && !keep) {
    plan.push({
      do: "kDelete",
      argv: self(["--root", place.root, "poststop", "--", config.id]),
      env: place.caller.environment,
      why: "run the poststop hooks",
    });
  }
  if (bounds.resultFd !== undefined) slots.set("result", bounds.resultFd);
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
  return new Keeper(place, plan, slots);
}
