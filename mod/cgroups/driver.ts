/**
 * What makes a container's cgroups, as the cgroups manager and those who make,
 * change and remove containers see it.
 *
 * @module
 */

import type { Resources } from "../config/schema.ts";
import type { CgroupMount } from "../host.ts";
import type {
  CgroupConfig,
  CgroupDir,
  CgroupLook,
  CgroupPlan,
  CgroupWrite,
  Unit,
  UnitPlan,
} from "./model.ts";
import type { V2Need } from "./placement.ts";

/** What a place in one hierarchy depends on. */
export interface PlaceAsk {
  config: CgroupConfig;
  mount: CgroupMount;
  /** Makes the name unique in friendly mode. */
  token: string;
  look: CgroupLook;
  /** The caller is not root of the machine. */
  rootless: boolean;
  uid: number;
  /** Limits whose files are in this hierarchy. */
  mine: readonly CgroupWrite[];
  need: V2Need;
  /** The unit, where systemd makes it. */
  unit?: UnitPlan | undefined;
  /** Takes what is left out, and why. */
  notes: string[];
}

/** A change of limits. */
export interface CgroupChange {
  dirs: readonly CgroupDir[];
  /** What is going to be written. */
  writes: readonly CgroupWrite[];
  /** The device rules from now on; absent: as they are. */
  devices?: Resources["devices"] | undefined;
  /** The container was made from flags. */
  friendly: boolean;
  unit?: Unit | undefined;
  flags: ReadonlyMap<string, string>;
}

/** One way to make cgroups. Their directories are removed by who removes the
 * container (c/teardown.c), a unit by `systemd/stop.ts`. */
export interface CgroupDriver {
  /**
   * Returns where the cgroup goes in one hierarchy; undefined where it can have
   * none there, and nobody has asked for anything in it. Makes nothing.
   *
   * @throws {ContainerError} where it cannot go
   */
  place(ask: PlaceAsk): string | undefined;
  /**
   * Makes the directories of a plan.
   *
   * @param pid the process that waits for them, whose child is going to be the
   * container's first one; 0 where there is none yet
   * @param made takes what is to be removed when a later step fails
   * @throws {ContainerError}
   */
  make(plan: CgroupPlan, pid: number, made: string[]): void;
  /**
   * Does what must come before new values are written.
   *
   * @throws {ContainerError} for a value that cannot be had
   */
  update(change: CgroupChange): void;
}
