/**
 * `kill`: signals to a container's first process, or to all of it.
 *
 * @module
 */

import { closeFd, trySyscall } from "../../ffi/libc.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { isFrozen, signalCgroups, thawCgroups } from "../cgroups/control.ts";
import { ContainerError } from "../errors.ts";
import { isAlive, type State } from "../state.ts";
import { findState, statusOf } from "./status.ts";

const SIGKILL = 9;
const ESRCH = -3;

function notRunning(id: string): ContainerError {
  return new ContainerError(
    `Cannot send a signal to "${id}": container not running`,
    {
      code: "not-running",
      hint: `rustyrun state ${id} shows what it is`,
      exitCode: 1,
    },
  );
}

/** Sends a signal by a pidfd, so that it cannot reach another process with
 * the same pid.
 *
 * @returns false when the process is gone */
function signalFirst(state: State, signal: number): boolean {
  const pidfd = trySyscall("pidfd_open", state.pid, 0);
  if (pidfd < 0) return false;
  try {
    if (!isAlive(state)) return false;
    const sent = trySyscall("pidfd_send_signal", pidfd, signal, null, 0);
    if (sent < 0 && sent !== ESRCH) {
      throw new SyscallError("pidfd_send_signal", -sent);
    }
    return sent === 0;
  } finally {
    closeFd(pidfd);
  }
}

function sendOne(pid: number, signal: number): void {
  const sent = trySyscall("kill", pid, signal);
  if (sent < 0 && sent !== ESRCH) throw new SyscallError("kill", -sent);
}

/**
 * Sends a signal to a container's first process; SIGKILL, where it has no pid
 * namespace of its own, to all its processes.
 *
 * @returns false when it is gone already
 * @throws {ContainerError} when the kernel refuses
 */
export function signalContainer(state: State, signal: number): boolean {
  const { dirs } = state.cgroup;
  try {
    if (signal === SIGKILL && state.sharesPids && dirs.length > 0) {
      const alive = isAlive(state);
      signalCgroups(dirs, signal, sendOne);
      if (alive) signalFirst(state, signal);
      return alive;
    }
    const sent = signalFirst(state, signal);
    // In a v1 freezer a process dies only when it is thawed.
    if (signal === SIGKILL && isFrozen(dirs)) thawCgroups(dirs);
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
 * @throws {ContainerError} "container not running"
 */
export function killContainer(
  root: string,
  id: string,
  signal: number,
  all = false,
): void {
  const state = findState(root, id);
  if (all) {
    if (state.cgroup.dirs.length > 0) {
      signalCgroups(state.cgroup.dirs, signal, sendOne);
    } else {
      signalContainer(state, signal);
    }
    return;
  }
  if (statusOf(root, state) === "stopped" || !signalContainer(state, signal)) {
    throw notRunning(id);
  }
}
