/**
 * What a container may leave behind: noted in ROOT/ID before any of it exists,
 * removed with the directory by whoever deletes the container, or by the next
 * command that finds the directory without an owner. (In the foreground the
 * warden removes it at once; this is for `create`, and for a warden killed as
 * well.)
 *
 * @module
 */

import { removeSync } from "../../../ffi/files.ts";
import { closeFd } from "../../../ffi/libc.ts";
import type { CgroupPlan } from "../../cgroups.ts";
import { stopUnit } from "../../cgroups/systemd/stop.ts";
import { ContainerError } from "../../errors.ts";
import { REMOVE } from "../../plan.ts";
import { openHelper } from "../../process/helper.ts";
import {
  claimState,
  holdState,
  readLeftovers,
  readState,
  type State,
  type StateDir,
} from "../../state.ts";
import { isStateDirectory } from "../../state/root.ts";
import type { Leftovers } from "./leftovers.ts";
import {
  emptyState,
  isMissing,
  killHidden,
  removeGroups,
  removeLeftovers,
  removeState,
  REPLACED,
  showInside,
  splitPath,
  WHOLE,
} from "./removal.ts";
import { unmountShared } from "../properties/unmount.ts";
import type { Noted, Prepared } from "../model.ts";

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
  { dirs, fresh, unit }: CgroupPlan,
): Pick<Noted, "cgroups" | "parents" | "fresh" | "unit"> {
  const noted = unit && { unit: { name: unit.name, buses: unit.buses } };
  if (fresh) return { cgroups: dirs, parents: [], fresh, ...noted };
  const mine = dirs.filter(({ path }) => isMissing(path));
  // What lies above a unit is systemd's.
  const ours = unit === undefined ? mine : mine.filter((it) => !it.systemd);
  return {
    cgroups: mine,
    parents: ours.flatMap(({ path, mount }) => missingAbove(path, mount)),
    fresh,
    // One that is there is another's.
    ...mine.length === dirs.length ? noted : {},
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
  try {
    // What is made from here on is removed by the helper: it must be there.
    openHelper(root);
    if (dir.reused) {
      const replaced = removeNoted(dir);
      emptyState(dir);
      if (replaced !== undefined) throw replaced;
    }
  } catch (error) {
    if (!dir.reused) removeSync(dir.path);
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
  { cgroup, idMaps, resctrl, upper }: Pick<
    Prepared,
    "cgroup" | "idMaps" | "resctrl" | "upper"
  >,
): Noted {
  const noted = newCgroups(cgroup);
  cgroup.parents = noted.parents;
  return {
    ...noted,
    ...(upper === undefined ? {} : { upper }),
    ...(idMaps === undefined ? {} : { idMaps }),
    ...(resctrl === undefined ? {} : {
      resctrl: { mount: resctrl.mount, remove: resctrl.remove },
    }),
  };
}

function readNoted(dir: StateDir): Noted | undefined {
  return readLeftovers(dir) as Noted | undefined;
}

/** What a note names beside cgroups and mounts. */
function treesOf(
  { idMaps, upper }: Pick<Noted, "idMaps" | "upper">,
): Pick<Leftovers, "trees" | "idMaps"> {
  return { trees: upper === undefined ? [] : [upper], idMaps };
}

/** Removes the upper layer.
 *
 * @returns the error that tells of something else in its place: to be thrown
 * once nothing is left to do
 * @throws {ContainerError} when it stays */
function removeUpper(
  left: Pick<Noted, "idMaps" | "upper">,
  root: string,
): ContainerError | undefined {
  try {
    removeLeftovers({ cgroups: [], ...treesOf(left) }, WHOLE, root);
  } catch (error) {
    if (!(error instanceof ContainerError) || error.code !== REPLACED) {
      throw error;
    }
    return error;
  }
  return undefined;
}

/** Unmounts what ROOT/ID/leftovers.json names.
 *
 * @throws {ContainerError} when it is mounted and cannot be unmounted here */
function unmountNoted(noted: Noted | undefined): void {
  if (noted?.mount !== undefined) unmountShared(noted.mount);
}

/** Removes what ROOT/ID/leftovers.json names, of a container that has never
 * run. A cgroup with a name that others may have, and that stays busy, is by now
 * somebody else's: what we made in it ends when its maker ends.
 *
 * @returns what {@linkcode removeUpper} does
 * @throws {ContainerError} when something stays */
function removeNoted(dir: StateDir): ContainerError | undefined {
  const noted = readNoted(dir);
  if (noted === undefined) return undefined;
  const { cgroups, fresh, parents, resctrl, unit } = noted;
  const { root } = splitPath(dir);
  try {
    removeLeftovers(
      { cgroups, parents, resctrl },
      fresh ? WHOLE | REMOVE.kill : 0,
      root,
    );
    stopUnit(unit);
  } catch (error) {
    if (fresh || !(error instanceof ContainerError)) throw error;
    const all = [error, ...error.suppressed] as ContainerError[];
    if (all.some((it) => it.code !== "cgroup-busy")) throw error;
  }
  unmountNoted(noted);
  return removeUpper(noted, root);
}

/** Removes what a start that fails has made, and the state's directory.
 *
 * @throws {ContainerError} when something stays: then the directory does, too */
export function discardPrepared(
  { cgroup, idMaps, upper }: Prepared,
  dir: StateDir,
): void {
  const { dirs, parents } = cgroup;
  const { root } = splitPath(dir);
  // A cgroup that was there before belongs to somebody else.
  if (cgroup.made) {
    removeLeftovers({ cgroups: dirs, parents }, WHOLE | REMOVE.kill, root);
    stopUnit(cgroup.unit);
  }
  unmountNoted(readNoted(dir));
  const replaced = removeUpper(
    { ...(upper && { upper }), ...(idMaps && { idMaps }) },
    root,
  );
  removeState(dir);
  if (replaced !== undefined) throw replaced;
}

/** How a stopped container is removed. */
export interface StopOptions {
  /** Who is left in its cgroups dies. */
  kill: boolean;
  /** They are another container's by now. */
  keepCgroups: boolean;
  /** What takes long goes on behind the caller, see {@linkcode REMOVE}. */
  later: boolean;
  /** Called when only its upper layer and its state are left. */
  between?: () => void;
}

/**
 * Removes what a container that has stopped leaves, and its state.
 *
 * @throws {ContainerError} when something stays: then its state does, too
 */
export function removeStopped(
  { cgroup, resctrl }: State,
  dir: StateDir,
  { kill, keepCgroups, later, between }: StopOptions,
): void {
  const noted = readNoted(dir);
  const how = WHOLE | (kill ? REMOVE.kill : REMOVE.free);
  const groups = {
    cgroups: keepCgroups ? [] : cgroup.dirs,
    parents: cgroup.parents,
    resctrl,
    idMaps: noted?.idMaps,
  };
  const state = splitPath(dir);
  const rest = { ...treesOf(noted ?? {}), state };
  const last = later ? how | REMOVE.later : how;
  // Another container may have the cgroups by now, and so the unit.
  const unit = keepCgroups ? undefined : cgroup.unit;
  const steps = [noted?.mount, between, unit];
  if (steps.every((it) => it === undefined)) {
    return removeLeftovers({ ...groups, ...rest }, last, state.root, dir);
  }
  if (!removeGroups(groups, last, dir) && later) return;
  stopUnit(unit);
  unmountNoted(noted);
  between?.();
  removeLeftovers({ cgroups: [], ...rest }, last, state.root, dir);
}

/** Kills all that is in a container's cgroups and those below, also what is
 * frozen there; or only lets die who was killed there. Removes nothing that is in
 * use. */
export function killCgroups(
  root: string,
  { id, cgroup }: State,
  how: number = REMOVE.kill,
): void {
  if (cgroup.dirs.length === 0) return;
  const { idMaps } = readNoted({ path: `${root}/${id}`, fd: -1 }) ?? {};
  try {
    removeLeftovers({ cgroups: cgroup.dirs, idMaps }, how, root);
  } catch (error) {
    // They die now, and their cgroups are still busy.
    if (!(error instanceof ContainerError)) throw error;
  }
}

/** Gives back the right to see who is in a container's cgroups, where that takes
 * a user namespace like its own. */
export function showCgroups(root: string, { id, cgroup }: State): void {
  const { idMaps } = readNoted({ path: `${root}/${id}`, fd: -1 }) ?? {};
  if (idMaps !== undefined) showInside(cgroup.dirs, root, idMaps);
}

/** Kills all that is in a container's cgroups as its user namespace may.
 *
 * @returns false where none of ours could do more than we */
export function killInside(root: string, { id, cgroup }: State): boolean {
  const { idMaps } = readNoted({ path: `${root}/${id}`, fd: -1 }) ?? {};
  return killHidden({ cgroups: cgroup.dirs, idMaps }, root);
}

/** Removes a directory that has neither a state nor somebody who makes one. */
export function removeRubbish(root: string, id: string): void {
  const dir = holdState(root, id, 0);
  if (dir === undefined || dir === "busy") return;
  try {
    if (readState(root, id) !== undefined || !isStateDirectory(dir.path)) {
      return;
    }
    const replaced = removeNoted(dir);
    removeState(dir);
    if (replaced !== undefined) throw replaced;
  } finally {
    closeFd(dir.fd);
  }
}
