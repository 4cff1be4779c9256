/**
 * How another process joins a container's cgroups: exec.
 *
 * A cgroup of v2 that hands controllers on takes no process ("No Internal
 * Process Constraint", cgroup-v2.rst): a systemd or dockerd in the container
 * has moved everything into cgroups below. Or the cgroup is gone, since the
 * container or somebody on the host has moved all of it. Then the process goes
 * where the container's first one is; elsewhere it stays in the container's own.
 *
 * @module
 */

import { existsSync } from "../../ffi/files.ts";
import { ContainerError } from "../errors.ts";
import { type CgroupMount, type Facts, parseCgroups } from "../host.ts";
import { errnoOf, noCgroup, wordTaken } from "./errors.ts";
import type { CgroupDir, CgroupPlan } from "./model.ts";
import { readOwn } from "./own.ts";
import { ownDirectory } from "./placement.ts";

/** Where /proc shows two processes. */
export interface Seen {
  /** One whose cgroups are asked for. */
  process: string;
  /** The caller, which has the hierarchies mounted. */
  proc: string;
}

/**
 * How another process joins the container's cgroups: as
 * {@linkcode CgroupPlan.joins}.
 *
 * @param below `exec --cgroup`: a cgroup inside the container's, "/sub", or
 * with v1 controllers "cpu,memory:/sub"; several name different hierarchies
 * @param seen where /proc shows the container's first process, which is looked at
 * where a cgroup takes no process; absent: not at all
 * @throws {ContainerError} for one that leaves the container's cgroup, does not
 * exist, takes no process, or names a controller that there is not; where the
 * container has no cgroup at all; and where the first process is out of sight
 */
export function joinCgroups(
  dirs: readonly CgroupDir[],
  below: readonly string[] = [],
  seen?: Seen,
): { tasks: string[]; v2?: string } {
  if (dirs.length === 0 && below.length > 0) {
    throw noCgroup(
      `run a process in the container's cgroup "${below[0]}" (--cgroup)`,
    );
  }
  const paths = new Map<CgroupDir, string>();
  for (const asked of below) {
    for (const [dir, path] of findBelow(dirs, asked)) paths.set(dir, path);
  }
  const pathOf = (dir: CgroupDir) => {
    const asked = paths.get(dir);
    if (asked !== undefined || seen === undefined) return asked ?? dir.path;
    const why = findRefusal(dir.path, dir.version);
    return why === undefined ? dir.path : locate(dir, seen, why);
  };
  const v2 = dirs.find((d) => d.version === 2);
  return {
    tasks: dirs.filter((d) => d.version === 1).map((d) => `${pathOf(d)}/tasks`),
    ...(v2 && { v2: pathOf(v2) }),
  };
}

/**
 * Finds a cgroup that would freeze who joins it.
 *
 * @param joins what {@linkcode joinCgroups} has returned for `dirs`
 */
export function findFrozen(
  dirs: readonly CgroupDir[],
  { tasks, v2 }: Pick<CgroupPlan["joins"], "v2"> & { tasks: readonly string[] },
): string | undefined {
  if (
    v2 !== undefined &&
    /^frozen 1$/m.test(read(`${v2}/cgroup.events`) ?? "")
  ) return v2;
  const at = dirs.filter((it) => it.version === 1)
    .findIndex((it) => it.controllers.includes("freezer"));
  if (at < 0) return undefined;
  const freezer = tasks[at]!.slice(0, -"/tasks".length);
  const state = read(`${freezer}/freezer.state`)?.trim();
  return state === undefined || state === "THAWED" ? undefined : freezer;
}

/** The cgroups that one --cgroup means. */
function findBelow(
  dirs: readonly CgroupDir[],
  asked: string,
): [CgroupDir, string][] {
  const colon = asked.indexOf(":");
  const names = colon < 0 ? [] : asked.slice(0, colon).split(",");
  const sub = asked.slice(colon + 1);
  const parts = sub.split("/").filter((p) => p !== "" && p !== ".");
  const fail = (
    why: string,
    hint = "Give a path below the container's own cgroup",
  ): never => {
    throw new ContainerError(`Cannot use --cgroup "${asked}": ${why}`, {
      code: "cgroup-invalid",
      hint,
    });
  };
  if (parts.includes("..")) fail("it leaves the container's cgroup");
  for (const name of names) {
    if (!dirs.some((d) => isNamed(d, name))) {
      fail(`the container has no cgroup with the controller "${name}"`);
    }
  }
  const found: [CgroupDir, string][] = [];
  for (const dir of dirs) {
    if (names.length > 0 && !names.some((n) => isNamed(dir, n))) continue;
    const path = [dir.path, ...parts].join("/");
    const why = findRefusal(path, dir.version);
    if (why === GONE) fail(`"${path}" does not exist`);
    if (why !== undefined) {
      fail(
        `"${path}" takes no process: ${why}`,
        "Name one that has none below it, or leave --cgroup out: the process goes where the container's first one is",
      );
    }
    found.push([dir, path]);
  }
  return found;
}

