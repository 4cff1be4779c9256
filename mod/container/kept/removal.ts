/**
 * Removes what containers leave behind, for `delete`, for a start that fails
 * and for what others have left: by the helper, as the keeper and the warden do
 * it (c/teardown.c), since a container may have made it deep, and hostile.
 *
 * @module
 */

import { errnoName, errnoText } from "../../../ffi/errno.ts";
import { CLONE } from "../../../ffi/constants.ts";
import { readDirSync } from "../../../ffi/files.ts";
import { closeFd, cstring, trySyscall } from "../../../ffi/libc.ts";
import type { CgroupPlan } from "../../cgroups.ts";
import { killV2 } from "../../cgroups/control.ts";
import { ContainerError } from "../../errors.ts";
import type { IdMaps } from "../../namespaces/idmaps.ts";
import { type Op, REMOVE, SYNC } from "../../plan.ts";
import { HelperDied, type PlanHandlers, runPlan } from "../../process.ts";
import type { StateDir } from "../../state.ts";
import { LEFTOVERS } from "../../state/files.ts";
import type { LeftCgroup } from "../model.ts";
import { cannotRemove } from "../../state/words.ts";
import { writeIdMaps } from "../properties/id_maps.ts";
import { type Leftovers, planLeftovers } from "./leftovers.ts";

/** What is the container's alone goes whole. */
export const WHOLE = REMOVE.below | REMOVE.trees;

/** What a tree says that somebody has put something else in the place of. */
const EACCES = 13, EBUSY = 16, ESTALE = 116;

/** The error of that: the rest is removed, and it is nothing to come back for. */
export const REPLACED = "leftovers-replaced";

/** One thing that stays. */
interface Stays {
  op: Op;
  errno: number;
}

/** Runs a plan that removes; goes on where something stays. */
function runRemoval(
  ops: readonly Op[],
  room: string,
  slots: ReadonlyMap<string, number>,
  idMaps?: IdMaps,
): Stays[] {
  const found: Stays[] = [];
  const handlers: PlanHandlers = {
    stays: (op, { errno }) => found.push({ op, errno }),
    sync(_, pid) {
      if (idMaps !== undefined) writeIdMaps(pid, idMaps);
    },
  };
  try {
    runPlan(handlers, ops, room, slots);
  } catch (error) {
    if (!(error instanceof HelperDied)) throw error;
    throw new ContainerError(
      `Cannot remove what the container has left: the helper that does it ended by signal ${error.signal}`,
      {
        code: "remove",
        hint: "Something killed it: try again",
        exitCode: 1,
        cause: error,
      },
    );
  }
  return found;
}

/** What is to be done about what stays. */
function hintFor(op: Op, path: string, errno: string): string | undefined {
  if (op.do === "kCgroup") {
    if (errno === "EACCES") {
      return "Cgroups in it belong to other ids: root may remove them";
    }
    return errno === "EBUSY"
      ? `cat ${path}/cgroup.procs shows which processes are left in it`
      : undefined;
  }
  switch (errno) {
    case "EPERM":
      return `A file in it may be immutable: lsattr -R ${path}; chattr -i changes that`;
    case "EBUSY":
    case "EXDEV":
      return `Something is mounted in it: findmnt -R ${path}`;
    case "EACCES":
      return "Files in it belong to other ids: root may remove them";
    case "EROFS":
      return "Its file system is mounted read-only";
    default:
      return undefined;
  }
}

function pathOf(op: Op): string {
  switch (op.do) {
    case "kCgroup":
      return `${op.root}/${op.path}`;
    case "kState":
    case "kTree":
      return `${op.parent}/${op.name}`;
    default:
      return op.do;
  }
}

function wordStays({ op, errno }: Stays, left: Leftovers): ContainerError {
  const name = errnoName(errno);
  const path = pathOf(op);
  if (left.resctrl?.remove.includes(path)) {
    return new ContainerError(
      `Cannot remove "${path}" (linux.intelRdt): ${errnoText(errno)}`,
      { code: "resctrl", hint: "Only root may change resctrl", exitCode: 1 },
    );
  }
  if (op.do === "kState") {
    return cannotRemove(path, name, errnoText(errno));
  }
  if (op.do === "kTree" && errno === ESTALE) {
    return new ContainerError(
      `Cannot remove "${path}": it is not what was made for the container`,
      {
        code: REPLACED,
        hint:
          `Who may write "${op.parent}" has put it there, and it is left alone: look there for what was renamed, and remove that by hand`,
        exitCode: 1,
      },
    );
  }
  const isCgroup = op.do === "kCgroup";
  return new ContainerError(
    `Cannot remove ${isCgroup ? "the cgroup " : ""}"${path}": ${
      isCgroup ? name : errnoText(errno)
    }`,
    {
      code: isCgroup ? "cgroup-busy" : "leftovers",
      hint: hintFor(op, path, name),
      exitCode: 1,
    },
  );
}

