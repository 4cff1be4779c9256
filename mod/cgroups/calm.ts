/**
 * What is done so that a container's threads die: before they are killed, and
 * behind it.
 *
 * @module
 */

import { readTextFileSync, writeTextFileSync } from "../../ffi/files.ts";
import { trySyscall } from "../../ffi/libc.ts";
import { errnoOf, wordFailure } from "./errors.ts";
import type { CgroupDir } from "./model.ts";
import { visitCgroups } from "./walk.ts";

/** The cgroup that lists a container's processes. */
export function findList(dirs: readonly CgroupDir[]): CgroupDir | undefined {
  const first = (name: string) =>
    dirs.find((d) => d.version === 1 && d.controllers.includes(name));
  // name=systemd last: a systemd in the container moves processes about there.
  return dirs.find((d) => d.version === 2) ?? first("devices") ??
    first("pids") ?? first("freezer") ?? dirs[0];
}

/** The cgroup through which a container is frozen: the v1 freezer where there
 * is one, else v2. */
export function findFreezer(
  dirs: readonly CgroupDir[],
): CgroupDir | undefined {
  return dirs.find((d) =>
    d.version === 1 && d.controllers.includes("freezer")
  ) ?? dirs.find((d) => d.version === 2);
}

/** SCHED_FIFO, SCHED_RR, SCHED_DEADLINE, sched(7); with or without
 * SCHED_RESET_ON_FORK. */
const REAL_TIME = [1, 2, 6], RESET_ON_FORK = 0x40000000;
const SCHED_OTHER = 0;

/** Steps of the walk that stands before a kill: how many cgroups there are is the
 * container's choice. */
const MOST = 512;

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
  try {
    visitCgroups(dir.path, (path) => {
      readNumbers(`${path}/${list}`).forEach(calmThread);
    }, MOST);
  } catch (error) {
    if (errnoOf(error) === "") throw error;
  }
}

function calmThread(tid: number): void {
  const policy = trySyscall("sched_getscheduler", tid);
  if (!REAL_TIME.includes(policy & ~RESET_ON_FORK)) return;
  // A struct sched_param: priority 0.
  trySyscall("sched_setscheduler", tid, SCHED_OTHER, new Uint8Array(4));
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
 *
 * @param first the first process, where it has been killed and the others die with
 * it: they may make cgroups faster than this goes, so it comes to the top, again
 * and again, as they may put it back. Undefined once it has ended: so has all
 * @param most it ends after so many steps
 */
export function thawKilled(
  dirs: readonly CgroupDir[],
  first?: () => number | undefined,
  most?: number,
): void {
  const dir = findFreezer(dirs);
  if (dir?.version !== 1) return;
  let seen = 0;
  visitCgroups(dir.path, (path) => {
    tryWrite(dir.path, () => {
      const file = `${path}/freezer.state`;
      if (readTextFileSync(file).trim() === "THAWED") return;
      writeTextFileSync(file, "THAWED", { create: false });
    });
    if (first === undefined || seen++ % MOST !== 1) return false;
    const pid = first();
    if (pid === undefined) return true;
    comeUp(dir.path, pid);
    return false;
  }, most);
}

/** Where that is refused (a user's container may have the process among its
 * subordinate ids), the walk goes on to it. */
function comeUp(top: string, pid: number): void {
  try {
    writeTextFileSync(`${top}/cgroup.procs`, `${pid}`, { create: false });
  } catch (error) {
    if (errnoOf(error) === "") throw error;
  }
}

/** One that is gone is fine. */
function tryWrite(top: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    if (["ENOENT", "ENODEV", "ESRCH"].includes(errnoOf(error))) return;
    throw wordFailure(
      `thaw what was killed: write below "${top}"`,
      top,
      error,
    );
  }
}
