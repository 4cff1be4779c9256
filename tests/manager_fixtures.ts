/**
 * What the tests of the managers share: machines, configurations, and plans as
 * lines of text.
 *
 * @module
 */

import type { Caller } from "../mod/caller.ts";
import type { Config, Spec } from "../mod/config/config.ts";
import type { Facts } from "../mod/host.ts";
import type { MountHost } from "../mod/mounts.ts";
import type { Outlet } from "../mod/outlet.ts";
import { type Op, OPS, type Phased, PHASES } from "../mod/plan.ts";

/** Every capability. */
export const ALL_CAPS = (1n << 41n) - 1n;

/** Root on kernel 6.12 with one cgroup2 hierarchy, unless told otherwise. */
export function makeFacts(changes: Partial<Facts> = {}): Facts {
  return {
    arch: "x86_64",
    kernel: { release: "6.12.0", major: 6, minor: 12 },
    uid: 0,
    gid: 0,
    caps: ALL_CAPS,
    inUserns: false,
    cgroups: [{
      version: 2,
      controllers: ["cpu", "memory", "pids"],
      path: "/sys/fs/cgroup",
      root: "/",
      own: "/user.slice",
    }],
    selinux: false,
    apparmor: false,
    proc: "/proc/self",
    ...changes,
  };
}

/** Root with the usual limits and nothing special, unless told otherwise: with
 * `proc`, of a directory that has what a test puts there. */
export function makeCaller(changes: Partial<Caller> = {}): Caller {
  return {
    words: [],
    environment: [],
    directory: () => "/",
    proc: "/proc/self",
    pid: 100,
    parent: 1,
    uid: 0,
    gid: 0,
    caps: ALL_CAPS,
    umask: 0o022,
    fileLimit: { soft: 1024n, hard: 1048576n },
    streams: ["other", "other", "other"],
    isTerminal: () => false,
    inherited: {
      timerSlack: 50_000,
      noHugePages: false,
      personality: 0,
      memoryPolicy: 0,
      securebits: 0,
    },
    ...changes,
  };
}

/** What a command prints, as text by the stream. */
export interface Said {
  1: string;
  2: string;
}

/** An outlet that keeps what is printed, and starts nothing. */
export function makeOutlet(input = ""): { outlet: Outlet; said: Said } {
  const said: Said = { 1: "", 2: "" };
  const refuse = () => {
    throw new Error("this test starts nothing");
  };
  return {
    said,
    outlet: {
      write(stream, bytes) {
        said[stream] += new TextDecoder().decode(bytes);
      },
      writeTo: refuse,
      readInput: () => new TextEncoder().encode(input),
      lend: (fds) => [...fds],
      spawn: refuse,
      wait: refuse,
      become: refuse,
    },
  };
}

/** A caller without any capability. */
export const UNPRIVILEGED: Partial<Facts> = { uid: 1000, gid: 1000, caps: 0n };

/** A configuration with new pid and mount namespaces and nothing else. */
export function makeConfig(
  spec: Partial<Spec> = {},
  changes: Partial<Config> = {},
): Config {
  return {
    id: "box",
    bundle: "/bundle",
    mode: "oci",
    spec: {
      ociVersion: "1.3.0",
      root: { path: "rootfs" },
      linux: { namespaces: [{ type: "pid" }, { type: "mount" }] },
      ...spec,
    },
    rootfs: "/bundle/rootfs",
    files: [],
    overwrites: [],
    stdin: false,
    init: false,
    noPivot: false,
    noNewKeyring: false,
    preserveFds: 0,
    hostDevices: [],
    cgroupManager: "cgroupfs",
    flags: new Map(),
    ...changes,
  };
}

/** A host with nothing mounted in the root file system. */
export function makeHost(changes: Partial<MountHost> = {}): MountHost {
  return {
    sources: new Map(),
    devices: [],
    hidden: new Set(),
    modes: new Map(),
    owned: new Set(),
    rootPath: "/bundle/rootfs",
    state: "/run/rustyrun/box",
    seen: new Map(),
    veils: [],
    isHostRoot: false,
    rootReadonly: false,
    below: [],
    unsure: false,
    kcore: true,
    cgroups: new Map(),
    ...changes,
  };
}

function showValue(value: unknown): string {
  if (value instanceof Uint8Array) {
    const text = new TextDecoder().decode(value);
    return /^[\x20-\x7e\n]*$/.test(text)
      ? JSON.stringify(text)
      : [...value].map((it) => it.toString(16).padStart(2, "0")).join("");
  }
  if (Array.isArray(value)) return `[${value.join(" ")}]`;
  if (typeof value === "string") return value === "" ? "-" : value;
  if (value === -1) return "-1";
  if (typeof value === "number" || typeof value === "bigint") {
    return value > 9 ? `0x${value.toString(16)}` : String(value);
  }
  return String(value);
}

/** One operation in a line, without why and from: the arguments in their
 * order, "-" for an empty one, numbers above 9 in hexadecimal. A place that is in
 * no mount of the container's is its root and path alone. */
export function showOp(op: Op): string {
  const args: readonly string[] = OPS[op.do].args;
  const shown = "below" in op && op.at === ""
    ? args.filter((it) => it !== "at:f" && it !== "below:s")
    : args;
  const values = shown.map((arg) =>
    showValue((op as unknown as Record<string, unknown>)[arg.slice(0, -2)])
  );
  return [op.do, ...values].join(" ");
}

/** A plan as lines, each step under its name. */
export function showPlan(phased: Phased): string[] {
  return PHASES.flatMap((phase) => {
    const ops = phased[phase] ?? [];
    return ops.length === 0 ? [] : [`# ${phase}`, ...ops.map(showOp)];
  });
}

/** Some steps of a plan only. */
export function pickSteps(
  phased: Phased,
  ...phases: (keyof Phased)[]
): string[] {
  const picked: Phased = {};
  for (const phase of phases) picked[phase] = phased[phase] ?? [];
  return showPlan(picked);
}

/** Whatever is wrong with the notes of a plan: every operation needs a clause
 * in lower case without a full stop. */
export function findBadNotes(phased: Phased): string[] {
  return PHASES.flatMap((phase) => phased[phase] ?? [])
    .filter((op) => !/^[a-z].*[^.]$/.test(op.why) || op.from === "")
    .map((op) => `${showOp(op)}: "${op.why}"`);
}