const WHY = "remove what is named before";

/** Files of a user's own container, and cgroups that it has made, may be of ids
 * that only its user namespace may touch: one with the same ids is as good. */
function removeInside(
  left: Leftovers,
  how: number,
  room: string,
  idMaps: IdMaps,
  dir?: StateDir,
): Stays[] {
  return runRemoval(
    [
      // Before: whose a directory is, is told by the ids out here.
      ...planLeftovers(left),
      { do: "unshare", flags: CLONE.NEWUSER, why: WHY },
      { do: "sync", id: SYNC.idMaps, why: WHY },
      { do: "remove", how, why: WHY },
    ],
    room,
    slotsOf(dir),
    idMaps,
  );
}

/** Gives back the right to see who is in a container's cgroups, which it may have
 * given to ids that only its user namespace may touch. */
export function showInside(
  cgroups: readonly LeftCgroup[],
  room: string,
  idMaps: IdMaps,
): void {
  removeInside({ cgroups }, REMOVE.show, room, idMaps);
}

const O_PATH = 0o10000000, O_CLOEXEC = 0o2000000;
const ENOENT = -2;

/** Whether nothing has this path: asked so, since the exception of a stat would
 * cost more. */
export function isMissing(path: string): boolean {
  const fd = trySyscall("openat", -100, cstring(path), O_PATH | O_CLOEXEC, 0);
  if (fd >= 0) closeFd(fd);
  return fd === ENOENT;
}

/** A cgroup that is systemd's goes when systemd has heard of its end. */
const isGone = (it: LeftCgroup) => it.systemd === true || isMissing(it.path);

/**
 * Removes a container's cgroups before the rest, and waits for that no longer
 * than `how` says.
 *
 * @param dir its state's directory
 * @returns false where it goes on behind the caller, with the state's lock: the
 * next sweep does the rest
 * @throws {ContainerError} when something stays
 */
export function removeGroups(
  groups: Pick<Leftovers, "cgroups" | "parents" | "resctrl" | "idMaps">,
  how: number,
  dir: StateDir,
): boolean {
  const state = splitPath(dir);
  const left = { ...groups, state };
  removeLeftovers(left, how | REMOVE.spare, state.root, dir);
  return groups.cgroups.every(isGone);
}

function slotsOf(dir: StateDir | undefined): Map<string, number> {
  return new Map(dir === undefined ? [] : [["state", dir.fd]]);
}

/** What a user namespace may get rid of: also whom only its ids may kill. */
function isInside({ op, errno }: Stays, idMaps: IdMaps | undefined): boolean {
  if (op.do === "kTree") return errno !== ESTALE;
  const hides = errno === EBUSY && idMaps?.writer === "tools";
  return op.do === "kCgroup" && (errno === EACCES || hides);
}

function cgroupsIn(stays: readonly Stays[], left: Leftovers): LeftCgroup[] {
  const paths = stays.map(({ op }) => pathOf(op));
  return left.cgroups.filter((it) => paths.includes(it.path));
}

/** Kills all that is in cgroups from inside of a user namespace with the ids of the
 * container's, to one of which it may have given them.
 *
 * @returns false where it could not give them to anybody */
export function killHidden(
  { cgroups, idMaps }: Pick<Leftovers, "cgroups" | "idMaps">,
  room: string,
): boolean {
  if (idMaps?.writer !== "tools") return false;
  removeInside({ cgroups }, REMOVE.kill, room, idMaps);
  return true;
}

/** Whether cgroup.kill is in another's hands. Where it is not, all there die: no
 * walk that follows is endless. */
const isHidden = ({ path }: LeftCgroup) =>
  !isMissing(`${path}/cgroup.kill`) && !killV2(path);

