/**
 * What the cgroups manager hands out: the plan of a container's cgroups, as
 * data. Every path in it is absolute and on the host.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { ContainerError } from "../errors.ts";
import type { Buses } from "../host/buses.ts";

/** The part of a Config that the cgroups manager reads. */
export type CgroupConfig = Pick<
  Config,
  | "id"
  | "mode"
  | "spec"
  | "cgroupManager"
  | "flags"
  | "hostDevices"
  | "idle"
  | "counted"
>;

/** One cgroup of the container. A list of them is all that delete, kill, pause,
 * ps and events need: it is JSON-safe, for the state file. */
export interface CgroupDir {
  /** The directory. */
  path: string;
  /** Where its hierarchy is mounted. */
  mount: string;
  /** v1: the hierarchy's controllers; v2: those of the mount's root. */
  controllers: string[];
  version: 1 | 2;
  /** It is of a unit: systemd makes it, and removes it when it is empty. */
  systemd?: true;
}

/** One value that is written into a file of a cgroup. */
export interface CgroupWrite {
  /** Absolute path. */
  file: string;
  value: string;
  /** One clause for `--explain`: "memory that the container may use". */
  why: string;
  /** The config key: "linux.resources.memory.limit". */
  from: string;
  /** The controller the file belongs to. */
  controller: string;
  version: 1 | 2;
  /** Errnos that mean that there is nothing to do: ["ENOENT"]. */
  optional?: string[];
  /** EINVAL may only mean that a value written later must be there first: it is
   * written once more after the others (quota and period, memory and memsw). */
  again?: true;
  /** Written instead where `file` does not exist. */
  instead?: { file: string; value: string };
  /** Refuse when this file's number (the usage now) is above the value. */
  notBelow?: string;
}

/** One device rule: what it allows or denies. null stands for every number. */
export interface DeviceRule {
  allow: boolean;
  /** a: character and block devices. */
  type: "a" | "b" | "c";
  major: number | null;
  minor: number | null;
  /** Some of "rwm", in that order. */
  access: string;
}

/** The device rules of a container. The last rule that matches decides. */
export interface DevicePlan {
  version: 1 | 2;
  /** The cgroup they apply to. */
  dir: string;
  rules: DeviceRule[];
  /** v1: what is written, in order. */
  writes: { file: string; value: string }[];
  /** v2: the program, of BPF_PROG_TYPE_CGROUP_DEVICE; empty on v1. */
  program: Uint8Array<ArrayBuffer>;
}

/** A value of a property: an array or a struct as a list. */
export type UnitValue =
  | string
  | number
  | bigint
  | boolean
  | readonly UnitValue[];

/** A property of a systemd unit; org.freedesktop.systemd1(5). */
export interface UnitProperty {
  name: string;
  /** D-Bus Specification, "Type System": "t", "as", "a(ss)". */
  signature: string;
  value: UnitValue;
  /** The config key that asked for it; absent for what every container has. */
  from?: string;
}

/** A container's unit, as whoever changes or removes it needs it: JSON-safe, for
 * the state. */
export interface Unit {
  name: string;
  /** Where its systemd is spoken to. */
  buses: Buses;
}

/** A unit that is to be started. */
export interface UnitPlan extends Unit {
  slice: string;
  /** Its cgroup, from the root of the hierarchy on. */
  group: string;
  /** All but PIDs: the process that is moved into it. */
  properties: UnitProperty[];
}

/** Everything that is to be done about a container's cgroups. */
export interface CgroupPlan {
  /** The container's directories, one for each hierarchy. */
  dirs: CgroupDir[];
  /** The unit that they are systemd's for; absent: rustyrun makes them. */
  unit?: UnitPlan;
  /** A directory that exists already is an error (friendly mode); else it must
   * be empty and not frozen. */
  fresh: boolean;
  /** v1 cpuset directories: a new one is empty and cannot hold a process, so
   * each that is made copies its parent's cpus and mems. */
  inherit: string[];
  /** v2: controllers to enable in cgroup.subtree_control from the mount down to
   * the parent of `dir`. Those in `required` have a limit that asked for them. */
  enable?: {
    mount: string;
    dir: string;
    wanted: string[];
    required: { controller: string; from: string }[];
  };
  writes: CgroupWrite[];
  /** Absent where no rule can or need be set; `notes` then says why. */
  devices?: DevicePlan;
  /** v2, an idle container: where its first process is, below `dirs`. They hand
   * all they have on to the cgroups below, and so may hold none. */
  leaf?: string;
  joins: {
    /** v1: files that the container's first process writes "0" into. */
    tasks: string[];
    /** v2: the directory for CLONE_INTO_CGROUP. */
    v2?: string;
  };
  /** Where the number of processes that the OOM killer took is read. */
  oom?: { file: string; key: "oom_kill" };
  /** v2: "1" written here kills every process of the container (5.14). */
  kill?: string;
  /** How the container is frozen. */
  freezer?: { file: string; freeze: string; thaw: string };
  /** v2: the container's root may manage the cgroup: ids on the host. */
  owner?: { uid: number; gid: number };
  /** Whether makeCgroups() has made them; removeCgroups() leaves alone what it
   * has not: an OCI cgroup may be somebody else's. */
  made: boolean;
  /** Cgroups that makeCgroups() made above the container's, outermost first. */
  parents: string[];
  /** What is left out, and why, for `--explain`. */
  notes: string[];
  /** Config key -> the flag as typed, for error texts. */
  flags: ReadonlyMap<string, string>;
}

/** Looks at the machine while planning; tests hand in a fake. */
export interface CgroupLook {
  /** The text of a small file; undefined when it cannot be read. */
  read(path: string): string | undefined;
  /** Owner and mode of a path; undefined when it does not exist. */
  stat(path: string): { uid: number; mode: number } | undefined;
  /** The device a node stands for; undefined when it is none. */
  device(
    path: string,
  ): { type: "b" | "c"; major: number; minor: number } | undefined;
  /** The cgroup of a systemd, from the root of the hierarchy on.
   *
   * @throws {ContainerError} when it cannot be reached */
  manager(buses: Buses): string;
}

/** How an error names what was asked for: the flag as typed, else the config
 * key and its value. */
export function nameAsked(
  flags: ReadonlyMap<string, string>,
  from: string,
  value: unknown,
): string {
  const flag = flags.get(from);
  if (flag !== undefined) return `"${flag}"`;
  return value === undefined ? from : `${from} "${value}"`;
}

/**
 * Refuses a value that cannot be applied.
 *
 * @throws {ContainerError} always
 */
export function refuse(
  flags: ReadonlyMap<string, string>,
  from: string,
  value: unknown,
  why: string,
  options: { code?: string; hint?: string } = {},
): never {
  throw new ContainerError(
    `Cannot apply ${nameAsked(flags, from, value)}: ${why}`,
    { code: options.code ?? "limit-refused", hint: options.hint },
  );
}
