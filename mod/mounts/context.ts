/**
 * What the parts of the mounts manager share while one plan is made.
 *
 * @module
 */

import { AT, O_BY_ARCH, OPEN_TREE_CLONE } from "../../ffi/constants.ts";
import type { Config } from "../config/config.ts";
import { hasUserNamespace, namespaceUse } from "../config/namespaces.ts";
import type { Facts } from "../host.ts";
import type { Op } from "../plan.ts";
import type { MountHost } from "./inspect.ts";

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
   * CAP_SYS_ADMIN the kernel clones a tree only in a mount namespace of the
   * caller's own, so that they are opened there. */
  early: boolean;
  /** What is taken then has to be locked in the container: stage.ts. */
  staged: boolean;
  /** Slots of the trees that are taken of the host. */
  trees: string[];
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
  /** Place of a mount -> index of the last one in the list that goes there. */
  topmost: Map<string, number>;
  /** Slot of the container's devpts, when it mounts one on /dev/pts. */
  devpts: string;
  /** Text of the id maps -> slot of a user namespace with them. */
  idmaps: Map<string, string>;
}

const CAP_SYS_ADMIN = 1n << 21n;

/** Starts a plan. */
export function createContext(
  config: Config,
  facts: Facts,
  host: MountHost,
): MountContext {
  const early = (facts.caps & CAP_SYS_ADMIN) !== 0n;
  return {
    config,
    facts,
    host,
    flags: O_BY_ARCH[facts.arch],
    userns: hasUserNamespace(config) || facts.inUserns,
    early,
    staged: early && hasUserNamespace(config) &&
      namespaceUse(config, "mount") === "new",
    trees: [],
    destinations: new Map(),
    sources: [],
    late: [],
    peers: [],
    topmost: new Map(),
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

/** Adds operations that fill a slot with a tree of the host. */
export function takeTree(
  context: MountContext,
  slot: string,
  ...ops: Op[]
): void {
  addSource(context, ...ops);
  if (context.staged) context.trees.push(slot);
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
