/**
 * What the parts of the mounts manager share while one plan is made.
 *
 * @module
 */

import {
  AT,
  O,
  O_BY_ARCH,
  OPEN_TREE_CLONE,
  RESOLVE,
} from "../../ffi/constants.ts";
import type { Config } from "../config/config.ts";
import { lacksDeviceRules } from "../config/device_rules.ts";
import { hasUserNamespace, namespaceUse } from "../config/namespaces.ts";
import { ContainerError } from "../errors.ts";
import { type Facts, takesEarly } from "../host.ts";
import type { Note, Op } from "../plan.ts";
import type { MountHost } from "./model.ts";

/** A tree that is put onto the stage. */
export interface Tree {
  slot: string;
  /** Operations that take it, once the stage is there; none when it has been
   * taken before. */
  take: Op[];
  /** Whether it is taken from the stage only where it is used. */
  inTurn: boolean;
  /** It is taken from there without what is mounted in it, which the kernel
   * refuses where that is locked. */
  alone?: Note;
}

/** One plan of mounts in the making. */
export interface MountContext {
  config: Config;
  facts: Facts;
  host: MountHost;
  /** open(2) flags of this architecture. */
  flags: { DIRECTORY: number; NOFOLLOW: number };
  /** The container's root is not root of the host: no mknod, no device files
   * of its own, locked mounts. */
  userns: boolean;
  /** Trees of the host are opened before any namespace is entered. Without
   * CAP_SYS_ADMIN over them the kernel clones a tree only in a mount namespace of the
   * caller's own, so that they are opened there. */
  early: boolean;
  /** No device rules hold the container: nothing opens a device but the nodes
   * that are made in /dev. */
  unruled: boolean;
  /** What is taken then has to be locked in the container: stage.ts. */
  staged: boolean;
  /** What is taken of the host, by its number on the stage. */
  trees: Tree[];
  /** Slots of those trees that are mounts of the configuration, by index. */
  destinations: Map<number, string>;
  /** Operations of the step "sources". */
  sources: Op[];
  /** Trees of the host that are opened in the new mount namespace. */
  late: Op[];
  /** The same, but before its mounts leave the peer groups of the host's. */
  peers: Op[];
  /** Operations that make mounts read-only once all is populated. */
  readonly: Op[];
  /** Path of a mount of the container's -> its slot, while nothing else lies on
   * it. */
  places: Map<string, string>;
  /** The directories above those paths. */
  above: Set<string>;
  /** Slot of the container's devpts, when it mounts one on /dev/pts. */
  devpts: string;
  /** Text of the id maps -> slot of a user namespace with them. */
  idmaps: Map<string, string>;
}

/** Whether what is taken of the host goes by the stage (stage.ts). */
export function isStaged(config: Config, facts: Facts): boolean {
  return takesEarly(facts) && hasUserNamespace(config) &&
    namespaceUse(config, "mount") === "new";
}

/** Starts a plan. */
export function createContext(
  config: Config,
  facts: Facts,
  host: MountHost,
): MountContext {
  const early = takesEarly(facts);
  return {
    config,
    facts,
    host,
    flags: O_BY_ARCH[facts.arch],
    userns: hasUserNamespace(config) || facts.inUserns,
    early,
    unruled: lacksDeviceRules(config, facts),
    staged: isStaged(config, facts),
    trees: [],
    destinations: new Map(),
    sources: [],
    late: [],
    peers: [],
    places: new Map(),
    above: new Set(),
    readonly: [],
    devpts: "",
    idmaps: new Map(),
  };
}

/** Adds an operation that opens something of the host: with the host's ids
 * where that is possible. */
export function addSource(context: MountContext, ...ops: Op[]): void {
  (context.early ? context.sources : context.late).push(...ops);
}

/**
 * Makes sure that a tree of the host's can be taken with all that is mounted in
 * it.
 *
 * @throws {ContainerError} where the kernel would leave something out
 */
