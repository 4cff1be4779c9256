/**
 * What is done to a living container through its cgroups: stop and resume it,
 * kill all of it, list its processes.
 *
 * @module
 */

import {
  chmodSync,
  readTextFileSync,
  statSync,
  writeTextFileSync,
} from "../../ffi/files.ts";
import { trySyscall } from "../../ffi/libc.ts";
import { ContainerError } from "../errors.ts";
import { errnoOf, noCgroup, wordFailure } from "./errors.ts";
import { holds, type Seen } from "./join.ts";
import { visitCgroups } from "./walk.ts";
import type { CgroupDir } from "./model.ts";

/** A pause that blocks the thread: these calls are sync on purpose. */
function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** How long a freeze may take: a process in an uninterruptible sleep (a dead
 * NFS server) freezes late or never. */
const FREEZE_MS = 10_000;

/** The cgroup through which a container is frozen: the v1 freezer where there
 * is one, else v2. */
function findFreezer(dirs: readonly CgroupDir[]): CgroupDir | undefined {
  return dirs.find((d) =>
    d.version === 1 && d.controllers.includes("freezer")
  ) ?? dirs.find((d) => d.version === 2);
}

function needFreezer(dirs: readonly CgroupDir[], wanted: string): CgroupDir {
  const dir = findFreezer(dirs);
  if (dir) return dir;
  if (dirs.length === 0) throw noCgroup(`${wanted} the container`);
  throw new ContainerError(
    `Cannot ${wanted} the container: it has no cgroup with a freezer`,
    {
      code: "controller-missing",
      hint: "A user needs a delegated cgroup v2 for that, root the v1 freezer",
    },
  );
}

/** Whether the container is frozen (or about to be). False without cgroups. */
export function isFrozen(dirs: readonly CgroupDir[]): boolean {
  const dir = findFreezer(dirs);
  if (dir === undefined) return false;
  const file = dir.version === 1 ? "freezer.state" : "cgroup.freeze";
  try {
    const state = readTextFileSync(`${dir.path}/${file}`).trim();
    return state === "FROZEN" || state === "FREEZING" || state === "1";
  } catch {
    return false;
  }
}

/**
 * Says when a cgroup of the container is gone: somebody has moved its processes
 * elsewhere, where what is done to its cgroup does nothing to them.
 *
 * @param wanted what follows "Cannot "
 * @throws {ContainerError} that names it
 */
export function checkThere(dirs: readonly CgroupDir[], wanted: string): void {
  for (const { path } of dirs) {
    try {
      statSync(path);
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
      throw new ContainerError(
        `Cannot ${wanted}: its cgroup "${path}" is gone`,
        {
          code: "cgroup-gone",
          hint:
            "Somebody has moved its processes: /proc/PID/cgroup says where to",
          cause,
        },
      );
    }
  }
}

/**
 * Stops every process of the container and waits until all have stopped.
 *
 * @param first where /proc shows the first process: that one at least must be
 * among them
 * @throws {ContainerError} where there is no freezer, or when it takes longer
 * than ten seconds; then it is thawed again
 */
export function freezeCgroups(
  dirs: readonly CgroupDir[],
  first?: Seen,
): void {
  const dir = needFreezer(dirs, "pause");
  if (first !== undefined && !holds(dir, first)) {
    throw new ContainerError(
      `Cannot pause the container: its first process has left its cgroup "${dir.path}"`,
      {
        code: "cgroup-left",
        hint: `cat ${first.process}/cgroup shows where it is`,
      },
    );
  }
  const [file, on, off, status, done] = dir.version === 1
    ? ["freezer.state", "FROZEN", "THAWED", "freezer.state", /^FROZEN/]
    : ["cgroup.freeze", "1", "0", "cgroup.events", /^frozen 1$/m];
  const path = `${dir.path}/${file}`;
  const write = (value: string) => {
    try {
      writeTextFileSync(path, value, { create: false });
    } catch (error) {
      throw wordFailure(
        `pause the container: write "${value}" to "${path}"`,
        path,
        error,
      );
    }
  };
  write(on);
  const deadline = performance.now() + FREEZE_MS;
  for (let turn = 0, wait = 1;; turn++, wait = Math.min(wait * 2, 50)) {
    const text = readTextFileSync(`${dir.path}/${status}`);
    if (done.test(text)) return;
    if (performance.now() > deadline) break;
    // A v1 freezer can miss a process that forks just now and stay FREEZING:
    // thawing it for a moment lets the next try see it.
    if (dir.version === 1 && turn % 10 === 9) {
      write(off);
      pause(1);
    }
    if (dir.version === 1) write(on);
    pause(wait);
  }
  write(off);
  throw new ContainerError(
    `Cannot pause the container: "${path}" did not settle in ${
      FREEZE_MS / 1000
    } s`,
    {
      code: "freeze-timeout",
      hint: "A process waits for a disk or network file system (ps: state D)",
    },
  );
}

