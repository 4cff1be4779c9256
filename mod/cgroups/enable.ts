/**
 * cgroup v2: which controllers are handed down to the container's cgroup, and
 * from there to those below it; cgroup-v2.rst "Controlling Controllers".
 *
 * @module
 */

import {
  mkdirSync,
  readTextFileSync,
  writeTextFileSync,
} from "../../ffi/files.ts";
import { ContainerError } from "../errors.ts";
import { wordFailure } from "./errors.ts";
import { type CgroupPlan, nameAsked } from "./model.ts";

/** What counts, and limits, what a container uses. */
const COUNTING = ["memory", "pids", "cpu"];

/** v2: what must be in cgroup.subtree_control above the container. `all`: every
 * controller there is, as runc does, so that `update` and `events` find them;
 * `counted`: those that count. */
export function planEnable(
  plan: CgroupPlan,
  { all, counted }: { all: boolean; counted: boolean },
): void {
  const dir = plan.dirs.find((d) => d.version === 2);
  if (dir === undefined) return;
  const required = new Map<string, string>();
  for (const { version, controller, from } of plan.writes) {
    if (
      version === 2 && dir.controllers.includes(controller) &&
      !required.has(controller)
    ) required.set(controller, from);
  }
  const wanted = all ? dir.controllers : [
    ...new Set([
      ...required.keys(),
      ...counted ? COUNTING.filter((it) => dir.controllers.includes(it)) : [],
    ]),
  ];
  if (wanted.length === 0) return;
  plan.enable = {
    mount: dir.mount,
    dir: dir.path,
    wanted,
    required: [...required].map(([controller, from]) => ({ controller, from })),
  };
}

function readOr(path: string): string {
  try {
    return readTextFileSync(path);
  } catch {
    return "";
  }
}

/**
 * v2: enables controllers from the mount's root down to the parent of the
 * container's cgroup.
 *
 * @param makeAbove makes a cgroup on the way, if it does not exist
 * @throws {ContainerError} when a required one stays missing
 */
export function enableControllers(
  { mount, dir, wanted, required }: NonNullable<CgroupPlan["enable"]>,
  flags: ReadonlyMap<string, string>,
  makeAbove: (path: string) => void,
): void {
  const parent = dir.slice(0, dir.lastIndexOf("/"));
  const enabled = (at: string) =>
    readOr(`${at}/cgroup.subtree_control`).split(/\s+/);
  const has = enabled(parent);
  if (wanted.every((c) => has.includes(c))) return;
  let refusal: ContainerError | undefined;
  let at = mount;
  const names = parent.slice(mount.length).split("/").filter((n) => n !== "");
  for (const name of ["", ...names]) {
    if (name !== "") {
      at += `/${name}`;
      makeAbove(at);
    }
    const has = enabled(at);
    const can = readOr(`${at}/cgroup.controllers`).split(/\s+/);
    const more = wanted.filter((c) => can.includes(c) && !has.includes(c));
    if (more.length === 0) continue;
    const file = `${at}/cgroup.subtree_control`;
    const write = (names: string[]) => {
      try {
        const value = names.map((c) => `+${c}`).join(" ");
        writeTextFileSync(file, value, { create: false });
        return true;
      } catch (error) {
        refusal = wordFailure(
          `enable "${names.join(" ")}" in "${file}"`,
          file,
          error,
        );
        return false;
      }
    };
    // One that cannot be had (cpu while real-time processes run) takes none of
    // the others along.
    if (!write(more) && more.length > 1) { for (const c of more) write([c]); }
  }
  const now = enabled(parent);
  const missing = required.find(({ controller }) => !now.includes(controller));
  if (missing === undefined) return;
  const { controller, from } = missing;
  throw new ContainerError(
    `Cannot apply ${
      nameAsked(flags, from, undefined)
    }: the ${controller} controller is not enabled in "${parent}/cgroup.subtree_control"`,
    {
      code: "controller-missing",
      hint: refusal !== undefined && refusal.code !== "cgroup-not-writable"
        ? refusal.hint
        : `Whoever manages that cgroup must hand it down; for a user, root adds "Delegate=${controller}" to user@.service (systemctl edit user@.service) and the user logs in again`,
      cause: refusal,
    },
  );
}

/** Its name, below the container's. */
export const LEAF = "init";

/**
 * Makes the cgroup of an idle container's first process, and hands on what counts
 * to it and to those that are made beside it. What cannot be handed on is noted:
 * nothing but counting depends on it.
 *
 * @param moved a process that is in the cgroup above, which can hand nothing on
 * while it holds one
 * @returns its path
 * @throws {ContainerError} when it cannot be made
 */
export function makeLeaf(
  leaf: string,
  notes: string[],
  moved?: number,
): string {
  makeBelow(leaf);
  if (moved !== undefined) {
    const file = `${leaf}/cgroup.procs`;
    try {
      writeTextFileSync(file, String(moved), { create: false });
    } catch (error) {
      throw wordFailure(`move the helper to "${file}"`, file, error);
    }
  }
  const above = leaf.slice(0, leaf.lastIndexOf("/"));
  const file = `${above}/cgroup.subtree_control`;
  const can = readOr(`${above}/cgroup.controllers`).trim().split(" ");
  for (const name of COUNTING.filter((it) => can.includes(it))) {
    try {
      writeTextFileSync(file, `+${name}`, { create: false });
    } catch (error) {
      notes.push(
        wordFailure(`enable "${name}" in "${file}"`, file, error).message,
      );
    }
  }
  return leaf;
}

/**
 * Makes a cgroup in one of ours.
 *
 * @throws {ContainerError}
 */
export function makeBelow(path: string): void {
  try {
    mkdirSync(path, { mode: 0o755 });
  } catch (error) {
    throw wordFailure(`make the cgroup "${path}"`, path, error);
  }
}
