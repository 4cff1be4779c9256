/**
 * `update`: new limits for a container that runs, through its saved cgroups.
 *
 * @module
 */

import { readTextFileSync } from "../../ffi/files.ts";
import type { Resources } from "../config/schema.ts";
import { ContainerError } from "../errors.ts";
import { noCgroup } from "./errors.ts";
import { attachDevices, type Kernel, LIBC, type Replaced } from "./bpf.ts";
import { compileDevices } from "./device_program.ts";
import {
  completeList,
  decodeAccess,
  type DeviceList,
  encodeAccess,
  listRules,
  reduceRules,
  writeList,
} from "./devices.ts";
import { type Layout, type Limit, Limits, resolveLimit } from "./limits.ts";
import { addResources } from "./resources.ts";
import { writeLimits, writeRules } from "./make.ts";
import { driverOf } from "./drivers.ts";
import type { CgroupDir, Unit } from "./model.ts";

/**
 * Resources after an update: what `change` says over what `old` had. Lists are
 * replaced; `pids.limit` excepted, a 0 changes nothing.
 *
 * @param swapAlone the memory cgroup counts swap by itself (v2)
 */
export function mergeResources(
  old: Resources,
  change: Resources,
  swapAlone = false,
): Resources {
  const merged: Record<string, unknown> = { ...old };
  for (const [key, value] of Object.entries(change)) {
    if (value === undefined) continue;
    const before = merged[key] ?? {};
    merged[key] = isRecord(value) && isRecord(before)
      ? { ...before, ...(key === "pids" ? value : dropUnset(value)) }
      : value;
  }
  return { ...merged, ...followPairs(merged, old, change, swapAlone) };
}

/**
 * What a change of the memory limit means for that on memory and swap together,
 * unless the change names it (runc): without the one there is none of the other;
 * and memory.swap.max of v2 stays as it is.
 */
function followPairs(
  merged: Resources,
  old: Resources,
  { memory }: Resources,
  swapAlone: boolean,
): Resources {
  const limit = BigInt(memory?.limit ?? 0);
  if (limit === 0n || BigInt(memory?.swap ?? 0) !== 0n) return {};
  if (limit < 0n) return { memory: { ...merged.memory, swap: -1 } };
  const before = BigInt(old.memory?.swap ?? 0);
  if (!swapAlone || before <= 0n) return {};
  const swap = before - BigInt(old.memory?.limit ?? 0) + limit;
  return { memory: { ...merged.memory, swap: Number(swap) } };
}

/** Throws for shares alone while the cgroup is idle: the kernel takes none. */
function refuseIdleShares({ cpu }: Resources, change: Resources): void {
  const shares = BigInt(change.cpu?.shares ?? 0);
  if (shares === 0n || change.cpu?.idle !== undefined) return;
  if (BigInt(cpu?.idle ?? 0) !== 1n) return;
  throw new ContainerError(
    `Cannot apply linux.resources.cpu.shares "${shares}": the container is idle (cpu.idle 1), and an idle cgroup has no shares`,
    {
      code: "limit-refused",
      hint: "Let it take part again in the same change: --cpu-idle 0",
    },
  );
}

/** Where 0 is a value and not "unset". */
const ZERO_COUNTS = ["burst", "idle", "swappiness", "classID"];

/** Engines send 0 for what they do not want changed. */
function dropUnset(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).filter(([key, value]) =>
      value !== undefined && value !== "" &&
      ((value !== 0 && value !== 0n) || ZERO_COUNTS.includes(key))
    ),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Writes new limits into a container's cgroups.
 *
 * @param old the resources in effect
 * @param change what is to change
 * @param options `friendly`: the container was made from flags; `rootless`: it
 * has no device rules, so a change of them is none
 * @returns the resources in effect from now on, for the state file
 * @throws {ContainerError} for a limit that cannot be had; limits written before
 * it stay written
 */
