/**
 * What every door to a new container shares: the host's answers while a plan
 * runs, and the state that is written of it.
 *
 * @module
 */

import { limitProcess } from "../../../ffi/libc.ts";
import { namespaceUse } from "../../config/namespaces.ts";
import { ContainerError, describeFileError } from "../../errors.ts";
import type { Warning } from "../../security.ts";
import { hookState, runHooks } from "../../hooks.ts";
import { SYNC } from "../../plan.ts";
import type { PlanRun } from "../../process.ts";
import {
  describeProcess,
  publishState,
  replaceFile,
  stageState,
  type State,
  type StateClass,
  type StateDir,
  type StateProcess,
  writeSaved,
} from "../../state.ts";
import { moveNetDevices } from "../properties/net_devices.ts";
import { saveConfig } from "../kept/saved.ts";
import { loginName, writeIdMaps } from "../properties/id_maps.ts";
import { releaseSharedLock } from "../properties/shared_root.ts";
import type { Prepared, Warn } from "../model.ts";

/**
 * Writes the file of --pid-file, if there is one: by rename, without a newline,
 * as engines read runc's.
 *
 * @throws {ContainerError} when it cannot be written
 */
export function writePidFile(
  { pidFile }: { pidFile?: string },
  pid: number,
): void {
  if (pidFile === undefined) return;
  try {
    replaceFile(pidFile, String(pid), 0o644);
  } catch (cause) {
    throw new ContainerError(
      `Cannot write the pid file "${pidFile}": ${describeFileError(cause)}`,
      {
        code: "pid-file",
        hint: "Name a file in a directory that you may write: --pid-file FILE",
        cause,
      },
    );
  }
}

/** The part of a state that says how its container was made. */
export type LaunchKind = Pick<State, "foreground" | "waits" | "notifySocket">;

/** What the state keeps of a unit. */
function unitOf({ unit }: Prepared["cgroup"]): Pick<State["cgroup"], "unit"> {
  return unit === undefined
    ? {}
    : { unit: { name: unit.name, buses: unit.buses } };
}

function describeClass({ mount, group, tasks, remove }: StateClass) {
  return { mount, group, tasks, remove };
}

/** The part of a state that is known before there is a process. */
function describeContainer(
  prepared: Prepared,
  kind: LaunchKind,
): Omit<State, keyof StateProcess> {
  const { config, cgroup, resctrl } = prepared;
  return {
    version: 1,
    id: config.id,
    ociVersion: config.spec.ociVersion,
    bundle: config.bundle,
    rootfs: config.rootfs,
    ...(config.spec.annotations === undefined
      ? {}
      : { annotations: config.spec.annotations }),
    owner: loginName(prepared.facts.uid),
    ...kind,
    sharesPids: namespaceUse(config, "pid") !== "new",
    cgroup: {
      dirs: cgroup.dirs,
      parents: cgroup.parents,
      ...unitOf(cgroup),
    },
    ...(resctrl === undefined ? {} : { resctrl: describeClass(resctrl) }),
    hasPoststart: (config.spec.hooks?.poststart?.length ?? 0) > 0,
    hasPoststop: (config.spec.hooks?.poststop?.length ?? 0) > 0,
  };
}

/** Writes all that is kept of a container, once it has a first process; with
 * `publishState()` it exists. */
export function stageContainer(
  prepared: Prepared,
  dir: StateDir,
  kind: LaunchKind,
  pid: number,
): void {
  // Without state.json, which comes last, this file is rubbish.
  writeSaved(dir, saveConfig(prepared));
  stageState(dir, {
    ...describeContainer(prepared, kind),
    ...describeProcess(pid),
  });
}

/** Sets the resource limits of the container's first process from outside, so
 * that a tiny one cannot break its setup; prlimit(2).
 *
 * @throws {ContainerError} when the kernel refuses one */
function applyRlimits(pid: number, prepared: Prepared): void {
  for (const { resource, soft, hard, name } of prepared.rlimits) {
    try {
      limitProcess(pid, resource, { soft, hard });
    } catch (cause) {
      throw new ContainerError(
        `Cannot set the limit "${name}" to ${soft}:${hard}: ${
          cause instanceof Error ? cause.message : cause
        }`,
        {
          code: "rlimit",
          hint:
            "A hard limit above the caller's own needs CAP_SYS_RESOURCE: ulimit -H -a shows them",
          cause,
        },
      );
    }
  }
}

/** Says what a process does not get. */
export function sayWarnings(warnings: readonly Warning[], warn: Warn): void {
  for (const { message, quiet } of warnings) warn(message, quiet);
}

/** What a door wants done while a plan is served. */
export interface Serving {
  kind: LaunchKind;
  /** Makes its cgroups and its class of service, before anybody joins them.
   *
   * @param pid the process that waits for them; 0 where none is needed */
  makeGroups: (pid: number) => void;
  /** While the child stage works, once it has a first process. */
  forked?: () => void;
  /** Once its limits are set and its state is there; nobody waits for this. */
  ready?: () => void;
}

/**
 * Serves a plan until its gate: cgroups, id maps, hooks, limits, state.
 *
 * @returns how far it got
 * @throws whatever fails on the way; nothing is cleaned up here
 */
export function serveLaunch(
  run: PlanRun,
  prepared: Prepared,
  dir: StateDir,
  { kind, makeGroups, forked, ready }: Serving,
): ReturnType<PlanRun["serve"]> {
  // A unit of systemd's needs a process; else the helper starts meanwhile.
  const waits = prepared.cgroup.unit !== undefined;
  if (!waits) makeGroups(0);
  const { hooks, ociVersion, annotations } = prepared.config.spec;
  const { id, bundle } = prepared.config;
  return run.serve({
    forked() {
      stageContainer(prepared, dir, kind, run.pid);
      forked?.();
    },
    released(step) {
      if (step === SYNC.ready) ready?.();
    },
    sync(step, pid) {
      if (step === SYNC.cgroups && waits) makeGroups(pid);
      if (step === SYNC.idMaps && prepared.idMaps !== undefined) {
        writeIdMaps(pid, prepared.idMaps);
      }
      if (step === SYNC.netDevices) {
        moveNetDevices(prepared.netDevices, run.pid);
      }
      // Both come after the mounts.
      if (step === SYNC.hooks || step === SYNC.ready) {
        releaseSharedLock(prepared);
      }
      if (step === SYNC.hooks) {
        const state = hookState(
          {
            ociVersion,
            id,
            bundle,
            ...(annotations === undefined ? {} : { annotations }),
          },
          "created",
          run.pid,
        );
        runHooks("prestart", hooks?.prestart, state);
        runHooks("createRuntime", hooks?.createRuntime, state);
      }
      if (step === SYNC.ready) {
        applyRlimits(run.pid, prepared);
        publishState(dir);
      }
    },
  });
}
