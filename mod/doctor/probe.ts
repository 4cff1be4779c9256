/**
 * How the doctor tries something: operations in a process of its own.
 *
 * @module
 */

import { errnoName } from "../../ffi/errno.ts";
import { CLONE } from "../../ffi/constants.ts";
import { writeIdMaps } from "../container/properties/id_maps.ts";
import { ContainerError } from "../errors.ts";
import type { IdMaps } from "../namespaces/idmaps.ts";
import { type Op, SYNC } from "../plan.ts";
import { OperationError, startPlan } from "../process.ts";

/** Why the operations of a probe are there. */
export const WHY = "try it";

/** Does something with a process that waits, and then ends. */
export function withProcess(use: (pid: number) => void): void {
  const run = startPlan([{ do: "sync", id: SYNC.cgroups, why: WHY }], "/tmp");
  try {
    run.serve({ sync: (_, pid) => use(pid) });
  } finally {
    run.abort();
    run.reap();
  }
}

/** Tries operations in a process of its own.
 *
 * @param wait does more at a sync, with the pid of the process that waits there
 * @returns undefined when they work, else what failed */
export function tryOps(
  ops: readonly Op[],
  maps: IdMaps | undefined,
  wait: (step: number, pid: number) => void = () => {},
): string | undefined {
  const run = startPlan(ops, "/tmp");
  try {
    run.serve({
      sync(id, pid) {
        if (id === SYNC.idMaps && maps !== undefined) writeIdMaps(pid, maps);
        wait(id, run.pid || pid);
      },
    });
    return undefined;
  } catch (error) {
    if (error instanceof OperationError) {
      return `${error.op.do}: ${errnoName(error.errno)}`;
    }
    if (error instanceof ContainerError) return error.message;
    throw error;
  } finally {
    run.abort();
    run.reap();
  }
}

/** Enters a user namespace, as its root. */
export function enterUser(): Op[] {
  return [
    { do: "unshare", flags: CLONE.NEWUSER, why: WHY },
    { do: "sync", id: SYNC.idMaps, why: WHY },
    { do: "setgid", gid: 0, why: WHY },
    { do: "setuid", uid: 0, why: WHY },
  ];
}

/** Makes a file system that is mounted nowhere yet. */
export const mountTree = (
  into: string,
  fstype: string,
  options: string[],
): Op => ({
  do: "fsmount",
  into,
  fstype,
  options,
  attr: 0,
  flags: 0,
  why: WHY,
});

/** A tmpfs over /tmp in a mount namespace of its own, then more in it. */
export function inMounts(base: Op[], more: Op[]): Op[] {
  return [
    ...base,
    { do: "unshare", flags: 0x00020000, why: WHY },
    {
      do: "mountSetattr",
      slot: "",
      path: "/",
      flags: 0x8000,
      set: 0,
      clear: 0,
      propagation: 1 << 18,
      userns: "",
      why: WHY,
    },
    mountTree("tmp", "tmpfs", ["mode=755"]),
    {
      do: "open",
      into: "target",
      at: "",
      path: "/tmp",
      flags: 0o10000000,
      mode: 0,
      resolve: 0,
      why: WHY,
    },
    { do: "moveMount", tree: "tmp", onto: "target", why: WHY },
    ...more,
  ];
}
