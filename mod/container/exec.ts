/**
 * `exec`: another process in a container. The same plan as the first one's,
 * with setns instead of new namespaces and no root file system, from the saved
 * copy of the configuration.
 *
 * @module
 */

import { readDirSync } from "../../ffi/files.ts";
import { closeFd, limitProcess } from "../../ffi/libc.ts";
import { findFrozen, findThaw, joinCgroups } from "../cgroups/join.ts";
import type { Config } from "../config/config.ts";
import { keepLast } from "../config/environment.ts";
import { hasUserNamespace } from "../config/namespaces.ts";
import type { Namespace, Process } from "../config/schema.ts";
import { ContainerError } from "../errors.ts";
import { wordPlanError } from "../failure.ts";
import type { Facts } from "../host.ts";
import { hookState } from "../hooks.ts";
import { planNamespaces } from "../namespaces.ts";
import { SYNC } from "../plan.ts";
import { encodePlan } from "../plan/encode.ts";
import { becomeKeeper } from "../process.ts";
import {
  planSecurity,
  type ReadInRoot,
  resolveCapabilities,
  type ResolvedUser,
  resolveUser,
  rlimitsOf,
} from "../security.ts";
import { findThread, isAlive, lockState, type State } from "../state.ts";
import { checkPreserved } from "./properties/activation.ts";
import { loadFilter } from "./properties/seccomp.ts";
import {
  planAffinity,
  planHeld,
  planProc,
  planRoot,
  planTerminal,
  planWarden,
} from "./launch/exec_steps.ts";
import { checkTerminal, handOver } from "./properties/handover.ts";
import {
  type KeeperWords,
  planLateErrors,
  planRefusal,
  planWatch,
} from "./launch/keeper.ts";
import { judgeNamespaces, NAMESPACE_FILES } from "./properties/joined.ts";
import { sayWarnings, writePidFile } from "./launch/serve.ts";
import { chooseJoins, orderPlan, planSteps } from "./launch/order.ts";
import { readFileLimit } from "./launch/prepare.ts";
import { readInRoot } from "../../ffi/rootfs.ts";
import { loadSaved } from "./kept/saved.ts";
import { findState, statusOf } from "./status.ts";
import {
  abandon,
  dismissWarden,
  startWarded,
  type Warded,
} from "./launch/warden.ts";
import { FD_TAG, type Place, type Warn } from "./model.ts";

/** What the process depends on of the container that it is for. */
export interface ExecContainer {
  mode: Config["mode"];
  /** Looks up "app" or "app:staff" in the container's own passwd and group. */
  findUser(name: string): ResolvedUser;
}

/** What is executed, and how. */
export interface ExecOptions {
  /** Changes to the container's own process; or all of it (`--process`). */
  process: (own: Process, container: ExecContainer) => Process;
  detach: boolean;
  /** `-i`: a terminal is wanted to type into it. */
  interactive: boolean;
  ignorePaused: boolean;
  /** `--cgroup`: cgroups below the container's. */
  cgroups: readonly string[];
  preserveFds: number;
  pidFile?: string;
  consoleSocket?: string;
  pidfdSocket?: string;
}

/** The namespaces of a process, as far as this kernel has them. */
function namespacesOf(first: string): Namespace[] {
  const has = new Set(
    readDirSync("/proc/self/ns").map((it) => it.name),
  );
  return NAMESPACE_FILES.filter(([, file]) => has.has(file))
    .map(([type, file]) => ({ type, path: `${first}/ns/${file}` }));
}

/** The configuration of the exec'd process. */
function configOf(
  saved: Config,
  first: string,
  options: ExecOptions,
): { config: Config; judged: ReturnType<typeof judgeNamespaces> } {
  const { linux } = saved.spec;
  const own = saved.spec.process ?? { cwd: "/" };
  const process = options.process(own, {
    mode: saved.mode,
    findUser: (userName) =>
      resolveUser({
        ...saved,
        spec: { ...saved.spec, process: { cwd: "/" } },
        userName,
      }, readInside(first)),
  });
  const oomScoreAdj = process.oomScoreAdj ?? own.oomScoreAdj;
  const capabilities = process.capabilities ?? own.capabilities;
  const { ownNamespaces: _, ...rest } = saved;
  const config: Config = {
    ...rest,
    spec: {
      ociVersion: saved.spec.ociVersion,
      root: saved.spec.root,
      process: {
        ...process,
        ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
        ...(capabilities === undefined ? {} : { capabilities }),
      },
      ...(saved.spec.annotations === undefined
        ? {}
        : { annotations: saved.spec.annotations }),
      linux: {
        namespaces: namespacesOf(first),
        ...(linux?.seccomp === undefined ? {} : { seccomp: linux.seccomp }),
        ...(linux?.personality === undefined
          ? {}
          : { personality: linux.personality }),
      },
    },
    files: [],
    overwrites: [],
    init: false,
    stdin: true,
    preserveFds: options.preserveFds,
    hostDevices: [],
  };
  for (const key of ["pidFile", "consoleSocket", "pidfdSocket"] as const) {
    delete config[key];
    const value = options[key];
    if (value !== undefined) config[key] = value;
  }
  // That one has its number by now.
  delete config.userName;
  const judged = judgeNamespaces(config);
  if (hasUserNamespace(config) && linux !== undefined) {
    config.spec.linux = {
      ...config.spec.linux,
      ...(linux.uidMappings === undefined
        ? {}
        : { uidMappings: linux.uidMappings }),
      ...(linux.gidMappings === undefined
        ? {}
        : { gidMappings: linux.gidMappings }),
    };
  }
  return { config, judged };
}

