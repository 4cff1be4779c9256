/**
 * Where the kernel counts what a container uses, for who reads it once at the
 * end: cgroup-v2.rst, and cgroup-v1/{memory,cpuacct,pids}.rst.
 *
 * @module
 */

import type { CgroupDir } from "./model.ts";

/** One number of a container's cgroup. The file may be missing: then the kernel
 * does not say it. */
export interface Measured {
  /** oom: processes that the OOM killer took; pids: forks that --pids-limit has
   * refused; cpu: processor time; peak: the most memory that was in use. */
  what: "oom" | "pids" | "cpu" | "peak";
  /** Absolute path. */
  file: string;
  /** What stands before it in its line; "" where it stands alone. */
  key: string;
  /** How many make a millisecond, or a byte, or one. */
  unit: number;
}

/** The numbers that v1 has, by controller: memory.oom_control has oom_kill since
 * 4.13. */
const V1: [string, Omit<Measured, "file">, string][] = [
  ["memory", { what: "oom", key: "oom_kill", unit: 1 }, "memory.oom_control"],
  ["memory", { what: "peak", key: "", unit: 1 }, "memory.max_usage_in_bytes"],
  ["pids", { what: "pids", key: "max", unit: 1 }, "pids.events"],
  // In nanoseconds.
  ["cpuacct", { what: "cpu", key: "", unit: 1e6 }, "cpuacct.usage"],
];

/** The same of v2: memory.peak since 5.19. */
const V2: [Omit<Measured, "file">, string][] = [
  [{ what: "oom", key: "oom_kill", unit: 1 }, "memory.events"],
  [{ what: "peak", key: "", unit: 1 }, "memory.peak"],
  [{ what: "pids", key: "max", unit: 1 }, "pids.events"],
  // In microseconds.
  [{ what: "cpu", key: "usage_usec", unit: 1000 }, "cpu.stat"],
];

/** Returns where each is; none for a container without cgroups. */
export function listMeasured(dirs: readonly CgroupDir[]): Measured[] {
  const found: Measured[] = [];
  for (const [controller, number, name] of V1) {
    const dir = dirs.find((it) =>
      it.version === 1 && it.controllers.includes(controller)
    );
    if (dir !== undefined) {
      found.push({ ...number, file: `${dir.path}/${name}` });
    }
  }
  const v2 = dirs.find((it) => it.version === 2);
  if (v2 === undefined) return found;
  for (const [number, name] of V2) {
    if (found.some((it) => it.what === number.what)) continue;
    found.push({ ...number, file: `${v2.path}/${name}` });
  }
  return found;
}
