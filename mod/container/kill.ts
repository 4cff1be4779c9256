/**
 * `kill`: signals to a container's first process, or to all of it.
 *
 * @module
 */

import { closeFd, trySyscall } from "../../ffi/libc.ts";
import { errnoOf, SyscallError } from "../../ffi/errno.ts";
import { calmCgroups, thawKilled } from "../cgroups/calm.ts";
import { isPopulated, readPids, signalCgroups } from "../cgroups/control.ts";
import { ContainerError } from "../errors.ts";
import { bootId, isAlive, readProcess, type State } from "../state.ts";
import { killNamespace } from "./kill_namespace.ts";
import { endedHint, findState, listStates, statusOf } from "./status.ts";

const SIGKILL = 9;
const ESRCH = -3;

function notRunning(state: State): ContainerError {
  return new ContainerError(
    `Cannot send a signal to "${state.id}": container not running`,
    { code: "not-running", hint: endedHint(state), exitCode: 1 },
  );
}

/** Sends a signal by a pidfd, so that it cannot reach another process with
 * the same pid.
 *
 * @param before what is done first where it is there
 * @returns false when the process is gone */
export function signalFirst(
  state: State,
  signal: number,
  before?: () => void,
): boolean {
  const pidfd = trySyscall("pidfd_open", state.pid, 0);
  if (pidfd < 0) return false;
  try {
    if (!isAlive(state)) return false;
    before?.();
    return sendTo(pidfd, signal);
  } finally {
    closeFd(pidfd);
  }
}

/** Sends a signal to a process, if it still is one that is meant by the time when
 * its number can be no other's.
 *
 * @throws {SyscallError} when the kernel refuses */
export function sendOne(
  pid: number,
  signal: number,
  isMember: () => boolean,
): void {
  const pidfd = trySyscall("pidfd_open", pid, 0);
  if (pidfd === ESRCH) return;
  if (pidfd < 0) throw new SyscallError("pidfd_open", -pidfd);
  try {
    if (isMember()) sendTo(pidfd, signal);
  } finally {
    closeFd(pidfd);
  }
}

/** @returns false when the process is gone */
function sendTo(pidfd: number, signal: number): boolean {
  const sent = trySyscall("pidfd_send_signal", pidfd, signal, null, 0);
  if (sent < 0 && sent !== ESRCH) {
    throw new SyscallError("pidfd_send_signal", -sent);
  }
  return sent === 0;
}

/** Steps of a walk that others wait for: a container may make cgroups faster than
 * any walk goes. */
const WALK_MOST = 512;

/** But name=systemd, where a systemd moves whom it wants. */
function counted(dirs: State["cgroup"]["dirs"]): State["cgroup"]["dirs"] {
  return dirs.filter((it) =>
    it.version === 2 || it.controllers.some((name) => !name.includes("="))
  );
}

/** The processes in any of a container's hierarchies: in one alone somebody may
 * have moved them. */
function readAll(dirs: State["cgroup"]["dirs"], most?: number): number[] {
  return [...new Set(counted(dirs).flatMap((it) => readPids([it], most)))];
}

/** Some of them, for words, without those that a user's container hides from its
 * user: it may give their lists to a subordinate id. The helper ends them, in a
 * user namespace that has that id as well. */
function readShown(dirs: State["cgroup"]["dirs"]): number[] {
  try {
    return readAll(dirs, WALK_MOST);
  } catch (error) {
    const errno = error instanceof ContainerError ? errnoOf(error.cause) : "";
    if (errno === "EPERM" || errno === "EACCES") return [];
    throw error;
  }
}

/** Whether a container's cgroups are still its own: another one that runs may
 * have been given the same. */
export function hasCgroups(root: string, state: State): boolean {
  return isAlive(state) || !sharesCgroups(root, state);
}

/** Whether another container that runs has one of its cgroups, or one inside. */
export function sharesCgroups(root: string, state: State): boolean {
  const mine = state.cgroup.dirs.map((it) => it.path);
  const isMine = (path: string) =>
    mine.some((it) => path === it || path.startsWith(`${it}/`));
  return listStates(root).some((it) =>
    it.id !== state.id && it.cgroup.dirs.some(({ path }) => isMine(path)) &&
    isAlive(it)
  );
}

/** Whether a container's cgroups may hold what its first process has left: where
 * it has a pid namespace of its own, the kernel kills that. */
