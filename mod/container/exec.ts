/**
 * `exec`: another process in a container. The plan of a first one, with setns for
 * new namespaces and no root file system, from the saved configuration.
 *
 * @module
 */

import { readDirSync } from "../../ffi/files.ts";
import { limitProcess } from "../../ffi/libc.ts";
import { findFrozen, findThaw, joinCgroups } from "../cgroups/join.ts";
import { enterUnit } from "../cgroups/systemd/enter.ts";
import type { Config } from "../config/config.ts";
import { hasUserNamespace } from "../config/namespaces.ts";
import { checkReach } from "../config/reach.ts";
import type { Namespace, Process } from "../config/schema.ts";
import { ContainerError } from "../errors.ts";
import { wordPlanError } from "../failure.ts";
import type { Facts } from "../host.ts";
import { hookState } from "../hooks.ts";
import { planNamespaces } from "../namespaces.ts";
import { type Op, SYNC } from "../plan.ts";
import { Helper } from "../process/await.ts";
import { Keeper } from "../process/keeper.ts";
import {
  planSecurity,
  resolveCapabilities,
  type ResolvedUser,
  rlimitsOf,
} from "../security.ts";
import { findThread, isAlive, type State } from "../state.ts";
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
import { applyHome, findUserIn, readInside } from "./launch/home.ts";
import { judgeNamespaces, NAMESPACE_FILES } from "./properties/joined.ts";
import { sayWarnings, writePidFile } from "./launch/serve.ts";
import { takeDevices } from "./launch/stdio.ts";
import {
  chooseJoins,
  type Joins,
  orderPlan,
  planSteps,
} from "./launch/order.ts";
import { loadSaved } from "./kept/saved.ts";
import { endedHint, findState, statusOf } from "./status.ts";
import {
  abandon,
  dismissWarden,
  leaveWarded,
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
  /** Where it is put, whatever `cgroups` says. */
  joins?: Joins;
  /** Once it is known what will run: nothing does yet. */
  planned?: (config: Config) => void;
  preserveFds: number;
  pidFile?: string;
  consoleSocket?: string;
  pidfdSocket?: string;
}

/** The namespaces of a process, as far as this kernel has them. */
function namespacesOf(first: string, proc: string): Namespace[] {
  const has = new Set(
    readDirSync(`${proc}/ns`).map((it) => it.name),
  );
  return NAMESPACE_FILES.filter(([, file]) => has.has(file))
    .map(([type, file]) => ({ type, path: `${first}/ns/${file}` }));
}

/** The configuration of the exec'd process.
 *
 * @param proc where /proc shows the caller */
function configOf(
  saved: Config,
  { first, proc }: { first: string; proc: string },
  options: ExecOptions,
): { config: Config; judged: ReturnType<typeof judgeNamespaces> } {
  const { linux } = saved.spec;
  const own = saved.spec.process ?? { cwd: "/" };
  const process = options.process(own, {
    mode: saved.mode,
    findUser: (userName) => findUserIn(saved, readInside(first), userName),
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
        namespaces: namespacesOf(first, proc),
        ...(linux?.seccomp === undefined ? {} : { seccomp: linux.seccomp }),
        ...(linux?.personality === undefined
          ? {}
          : { personality: linux.personality }),
        ...(linux?.memoryPolicy === undefined
          ? {}
          : { memoryPolicy: linux.memoryPolicy }),
      },
    },
    files: [],
    overwrites: [],
    init: false,
    idle: false,
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
  const judged = judgeNamespaces(config, proc);
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
      { code: "not-running", hint: endedHint(state) },
    );
  }
  return first;
}

/** Throws where the process would be frozen at once: the container may do that
 * to a cgroup of its own. */