/**
 * Lets the processes of the container go on.
 *
 * @throws {ContainerError} where there is no freezer
 */
export function thawCgroups(dirs: readonly CgroupDir[]): void {
  const dir = needFreezer(dirs, "resume");
  const [file, value] = dir.version === 1
    ? ["freezer.state", "THAWED"]
    : ["cgroup.freeze", "0"];
  const path = `${dir.path}/${file}`;
  try {
    writeTextFileSync(path, value, { create: false });
  } catch (error) {
    throw wordFailure(
      `resume the container: write "${value}" to "${path}"`,
      path,
      error,
    );
  }
}

/** The cgroup that lists a container's processes. */
function findList(dirs: readonly CgroupDir[]): CgroupDir | undefined {
  const first = (name: string) =>
    dirs.find((d) => d.version === 1 && d.controllers.includes(name));
  // name=systemd last: a systemd in the container moves processes about there.
  return dirs.find((d) => d.version === 2) ?? first("devices") ??
    first("pids") ?? first("freezer") ?? dirs[0];
}

/**
 * The pids of all processes in the container's cgroup and those inside it, as
 * the caller's pid namespace sees them, in order. One of 0 is in none of ours.
 *
 * @throws {ContainerError} when the container has no cgroup
 */
export function readPids(dirs: readonly CgroupDir[]): number[] {
  const dir = findList(dirs);
  if (dir === undefined) {
    throw noCgroup("list the container's processes");
  }
  const pids = new Set<number>();
  collectPids(dir.path, pids);
  return [...pids].sort((a, b) => a - b);
}

/** A user's container may have taken its owner's rights away. */
function readOwn(path: string): string {
  try {
    return readTextFileSync(path);
  } catch (error) {
    if (errnoOf(error) !== "EACCES") throw error;
    chmodSync(path, 0o644);
    return readTextFileSync(path);
  }
}

function collectPids(top: string, pids: Set<number>): void {
  visitCgroups(top, (path) => {
    let text = "";
    try {
      text = readOwn(`${path}/cgroup.procs`);
    } catch (error) {
      // ENODEV: removed while open. EOPNOTSUPP: a threaded cgroup, whose
      // processes its domain lists.
      const errno = errnoOf(error);
      if (errno === "ENOENT" || errno === "ENODEV") return;
      if (errno !== "EOPNOTSUPP") {
        throw wordFailure(`list the processes of "${top}"`, top, error);
      }
    }
    for (const line of text.split("\n")) {
      if (line !== "" && line !== "0") pids.add(Number(line));
    }
  });
}

/** SCHED_FIFO, SCHED_RR, SCHED_DEADLINE, sched(7); with or without
 * SCHED_RESET_ON_FORK. */
const REAL_TIME = [1, 2, 6], RESET_ON_FORK = 0x40000000;
const SCHED_OTHER = 0;

/** Steps of the walk that stands before a kill: how many cgroups there are is the
 * container's choice. */
const CALM_MOST = 512;

/**
 * Gives the container's threads that have a real-time or deadline policy an
 * ordinary one, before they are killed: a dying thread, too, waits for the time
 * that it has given itself, and then it is in no list any more. It never stands in
 * the way of the kill: what cannot be read, is too much, or may not be changed
 * stays as it is. To have such a policy takes CAP_SYS_NICE, which a user's
 * container has not.
 */