function mayLeave({ sharesPids, cgroup, bootId: boot }: State): boolean {
  return sharesPids && cgroup.dirs.length > 0 && boot === bootId();
}

/**
 * Whether anybody is left of a container without a pid namespace of its own: its
 * first process may have ended before them, and no kernel kills them then. A
 * cgroup that another container has by now tells nothing of this one.
 *
 * @returns "hidden" where only a user namespace like the container's may look
 */
export function hasLeft(root: string, state: State): boolean | "hidden" {
  if (!mayLeave(state)) return false;
  const found = counted(state.cgroup.dirs)
    .map((it) => isPopulated(it, WALK_MOST));
  const left = found.includes(true) || (found.includes("hidden") && "hidden");
  return left && hasCgroups(root, state) ? left : false;
}

/**
 * Some of those of whom {@linkcode hasLeft} tells, for words.
 *
 * @param read absent: those that are hidden are left out
 */
export function listLeft(
  root: string,
  state: State,
  read: (dirs: State["cgroup"]["dirs"]) => number[] = readShown,
): number[] {
  if (!mayLeave(state)) return [];
  const left = read(state.cgroup.dirs);
  return left.length === 0 || hasCgroups(root, state) ? left : [];
}

/**
 * The processes of a container: those in its cgroup and below it, and its first
 * one, wherever that has gone.
 *
 * @throws {ContainerError} when it runs and has no cgroup
 */
export function listPids(root: string, state: State): number[] {
  if (!isAlive(state)) return listLeft(root, state, readAll);
  const { dirs } = state.cgroup;
  const pids = dirs.length === 0 ? readPids(dirs) : readAll(dirs);
  return [...new Set([...pids, state.pid])].sort((a, b) => a - b);
}

/**
 * Sends a signal to a container's first process; SIGKILL, where it has no pid
 * namespace of its own, to all its processes.
 *
 * @param inside as of {@linkcode signalCgroups}
 * @returns false when it is gone already
 * @throws {ContainerError} when the kernel refuses
 */
export function signalContainer(
  root: string,
  state: State,
  signal: number,
  inside?: () => boolean,
): boolean {
  const { dirs } = state.cgroup;
  try {
    if (signal === SIGKILL && state.sharesPids && dirs.length > 0) {
      // It may have been moved out of its cgroup.
      const sent = signalFirst(state, signal, () => calmCgroups(dirs));
      const left = hasLeft(root, state);
      if (left) signalCgroups(dirs, signal, sendOne, inside);
      return sent || left !== false;
    }
    const kills = signal === SIGKILL;
    const calm = () => kills && calmCgroups(dirs);
    const sent = signalFirst(state, signal, calm);
    // Until it is a zombie it waits for the others, who may be frozen.
    const first = () => {
      const now = readProcess(state.pid);
      return now !== undefined && now.startTime === state.startTime &&
          !"ZX".includes(now.letter)
        ? state.pid
        : undefined;
    };
    if (kills && sent) {
      thawKilled(dirs, first);
      killNamespace(state);
    }
    return sent;
  } catch (cause) {
    if (!(cause instanceof SyscallError)) throw cause;
    throw new ContainerError(
      `Cannot send a signal to "${state.id}": ${cause.message}`,
      {
        code: "signal",
        hint: cause.code === "EPERM"
          ? "Only the user who started it, or root, may"
          : undefined,
        exitCode: 1,
        cause,
      },
    );
  }
}

/**
 * Sends a signal to a container.
 *
 * @param all every process in its cgroup; then a container that has stopped is
 * no error
 * @param inside as of {@linkcode signalCgroups}
 * @throws {ContainerError} "container not running"
 */
export function killContainer(
  root: string,
  id: string,
  signal: number,
  all = false,
  inside?: () => boolean,
): void {
  const state = findState(root, id);
  if (all) {
    if (state.cgroup.dirs.length === 0) {
      signalContainer(root, state, signal, inside);
    } else if (isAlive(state) || hasLeft(root, state)) {
      signalCgroups(state.cgroup.dirs, signal, sendOne, inside);
    }
    return;
  }
  // SIGKILL reaches whom a first process that has ended has left behind.
  const gone = signal !== SIGKILL && statusOf(root, state) === "stopped";
  if (gone || !signalContainer(root, state, signal, inside)) {
    throw notRunning(state);
  }
}