function refuseFrozen(
  state: State,
  joins: Joins,
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
 * @returns 0 when detached; else as `Outlet.become`: the caller's process becomes
 * the keeper
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
  if (options.detach) {
    dismissWarden(launchExec(id, options, facts, place, warn).started);
    return 0;
  }
  using all = new DisposableStack();
  let late: Op[] = [];
  let keeper: Keeper | undefined;
  const { started } = launchExec(id, options, facts, place, warn, {
    started({ ops, held, seen }) {
      late = [
        held,
        ...planLateErrors(ops, seen, facts, words),
        planRefusal(words, "command"),
      ];
    },
    ready({ started: { run, control } }) {
      const slots = new Map([["channel", run.channel], ["control", control]]);
      const master = run.received.get(FD_TAG.master);
      if (master !== undefined) slots.set("master", master);
      const watch = planWatch(run, { runs: false, warden: run.helper });
      keeper = all.use(new Keeper(place, [...watch, ...late], slots));
    },
  });
  try {
    return keeper!.become();
  } catch (error) {
    abandon(started);
    throw error;
  } finally {
    leaveWarded(started);
  }
}

/** A process that is there: detached it runs, for a keeper it waits at its
 * gate. */
export interface LaunchedExec {
  started: Warded;
  /** Its plan. */
  ops: readonly Op[];
  held: Op;
  /** Its configuration, for errors. */
  seen: Config;
}

/** What is done while the child stage works, which does not wait for it. */
export interface Meanwhile {
  /** Once it has started. */
  started(launched: LaunchedExec): void;
  /** Once all is known of its process, which has still to come to its gate. */
  ready(launched: LaunchedExec): void;
}

/**
 * Starts a process in a container. It takes no lock of that: it changes nothing
 * of its state, looks once more whether the container is there when the process
 * is, and may be held in there for as long as the container likes.
 *
 * @param warn hears what the process does not get and need not
 * @throws {ContainerError} when it cannot be run; nothing is left
 */
export function launchExec(
  id: string,
  options: ExecOptions,
  facts: Facts,
  place: Place,
  warn: Warn,
  meanwhile?: Meanwhile,
): LaunchedExec {
  const { root, caller } = place;
  const state = findState(root, id);
  const { proc } = facts;
  const first = checkRunning(root, state, options);
  checkPreserved(options.preserveFds, proc);
  using helper = new Helper(place);
  const saved = loadSaved(root, state.id);
  const { config, judged } = configOf(saved.config, { first, proc }, options);
  checkTerminal(config, {
    caller,
    detached: options.detach,
    interactive: options.interactive,
  });
  checkReach(config, facts, "give the process", saved.config);
  applyHome(config, readInside(first));
  options.planned?.(config);
  const found = options.joins ??
    joinCgroups(state.cgroup.dirs, options.cgroups, { process: first, proc });
  if (!options.ignorePaused) refuseFrozen(state, found);
  const joins = chooseJoins(config, facts, found);
  const filter = loadFilter(config, facts, root);
  const held = planHeld(findThaw(state.cgroup.dirs, facts));
  const of = { saved: saved.config, first, streams: caller.streams };
  using devices = takeDevices(config, facts, of);
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
    devices.plan,
    planProc(config, facts),
    planRoot(saved.config, first),
    planTerminal(config),
    planSecurity(config, facts, {
      exec: true,
      ...(saved.setgroups === undefined ? {} : { setgroups: saved.setgroups }),
    }),
  ]);
  const ops = steps.flatMap(([, it]) => it);
  const rlimits = rlimitsOf(config, facts, caller.fileLimit);
  let started: Warded | undefined;
  const seen = asSeen(config, first);
  try {
    started = startWarded(helper, ops, devices.slots);
    const { run } = started;
    const launched = { started, ops, held, seen };
    meanwhile?.started(launched);
    run.serve({
      released(step) {
        if (step === SYNC.ready) meanwhile?.ready(launched);
      },
      sync(step, pid) {
        if (step === SYNC.cgroups) {
          enterUnit(state.cgroup, found.v2, pid, facts);
        }
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
    return launched;
  } catch (error) {
    if (started !== undefined) {
      abandon(started);
      leaveWarded(started);
    }
    throw wordPlanError(error, seen, facts);
  }
}
