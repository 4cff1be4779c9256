/**
 * What a container that is being made may leave behind when rustyrun is killed:
 * noted in ROOT/ID before any of it exists, removed with the directory by the
 * next command that finds it without an owner. (In the foreground the warden
 * removes it at once; this is for `create`, and for a warden killed as well.)
 *
 * @module
 */

import { removeSync } from "../../ffi/files.ts";
import { closeFd, cstring, trySyscall } from "../../ffi/libc.ts";
import { type CgroupPlan, removeCgroups } from "../cgroups.ts";
import { ContainerError } from "../errors.ts";
import {
  claimState,
  emptyState,
  holdState,
  readLeftovers,
  readState,
  removeState,
  type StateDir,
} from "../state.ts";
import { isStateDirectory } from "../state/root.ts";
import type { Prepared } from "./prepare.ts";
import { removeClass } from "./resctrl.ts";
import { type NotedMount, unmountShared } from "./shared_root.ts";

const O_PATH = 0o10000000, O_CLOEXEC = 0o2000000;
const ENOENT = -2;

/** ROOT/ID/leftovers.json: only what was not there before. */
export interface Noted {
  cgroups: { path: string }[];
  parents: string[];
  upper?: { parent: string; name: string };
  /** Groups of resctrl. */
  resctrl?: readonly string[];
  /** Its root, in the mount namespace of who made it. */
  mount?: NotedMount;
}

/** Whether nothing has this path: asked so, since the exception of a stat would
 * cost more. */
function isMissing(path: string): boolean {
  const fd = trySyscall("openat", -100, cstring(path), O_PATH | O_CLOEXEC, 0);
  if (fd >= 0) closeFd(fd);
  return fd === ENOENT;
}

/** The directories above a cgroup that do not exist, outermost first. */
function missingAbove(path: string, mount: string): string[] {
  const missing: string[] = [];
  for (;;) {
    path = path.slice(0, path.lastIndexOf("/"));
    if (path.length <= mount.length || !isMissing(path)) return missing;
    missing.unshift(path);
  }
}

/** The cgroups that a plan would be the first to make. A name with a token in
 * it needs no look. */
function newCgroups(
  { dirs, fresh }: CgroupPlan,
): Pick<Noted, "cgroups" | "parents"> {
  if (fresh) {
    return { cgroups: dirs.map(({ path }) => ({ path })), parents: [] };
  }
  const mine = dirs.filter(({ path }) => isMissing(path));
  return {
    cgroups: mine.map(({ path }) => ({ path })),
    parents: mine.flatMap(({ path, mount }) => missingAbove(path, mount)),
  };
}

/**
 * Takes ROOT/ID for a new container, after what a killed one left there has
 * been removed.
 *
 * @throws {ContainerError} when a container has the id
 */
export function claimContainer(root: string, id: string): StateDir {
  const dir = claimState(root, id);
  if (!dir.reused) return dir;
  try {
    removeNoted(dir);
    emptyState(dir);
  } catch (error) {
    closeFd(dir.fd);
    throw error;
  }
  return dir;
}

/** Looks what a plan will be the first to make, and tells the plan which
 * cgroups above the container's are among that (its warden removes them).
 *
 * @returns what {@linkcode writeLeftovers} takes */
export function planNoted(
  { cgroup, resctrl, upper }: Pick<Prepared, "cgroup" | "resctrl" | "upper">,
): Noted {
  const noted = newCgroups(cgroup);
  cgroup.parents = noted.parents;
  return {
    ...noted,
    ...(upper === undefined ? {} : { upper }),
    ...(resctrl === undefined ? {} : { resctrl: resctrl.remove }),
  };
}

/** Unmounts what ROOT/ID/leftovers.json names.
 *
 * @throws {ContainerError} when it is mounted and cannot be unmounted here */
export function unmountNoted(dir: StateDir): void {
  const noted = readLeftovers(dir) as Noted | undefined;
  if (noted?.mount !== undefined) unmountShared(noted.mount);
}

/** Removes what ROOT/ID/leftovers.json names. A cgroup that stays busy is by
 * now somebody else's: what we made in it ends when its maker ends. */
export function removeNoted(dir: StateDir): void {
  const noted = readLeftovers(dir) as Noted | undefined;
  if (noted === undefined) return;
  const { cgroups, mount, parents, resctrl, upper } = noted;
  try {
    removeCgroups({ dirs: cgroups, parents });
    removeClass(resctrl ?? []);
  } catch (error) {
    if (!(error instanceof ContainerError)) throw error;
  }
  if (mount !== undefined) unmountShared(mount);
  if (upper === undefined) return;
  try {
    removeSync(`${upper.parent}/${upper.name}`, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Removes a directory that has neither a state nor somebody who makes one. */
export function removeRubbish(root: string, id: string): void {
  const dir = holdState(root, id, 0);
  if (dir === undefined || dir === "busy") return;
  try {
    if (readState(root, id) !== undefined || !isStateDirectory(dir.path)) {
      return;
    }
    removeNoted(dir);
    removeState(dir);
  } finally {
    closeFd(dir.fd);
  }
}