/**
 * Removes what is named; what is gone already is fine.
 *
 * @param how bits of {@linkcode REMOVE}; `later` needs `dir`
 * @param room directory of the states, for the helper
 * @param dir the state's directory, where `left` names it
 * @throws {ContainerError} when something stays, after all has been tried; the
 * rest of what stays is in its `suppressed`
 */
export function removeLeftovers(
  left: Leftovers,
  how: number,
  room: string,
  dir?: StateDir,
): void {
  const ops = planLeftovers(left);
  if (ops.length === 0) return;
  const { idMaps, trees = [] } = left;
  // Nobody would be left to make a user namespace for what takes long: all of it
  // is removed in there. The state is of the user's own id, which is there, too.
  if ((how & REMOVE.later) !== 0 && idMaps?.writer === "tools") {
    return tellStays(removeInside(left, how, room, idMaps, dir), left);
  }
  // Before any walk: they may make cgroups faster than it goes.
  if (
    (how & REMOVE.kill) !== 0 && idMaps?.writer === "tools" &&
    left.cgroups.some(isHidden)
  ) killHidden(left, room);
  ops.push({ do: "remove", how, why: WHY });
  let stays = runRemoval(ops, room, slotsOf(dir));
  const inside = stays.filter((it) => isInside(it, idMaps));
  if (idMaps !== undefined && inside.length > 0) {
    stays = stays.filter((it) => !inside.includes(it));
    const rest = { trees, cgroups: cgroupsIn(inside, left) };
    stays.push(...removeInside(rest, how, room, idMaps));
    // The state has stayed for what is gone now.
    if (stays.length === 0) {
      const { trees: _, idMaps: __, ...rest } = left;
      return removeLeftovers(rest, how, room, dir);
    }
  }
  tellStays(stays, left);
}

function tellStays(stays: readonly Stays[], left: Leftovers): void {
  const [first, ...others] = stays.map((it) => wordStays(it, left));
  if (first === undefined) return;
  first.suppressed.push(...others);
  throw first;
}

/**
 * Removes a container's cgroups with those inside them. A process that has just
 * been killed may still be in one: tried again, often.
 *
 * @param plan a plan, or what the state keeps of it. `parents` are removed too
 * where nobody else is in them; a plan that was not made is left alone
 * @throws {ContainerError} when one stays, after having tried all
 */
export function removeCgroups(
  { dirs, parents = [], made = true }:
    & Pick<CgroupPlan, "dirs">
    & Partial<Pick<CgroupPlan, "made">>
    & { parents?: readonly string[] },
  room: string,
): void {
  if (made) removeLeftovers({ cgroups: dirs, parents }, WHOLE, room);
}

/** ROOT and the id of a state's directory. */
export function splitPath({ path }: StateDir): { root: string; id: string } {
  const at = path.lastIndexOf("/");
  return { root: path.slice(0, at), id: path.slice(at + 1) };
}

/**
 * Starts a program of rustyrun's own that nobody waits for, in a session of its
 * own: the helper becomes it. It has null devices as standard streams, and
 * nothing else of the caller's.
 *
 * @param env its environment
 * @param room directory of the states, for the helper
 */
export function goOnBehind(
  argv: readonly string[],
  env: readonly string[],
  room: string,
): void {
  const why = "run hooks, which take the time that they take";
  runRemoval(
    [
      { do: "umask", mask: 0o022, why },
      { do: "kDelete", argv, env, why },
      { do: "remove", how: REMOVE.later, why },
    ],
    room,
    new Map(),
  );
}

/** Removes a state's directory, which this process holds, with all that is in
 * it. One that is gone, or has become another container's, is left alone. */
export function removeState(dir: StateDir): void {
  const state = splitPath(dir);
  removeLeftovers({ cgroups: [], state }, WHOLE, state.root, dir);
}

/** Removes what is in a state's directory that this process holds: first what
 * makes it a container, last the names of what it has left, which until then
 * somebody may still need. */
export function emptyState(dir: StateDir): void {
  const { path } = dir;
  const rank = (name: string) =>
    name === "state.json" ? 0 : name === LEFTOVERS ? 2 : 1;
  const trees = [...readDirSync(path)]
    .map(({ name }) => ({ parent: path, name }))
    .sort((a, b) => rank(a.name) - rank(b.name));
  removeLeftovers({ cgroups: [], trees }, WHOLE, splitPath(dir).root);
}
