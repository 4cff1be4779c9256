/**
 * Makes the cgroups of a plan: by its driver, and then what is the same for all:
 * device rules, limits, owners. On the hot path of `run`: sync file calls only.
 *
 * @module
 */

import {
  chownSync,
  existsSync,
  openSync,
  readTextFileSync,
  removeSync,
  writeTextFileSync,
} from "../../ffi/files.ts";
import { ContainerError } from "../errors.ts";
import { makeLeaf } from "./enable.ts";
import { attachDevices, type Kernel, LIBC, type Replaced } from "./bpf.ts";
import { driverOf } from "./drivers.ts";
import { errnoOf, wordFailure, wordWrite } from "./errors.ts";
import type { CgroupPlan, CgroupWrite, DevicePlan } from "./model.ts";
import { nameAsked } from "./model.ts";

/**
 * Makes the directories, enables v2 controllers, writes device rules and
 * limits, and notes on the plan that it has. What it made is removed again when
 * it fails.
 *
 * @param pid the process that waits for it, whose child will be the container's
 * first one
 * @param kernel system calls for the v2 device program
 * @throws {ContainerError} with the file, the value and a hint
 */
export function makeCgroups(
  plan: CgroupPlan,
  pid: number,
  kernel: Kernel = LIBC,
): void {
  const made: string[] = [];
  try {
    driverOf(plan.unit).make(plan, pid, made);
    if (plan.devices) {
      // systemd's own program stays: both must agree.
      const old = plan.unit !== undefined || plan.fresh ? "none" : "all";
      applyDevices(plan.devices, kernel, old);
    }
    writeLimits(plan.writes, plan.flags);
    if (plan.leaf !== undefined) {
      made.push(makeLeaf(plan.leaf, plan.notes, plan.unit && pid));
    }
    if (plan.owner) chownDirectory(plan);
    plan.parents = made.filter((path) =>
      path !== plan.leaf && !plan.dirs.some((d) => d.path === path)
    );
    plan.made = true;
  } catch (error) {
    // A unit, and all in it, goes when the process that is in it has gone.
    if (plan.made) throw error;
    for (const path of made.reverse()) {
      try {
        removeSync(path);
      } catch (failure) {
        if (error instanceof ContainerError) error.suppressed.push(failure);
      }
    }
    throw error;
  }
}

function readOr(path: string): string {
  try {
    return readTextFileSync(path);
  } catch {
    return "";
  }
}

/** @param old programs that are on the cgroup and go */
function applyDevices(plan: DevicePlan, kernel: Kernel, old: Replaced): void {
  if (plan.version === 2) attachDevices(plan, kernel, old);
  else writeRules(plan.writes);
}

const encoder = new TextEncoder();

/** Writes v1 device rules: one per write, as the kernel wants them, but each
 * file is opened once.
 *
 * @throws {ContainerError} naming the file and the rule */
export function writeRules(
  writes: readonly { file: string; value: string }[],
): void {
  let open = "";
  let file: Deno.FsFile | undefined;
  try {
    for (const write of writes) {
      try {
        if (write.file !== open) {
          file?.close();
          file = undefined;
          file = openSync(write.file, { write: true });
          open = write.file;
        }
        file!.writeSync(encoder.encode(write.value));
      } catch (error) {
        throw wordFailure(
          `write the device rule "${write.value}" to "${write.file}"`,
          write.file,
          error,
        );
      }
    }
  } finally {
    file?.close();
  }
}

/** Writes limits in order; those that only came too early once more.
 *
 * @throws {ContainerError} naming the file and the value */
export function writeLimits(
  writes: readonly CgroupWrite[],
  flags: ReadonlyMap<string, string>,
): void {
  const early: CgroupWrite[] = [];
  for (const write of writes) {
    if (write.notBelow !== undefined) refuseBelow(write, flags);
    try {
      writeLimit(write);
    } catch (error) {
      if (write.again && errnoOf(error) === "EINVAL") early.push(write);
      else throw wordWrite(written(write), flags, error);
    }
  }
  for (const write of early) {
    try {
      writeLimit(write);
    } catch (error) {
      throw wordWrite(written(write), flags, error);
    }
  }
}

/** The same with the file that there is. */
function written(write: CgroupWrite): CgroupWrite {
  const { instead, ...rest } = write;
  if (instead === undefined || existsSync(write.file)) return write;
  return existsSync(instead.file) ? { ...rest, ...instead } : write;
}

function writeLimit(write: CgroupWrite): void {
  try {
    writeValue(write.file, write.value);
  } catch (error) {
    const errno = errnoOf(error);
    const { instead, ...rest } = write;
    if (errno === "ENOENT" && instead) writeLimit({ ...rest, ...instead });
    else if (!write.optional?.includes(errno)) throw error;
  }
}

function writeValue(file: string, value: string): void {
  // Writing no bytes is no write at all; a line end alone is an empty value.
  writeTextFileSync(file, value === "" ? "\n" : value, { create: false });
}

function refuseBelow(
  write: CgroupWrite,
  flags: ReadonlyMap<string, string>,
): void {
  const text = readOr(write.notBelow!).trim();
  if (!/^[0-9]+$/.test(text) || !/^[0-9]+$/.test(write.value)) return;
  if (BigInt(text) <= BigInt(write.value)) return;
  throw new ContainerError(
    `Cannot apply ${
      nameAsked(flags, write.from, write.value)
    }: the container uses ${text} now`,
    {
      code: "limit-below-usage",
      hint: "Give a limit above that, or leave out checkBeforeUpdate",
    },
  );
}

/** Hands the cgroup to the container's root: the directory and what
 * /sys/kernel/cgroup/delegate lists (4.15). */
function chownDirectory(plan: CgroupPlan): void {
  const dir = plan.dirs.find((d) => d.version === 2);
  if (dir === undefined) return;
  const { uid, gid } = plan.owner!;
  const files = (readOr("/sys/kernel/cgroup/delegate").trim() ||
    "cgroup.procs\ncgroup.subtree_control\ncgroup.threads").split("\n");
  for (const path of [dir.path, ...files.map((f) => `${dir.path}/${f}`)]) {
    try {
      chownSync(path, uid, gid);
    } catch (error) {
      // The list names files of controllers that are not enabled here.
      if (errnoOf(error) === "ENOENT") continue;
      throw wordFailure(`give "${path}" to user ${uid}`, path, error);
    }
  }
}
