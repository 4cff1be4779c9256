/**
 * The driver that makes cgroups itself: cgroupfs. On the hot path of `run`: sync
 * file calls only. No pid is ever written here: moving a whole process makes the
 * kernel wait for an RCU grace period (7-12 ms); the container's first process
 * joins by itself.
 *
 * @module
 */

import {
  mkdirSync,
  readTextFileSync,
  writeTextFileSync,
} from "../../ffi/files.ts";
import { ContainerError } from "../errors.ts";
import type { CgroupDriver, PlaceAsk } from "./driver.ts";
import { enableControllers } from "./enable.ts";
import { errnoOf, wordFailure } from "./errors.ts";
import { type CgroupDir, type CgroupPlan, nameAsked } from "./model.ts";
import {
  hintDelegation,
  isDelegated,
  placeCgroup,
  placeCounted,
  UNIT_LIMITED,
} from "./placement.ts";
import { visitCgroups } from "./walk.ts";

/** Makes the directories, and hands down controllers from above. */
export const CGROUPFS: CgroupDriver = {
  place,
  make(plan, _pid, made) {
    const { enable } = plan;
    if (enable) {
      enableControllers(enable, plan.flags, (above) => {
        makeOne(above, plan, made, enable.dir);
      });
    }
    for (const dir of plan.dirs) makeDirectory(dir, plan, made);
  },
  update({ dirs, writes, flags }) {
    const v2 = dirs.find((d) => d.version === 2);
    const mine = writes.filter((w) =>
      w.version === 2 && v2?.controllers.includes(w.controller)
    );
    if (v2 === undefined || mine.length === 0) return;
    const required = mine.map(({ controller, from }) => ({ controller, from }));
    const wanted = [...new Set(mine.map((w) => w.controller))];
    const { path: dir, mount } = v2;
    enableControllers({ mount, dir, wanted, required }, flags, () => {});
  },
};

/** The directory in one hierarchy; undefined where an unprivileged caller can
 * have none and has asked for nothing in it. */
function place(
  { config, mount, token, look, rootless, uid, notes, mine, need }: PlaceAsk,
): string | undefined {
  if (!rootless) return placeCounted(config, mount, token, need, look);
  const asked = config.spec.linux?.cgroupsPath;
  let reason: unknown;
  try {
    const path = placeCgroup(config, mount, token, need, look);
    if (isDelegated(path, mount, uid, look)) return path;
  } catch (error) {
    if (error instanceof ContainerError && error.code === UNIT_LIMITED) {
      throw error;
    }
    // A user's run must not fail for a cgroup that nobody asked for.
    reason = error;
  }
  const hint = hintDelegation(mount, uid, look);
  const [limit] = mine;
  if (limit) {
    throw new ContainerError(
      `Cannot apply ${
        nameAsked(config.flags, limit.from, limit.value)
      }: the cgroup of this session is not delegated to user ${uid}`,
      { code: "cgroup-not-delegated", hint, cause: reason },
    );
  }
  if (asked) {
    throw new ContainerError(
      `Cannot make the cgroup "${asked}" (linux.cgroupsPath) in "${mount.path}": user ${uid} may not write there`,
      { code: "cgroup-not-delegated", hint, cause: reason },
    );
  }
  notes.push(
    `no cgroup in ${mount.path}: it is not delegated to user ${uid}`,
  );
  return undefined;
}

/** Makes a cgroup, or takes one that is there and empty. */
function makeDirectory(
  dir: CgroupDir,
  plan: CgroupPlan,
  made: string[],
): void {
  const { path } = dir;
  if (takeDirectory(dir, plan, made)) return;
  if (plan.fresh) {
    throw new ContainerError(`Cannot make the cgroup "${path}": it exists`, {
      code: "cgroup-exists",
      hint: "Choose another --name",
    });
  }
  refuseUsed(path);
}

/**
 * Makes a cgroup, or takes one that is there.
 *
 * @returns whether it was made
 * @throws {ContainerError}
 */
export function takeDirectory(
  { path }: CgroupDir,
  plan: CgroupPlan,
  made: string[],
): boolean {
  if (makeOne(path, plan, made, path)) return true;
  if (
    plan.inherit.includes(path) && readOr(`${path}/cpuset.cpus`).trim() === ""
  ) {
    inheritCpuset(path);
  }
  return false;
}

/** @returns false when it exists */
function makeOne(
  path: string,
  plan: CgroupPlan,
  made: string[],
  wanted: string,
): boolean {
  try {
    mkdirSync(path, { mode: 0o755 });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EEXIST") return false;
    if (errno !== "ENOENT" || path.lastIndexOf("/") <= 0) {
      throw wordFailure(`make the cgroup "${wanted}"`, path, error);
    }
    const above = path.slice(0, path.lastIndexOf("/"));
    makeOne(above, plan, made, wanted);
    return makeOne(path, plan, made, wanted);
  }
  made.push(path);
  if (plan.inherit.some((p) => p === path || p.startsWith(`${path}/`))) {
    inheritCpuset(path);
  }
  return true;
}

/** Copies the parent's CPUs and memory nodes (cgroup-v1/cpusets.rst): without
 * them no process may join. A parent that somebody else made can lack them too. */
function inheritCpuset(path: string): void {
  const above = path.slice(0, path.lastIndexOf("/"));
  for (const name of ["cpuset.cpus", "cpuset.mems"]) {
    const file = `${path}/${name}`;
    try {
      let value = readTextFileSync(`${above}/${name}`).trim();
      if (value === "") {
        inheritCpuset(above);
        value = readTextFileSync(`${above}/${name}`).trim();
      }
      writeTextFileSync(file, value, { create: false });
    } catch (error) {
      if (error instanceof ContainerError) throw error;
      throw wordFailure(
        `copy ${name} of the cgroup above to "${file}"`,
        file,
        error,
      );
    }
  }
}

/** A cgroup that exists may be used when it is empty and not frozen: else two
 * containers would share limits, and die together (runc has the same rule). */
function refuseUsed(path: string): void {
  const state = readOr(`${path}/freezer.state`).trim();
  if (
    state === "FROZEN" || state === "FREEZING" ||
    readOr(`${path}/cgroup.freeze`).trim() === "1"
  ) {
    throw new ContainerError(
      `Cannot use the cgroup "${path}": container's cgroup unexpectedly frozen`,
      { code: "cgroup-frozen", hint: "Thaw it, or name another cgroupsPath" },
    );
  }
  const count = findProcesses(path);
  if (count > 0) {
    throw new ContainerError(
      `Cannot use the cgroup "${path}": container's cgroup is not empty: ${count} process(es) found`,
      { code: "cgroup-not-empty", hint: "Name another linux.cgroupsPath" },
    );
  }
}

/** How many processes are in a cgroup, or else in the first of those below it that
 * has any; 0 where there is none. Whoever lives there may make cgroups without
 * end: nobody waits to hear how many they are in all. */
export function findProcesses(path: string): number {
  let count = 0;
  visitCgroups(path, (at) => {
    count = readOr(`${at}/cgroup.procs`).split("\n").length - 1;
    return count > 0;
  });
  return Math.max(0, count);
}

function readOr(path: string): string {
  try {
    return readTextFileSync(path);
  } catch {
    return "";
  }
}