/** Reads the container's own passwd or group. */
function readInside(first: string): ReadInRoot {
  return (path) => readInRoot(`${first}/root`, path);
}

/** HOME as for the first process: from the container's own passwd. */
function applyHome(config: Config, first: string): void {
  const process = config.spec.process!;
  const env = keepLast(process.env ?? []);
  process.env = env;
  if (env.some((it) => it.startsWith("HOME=") && it !== "HOME=")) return;
  const user = resolveUser(config, readInside(first));
  process.env = [...env.filter((it) => it !== "HOME="), `HOME=${user.home}`];
}

/** The configuration with the root file system as the process sees it: with all
 * that is mounted. For errors only. */
function asSeen(config: Config, first: string): Config {
  return { ...config, rootfs: `${first}/root` };
}

/** @returns where /proc shows what the container's first process is */
function checkRunning(
  root: string,
  state: State,
  options: ExecOptions,
): string {
  const status = statusOf(root, state);
  const first = findThread(state.pid);
  if (status === "paused" && !options.ignorePaused) {
    throw new ContainerError(
      `Cannot run a process in "${state.id}": cannot exec in a paused container (use --ignore-paused to override)`,
      { code: "paused", hint: `rustyrun resume ${state.id}` },
    );
  }
  if (status === "stopped" || first === undefined) {
    throw new ContainerError(
      `Cannot run a process in "${state.id}": cannot exec in a stopped container: container not running`,
      {
        code: "not-running",
        hint: "The container must be running",
      },
    );
  }
  return first;
}

/** Throws where the process would be frozen at once: the container may do that
 * to a cgroup of its own. */
function refuseFrozen(
  state: State,
  joins: ReturnType<typeof joinCgroups>,
): void {
  const frozen = findFrozen(state.cgroup.dirs, joins);
  if (frozen === undefined) return;
  throw new ContainerError(
    `Cannot run a process in "${state.id}": its cgroup "${frozen}" is frozen (use --ignore-paused to override)`,
    { code: "paused", hint: "It would wait there until somebody thaws it" },
  );
}

/**
 * Runs a process in a container.
 *
 * @param warn hears what the process does not get and need not
 * @returns 0 when detached; else never: this process becomes the keeper
 * @throws {ContainerError} when it cannot be run
 */
export function execProcess(
  id: string,
  options: ExecOptions,
  facts: Facts,
  place: Place,
  words: KeeperWords,
  warn: Warn,
): number {
  const { root } = place;
  findState(root, id);
  const lock = lockState(root, id);
  const state = findState(root, id);
  const first = checkRunning(root, state, options);
  checkPreserved(options.preserveFds);
  const saved = loadSaved(root, id);
  const { config, judged } = configOf(saved.config, first, options);
  checkTerminal(config, {
    detached: options.detach,
    interactive: options.interactive,
  });
  applyHome(config, first);
  const found = joinCgroups(state.cgroup.dirs, options.cgroups, first);
  if (!options.ignorePaused) refuseFrozen(state, found);
  const joins = chooseJoins(config, facts, found);
  const filter = loadFilter(config, facts, root);
  const held = planHeld(findThaw(state.cgroup.dirs));
  const steps = orderPlan([
    planWarden(config, held),
    planAffinity(config),
    planSteps({
      config,
      gate: options.detach ? "none" : "keeper",
      tasks: joins.tasks,
      unified: joins.v2,
      classes: state.resctrl?.tasks,
      filter,
    }),
    planNamespaces(
      config,
      facts,
      {
        judged,
        ...(joins.v2 === undefined ? {} : { cgroup: "cgroup" }),
      },
    ),
    planProc(config, facts),
    planRoot(saved.config, first),
    planTerminal(config),
    planSecurity(config, facts, {
      exec: true,
      ...(saved.setgroups === undefined ? {} : { setgroups: saved.setgroups }),
    }),
  ]);
  const ops = steps.flatMap(([, it]) => it);
  const rlimits = rlimitsOf(config, facts, readFileLimit());
  let started: Warded | undefined;
  try {
    started = startWarded(ops, root);
    const { run } = started;
    run.serve({
      sync(step) {
        if (step !== SYNC.ready) return;
        // The pid of the state might have gone to another since it was read.
        if (!isAlive(state)) checkRunning(root, state, options);
        for (const { resource, soft, hard } of rlimits) {
          limitProcess(run.pid, resource, { soft, hard });
        }
      },
    });
    handOver(
      run,
      config,
      "setns",
      hookState(state, "running", state.pid),
    );
    writePidFile(config, run.pid);
    sayWarnings(resolveCapabilities(config, facts).warnings, warn);
    if (lock !== undefined) closeFd(lock);
  } catch (error) {
    if (started !== undefined) abandon(started);
    throw wordPlanError(error, asSeen(config, first), facts);
  }
  if (options.detach) {
    dismissWarden(started);
    return 0;
  }
  const { run, control } = started;
  const slots = new Map([["channel", run.channel], ["control", control]]);
  const master = run.received.get(FD_TAG.master);
  if (master !== undefined) slots.set("master", master);
  const plan = [
    ...planWatch(run, { runs: false, warden: run.helper }),
    held,
    ...planLateErrors(ops, asSeen(config, first), facts, words),
    planRefusal(words, "command"),
  ];
  return becomeKeeper(run, encodePlan(plan, slots), slots.values());
}
