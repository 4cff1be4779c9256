/**
 * The end of a pid namespace whose first process was killed and does not end:
 * c/inside.c has why, and does the same for the keeper and the warden.
 *
 * @module
 */

import {
  readDirSync,
  readLinkSync,
  readTextFileSync,
} from "../../ffi/files.ts";
import { closeFd, trySyscall } from "../../ffi/libc.ts";
import { pollFds } from "../../ffi/poll.ts";
import { isGone, SyscallError } from "../../ffi/errno.ts";
import { isAlive, type State } from "../state.ts";

const SIGKILL = 9;
const WNOHANG = 1, WALL = 0x4000_0000;
const ESRCH = -3;
/** So many steps up from child to parent: who lives in a pid namespace further in
 * dies with the first process of that. */
const CLIMB = 32;
/** Milliseconds in which others end. */
const SOON_MS = 100;
/** How often those inside are killed: they may be making more. */
const TRIES = 5;

/** What a read gives; "" of a process that has gone, or is another's. */
function readOr(read: () => string): string {
  try {
    return read();
  } catch (error) {
    if (isGone(error) || error instanceof Deno.errors.PermissionDenied) {
      return "";
    }
    throw error;
  }
}

const statusOf = (pid: number) =>
  readOr(() => readTextFileSync(`/proc/${pid}/status`));

/** What kind of a pid namespace it lives in: "pid:[4026531836]". */
const homeOf = (pid: number) =>
  readOr(() => readLinkSync(`/proc/${pid}/ns/pid`));

function listNumbers(dir: string): number[] {
  return readDirSync(dir).map((it) => Number(it.name)).filter((it) => it > 1);
}

/** Which process a pidfd is of, by the numbers of /proc, which may be another pid
 * namespace's than ours; 0 when it has ended. */
function findPid(pidfd: number): number {
  const info = readTextFileSync(`/proc/self/fdinfo/${pidfd}`);
  return Number(/^Pid:\t(\d+)$/m.exec(info)?.[1] ?? 0);
}

/** A first process, and where it lives. */
interface First {
  pid: number;
  pidfd: number;
  home: string;
  /** Where we live. */
  ours: string;
}

function livesInside(pid: number, first: First): boolean {
  for (let i = 0; i < CLIMB && pid > 1 && pid !== first.pid; i++) {
    const home = homeOf(pid);
    if (home === first.home) return true;
    // Nobody above is further in.
    if (home === first.ours) return false;
    pid = Number(/^PPid:\t(\d+)$/m.exec(statusOf(pid))?.[1] ?? 0);
  }
  return pid === first.pid;
}

function killOne(pid: number, first: First): void {
  const pidfd = trySyscall("pidfd_open", pid, 0);
  if (pidfd < 0) return;
  try {
    // Now the number is nobody else's, if it is still its.
    const isMeant = findPid(pidfd) === pid && livesInside(pid, first) &&
      findPid(first.pidfd) === first.pid;
    if (!isMeant) return;
    const sent = trySyscall("pidfd_send_signal", pidfd, SIGKILL, null, 0);
    if (sent < 0 && sent !== ESRCH) {
      throw new SyscallError("pidfd_send_signal", -sent);
    }
  } finally {
    closeFd(pidfd);
  }
}

/** Who lives with a first process in its pid namespace. */
function* findAll(pidfd: number): Generator<[pid: number, first: First]> {
  const pid = findPid(pidfd);
  // Its own number in there comes last.
  const isFirst = /^NSpid:\t\d.*\t1$/m.test(statusOf(pid));
  const ours = readLinkSync("/proc/self/ns/pid");
  const first = { pid, pidfd, home: isFirst ? homeOf(pid) : "", ours };
  if (first.home === "" || first.home === ours) return;
  for (const it of listNumbers("/proc")) {
    if (it !== pid && livesInside(it, first)) yield [it, first];
  }
}

/**
 * Reaps those of a pid namespace that are children of this program: it does not end
 * before. A process makes one of its parent by CLONE_PARENT; clone(2).
 *
 * @param pidfd of its first process
 */
export function reapNamespace(pidfd: number): void {
  for (const [pid] of findAll(pidfd)) {
    // Of all others it says that they are none.
    trySyscall("wait4", pid, null, WNOHANG | WALL, null);
  }
}

/** Whether a killed process may wait for others: somebody traces it, it sleeps
 * where no signal is taken, or it has threads, of which the same may be true. */
function mayWait(pid: number): boolean {
  const status = statusOf(pid);
  return /^State:\tD/m.test(status) || /^TracerPid:\t[1-9]/m.test(status) ||
    !/^Threads:\t[01]$/m.test(status);
}

/**
 * Kills all that live in a container's own pid namespace, where its first process
 * has been killed and does not end by that.
 *
 * @throws {SyscallError} when the kernel refuses
 */
export function killNamespace(state: State): void {
  if (state.sharesPids || !mayWait(state.pid)) return;
  const pidfd = trySyscall("pidfd_open", state.pid, 0);
  if (pidfd < 0) return;
  try {
    const isLeft = () =>
      isAlive(state) && pollFds([pidfd], SOON_MS).length === 0;
    for (let tries = 0; tries < TRIES && isLeft(); tries++) {
      for (const [pid, first] of findAll(pidfd)) killOne(pid, first);
    }
  } finally {
    closeFd(pidfd);
  }
}
