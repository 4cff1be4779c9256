/**
 * `start`: lets the process of a created container go, and learns from the
 * fifo whether it really ran.
 *
 * @module
 */

import { removeSync } from "../../ffi/files.ts";
import {
  closeFd,
  openFd,
  readFd,
  syscall,
  trySyscall,
} from "../../ffi/libc.ts";
import { pollUntilEnd } from "../../ffi/poll.ts";
import { errnoOf } from "../../ffi/errno.ts";
import type { Config } from "../config/config.ts";
import { ContainerError } from "../errors.ts";
import { hookState, runHooks } from "../hooks.ts";
import type { Op } from "../plan.ts";
import {
  decodeReport,
  REPORT,
  type Report,
  REPORT_SIZE,
} from "../plan/report.ts";
import { OperationError } from "../process/errors.ts";
import { lockState, type State } from "../state.ts";
import { forwardReady, openNotifySocket } from "./properties/activation.ts";
import { signalContainer } from "./kill.ts";
import { loadSaved } from "./kept/saved.ts";
import { findState, progressOf, statusOf } from "./status.ts";
import type { Place, Saved } from "./model.ts";

/** The last steps to the command failed: `wordPlanError()` of mod/failure.ts words
 * it. Its tables are a fifth of what `start` would load. */
export class StartError extends OperationError {
  override name = "StartError";
  /** What the container was made of. */
  readonly config: Config;

  constructor(op: Op, report: Report, config: Config) {
    super(op, report);
    this.config = config;
  }
}

const O_NONBLOCK = 0o4000;
const SIGKILL = 9;
const LOOK_MS = 1000;
const F_GETPIPE_SZ = 1032;

function cannotStart(id: string, why: string, hint?: string): ContainerError {
  return new ContainerError(`Cannot start "${id}": ${why}`, {
    code: "start",
    hint,
    exitCode: 1,
  });
}

function checkStartable(root: string, state: State): void {
  const status = statusOf(root, state);
  if (status === "created") return;
  throw cannotStart(
    state.id,
    status === "stopped"
      ? "cannot start a container that has stopped"
      : "cannot start an already running container",
    status === "stopped"
      ? "Delete it, and create it again"
      : "Run another process in it with rustyrun exec",
  );
}

/** Reads what is in the fifo: undefined at its end. What filled it, so that the
 * first process waited, holds no packet. */
function readReports(fifo: number): Report[] | undefined {
  const bytes = readFd(fifo, syscall("fcntl", fifo, F_GETPIPE_SZ, 0));
  if (bytes.length === 0) return undefined;
  const reports: Report[] = [];
  for (let at = 0; bytes[at]! > 0; at += REPORT_SIZE) {
    reports.push(decodeReport(bytes.subarray(at, at + REPORT_SIZE)));
  }
  return reports;
}

/** Reads what the first process reports on its way to execve.
 *
 * @throws {StartError} when one of its steps fails
 * @throws {ContainerError} when it does not get there
 */
function followStart(
  fifo: number,
  pidfd: number,
  state: State,
  saved: () => Saved,
): void {
  let about = false;
  for (;;) {
    const { news, ended } = pollUntilEnd(fifo, pidfd, LOOK_MS);
    if (!news && !ended) {
      // A start that was killed may have let it go before we came.
      if (progressOf(state.pid) === "executed") return;
      continue;
    }
    // Nothing on the fifo: the process has ended.
    const reports = news ? readReports(fifo) : undefined;
    if (reports === undefined) {
      if (about || !ended && progressOf(state.pid) === "executed") return;
      throw cannotStart(
        state.id,
        "its first process died before the command ran",
        "The kernel's log (dmesg) may say more",
      );
    }
    if (reports.some((it) => it.kind === REPORT.aboutToExec)) about = true;
    const report = reports.find((it) => it.kind === REPORT.error);
    if (report === undefined) continue;
    const { config, late } = saved();
    const op = late[report.index];
    if (op === undefined) {
      throw cannotStart(state.id, `step ${report.index} of its plan failed`);
    }
    throw new StartError(op, report, config);
  }
}

/** Where the states are read-only by now, the fifo stays: the container runs all
 * the same, and its program tells that it does (status.ts). */
function removeFifo(path: string): void {
  try {
    removeSync(path);
  } catch (error) {
    if (errnoOf(error) !== "EROFS") throw error;
  }
}

/** Runs the poststart hooks; one that fails stops the container, config.md
 * "Poststart". */
function runPoststart(state: State, saved: Saved, place: Place): void {
  const hooks = saved.config.spec.hooks?.poststart;
  if (!hooks?.length) return;
  try {
    runHooks("poststart", hooks, hookState(state, "running", state.pid));
  } catch (error) {
    signalContainer(place.root, state, SIGKILL);
    throw error;
  }
}

/**
 * Starts a created container.
 *
 * @throws {ContainerError} when it is not in that state, or has died
 * @throws {StartError} when the command cannot be executed
 */
export function startContainer(id: string, place: Place): void {
  const { root } = place;
  const { hasPoststart, notifySocket } = findState(root, id);
  if (hasPoststart) place.outlet.needProcess?.("it has hooks");
  if (notifySocket) place.outlet.needProcess?.("it waits for readiness");
  let lock = lockState(root, id);
  let fifo = -1;
  let pidfd = -1;
  let notify: number | undefined;
  try {
    const state = findState(root, id);
    checkStartable(root, state);
    const path = `${root}/${id}/exec.fifo`;
    pidfd = trySyscall("pidfd_open", state.pid, 0);
    if (pidfd < 0) {
      throw cannotStart(id, "cannot start a container that has stopped");
    }
    notify = openNotifySocket(root, state);
    fifo = openFd(path, O_NONBLOCK);
    let saved: Saved | undefined;
    const load = () => saved ??= loadSaved(root, id);
    try {
      followStart(fifo, pidfd, state, load);
    } finally {
      removeFifo(path);
    }
    if (state.hasPoststart) runPoststart(state, load(), place);
    // Readiness may take for ever: kill, exec and delete must not wait for it.
    if (lock !== undefined) closeFd(lock);
    lock = undefined;
    if (notify !== undefined) forwardReady(notify, pidfd, state);
  } finally {
    if (lock !== undefined) closeFd(lock);
    if (fifo >= 0) closeFd(fifo);
    if (pidfd >= 0) closeFd(pidfd);
    if (notify !== undefined) closeFd(notify);
  }
}
