/**
 * What was killed must die soon: what holds a killed process up in its cgroups
 * is taken away. A container may have done that to itself, in cgroups below its
 * own.
 *
 * @module
 */

import {
  existsSync,
  readTextFileSync,
  writeTextFileSync,
} from "../../ffi/files.ts";
import { errnoOf, wordFailure } from "./errors.ts";
import type { CgroupDir } from "./model.ts";
import { visitCgroups } from "./walk.ts";

/** By controller of v1 (kernel: cgroup-v1/freezer-subsystem,
 * cgroup-v1/blkio-controller; scheduler/sched-bwc), then of v2 (cgroup-v2): the
 * file, and what lifts the limit. With a space in front it follows the device of
 * each rule. */
const V1: Record<string, [file: string, none: string][]> = {
  freezer: [["freezer.state", "THAWED"]],
  cpu: [
    ["cpu.idle", "0"],
    ["cpu.shares", "1024"],
    ["cpu.cfs_quota_us", "-1"],
  ],
  blkio: ["read_bps", "read_iops", "write_bps", "write_iops"].map(
    (it) => [`blkio.throttle.${it}_device`, " 0"],
  ),
};
const V2: [file: string, none: string][] = [
  ["cpu.idle", "0"],
  ["cpu.weight", "100"],
  ["cpu.max", "max"],
  ["io.max", " rbps=max wbps=max riops=max wiops=max"],
];

function lift(file: string, none: string): void {
  const write = (text: string) =>
    writeTextFileSync(file, text, { create: false });
  if (!none.startsWith(" ")) return write(none);
  for (const rule of readTextFileSync(file).split("\n")) {
    if (rule !== "") write(`${rule.split(" ")[0]}${none}`);
  }
}

/**
 * Lets processes die that were killed: thaws a v1 freezer (in v2 the frozen die
 * as well), and lifts the limits of CPU time and of reads and writes, in the
 * container's cgroups and all below: dying takes time on a CPU, and a read that is
 * held up ends before its process does.
 *
 * @throws {ContainerError} when the kernel refuses
 */
export function letDie(dirs: readonly CgroupDir[]): void {
  for (const { path: top, version, controllers } of dirs) {
    const files = version === 2
      ? V2
      : controllers.flatMap((it) => V1[it] ?? []);
    if (files.length === 0) continue;
    visitCgroups(top, (path) => {
      for (const [file, none] of files) {
        try {
          if (existsSync(`${path}/${file}`)) lift(`${path}/${file}`, none);
        } catch (error) {
          const errno = errnoOf(error);
          // ENODEV: removed while it was open.
          if (errno === "ENOENT" || errno === "ENODEV") continue;
          throw wordFailure(
            `let what was killed die: write "${none.trim()}" to "${file}" below "${top}"`,
            top,
            error,
          );
        }
      }
    });
  }
}
