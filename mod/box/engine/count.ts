/**
 * What a process and all that it has started use: a cgroup for each run, below the
 * container's, where there are cgroups; memory.rst and cgroup-v2.rst of the kernel.
 *
 * @module
 */

import { readTextFileSync, removeSync } from "../../../ffi/files.ts";
import type { CgroupDir } from "../../cgroups.ts";
import { signalCgroups } from "../../cgroups/control.ts";
import { LEAF, makeBelow } from "../../cgroups/enable.ts";
import { errnoOf } from "../../cgroups/errors.ts";
import { sendOne } from "../../container/kill.ts";
import { sleep } from "../../state.ts";

/** v1 hierarchies in which a run has a cgroup of its own: the others count and
 * limit the container alone. */
const COUNTED = ["memory", "cpuacct", "pids"];

const SIGKILL = 9;
const GONE_TRIES = 200;

/** A run's cgroups, and how its process joins them. */
export interface RunCgroups {
  dirs: CgroupDir[];
  joins: { tasks: string[]; v2?: string };
}

/**
 * Makes the cgroups of a run.
 *
 * @param dirs the container's
 * @throws {ContainerError}
 */
export function makeRunCgroups(
  dirs: readonly CgroupDir[],
  name: string,
): RunCgroups {
  const own: CgroupDir[] = [];
  const joins: RunCgroups["joins"] = { tasks: [] };
  try {
    for (const dir of dirs) {
      const counted = dir.version === 2 ||
        dir.controllers.some((it) => COUNTED.includes(it));
      const path = counted ? `${dir.path}/${name}` : dir.path;
      if (counted) {
        makeBelow(path);
        own.push({ ...dir, path });
      }
      if (dir.version === 2) joins.v2 = path;
      else joins.tasks.push(`${path}/tasks`);
    }
    return { dirs: own, joins };
  } catch (error) {
    removeRunCgroups(own);
    throw error;
  }
}

/** Removes a run's cgroups. Those in which somebody still is go with the
 * container's. */
export function removeRunCgroups(dirs: readonly CgroupDir[]): void {
  for (const { path } of dirs) {
    // Who was just killed is in it until it has ended.
    for (let tries = 0; tries < GONE_TRIES; tries++) {
      try {
        removeSync(path);
        break;
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === "ENOENT") break;
        if (errno !== "EBUSY") throw error;
        sleep(1);
      }
    }
  }
}

/** Kills every process in cgroups. */
export function killCgroups(dirs: readonly CgroupDir[]): void {
  if (dirs.length === 0) return;
  signalCgroups(dirs, SIGKILL, sendOne);
}

/** Waits until those that were killed are reaped, but for the first one, which is
 * this program's to reap: until then they count against the limit of processes. */
export function awaitReaped(dirs: readonly CgroupDir[]): void {
  for (let tries = 0; tries < GONE_TRIES; tries++) {
    if ((readPids(dirs) ?? 0) <= 1) return;
    sleep(1);
  }
}

/** What was counted; null where the kernel does not count it here. */
export interface Counts {
  cpuMs: number | null;
  memoryBytes: number | null;
  peakBytes: number | null;
  memoryLimit: number | null;
  /** Processes that the OOM killer took. */
  oomKills: number | null;
  pids: number | null;
  pidsLimit: number | null;
  /** Forks that were refused. */
  forksRefused: number | null;
}

function read(path: string): string | undefined {
  try {
    return readTextFileSync(path);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENODEV" || errno === "EOPNOTSUPP") {
      return undefined;
    }
    throw error;
  }
}

function number(text: string | undefined): number | null {
  const word = text?.trim() ?? "";
  return /^\d+$/.test(word) ? Number(word) : null;
}

/** The number behind a key, of "key number" lines. */
function field(text: string | undefined, key: string): number | null {
  const line = text?.split("\n").find((it) => it.startsWith(`${key} `));
  return number(line?.slice(key.length));
}

/** Whole numbers, as `run --result-fd` has them. */
const divide = (value: number | null, by: number) =>
  value === null ? null : Math.floor(value / by);

/** v1 writes no limit as the largest number of pages. */
const bounded = (value: number | null) =>
  value !== null && value < 2 ** 62 ? value : null;

function readPids(dirs: readonly CgroupDir[]): number | null {
  const dir =
    dirs.find((it) => it.version === 1 && it.controllers.includes("pids")) ??
      dirs.find((it) => it.version === 2);
  return dir === undefined ? null : number(read(`${dir.path}/pids.current`));
}

/** Forks that were refused in a cgroup. Before Linux 6.11 they are counted where the
 * process is that forks: an idle container's first one is in a cgroup below. */
function countRefused(dir: string | undefined): number | null {
  if (dir === undefined) return null;
  const own = field(read(`${dir}/pids.events`), "max");
  const below = field(read(`${dir}/${LEAF}/pids.events`), "max");
  return own === null ? below : Math.max(own, below ?? 0);
}

/** Reads what cgroups have counted. */
export function readCounts(dirs: readonly CgroupDir[]): Counts {
  const v2 = dirs.find((it) => it.version === 2)?.path;
  const v1 = (controller: string) =>
    dirs.find((it) => it.version === 1 && it.controllers.includes(controller))
      ?.path;
  const [memory, cpu, pids] = [v1("memory"), v1("cpuacct"), v1("pids")];
  const at = (dir: string | undefined, file: string) =>
    dir === undefined ? undefined : read(`${dir}/${file}`);
  return {
    cpuMs: cpu === undefined
      ? divide(field(at(v2, "cpu.stat"), "usage_usec"), 1e3)
      : divide(number(at(cpu, "cpuacct.usage")), 1e6),
    ...memory === undefined
      ? {
        memoryBytes: number(at(v2, "memory.current")),
        peakBytes: number(at(v2, "memory.peak")),
        memoryLimit: number(at(v2, "memory.max")),
        oomKills: field(at(v2, "memory.events"), "oom_kill"),
      }
      : {
        memoryBytes: number(at(memory, "memory.usage_in_bytes")),
        peakBytes: number(at(memory, "memory.max_usage_in_bytes")),
        memoryLimit: bounded(number(at(memory, "memory.limit_in_bytes"))),
        oomKills: field(at(memory, "memory.oom_control"), "oom_kill"),
      },
    pids: number(at(pids ?? v2, "pids.current")),
    pidsLimit: number(at(pids ?? v2, "pids.max")),
    forksRefused: countRefused(pids ?? v2),
  };
}
