/**
 * What is done to a living container through its cgroups: stop and resume it,
 * kill all of it, list its processes.
 *
 * @module
 */

import { isGone } from "../../ffi/errno.ts";
import { readTextFileSync, statSync } from "../../ffi/files.ts";
import { ContainerError } from "../errors.ts";
import { errnoOf, noCgroup, wordFailure, wordTaken } from "./errors.ts";
import { holds, type Seen } from "./join.ts";
import { calmCgroups, findFreezer, findList, thawKilled } from "./calm.ts";
import { readOwn, writeOwn } from "./own.ts";
import { visitCgroups } from "./walk.ts";
import type { CgroupDir } from "./model.ts";

/** A pause that blocks the thread: these calls are sync on purpose. */
function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** How long a freeze may take: a process in an uninterruptible sleep (a dead
 * NFS server) freezes late or never. */
const FREEZE_MS = 10_000;

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
      writeOwn(path, value);
    } catch (error) {
      throw wordTaken(
        `pause the container: write "${value}" to "${path}"`,
        path,
        error,
      );
    }
  };
  const read = (file: string) => {
    try {
      return readOwn(file);
    } catch (error) {
      throw wordTaken(`pause the container: read "${file}"`, file, error);
    }
  };
  write(on);
  const deadline = performance.now() + FREEZE_MS;
  for (let turn = 0, wait = 1;; turn++, wait = Math.min(wait * 2, 50)) {
    if (done.test(read(`${dir.path}/${status}`))) return;
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
    writeOwn(path, value);
  } catch (error) {
    throw wordTaken(
      `resume the container: write "${value}" to "${path}"`,
      path,
      error,
    );
  }
}

/**
 * The pids of all processes in the container's cgroup and those inside it, as
 * the caller's pid namespace sees them, in order. One of 0 is in none of ours.
 *
 * @param most steps of the walk
 * @throws {ContainerError} when the container has no cgroup
 */
export function readPids(
  dirs: readonly CgroupDir[],
  most?: number,
): number[] {
  const dir = findList(dirs);
  if (dir === undefined) {
    throw noCgroup("list the container's processes");
  }
  const pids = new Set<number>();
  collectPids(dir.path, pids, most);
  return [...pids].sort((a, b) => a - b);
}

function collectPids(top: string, pids: Set<number>, most?: number): void {
  try {
    visitCgroups(top, (path) => {
      for (const line of readList(path, top).split("\n")) {
        if (line !== "" && line !== "0") pids.add(Number(line));
      }
    }, most);
  } catch (cause) {
    throw wordTaken(`list the processes of "${top}"`, top, cause);
  }
}

/**
 * Whether somebody is in a cgroup, or inside it: by the kernel's own count
 * (populated in cgroup.events, cgroup-v2.rst), which no container can make long;
 * in v1, which has none, by the first of those inside.
 *
 * @returns "hidden" where a user's container has given that to an id that is not
 * its user's
 */
export function isPopulated(dir: CgroupDir, most: number): boolean | "hidden" {
  try {
    if (dir.version === 1) return readPids([dir], most).length > 0;
    const text = readOwn(`${dir.path}/cgroup.events`);
    return /^populated 1$/m.test(text);
  } catch (error) {
    const errno = errnoOf(
      error instanceof ContainerError ? error.cause : error,
    );
    if (errno === "ENOENT" || errno === "ENODEV") return false;
    if (errno === "EACCES" || errno === "EPERM") return "hidden";
    throw error;
  }
}

/** The list of a cgroup's processes. ENODEV: it was removed while it was open.
 * EOPNOTSUPP: it is a threaded one, whose processes its domain lists: that is the
 * container's own, unless that is threaded itself. */
function readList(path: string, top: string): string {
  try {
    return readOwn(`${path}/cgroup.procs`);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENODEV") return "";
    if (errno !== "EOPNOTSUPP") throw error;
  }
  return isThreaded(top) ? listByThreads(path) : "";
}

