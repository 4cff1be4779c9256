/**
 * `delete`: removes what a container leaves behind; and the sweep of what a
 * killed keeper and warden left.
 *
 * @module
 */

import { closeFd, pollFds, trySyscall } from "../../ffi/libc.ts";
import { removeCgroups } from "../cgroups.ts";
import { checkId } from "../config/from_flags.ts";
import { ContainerError } from "../errors.ts";
import { runHook } from "../hooks.ts";
import {
  isAlive,
  isLocked,
  lockState,
  readState,
  removeState,
  type State,
} from "../state.ts";
import { hookState, type Place } from "./launch.ts";
import { signalContainer } from "./kill.ts";
import { loadSaved } from "./saved.ts";
import { findState, listIds, statusOf } from "./status.ts";

const SIGKILL = 9;
/** How long a killed container may take to be gone, in milliseconds. */
const GONE_MS = 10_000;
const TICK = 20;

/** Says of a poststop hook that failed: it may only warn. */
export type Warn = (message: string) => void;

function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** Kills a container and waits for its end. */
function endContainer(state: State): void {
  const pidfd = trySyscall("pidfd_open", state.pid, 0);
  try {
    signalContainer(state, SIGKILL);
    const end = performance.now() + GONE_MS;
    while (isAlive(state)) {
      if (performance.now() > end) {
        throw new ContainerError(
          `Cannot delete "${state.id}": its first process ${state.pid} does not die`,
          {
            code: "kill",
            hint: "It may hang in the kernel: cat /proc/PID/stack as root",
            exitCode: 1,
          },
        );
      }
      if (pidfd < 0 || pollFds([pidfd], TICK).length > 0) sleep(1);
    }
  } finally {
    if (pidfd >= 0) closeFd(pidfd);
  }
}

/** Runs the poststop hooks; runtime.md: one that fails is only warned about. */
export function runPoststop(
  root: string,
  id: string,
  place: Place,
  warn: Warn,
) {
  const state = findState(root, id);
  const { config } = loadSaved(root, id);
  for (const hook of config.spec.hooks?.poststop ?? []) {
    try {
      runHook("poststop", hook, hookState(state, "stopped", 0), place.env);
    } catch (error) {
      if (!(error instanceof ContainerError)) throw error;
      warn(error.message);
    }
  }
}

function removeContainer(state: State, place: Place, warn: Warn): void {
  const { root } = place;
  removeCgroups(state.cgroup);
  if (state.hasPoststop) runPoststop(root, state.id, place, warn);
  removeState(`${root}/${state.id}`);
}

/** A container that a keeper watches is removed by that. */
function waitForKeeper(root: string, id: string): void {
  const end = performance.now() + GONE_MS;
  while (readState(root, id) !== undefined && isLocked(root, id)) {
    if (performance.now() > end) return;
    sleep(TICK);
  }
}

/**
 * Deletes a container.
 *
 * @param force kill it first; then one that is not there is fine
 * @throws {ContainerError} when it runs and `force` is not given
 */
export function deleteContainer(
  id: string,
  force: boolean,
  place: Place,
  warn: Warn,
): void {
  const { root } = place;
  checkId(id);
  if (readState(root, id) === undefined) {
    if (!force) findState(root, id);
    removeRubbish(root, id);
    return;
  }
  const lock = lockState(root, id);
  try {
    const state = force ? readState(root, id) : findState(root, id);
    if (state === undefined) return;
    const status = statusOf(root, state);
    if (!force && status !== "stopped" && status !== "created") {
      throw new ContainerError(
        `Cannot delete "${id}": cannot delete container ${id} that is not stopped: ${status}`,
        {
          code: "not-stopped",
          hint: `rustyrun kill ${id} stops it, delete --force kills it`,
          exitCode: 1,
        },
      );
    }
    if (status !== "stopped") endContainer(state);
    if (state.foreground && isLocked(root, id)) {
      waitForKeeper(root, id);
      if (readState(root, id) === undefined) return;
    }
    removeContainer(state, place, warn);
  } finally {
    if (lock !== undefined) closeFd(lock);
  }
}

/** Removes a directory that has neither a state nor somebody who makes one. */
function removeRubbish(root: string, id: string): void {
  if (isLocked(root, id) || readState(root, id) !== undefined) return;
  removeState(`${root}/${id}`);
}

/**
 * Removes foreground containers whose keeper and warden were both killed:
 * their state is there, but nobody holds its lock. And directories of creates
 * that were killed before there was a state.
 */
export function sweep(place: Place, warn: Warn): void {
  for (const id of listIds(place.root)) {
    const state = readState(place.root, id);
    if (state === undefined) {
      removeRubbish(place.root, id);
    } else if (state.foreground && !isLocked(place.root, id)) {
      if (isAlive(state)) endContainer(state);
      removeContainer(state, place, warn);
    }
  }
}
