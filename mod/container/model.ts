/**
 * What the parts of a container's life hand each other.
 *
 * @module
 */

import type { SeenFile } from "../../ffi/identity.ts";
import type { MountIdentity } from "../../ffi/mount.ts";
import type { Caller } from "../caller.ts";
import type { CgroupPlan, Unit } from "../cgroups.ts";
import type { Config } from "../config/config.ts";
import type { Facts } from "../host.ts";
import type { ClassPlan } from "../intel_rdt.ts";
import type { IdMaps } from "../namespaces/idmaps.ts";
import type { Outlet } from "../outlet.ts";
import type { Op, Phase } from "../plan.ts";
import type { ChangesOptions } from "./inside/changes.ts";
import type { ResourceLimit, Warning } from "../security.ts";

/** Where containers live, for whom, and what they are children of. */
export interface Place {
  /** Directory of the containers' states. */
  root: string;
  caller: Caller;
  outlet: Outlet;
}

/** Says a warning; a quiet one only where it is logged. */
export type Warn = (message: string, quiet?: boolean) => void;

/** One step of a plan: its name and its operations. */
export type Step = [Phase, Op[]];

/** How the command is let go: by the keeper (foreground), at the fifo
 * (create), at once (exec, and run --detach), or by the rest of a plan that ends
 * there (launch/rest.ts). */
export type Gate = "keeper" | "fifo" | "none" | "rest";

/** Tags of `sendFd`: which descriptor of the container it is. */
export const FD_TAG = { master: 1, listener: 2, upper: 3, work: 4 } as const;

/** How the upper layer that was handed over is read: for `listChanges()` and
 * `applyChanges()`. */
export type KeptUpper = Required<
  Pick<ChangesOptions, "attributes" | "own" | "hidden">
>;

/** A compiled seccomp filter. */
export interface Filter {
  filter: Uint8Array;
  flags: number;
  /** A supervisor listens: the filter's descriptor goes to the host. */
  notify: boolean;
}

/** A network device of the host that moves into the container. */
export interface NetDevice {
  /** Its name on the host, and its index there. */
  host: string;
  index: number;
  /** Its name in the container. */
  name: string;
  /** Messages that give it its addresses again: moving takes them away. */
  addresses: Uint8Array[];
}

/** A root file system that was looked at. */
export interface SeenRoot extends SeenFile {
  /** Its path without links. */
  path: string;
  /** Id of the mount that it is in. */
  mount: number;
}

/** The note of a root in the caller's mount namespace: enough to find it again,
 * and to know it. */
export interface NotedMount extends MountIdentity {
  /** Where it was going to be attached. */
  path: string;
  /** /proc/self/ns/mnt. */
  namespace: string;
  /** Ids of mounts are of one boot. */
  boot: string;
}

/** A root in the caller's mount namespace, in hand. */
export interface SharedRoot {
  /** The detached tree. */
  tree: number;
  /** The directory that it is a copy of, and where it goes. */
  place: number;
  /** Lock of all roots; -1 once the tree is attached. */
  lock: number;
}

/** A cgroup directory that goes when the container goes. */
export interface LeftCgroup {
  /** Where its hierarchy is mounted. */
  mount: string;
  /** The directory, absolute. */
  path: string;
  version: 1 | 2;
  controllers: readonly string[];
  /** systemd removes it when it is empty. */
  systemd?: true;
}

/** A directory, or a file, by its name in another. */
export interface Tree {
  parent: string;
  name: string;
}

/** One in a directory that others may write: in a private one of `owner` by the
 * same name. */
export interface OwnedTree extends Tree {
  owner: number;
}

/** ROOT/ID/leftovers.json: only what was not there before. */
export interface Noted {
  cgroups: LeftCgroup[];
  parents: string[];
  /** The cgroups' names are nobody else's. */
  fresh: boolean;
  /** The unit that they are to be systemd's for. */
  unit?: Unit;
  upper?: OwnedTree;
  /** The ids of its own user namespace, whose files may be in there. */
  idMaps?: IdMaps;
  /** Groups of resctrl. */
  resctrl?: { mount: string; remove: readonly string[] };
  /** Its root, in the mount namespace of who made it. */
  mount?: NotedMount;
}

/** A configuration that is ready to run. */
export interface Prepared {
  config: Config;
  facts: Facts;
  /** The plan by steps, and all of it in a row. */
  steps: Step[];
  ops: Op[];
  cgroup: CgroupPlan;
  resctrl: ClassPlan | undefined;
  idMaps: IdMaps | undefined;
  /** Whether setgroups(2) is allowed in the container's user namespace;
   * undefined outside of any. */
  setgroups: IdMaps["setgroups"] | undefined;
  rlimits: readonly ResourceLimit[];
  filter: Filter | undefined;
  /** The directory of the root file system, as it was looked at. */
  root: SeenRoot;
  netDevices: readonly NetDevice[];
  /** Directory for the upper layer of a throw-away root, to be made. */
  upper: OwnedTree | undefined;
  /** The upper layer that the child stage hands over, FD_TAG.upper. */
  keptUpper: KeptUpper | undefined;
  /** What the container does not get of what was asked for, and need not. */
  warnings: readonly Warning[];
  /** Its root, once it is taken in hand: in the caller's mount namespace. */
  sharedRoot?: SharedRoot;
}

/** The saved copy of a configuration, ROOT/ID/config.json. */
export interface Saved {
  config: Config;
  /** The operations behind the fifo, by index: to word their failures. */
  late: Record<string, Op>;
  setgroups: "allow" | "deny" | undefined;
}
