/**
 * What a container's state says, and the directory that it stands in: the types
 * that the files of this folder share.
 *
 * @module
 */

import type { Buses } from "../host/buses.ts";

/** What ROOT/ID/state.json holds. */
export interface State {
  /** Format of this file. */
  version: 1;
  id: string;
  ociVersion: string;
  /** Host pid of the container's first process. */
  pid: number;
  /** Its start time in clock ticks since boot, proc_pid_stat(5) field 22. */
  startTime: string;
  /** /proc/sys/kernel/random/boot_id. */
  bootId: string;
  bundle: string;
  rootfs: string;
  /** RFC 3339. */
  created: string;
  annotations?: Record<string, string> | undefined;
  /** Name of the user who made it. */
  owner: string;
  /** Made by a foreground `run`: a keeper or warden removes it. */
  foreground: boolean;
  /** It waits at exec.fifo until `start` was called. */
  waits: boolean;
  /** It has no pid namespace of its own: killing means its whole cgroup. */
  sharesPids: boolean;
  /** Its cgroups, as mod/cgroups.ts planned them. */
  cgroup: {
    dirs: StateCgroup[];
    parents?: readonly string[];
    /** The unit that systemd has made for it: then systemd is told of changes,
     * whatever a command's flags say. */
    unit?: StateUnit | undefined;
  };
  /** Its class of service: ClassPlan of mod/intel_rdt.ts. */
  resctrl?: StateClass | undefined;
  /** NOTIFY_SOCKET of who made it; start tells it of readiness. */
  notifySocket?: string | undefined;
  /** Hooks that run after it, so that delete need not read config.json. */
  hasPoststop: boolean;
  /** Hooks that start runs. */
  hasPoststart: boolean;
}

/** What a state says of its container's first process. */
export type StateProcess = Pick<
  State,
  "pid" | "startTime" | "bootId" | "created"
>;

/** One cgroup of a container: CgroupDir of mod/cgroups.ts. */
export interface StateCgroup {
  path: string;
  mount: string;
  controllers: string[];
  version: 1 | 2;
  systemd?: true;
}

/** A container's unit: Unit of mod/cgroups.ts. */
export interface StateUnit {
  name: string;
  buses: Buses;
}

/** A container's class of service: what exec, update and delete need of it. */
export interface StateClass {
  mount: string;
  group: string;
  tasks: readonly string[];
  remove: readonly string[];
}

/** A state directory that this process owns through its lock. */
export interface StateDir {
  /** ROOT/ID */
  path: string;
  /** The directory's descriptor, which holds the lock. */
  fd: number;
}
