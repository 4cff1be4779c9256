/**
 * The plans of a start that no host stage attends: the child stage makes the
 * cgroups and the files of the state, and the keeper does at the gate what is
 * left. For replay.ts; the ordinary way makes them as it goes.
 *
 * @module
 */

import type { CgroupPlan } from "../cgroups.ts";
import { look } from "../looks.ts";
import { encodePlan, type Op, SYNC } from "../plan.ts";
import { encodeState, LEFTOVERS } from "../state.ts";
import { type KeeperWords, planEnd, planWatch } from "./keeper.ts";
import { describeContainer, type Place } from "./launch.ts";
import { addWarden, type Prepared } from "./prepare.ts";
import type { Noted } from "./reclaim.ts";
import { saveConfig } from "./saved.ts";

/** A container that is planned. */
export interface Unattended {
  place: Place;
  prepared: Prepared;
  noted: Noted;
  words: KeeperWords;
  /** Its state and its cgroups stay at its end. */
  keep: boolean;
}

/** What is another's in each start. */
export interface StartNames {
  id: string;
  token: string;
  /** RFC 3339, 24 characters. */
  created: string;
  /** Descriptors, and the warden's pid. */
  channel: number;
  control: number;
  state: number;
  warden: number;
}

const encode = (text: string) => new TextEncoder().encode(text);

const write = (path: string, value: string): Op => ({
  do: "write",
  at: "",
  path,
  data: encode(value === "" ? "\n" : value),
  flags: 0,
  why: "set up the cgroup",
});

/** A cpuset without CPUs and memory nodes takes no process: those of the cgroup
 * above; cgroup-v1/cpusets.rst. */
function planCpuset(path: string): Op[] | string {
  const above = path.slice(0, path.lastIndexOf("/"));
  const ops: Op[] = [];
  for (const name of ["cpuset.cpus", "cpuset.mems"]) {
    const value = look("text", `${above}/${name}`).trim();
    if (value === "") return `${above}/${name} is empty`;
    ops.push(write(`${path}/${name}`, value));
  }
  return ops;
}

/** The operations that make the cgroups of a plan, or what of it they cannot
 * do. Each must be a new one, below one that is there. */
function planMaking(plan: CgroupPlan): Op[] | string {
  const ops: Op[] = [];
  const { devices, enable, owner } = plan;
  if (owner !== undefined) return "the cgroup has another owner";
  if (enable !== undefined) {
    const above = enable.dir.slice(0, enable.dir.lastIndexOf("/"));
    const has = look("text", `${above}/cgroup.subtree_control`).split(/\s+/);
    if (!enable.wanted.every((it) => has.includes(it))) {
      return "controllers are to be enabled";
    }
  }
  for (const { path } of plan.dirs) {
    ops.push({ do: "cgroup", path, why: "make the cgroup" });
    if (!plan.inherit.includes(path)) continue;
    const cpuset = planCpuset(path);
    if (typeof cpuset === "string") return cpuset;
    ops.push(...cpuset);
  }
  if (devices?.version === 2) {
    const { dir, program } = devices;
    ops.push({ do: "cgroupDevices", path: dir, program, why: "limit devices" });
  } else {
    for (const { file, value } of devices?.writes ?? []) {
      ops.push(write(file, value));
    }
  }
  for (const { file, value, instead, notBelow, optional } of plan.writes) {
    if (instead || notBelow || optional) return `${file} may be missing`;
    ops.push(write(file, value));
  }
  return [...ops, { do: "own", why: "let the warden remove the cgroups" }];
}

const file = (name: string, text: string): Op => ({
  do: "file",
  at: "state",
  name,
  mode: 0o600,
  data: encode(text),
  why: "keep the state",
});

/** What the keeper does at the gate. */
function planGate(
  { prepared, keep }: Unattended,
  created: string,
): Op[] {
  const why = "let the container start";
  const kind = { foreground: !keep, waits: false };
  const state = encodeState({
    ...describeContainer(prepared, kind),
    bootId: look("text", "/proc/sys/kernel/random/boot_id").trim(),
    created,
  });
  return [
    {
      do: "kServe",
      ready: SYNC.ready,
      gate: SYNC.start,
      // The keeper adds the pid, and closes the object.
      state: encode(state.slice(0, -1)),
      from: "state.json.new",
      to: "state.json",
      why,
    },
    ...prepared.rlimits.map(({ resource, soft, hard }): Op => ({
      do: "kLimit",
      resource,
      soft,
      hard,
      why,
    })),
  ];
}

/** Whether the keeper may still set limits at the gate; prlimit(2): without
 * CAP_SYS_RESOURCE only those of a process with its own ids. */
function staysRoot({ config }: Prepared): boolean {
  const user = config.spec.process?.user;
  return user?.uid === 0 && user.gid === 0;
}

/**
 * Plans a start that no host stage attends.
 *
 * @returns the bytes of both plans; or why there can be none
 */
export function planUnattended(
  start: Unattended,
  names: StartNames,
): { child: Uint8Array; keeper: Uint8Array } | string {
  const { channel, control, state, warden } = names;
  const { place, noted, words, keep } = start;
  const making = planMaking(start.prepared.cgroup);
  if (typeof making === "string") return making;
  const late = staysRoot(start.prepared);
  const prepared = {
    ...start.prepared,
    steps: [],
    ops: start.prepared.ops.filter((op) =>
      op.do !== "sync" ||
      op.id !== SYNC.cgroups && !(late && op.id === SYNC.ready)
    ),
  };
  prepared.ops.unshift(
    file(LEFTOVERS, JSON.stringify(noted)),
    ...making,
    file("config.json", encodeState(saveConfig(start.prepared))),
  );
  addWarden(prepared, place, state);
  return {
    child: encodePlan(
      prepared.ops,
      new Map([["channel", channel], ["control", control], ["state", state]]),
    ),
    keeper: encodePlan(
      [
        ...planWatch({ pid: 0, received: new Map() }, { runs: false, warden }),
        ...planGate(start, names.created),
        ...planEnd(prepared, place.root, words, keep),
      ],
      new Map([["control", control], ["state", state], ["channel", channel]]),
    ),
  };
}