export function calmCgroups(dirs: readonly CgroupDir[]): void {
  const dir = findList(dirs);
  if (dir === undefined) return;
  const list = dir.version === 2 ? "cgroup.threads" : "tasks";
  visitCgroups(dir.path, (path) => {
    for (const tid of readNumbers(`${path}/${list}`)) {
      const policy = trySyscall("sched_getscheduler", tid);
      if (!REAL_TIME.includes(policy & ~RESET_ON_FORK)) continue;
      // A struct sched_param: priority 0.
      trySyscall("sched_setscheduler", tid, SCHED_OTHER, new Uint8Array(4));
    }
  }, CALM_MOST);
}

/** The numbers that a file holds; none where it cannot be read. */
function readNumbers(path: string): number[] {
  try {
    return readTextFileSync(path).split("\n").filter((it) => it !== "")
      .map(Number).filter((it) => it > 0);
  } catch (error) {
    if (errnoOf(error) !== "") return [];
    throw error;
  }
}

/**
 * Thaws the container's cgroup and all below it where a killed process would
 * wait for that: in a v1 freezer, which the container itself may have used for
 * cgroups of its own. In v2 the frozen die as well.
 */
export function thawKilled(dirs: readonly CgroupDir[]): void {
  const dir = findFreezer(dirs);
  if (dir?.version !== 1) return;
  visitCgroups(dir.path, (path) => {
    try {
      const file = `${path}/freezer.state`;
      if (readTextFileSync(file).trim() === "THAWED") return;
      writeTextFileSync(file, "THAWED", { create: false });
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "ENOENT" || errno === "ENODEV") return;
      throw wordFailure(
        `thaw what was killed: write "THAWED" below "${dir.path}"`,
        dir.path,
        error,
      );
    }
  });
}

/** Sends a signal to a process; one that is gone is fine. */
export type SendSignal = (pid: number, signal: number) => void;

const SIGKILL = 9;

/**
 * Signals every process of the container. SIGKILL goes by cgroup.kill (5.14)
 * where there is v2, which no fork can outrun; else, like every other signal, to
 * each process while all are frozen. After SIGKILL all is thawed.
 *
 * @param send kill(2), for what cgroup.kill cannot do
 * @throws {ContainerError} when the container has no cgroup
 */
export function signalCgroups(
  dirs: readonly CgroupDir[],
  signal: number,
  send: SendSignal,
): void {
  const v2 = dirs.find((d) => d.version === 2);
  const freezer = findFreezer(dirs);
  if (signal === SIGKILL) calmCgroups(dirs);
  if (signal === SIGKILL && v2) {
    const inside = new Set<number>();
    const freezable = new Set<number>();
    if (freezer?.version === 1) {
      collectPids(v2.path, inside);
      collectPids(freezer.path, freezable);
    }
    if (killV2(v2.path)) {
      // The container may have moved some in one hierarchy alone.
      for (const pid of freezable) if (!inside.has(pid)) send(pid, signal);
      thawKilled(dirs);
      return;
    }
  }
  const frozen = isFrozen(dirs);
  let still = frozen;
  if (freezer && !frozen) {
    try {
      freezeCgroups(dirs);
      still = true;
    } catch (error) {
      // What cannot be stopped can still be killed, if by several tries.
      if (signal !== SIGKILL) throw error;
    }
  }
  try {
    const tries = still || signal !== SIGKILL ? 1 : 10;
    for (let turn = 0; turn < tries; turn++) {
      const pids = readPids(dirs);
      for (const pid of pids) send(pid, signal);
      if (pids.length === 0) break;
      if (tries > 1) pause(1 << turn);
    }
  } finally {
    if (freezer && (!frozen || signal === SIGKILL)) thawCgroups(dirs);
    if (signal === SIGKILL) thawKilled(dirs);
  }
}

/** @returns false where the kernel has no cgroup.kill */
function killV2(path: string): boolean {
  try {
    writeTextFileSync(`${path}/cgroup.kill`, "1", { create: false });
    return true;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") {
      throw wordFailure(
        `kill the container: write "1" to "${path}/cgroup.kill"`,
        path,
        error,
      );
    }
    // Without the directory there is nobody left to kill.
    try {
      statSync(path);
      return false;
    } catch {
      return true;
    }
  }
}
