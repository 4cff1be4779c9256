/**
 * `delete`: removes what a container leaves behind; and the sweep of what a
 * killed keeper and warden left.
 *
 * @module
 */

import { closeFd, cstring, trySyscall } from "../../ffi/libc.ts";
import { pollFds } from "../../ffi/poll.ts";
import { calmCgroups } from "../cgroups/calm.ts";
import { checkId } from "../config/id.ts";
import { ContainerError } from "../errors.ts";
import { REMOVE } from "../plan.ts";
import { hookState, runHook } from "../hooks.ts";
import {
  holdState,
  isAlive,
  listIds,
  lockState,
  readState,
  sleep,
  type State,
  type StateDir,
  tryLockState,
} from "../state.ts";
import {
  hasCgroups,
  hasLeft,
  listLeft,
  sharesCgroups,
  signalContainer,
  signalFirst,
} from "./kill.ts";
import {
  killCgroups,
  killInside,
  removeRubbish,
  removeStopped,
  showCgroups,
} from "./kept/reclaim.ts";
import { killNamespace } from "./kill_namespace.ts";
import { goOnBehind } from "./kept/removal.ts";
import { loadSaved } from "./kept/saved.ts";
import { ELSEWHERE } from "./properties/unmount.ts";
import { findState, statusOf } from "./status.ts";
import type { Place, Warn } from "./model.ts";

const SIGKILL = 9;
/** How long a killed container may take to be gone, in milliseconds. Counted by
 * the pauses: a machine that stands still lets nobody die. */
const GONE_MS = 10_000;
const TICK = 20;
const O_PATH = 0o12000000; // O_CLOEXEC, too

/** A few processes by their pids. */
function nameLeft([first, ...others]: readonly number[]): string {
  if (first === undefined) return "a process that it hides";
  return others.length === 0
    ? `the process ${first}`
    : `the process ${first} with ${others.length} more`;
}

/** Whether anybody is left of a container: also where it has hidden that, as
 * somebody may have done who is long dead. */
function isAnyoneLeft(root: string, state: State): boolean {
  if (hasLeft(root, state) === "hidden") showCgroups(root, state);
  return hasLeft(root, state) !== false;
}

/** Kills a container. Whom a user's container hides the helper kills, in a user
 * namespace like its own.
 *
 * @returns what else the kernel has against it */
function tryKill(root: string, state: State): ContainerError | undefined {
  try {
    const inside = () => killInside(root, state);
    signalContainer(root, state, SIGKILL, inside);
  } catch (error) {
    if (!(error instanceof ContainerError)) throw error;
    if (!sharesCgroups(root, state)) killCgroups(root, state);
    return error;
  }
  return undefined;
}

/** Kills a container and waits for its end.
 *
 * @param most milliseconds
 * @throws {ContainerError} when it lives on */