function isNamed(dir: CgroupDir, name: string): boolean {
  return dir.version === 1 &&
    (dir.controllers.includes(name) ||
      dir.controllers.includes(`name=${name}`));
}

const GONE = "it does not exist";

/** Why a cgroup takes no process; undefined where it does. One that only hands
 * threaded controllers on might; who is there already knows a place in any
 * case. */
function findRefusal(path: string, version: 1 | 2): string | undefined {
  if (version === 1) {
    return isThere(`${path}/tasks`) ? undefined : GONE;
  }
  const handed = read(`${path}/cgroup.subtree_control`)?.trim();
  if (handed === undefined) return GONE;
  if (handed !== "") {
    return `it hands controllers on to cgroups below it (cgroup.subtree_control: ${handed})`;
  }
  return read(`${path}/cgroup.type`)?.trim() === "domain invalid"
    ? "it lies below a threaded one (cgroup.type: domain invalid)"
    : undefined;
}

function attempt<T>(path: string, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (!["EACCES", "EPERM"].includes(errnoOf(error))) return undefined;
    throw wordTaken(`look at "${path}"`, path, error);
  }
}

const read = (path: string) => attempt(path, () => readOwn(path));

/** Without a look at what is in it: a list of tasks may be long. */
const isThere = (path: string) =>
  attempt(path, () => existsSync(path)) === true;

/** The hierarchies, with the place that a process has in each. */
function listMounts({ process, proc }: Seen): CgroupMount[] {
  return parseCgroups(
    read(`${proc}/mountinfo`) ?? "",
    read(`${process}/cgroup`) ?? "",
    () => "",
  );
}

/** The hierarchy of a cgroup. */
function findMount(
  dir: CgroupDir,
  mounts: readonly CgroupMount[],
): CgroupMount | undefined {
  return mounts.find((it) =>
    it.path === dir.mount && it.version === dir.version
  );
}

/** The directory where the first process is in one hierarchy. */
function locate(dir: CgroupDir, seen: Seen, why: string): string {
  const fail = (rest: string, cause?: unknown): never => {
    throw new ContainerError(
      `Cannot join the container's cgroup "${dir.path}": ${why}; and ${rest}`,
      {
        code: "cgroup-join",
        hint: `cat ${seen.process}/cgroup shows where its first process is`,
        cause,
      },
    );
  };
  const mount = findMount(dir, listMounts(seen));
  if (mount === undefined) {
    return fail(`"${dir.mount}" does not show where its first process is`);
  }
  let path: string;
  try {
    path = ownDirectory(mount);
  } catch (cause) {
    if (!(cause instanceof ContainerError)) throw cause;
    return fail(
      `its first process is out of sight, in "${mount.own}"`,
      cause,
    );
  }
  // That of a threaded one is there, and cannot be read.
  if (!isThere(`${path}/cgroup.procs`)) {
    return fail(`that of its first process, "${path}", is gone as well`);
  }
  return path;
}

/** A v1 freezer, as the keeper of an exec needs it. */
export interface Thaw {
  /** What says whether the container is frozen. */
  freezer: string;
  /** cgroup.procs of the keeper's own: there a killed process goes on, and so
   * dies. */
  thaw: string;
}

/**
 * Finds out how a killed process of a frozen container can die; in v2 it does.
 *
 * @param facts of the caller, who is going to be the keeper
 * @returns undefined where the container has no v1 freezer, or the caller is out
 * of sight
 */
export function findThaw(
  dirs: readonly CgroupDir[],
  facts: Pick<Facts, "cgroups">,
): Thaw | undefined {
  const dir = dirs.find((it) =>
    it.version === 1 && it.controllers.includes("freezer")
  );
  const mount = dir && findMount(dir, facts.cgroups);
  if (mount === undefined) return undefined;
  try {
    return {
      freezer: `${dir!.path}/freezer.state`,
      thaw: `${ownDirectory(mount)}/cgroup.procs`,
    };
  } catch (error) {
    if (error instanceof ContainerError) return undefined;
    throw error;
  }
}

/** Whether a process is in a cgroup, or in one below it. */
export function holds(dir: CgroupDir, seen: Seen): boolean {
  const mount = findMount(dir, listMounts(seen));
  if (mount === undefined) return false;
  try {
    return `${ownDirectory(mount)}/`.startsWith(`${dir.path}/`);
  } catch (error) {
    if (error instanceof ContainerError) return false;
    throw error;
  }
}
