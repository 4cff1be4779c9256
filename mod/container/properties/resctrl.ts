/**
 * Makes and removes the groups of the resctrl file system that a container's
 * plan names (mod/intel_rdt.ts).
 *
 * @module
 */

import {
  lstatSync,
  mkdirSync,
  readTextFileSync,
  removeSync,
  writeTextFileSync,
} from "../../../ffi/files.ts";
import { closeFd, openFd, trySyscall } from "../../../ffi/libc.ts";
import { ContainerError, suppress } from "../../errors.ts";
import type { ClassPlan, Group } from "../../intel_rdt.ts";
import { sleep, type State } from "../../state.ts";

function read(path: string): string | undefined {
  try {
    return readTextFileSync(path);
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory
    ) return undefined;
    throw error;
  }
}

const LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4;
/** How long another program may keep resctrl to itself, in milliseconds. */
const LOCK_MS = 10_000;

/**
 * Calls a function while this process holds resctrl's lock: flock(2) on where it
 * is mounted, as resctrl.rst "Resource alloc and monitor groups" has it. A group
 * that is half made is seen by nobody who takes it.
 *
 * @throws {ContainerError} when somebody keeps the lock
 */
function withLock<T>(mount: string, kind: number, call: () => T): T {
  const fd = openFd(mount, 0);
  try {
    const end = performance.now() + LOCK_MS;
    while (trySyscall("flock", fd, kind | LOCK_NB) < 0) {
      if (performance.now() > end) {
        throw new ContainerError(
          `Cannot lock "${mount}" (linux.intelRdt): another program has kept it for ${
            LOCK_MS / 1000
          } s`,
          { code: "resctrl-locked", hint: `fuser -v ${mount} shows which` },
        );
      }
      sleep(5);
    }
    return call();
  } finally {
    closeFd(fd);
  }
}

/** Looks at a group: a directory with a list of tasks and, for a class, its
 * schemata. */
export function lookAtGroup(
  path: string,
  kind: "class" | "monitor",
  mount: string,
): Group | "other" | undefined {
  return withLock(mount, LOCK_SH, () => {
    try {
      lstatSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    const tasks = read(`${path}/tasks`);
    const schemata = kind === "class" ? read(`${path}/schemata`) : "";
    return tasks === undefined || schemata === undefined
      ? "other"
      : { tasks, schemata };
  });
}

/** The steps of memory bandwidth; 1 where they are not told. */
export function readBandwidthStep(mount: string): number {
  return Number(read(`${mount}/info/MB/bandwidth_gran`) ?? 1) || 1;
}

/** The kernel's own words about the last command, resctrl.rst
 * "last_cmd_status"; undefined for none. */
function lastStatus(mount: string): string | undefined {
  const text = read(`${mount}/info/last_cmd_status`)?.trim();
  return text === "ok" || text === "" ? undefined : text;
}

function refused(
  wanted: string,
  mount: string,
  cause: unknown,
  full: string,
): ContainerError {
  const error = cause instanceof Error ? cause.message : String(cause);
  // ENOSPC has no class of its own in Deno.
  const isFull = /\(os error 28\)/.test(error);
  const denied = cause instanceof Deno.errors.PermissionDenied;
  const why = lastStatus(mount);
  return new ContainerError(
    `Cannot ${wanted} (linux.intelRdt): ${
      why === undefined ? error : `${why}: ${error}`
    }`,
    {
      code: isFull ? "resctrl-full" : "resctrl",
      hint: isFull
        ? full
        : denied
        ? "Only root may change resctrl"
        : `cat ${mount}/schemata shows what the machine has`,
      cause,
    },
  );
}

/**
 * Writes lines into a group's `schemata`.
 *
 * @throws {ContainerError} with the line, and what the kernel says of it
 */
function writeSchemata(
  plan: Pick<ClassPlan, "group" | "mount">,
  lines: readonly string[],
): void {
  for (const line of lines) {
    try {
      writeTextFileSync(`${plan.group}/schemata`, `${line}\n`, {
        create: false,
      });
    } catch (error) {
      throw refused(
        `write "${line}" to "${plan.group}/schemata"`,
        plan.mount,
        error,
        "The processor has no more room for it",
      );
    }
  }
}

/**
 * Changes a container's class of service: `update --l3-cache-schema`.
 *
 * @throws {ContainerError} when it has none, or the kernel refuses
 */
export function updateClass(
  state: Pick<State, "id" | "resctrl">,
  lines: readonly (string | undefined)[],
): void {
  const { id, resctrl } = state;
  if (resctrl === undefined) {
    throw new ContainerError(
      `Cannot change the Intel RDT schema of "${id}": it has no class of service`,
      {
        code: "intel-rdt",
        hint: "Only a config.json with linux.intelRdt gives it one",
      },
    );
  }
  withLock(
    resctrl.mount,
    LOCK_EX,
    () => writeSchemata(resctrl, lines.filter((it) => it !== undefined)),
  );
}

/** Removes what was made of a plan, for a create that fails: a class that closID
 * names as well, where nobody else has joined it meanwhile (rmdir(2) would move
 * them out). */
export function undoClass(plan: ClassPlan, error: unknown): void {
  for (const path of plan.made?.toReversed() ?? []) {
    try {
      const shared = plan.named && path === plan.group;
      if (shared && read(`${path}/tasks`)?.trim()) continue;
      removeSync(path);
    } catch (failure) {
      if (failure instanceof Deno.errors.NotFound) continue;
      if (error instanceof Error) suppress(error, failure);
    }
  }
}

/**
 * Makes the groups of a plan, writes its schemata, and notes on the plan what it
 * has made. That is removed again when it fails.
 *
 * @throws {ContainerError} when the kernel refuses
 */
export function makeClass(plan: ClassPlan): void {
  const { group, monitor, mount } = plan;
  const made: string[] = [];
  plan.made = made;
  const make = (path: string, full: string): boolean => {
    try {
      mkdirSync(path, { mode: 0o755 });
      made.push(path);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return false;
      throw refused(`make "${path}"`, mount, error, full);
    }
  };
  try {
    withLock(mount, LOCK_EX, () => {
      const isNew = plan.exists || make(
        group,
        `The processor has no more classes: cat ${mount}/info/*/num_closids, ls ${mount}`,
      );
      if (!isNew) {
        throw new ContainerError(
          `Cannot make "${group}" (linux.intelRdt): somebody else just did`,
          { code: "resctrl", hint: "Try again" },
        );
      }
      writeSchemata(plan, plan.lines);
      if (monitor === undefined) return;
      make(
        monitor,
        `The processor has no more monitoring groups: cat ${mount}/info/L3_MON/num_rmids`,
      );
    });
  } catch (error) {
    undoClass(plan, error);
    throw error;
  }
}