export function checkWhole(
  { host }: MountContext,
  path: string,
  wanted: string,
  from: string,
): void {
  const point = host.unbindable?.get(path);
  if (point === undefined) return;
  const what = point.unsure
    ? `"${point.path}", which others may move into it, is an unbindable mount`
    : `"${point.path}" in it is an unbindable mount`;
  throw new ContainerError(
    `Cannot ${wanted}: ${what}, and a container with a user namespace is not to see what that covers (${from})`,
    {
      code: "mount-unbindable",
      hint: `mount --make-private ${point.path}, or unmount it`,
    },
  );
}

/** Adds operations that fill a slot with a tree of the host. */
export function takeTree(
  context: MountContext,
  slot: string,
  ...ops: Op[]
): void {
  addSource(context, ...ops);
  if (context.staged) context.trees.push({ slot, take: [], inTurn: false });
}

/** The same for one that is taken alone of what is on the stage: nothing may be
 * mounted in it any more then. */
export function takeAlone(
  context: MountContext,
  slot: string,
  alone: Note,
  ...ops: Op[]
): void {
  addSource(context, ...ops);
  if (context.staged) {
    context.trees.push({ slot, take: [], inTurn: false, alone });
  }
}

/**
 * The same for one of many: where there is a stage, it is put there at once, so
 * that its slot is used for a moment alone.
 *
 * @param tree `path` is where it is on the host; `alone`: what is mounted below
 * it is put onto the stage as well, and left there, unless it is locked: then
 * the kernel refuses to show what it covers
 * @returns operations that fill the slot, for where the tree is used
 */
export function takeInTurn(
  context: MountContext,
  { slot, path, alone }: { slot: string; path: string; alone?: Note },
  ...ops: Op[]
): Op[] {
  if (!context.staged) {
    addSource(context, ...ops);
    return [];
  }
  const at = String(context.trees.length);
  // The stage lies over it: this has to be taken before.
  const before = context.host.hidden.has(path);
  if (before) context.sources.push(...ops);
  context.trees.push({ slot, take: before ? [] : ops, inTurn: true });
  return [unstage(slot, at, alone)];
}

/** Takes a tree again, from the stage. */
export function unstage(slot: string, at: string, alone?: Note): Op {
  return cloneTree(slot, "", at, alone === undefined, {
    why: "take it from the stage, locked",
    from: "linux.namespaces",
    ...alone,
  });
}

/** Makes sure that a slot holds what was looked at on the host: between that
 * look and the use somebody may have put something else there. */
export function checkSeen(
  { host }: MountContext,
  slot: string,
  note: { why: string; from?: string },
  key = slot,
): Op[] {
  const seen = host.seen.get(key);
  return seen === undefined
    ? []
    : [{ do: "same", slot, dev: seen.dev, ino: seen.ino, ...note }];
}

/** Takes the root file system that was looked at. A link that somebody puts in
 * its way meanwhile may lead to the same directory by another mount, where it is
 * not read-only, or has something else mounted in it: none is followed. */
export function cloneRoot(
  context: MountContext,
  into: string,
  recursive: boolean,
  as: string,
): Op[] {
  const from = "root.path";
  const note = { why: `take the root file system${as}`, from };
  const dir = "root.dir";
  return [
    {
      do: "open",
      into: dir,
      at: "",
      path: context.host.rootPath,
      flags: O.PATH | context.flags.DIRECTORY,
      mode: 0,
      resolve: RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS,
      ...note,
    },
    cloneTree(into, dir, "", recursive, note),
    {
      do: "close",
      slot: dir,
      why: "hold no more of the host than that",
      from,
    },
    ...checkSeen(context, into, {
      why: "take the root file system that was looked at",
      from,
    }, "root"),
  ];
}

/** An open_tree(2) that makes a detached copy. */
export function cloneTree(
  into: string,
  at: string,
  path: string,
  recursive: boolean,
  note: { why: string; from?: string },
): Op {
  return {
    do: "openTree",
    into,
    at,
    path,
    flags: OPEN_TREE_CLONE | (recursive ? AT.RECURSIVE : 0) |
      (path === "" ? AT.EMPTY_PATH : 0),
    ...note,
  };
}