function isThreaded(path: string): boolean {
  try {
    return readOwn(`${path}/cgroup.type`).trim() === "threaded";
  } catch (error) {
    if (["ENOENT", "ENODEV"].includes(errnoOf(error))) return false;
    throw error;
  }
}

/** The processes of a threaded cgroup, which only lists threads. */
function listByThreads(path: string): string {
  const pids = new Set<string>();
  try {
    for (const tid of readOwn(`${path}/cgroup.threads`).split("\n")) {
      if (tid !== "" && tid !== "0") pids.add(readGroup(tid));
    }
  } catch (error) {
    if (!["ENOENT", "ENODEV"].includes(errnoOf(error))) throw error;
  }
  return [...pids].join("\n");
}

/** The process of a thread; "" when it has gone. */
function readGroup(tid: string): string {
  try {
    const status = readTextFileSync(`/proc/${tid}/status`);
    return /^Tgid:\s*(\d+)$/m.exec(status)?.[1] ?? "";
  } catch (error) {
    if (isGone(error)) return "";
    throw error;
  }
}

/** Sends a signal to a process; one that is gone is fine, and so is one that is not
 * the container's by the time when it cannot become another any more. */
export type SendSignal = (
  pid: number,
  signal: number,
  isMember: () => boolean,
) => void;

const SIGKILL = 9;

/**
 * Signals every process of the container. SIGKILL goes by cgroup.kill (5.14)
 * where there is v2, which no fork can outrun; else, like every other signal, to
 * each process while all are frozen: so does SIGKILL to those that the container
 * has left in a v1 freezer alone. After SIGKILL all is thawed.
 *
 * @param send a signal to one process, for what cgroup.kill cannot do
 * @param inside kills them in the container's user namespace, where cgroup.kill is
 * another's: there may be more cgroups than a walk comes to an end with
 * @throws {ContainerError} when the container has no cgroup
 */
export function signalCgroups(
  dirs: readonly CgroupDir[],
  signal: number,
  send: SendSignal,
  inside: () => boolean = () => false,
): void {
  const v2 = dirs.find((d) => d.version === 2);
  const freezer = findFreezer(dirs);
  if (signal === SIGKILL) calmCgroups(dirs);
  let listed = dirs;
  if (signal === SIGKILL && v2 && (killV2(v2.path) || inside())) {
    if (freezer?.version !== 1) return;
    listed = [freezer];
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
  const isMember = (pid: number) =>
    still || listed.some((it) => isNamed(pid, it));
  try {
    const tries = still || signal !== SIGKILL ? 1 : 10;
    for (let turn = 0; turn < tries; turn++) {
      const pids = readPids(listed);
      for (const pid of pids) send(pid, signal, () => isMember(pid));
      if (pids.length === 0) break;
      if (tries > 1) pause(1 << turn);
    }
  } finally {
    // Where they have died, the cgroup may be gone.
    if (signal === SIGKILL) thawKilled(dirs);
    else if (freezer && !frozen) thawCgroups(dirs);
  }
}

/** Whether a process is in a cgroup of that name, or below it: a namespace may show
 * what is above in another way, cgroup_namespaces(7). */
function isNamed(pid: number, { path }: CgroupDir): boolean {
  const name = path.slice(path.lastIndexOf("/"));
  try {
    const text = readTextFileSync(`/proc/${pid}/cgroup`);
    return text.includes(`${name}\n`) || text.includes(`${name}/`);
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/** @returns false where the kernel has no cgroup.kill, or the container has given it,
 * or the cgroup, to another id, or is threaded */
export function killV2(path: string): boolean {
  try {
    writeOwn(`${path}/cgroup.kill`, "1");
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (["EPERM", "EACCES", "EOPNOTSUPP"].includes(errno)) return false;
    if (errno !== "ENOENT") {
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
