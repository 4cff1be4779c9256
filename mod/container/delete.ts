/**
 * `delete`: removes what a container leaves behind; and the sweep of what a
 * killed keeper and warden left.
 *
 * @module
 */

import { closeFd, openFd, pollFds, trySyscall } from "../../ffi/libc.ts";
import { removeCgroups } from "../cgroups.ts";
import { readPids } from "../cgroups/control.ts";
import { checkId } from "../config/id.ts";
import { ContainerError } from "../errors.ts";
import { runHook } from "../hooks.ts";
import {
  holdState,
  isAlive,
  lockState,
  readProcess,
  readState,
  removeState,
  sleep,
  type State,
  type StateDir,
  tryLockState,
} from "../state.ts";
import { hookState, type Place } from "./launch.ts";
import { listLeft, signalContainer } from "./kill.ts";
import { removeNoted, removeRubbish, unmountNoted } from "./reclaim.ts";
import { removeClass } from "./resctrl.ts";
import { loadSaved } from "./saved.ts";
import { ELSEWHERE } from "./shared_root.ts";
import { findState, listIds, statusOf } from "./status.ts";
import type { Warn } from "./warn.ts";

const SIGKILL = 9;
/** How long a killed container may take to be gone, in milliseconds. */
const GONE_MS = 10_000;
const TICK = 20;

/** Whether processes still die of their pid 1's end, which waits for them. */
function areDying({ pid, startTime, cgroup }: State): boolean {
  return cgroup.dirs.length > 0 &&
    readProcess(pid)?.startTime === startTime &&
    readPids(cgroup.dirs).some((it) => it !== pid);
}

/** A few processes by their pids. */
function nameLeft([first, ...others]: readonly number[]): string {
  return others.length === 0
    ? `the process ${first}`
    : `the process ${first} with ${others.length} more`;
}

/** Kills a container and waits for its end. */
function endContainer(root: string, state: State): void {
  const pidfd = trySyscall("pidfd_open", state.pid, 0);
  try {
    signalContainer(root, state, SIGKILL);
    const end = performance.now() + GONE_MS;
    while (
      isAlive(state) || areDying(state) || listLeft(root, state).length > 0
    ) {
      if (performance.now() > end) {
        const who = isAlive(state) || areDying(state)
          ? `its first process ${state.pid}`
          : nameLeft(listLeft(root, state));
        throw new ContainerError(
          `Cannot delete "${state.id}": ${who} does not die`,
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

/** Removes a container that has stopped, from a directory that this process
 * holds. */
function removeContainer(
  state: State,
  dir: StateDir,
  place: Place,
  warn: Warn,
): void {
  removeCgroups(state.cgroup);
  removeClass(state.resctrl?.remove ?? []);
  unmountNoted(dir);
  try {
    if (state.hasPoststop) runPoststop(place.root, state.id, place, warn);
  } catch (error) {
    // A keeper was killed while it removed this: it had run them.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  if (state.foreground) removeNoted(dir);
  removeState(dir);
}

/** Takes the directory of a container that has stopped. A create that is not
 * done sees it now and fails; a keeper and a warden remove it. Who does neither
 * (a keeper that was stopped) has no say. */
function takeOver(root: string, id: string): StateDir | undefined {
  const dir = holdState(root, id, GONE_MS);
  if (dir !== "busy") return dir;
  const path = `${root}/${id}`;
  return { path, fd: openFd(path, 0o10000000) };
}

function isSame(a: State, b: State | undefined): boolean {
  return b !== undefined && a.pid === b.pid && a.startTime === b.startTime &&
    a.bootId === b.bootId;
}

/** Locks a container that is to be killed. Who has the lock now (an exec, a
 * start) may wait for the container: its end lets them go. */
function lockByForce(root: string, id: string): number | undefined {
  const end = performance.now() + GONE_MS;
  for (let killed = false;;) {
    const lock = tryLockState(root, id);
    if (lock !== "busy") return lock;
    const state = killed ? undefined : readState(root, id);
    if (state !== undefined) signalContainer(root, state, SIGKILL);
    killed = true;
    // Whoever hangs there (in a hook) must not keep it for ever.
    if (performance.now() > end) return undefined;
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
  const lock = force ? lockByForce(root, id) : lockState(root, id);
  let dir: StateDir | undefined;
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
    if (status !== "stopped") endContainer(root, state);
    dir = takeOver(root, id);
    if (dir === undefined || !isSame(state, readState(root, id))) return;
    // Those that a keeper ends are gone by now.
    const left = listLeft(root, state);
    if (left.length > 0 && !force) {
      throw new ContainerError(
        `Cannot delete "${id}": its first process has ended, but ${
          nameLeft(left)
        } runs on: it has no pid namespace of its own`,
        {
          code: "not-stopped",
          hint: `rustyrun kill ${id} KILL ends them all, and delete --force`,
          exitCode: 1,
        },
      );
    }
    if (left.length > 0) endContainer(root, state);
    removeContainer(state, dir, place, warn);
  } finally {
    if (dir !== undefined) closeFd(dir.fd);
    if (lock !== undefined) closeFd(lock);
  }
}

/**
 * Removes foreground containers whose keeper and warden were both killed:
 * their state is there, but nobody holds its lock. And directories of creates
 * that were killed before there was a state.
 */
export function sweep(place: Place, warn: Warn): void {
  const { root } = place;
  for (const id of listIds(root)) {
    const state = readState(root, id);
    try {
      if (state === undefined) {
        removeRubbish(root, id);
      } else if (state.foreground) {
        sweepForeground(id, place, warn);
      }
    } catch (error) {
      // Whoever is in that mount namespace will see to it.
      if (!(error instanceof ContainerError) || error.code !== ELSEWHERE) {
        throw error;
      }
    }
  }
}

function sweepForeground(id: string, place: Place, warn: Warn): void {
  const dir = holdState(place.root, id, 0);
  if (dir === undefined || dir === "busy") return;
  try {
    const state = readState(place.root, id);
    if (state === undefined || !state.foreground) return;
    if (isAlive(state) || listLeft(place.root, state).length > 0) {
      endContainer(place.root, state);
    }
    removeContainer(state, dir, place, warn);
  } finally {
    closeFd(dir.fd);
  }
}