function endContainer(root: string, state: State, most = GONE_MS): void {
  const pidfd = trySyscall("pidfd_open", state.pid, 0);
  try {
    const refused = tryKill(root, state);
    const left = () => isAnyoneLeft(root, state);
    for (let tries = 0; isAlive(state) || left(); tries++) {
      // It may have begun to wait for them since.
      if (tries % 32 === 31) killNamespace(state);
      // A pid 1 waits for the others, who may be in a freezer further down.
      if (tries === 5 && !sharesCgroups(root, state)) killCgroups(root, state);
      if (tries > most / TICK) {
        if (refused !== undefined) throw refused;
        const who = isAlive(state)
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
      if (pidfd < 0 || pollFds([pidfd], TICK).length > 0) sleep(TICK);
    }
  } finally {
    if (pidfd >= 0) closeFd(pidfd);
  }
}

/** Runs the poststop hooks; runtime.md: one that fails is only warned about. The
 * saved configuration goes first: whoever comes by force meanwhile, or after a
 * crash, runs them no second time. */
export function runPoststop(
  root: string,
  id: string,
  warn: Warn,
) {
  const state = findState(root, id);
  const { config } = loadSaved(root, id);
  // Where the disk takes no change it stays, and so does the state.
  trySyscall("unlinkat", -100, cstring(`${root}/${id}/config.json`), 0);
  for (const hook of config.spec.hooks?.poststop ?? []) {
    try {
      runHook("poststop", hook, hookState(state, "stopped", 0));
    } catch (error) {
      if (!(error instanceof ContainerError)) throw error;
      warn(error.message);
    }
  }
}

/** Removes a container that has stopped, from a directory that this process
 * holds.
 *
 * @param kill whoever is left in its cgroups dies
 * @param later nobody waits for what takes long */
function removeContainer(
  state: State,
  dir: StateDir,
  { place, warn, kill, later = false }: {
    place: Place;
    warn: Warn;
    kill: boolean;
    later?: boolean;
  },
): void {
  const hooks = () => {
    try {
      runPoststop(place.root, state.id, warn);
    } catch (error) {
      // Somebody runs them, or has.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  };
  removeStopped(state, dir, {
    // With its pid namespace all of it was killed: who lives there is another's.
    kill: kill && (state.sharesPids || isAlive(state)),
    later,
    keepCgroups: !hasCgroups(place.root, state),
    ...(state.hasPoststop ? { between: hooks } : {}),
  });
}

/** Takes the directory of a container that has stopped. A create that is not
 * done sees it now and fails; a keeper and a warden remove it. Who does neither
 * (a keeper that was stopped) has no say.
 *
 * @param force nobody in its cgroups is left for a keeper to wait for */
function takeOver(
  root: string,
  state: State,
  force: boolean,
): StateDir | undefined {
  const { id } = state;
  let dir = holdState(root, id, 0);
  if (dir !== "busy") return dir;
  if (force && hasCgroups(root, state)) {
    const how = state.sharesPids ? REMOVE.kill : REMOVE.free;
    killCgroups(root, state, how);
  }
  dir = holdState(root, id, GONE_MS);
  if (dir !== "busy") return dir;
  const path = `${root}/${id}`;
  const fd = trySyscall("openat", -100, cstring(path), O_PATH);
  // Whoever had it may have removed it by now.
  return fd < 0 ? undefined : { path, fd };
}

function isSame(a: State, b: State | undefined): boolean {
  return b !== undefined && a.pid === b.pid && a.startTime === b.startTime &&
    a.bootId === b.bootId;
}

/** Locks a container that is to be killed. Who has the lock now (an exec, a
 * start) may wait for the container: its end lets them go. */
function lockByForce(root: string, id: string): number | undefined {
  for (let tries = 0, killed = false;; tries++) {
    const lock = tryLockState(root, id);
    if (lock !== "busy") return lock;
    const state = killed ? undefined : readState(root, id);
    if (state !== undefined) tryKill(root, state);
    killed = true;
    // Whoever hangs there (in a hook) must not keep it for ever.
    if (tries > GONE_MS / TICK) return undefined;
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
  const found = readState(root, id);
  if (found?.hasPoststop) place.outlet.needProcess?.("it has hooks");
  if (found === undefined) {
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
          hint: `rustyrun kill ${id} KILL ends it, and so does delete --force`,
          exitCode: 1,
        },
      );
    }
    if (status !== "stopped") endContainer(root, state);
    dir = takeOver(root, state, force);
    if (dir === undefined || !isSame(state, readState(root, id))) return;
    // Those that a keeper ends are gone by now.
    const left = isAnyoneLeft(root, state);
    if (left && !force) {
      throw new ContainerError(
        `Cannot delete "${id}": its first process has ended, but ${
          nameLeft(listLeft(root, state))
        } runs on: it has no pid namespace of its own`,
        {
          code: "not-stopped",
          hint: `rustyrun kill ${id} KILL ends them all, and delete --force`,
          exitCode: 1,
        },
      );
    }
    if (left) endContainer(root, state);
    removeContainer(state, dir, {
      place,
      warn,
      kill: force || status === "created",
    });
  } finally {
    if (dir !== undefined) closeFd(dir.fd);
    if (lock !== undefined) closeFd(lock);
  }
}

/** The command line of rustyrun with other words. */
export type SelfCommand = (words: readonly string[]) => readonly string[];

/** How long a sweep goes from one container to the next, in milliseconds. */
const SWEEP_MS = 300;

/** Calls `act`; what stays is told. */
function trySweep(id: string, warn: Warn, act: () => void): void {
  try {
    act();
  } catch (error) {
    // Whoever is in that mount namespace will see to it.
    if (error instanceof ContainerError && error.code === ELSEWHERE) return;
    warn(
      `Cannot clean up after "${id}", whose keeper was killed: ${
        error instanceof Error ? error.message : error
      }`,
    );
  }
}

/**
 * Removes foreground containers whose keeper and warden were both killed:
 * their state is there, but nobody holds its lock. And directories of creates
 * that were killed before there was a state. What stays is told: it is no
 * reason for another container not to run, and neither to wait: what takes long
 * goes on behind it, and many that wait for their processes' ends are left to the
 * next sweep.
 *
 * @param own the id that is wanted next: what is left of that goes at once
 * @param self the command line of rustyrun, which sweeps behind the caller what
 * has poststop hooks: these take the time that they take. Without it, such
 * containers stay
 */
export function sweep(
  place: Place,
  warn: Warn,
  own: string,
  self?: SelfCommand,
): void {
  const { root } = place;
  const end = performance.now() + SWEEP_MS;
  const hooked: string[] = [];
  // Where what stays takes all the time, everybody else has a turn as well.
  const ids = listIds(root);
  const first = Math.floor(Math.random() * ids.length);
  for (const id of [...ids.slice(first), ...ids.slice(0, first)]) {
    if (id !== own && performance.now() > end) continue;
    trySweep(id, warn, () => {
      const state = readState(root, id);
      if (state === undefined) removeRubbish(root, id);
      else if (!state.foreground) return;
      else if (id === own) sweepNow(id, place, warn);
      else if (state.hasPoststop) hooked.push(id);
      else sweepForeground(id, place, warn, true);
    });
  }
  if (self !== undefined) sweepHooked(hooked, self, place, warn);
}

/** Has a process of its own sweep what is left of containers with hooks. */
function sweepHooked(
  hooked: readonly string[],
  self: SelfCommand,
  { root, caller }: Place,
  warn: Warn,
): void {
  const left = hooked.filter((id) => isAbandoned(root, id));
  if (left.length === 0) return;
  trySweep(left[0]!, warn, () => {
    const argv = self(["--root", root, "sweep", "--", ...left]);
    goOnBehind(argv, caller.environment, root);
  });
}

/** Whether nobody holds the lock of a state. */
function isAbandoned(root: string, id: string): boolean {
  const dir = holdState(root, id, 0);
  if (dir === undefined || dir === "busy") return false;
  closeFd(dir.fd);
  return true;
}

/** Sweeps one container to its end; `rustyrun sweep`. */
export function sweepNow(id: string, place: Place, warn: Warn): void {
  trySweep(id, warn, () => {
    checkId(id);
    sweepForeground(id, place, warn, false);
  });
}

function sweepForeground(
  id: string,
  place: Place,
  warn: Warn,
  later: boolean,
): void {
  const dir = holdState(place.root, id, 0);
  if (dir === undefined || dir === "busy") return;
  try {
    const state = readState(place.root, id);
    if (state === undefined || !state.foreground) return;
    // The helper kills who is in the cgroups, and waits for them behind us.
    if (
      later && state.cgroup.dirs.length > 0 && !sharesCgroups(place.root, state)
    ) signalFirst(state, SIGKILL, () => calmCgroups(state.cgroup.dirs));
    else if (isAlive(state) || isAnyoneLeft(place.root, state)) {
      // Without cgroups nobody waits behind us: the next sweep does.
      endContainer(place.root, state, later ? SWEEP_MS : GONE_MS);
    }
    removeContainer(state, dir, { place, warn, kill: true, later });
  } finally {
    closeFd(dir.fd);
  }
}
