/**
 * Removes the cgroups of a container, for `delete` and for a `create` that
 * fails. Sync, and on the hot path of neither.
 *
 * @module
 */

import { readDirSync, removeSync } from "../../ffi/files.ts";
import { ContainerError } from "../errors.ts";
import { errnoOf } from "./errors.ts";
import type { CgroupDir } from "./model.ts";

/** The child cgroups of a cgroup; none when it does not exist. */
export function childrenOf(path: string): string[] {
  try {
    return readDirSync(path).filter((e) => e.isDirectory)
      .map((e) => `${path}/${e.name}`);
  } catch {
    return [];
  }
}

/** A pause that blocks the thread: these calls are sync on purpose. */
export function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** Milliseconds that are waited for the killed to leave a cgroup. Counted by
 * the pauses: while the whole machine stands still nobody can leave. */
const PATIENCE = 3000;

/**
 * Removes a container's cgroups with those inside them. One that is gone is
 * fine. A process that has just been killed may still be in it: tried again
 * until {@linkcode PATIENCE} is spent.
 *
 * @param plan a plan, or what the state keeps of it. `parents` are removed too
 * where nobody else is in them; a plan that was not made is left alone
 * @throws {ContainerError} when one stays, after having tried all
 */
export function removeCgroups(
  { dirs, parents = [], made = true }: {
    dirs: readonly Pick<CgroupDir, "path">[];
    parents?: readonly string[];
    made?: boolean;
  },
): void {
  if (!made) return;
  let failure: ContainerError | undefined;
  let patience = PATIENCE;
  for (const { path } of dirs) {
    for (let wait = 1;; wait = Math.min(wait * 2, 64)) {
      const error = removeTree(path);
      if (error === undefined) break;
      if (errnoOf(error) === "EBUSY" && patience > 0) {
        pause(wait);
        patience -= wait;
        continue;
      }
      failure ??= new ContainerError(
        `Cannot remove the cgroup "${path}": ${errnoOf(error)}`,
        {
          code: "cgroup-busy",
          hint: `cat ${path}/cgroup.procs shows which processes are left in it`,
          cause: error,
        },
      );
      break;
    }
  }
  for (const path of parents.toReversed()) {
    try {
      removeSync(path);
    } catch {
      // Gone, or another container's too: the last one removes it.
    }
  }
  if (failure) throw failure;
}

function removeTree(path: string): unknown {
  try {
    removeSync(path);
    return undefined;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT") return undefined;
    if (errno !== "EBUSY" && errno !== "ENOTEMPTY") return error;
    const children = childrenOf(path);
    if (children.length === 0) return error;
    for (const child of children) {
      const failed = removeTree(child);
      if (failed !== undefined) return failed;
    }
    try {
      removeSync(path);
      return undefined;
    } catch (again) {
      return errnoOf(again) === "ENOENT" ? undefined : again;
    }
  }
}