export function updateCgroups(
  dirs: readonly CgroupDir[],
  old: Resources,
  change: Resources,
  options: {
    friendly?: boolean;
    rootless?: boolean;
    /** The container's unit, if it has one. */
    unit?: Unit | undefined;
    flags?: ReadonlyMap<string, string>;
    kernel?: Kernel;
  } = {},
): Resources {
  const flags = options.flags ?? new Map();
  const swapAlone = dirs.some((d) =>
    d.version === 2 && d.controllers.includes("memory")
  );
  const resources = mergeResources(old, change, swapAlone);
  refuseIdleShares(resources, change);
  // Device rules are none without a cgroup.
  if (
    dirs.length === 0 && Object.keys(change).some((it) => it !== "devices")
  ) throw noCgroup("change the container's limits");
  const writes = planUpdate(dirs, resources, change, flags);
  const { friendly = false, rootless = false, unit } = options;
  driverOf(unit).update({
    dirs,
    writes,
    devices: rootless ? undefined : change.devices,
    friendly,
    unit,
    flags,
  });
  writeLimits(writes, flags);
  if (change.devices) {
    updateDevices(dirs, change.devices, {
      friendly,
      rootless,
      replaced: unit === undefined ? "all" : "own",
      flags,
      kernel: options.kernel ?? LIBC,
    });
  }
  return resources;
}

/**
 * The writes of an update: all values of each part (memory, cpu) that changes,
 * so that pairs such as quota and period are right together.
 *
 * @throws {ContainerError} for a value that cannot be applied
 */
export function planUpdate(
  dirs: readonly CgroupDir[],
  resources: Resources,
  change: Resources,
  flags: ReadonlyMap<string, string>,
): Limit[] {
  const v1 = dirs.some((d) =>
    d.version === 1 && d.controllers.some((c) => !c.startsWith("name="))
  );
  const v2 = dirs.some((d) => d.version === 2);
  const layout: Layout = v1 ? v2 ? "hybrid" : "v1" : v2 ? "v2" : "none";
  const limits = new Limits(flags, layout, dirs);
  const parts = Object.fromEntries(
    Object.entries(resources).filter(([key]) => key in change),
  ) as Resources;
  addResources(limits, parts);
  return limits.list.map((limit) => {
    const dir = dirs.find((d) =>
      d.version === limit.version &&
      (d.version === 2 || d.controllers.includes(limit.controller))
    )!;
    return resolveLimit(limit, dir.path);
  });
}

function updateDevices(
  dirs: readonly CgroupDir[],
  devices: NonNullable<Resources["devices"]>,
  { friendly, rootless, replaced, flags, kernel }: {
    friendly: boolean;
    rootless: boolean;
    replaced: Replaced;
    flags: ReadonlyMap<string, string>;
    kernel: Kernel;
  },
): void {
  const rules = listRules(devices, friendly, flags);
  const v1 = dirs.find((d) =>
    d.version === 1 && d.controllers.includes("devices")
  );
  if (v1) {
    const list = reduceRules(rules, flags);
    const now = parseList(readTextFileSync(`${v1.path}/devices.list`));
    writeRules(changeList(v1.path, now, list));
    return;
  }
  const v2 = dirs.find((d) => d.version === 2);
  // An unprivileged caller's container has no device rules to change.
  if (v2 === undefined || rootless) return;
  attachDevices(
    { dir: v2.path, program: compileDevices(rules) },
    kernel,
    replaced,
  );
}

/** Parses a v1 devices.list. A cgroup that allows all but some devices shows
 * only "a *:* rwm", so its exceptions cannot be known. */
export function parseList(text: string): DeviceList {
  const lines = text.split("\n").filter((l) => l !== "");
  if (lines.some((l) => l.startsWith("a "))) {
    return { allow: true, exceptions: new Map() };
  }
  const number = (word = "*") => word === "*" ? null : Number(word);
  return {
    allow: false,
    exceptions: new Map(lines.map((line) => {
      const [type, numbers, access] = line.split(" ");
      const [major, minor] = numbers?.split(":") ?? [];
      return [`${type} ${numbers}`, {
        type: type === "b" ? "b" : "c",
        major: number(major),
        minor: number(minor),
        access: encodeAccess(access ?? ""),
      }];
    })),
  };
}

/** The writes from one v1 list to another: what is new first, so that nothing
 * allowed both before and after is ever refused between. */
export function changeList(
  dir: string,
  now: DeviceList,
  next: DeviceList,
): { file: string; value: string }[] {
  if (now.allow || next.allow) return writeList(dir, next);
  const wanted = completeList(next);
  const writes: { file: string; value: string }[] = [];
  for (const [key, access] of wanted) {
    if (now.exceptions.get(key)?.access !== encodeAccess(access)) {
      writes.push({ file: `${dir}/devices.allow`, value: `${key} ${access}` });
    }
  }
  for (const [key, { access }] of now.exceptions) {
    const drop = access & ~encodeAccess(wanted.get(key) ?? "");
    if (drop !== 0) {
      const value = `${key} ${decodeAccess(drop)}`;
      writes.push({ file: `${dir}/devices.deny`, value });
    }
  }
  return writes;
}
