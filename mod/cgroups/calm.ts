/**
 * What is done to a container's threads before they are killed.
 *
 * @module
 */

import { readTextFileSync } from "../../ffi/files.ts";
import { trySyscall } from "../../ffi/libc.ts";
import { errnoOf } from "./errors.ts";
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
  try {
    visitCgroups(dir.path, (path) => {
      readNumbers(`${path}/${list}`).forEach(calmThread);
    }, CALM_MOST);
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
