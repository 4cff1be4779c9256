/**
 * A container's limits and device rules as properties of its unit;
 * systemd.resource-control(5), org.freedesktop.systemd1(5). They say the same as
 * what is written into its cgroup: systemd writes them again whenever it is
 * reloaded. What it has no property for is in the cgroup alone.
 *
 * @module
 */

import type {
  CgroupWrite,
  DeviceRule,
  UnitProperty,
  UnitValue,
} from "../model.ts";

/** systemd's word for no limit. */
const INFINITY = 0xffff_ffff_ffff_ffffn;

/** Files whose number is a property's. */
const NUMBERS: Record<string, string> = {
  "memory.max": "MemoryMax",
  "memory.high": "MemoryHigh",
  "memory.low": "MemoryLow",
  "memory.min": "MemoryMin",
  "memory.swap.max": "MemorySwapMax",
  "cpu.weight": "CPUWeight",
  "pids.max": "TasksMax",
  "memory.limit_in_bytes": "MemoryLimit",
  "cpu.shares": "CPUShares",
};

/** Files that hold a list of numbers, "0-2,7". */
const LISTS: Record<string, string> = {
  "cpuset.cpus": "AllowedCPUs",
  "cpuset.mems": "AllowedMemoryNodes",
};

function numberOf(text: string): number | bigint | undefined {
  if (text === "max" || text === "-1") return INFINITY;
  if (!/^[0-9]+$/.test(text)) return undefined;
  const value = BigInt(text);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

/** A list as the bits that systemd takes; undefined where it is none. */
function maskOf(text: string): number[] | undefined {
  const bytes: number[] = [];
  for (const part of text.split(",")) {
    const found = /^\s*([0-9]+)(?:-([0-9]+))?\s*$/.exec(part);
    if (found === null) return undefined;
    const first = Number(found[1]);
    const last = Number(found[2] ?? found[1]);
    // The kernel refuses what it has not; 8192 CPUs are the most that it knows.
    if (last < first || last > 8191) return undefined;
    for (let bit = first; bit <= last; bit++) {
      while (bytes.length <= bit >> 3) bytes.push(0);
      bytes[bit >> 3]! |= 1 << (bit & 7);
    }
  }
  return bytes;
}

/** systemd keeps percents of a CPU: a part of one is rounded up, as runc does;
 * the exact value is in the cgroup. */
function quotaOf(quota: bigint, period: bigint): bigint {
  const perSecond = quota * 1_000_000n / period;
  return (perSecond + 9999n) / 10000n * 10000n;
}

/**
 * The properties that say what is written into a cgroup.
 *
 * @param version of cgroups that has the CPU's quota: both halves of it are one
 * value on v2
 */
export function limitProperties(
  writes: readonly CgroupWrite[],
): UnitProperty[] {
  const properties: UnitProperty[] = [];
  const set = (
    name: string,
    signature: string,
    value: UnitValue,
    from: string,
  ) => {
    properties.push({ name, signature, value, from });
  };
  const quota = new Map<string, { value: string; from: string }>();
  for (const { file, value, from } of writes) {
    const name = file.slice(file.lastIndexOf("/") + 1);
    const number = NUMBERS[name];
    const list = LISTS[name];
    if (number !== undefined) {
      const known = numberOf(value);
      if (known !== undefined) set(number, "t", known, from);
    } else if (list !== undefined) {
      const mask = maskOf(value);
      if (mask !== undefined) set(list, "ay", mask, from);
    } else if (name === "cpu.max") {
      const [most = "max", period = "100000"] = value.split(" ");
      setQuota(most, period, from, set);
    } else if (name === "cpu.idle" && value === "1") {
      set("CPUWeight", "t", 0, from);
    } else if (name === "cpu.cfs_quota_us" || name === "cpu.cfs_period_us") {
      quota.set(name, { value, from });
    }
  }
  const most = quota.get("cpu.cfs_quota_us");
  const period = quota.get("cpu.cfs_period_us");
  if (most !== undefined || period !== undefined) {
    setQuota(
      most?.value ?? "max",
      period?.value ?? "100000",
      (most ?? period)!.from,
      set,
    );
  }
  return properties;
}

function setQuota(
  most: string,
  period: string,
  from: string,
  set: (
    name: string,
    signature: string,
    value: UnitValue,
    from: string,
  ) => void,
): void {
  if (!/^[0-9]+$/.test(period) || BigInt(period) === 0n) return;
  set("CPUQuotaPeriodUSec", "t", Number(period), from);
  const limited = /^[0-9]+$/.test(most);
  set(
    "CPUQuotaPerSecUSec",
    "t",
    limited
      ? numberOf(String(quotaOf(BigInt(most), BigInt(period))))!
      : INFINITY,
    from,
  );
}

const DEVICES = "linux.resources.devices";

/** Names of the kernel's kinds of device by "c 136"; proc_devices(5). */
export function readDeviceNames(text: string): Map<string, string> {
  const names = new Map<string, string>();
  let type = "c";
  for (const line of text.split("\n")) {
    if (line.startsWith("Block")) type = "b";
    const found = /^\s*([0-9]+)\s+(\S+)$/.exec(line);
    if (found) names.set(`${type} ${found[1]}`, found[2]!);
  }
  return names;
}

/**
 * The device rules of a unit. systemd knows no exception from what is allowed: so
 * it allows what some rule allows and no later one takes back as a whole, and our
 * own program, which must agree as well, knows the rest.
 *
 * @param names as {@linkcode readDeviceNames} has them
 * @param missing hears of a rule that systemd has no name for, and will refuse
 */
export function deviceProperties(
  rules: readonly DeviceRule[],
  names: ReadonlyMap<string, string>,
  missing: (rule: DeviceRule) => void,
): UnitProperty[] {
  let everything = false;
  const allowed = new Map<string, DeviceRule>();
  for (const rule of rules) {
    const whole = rule.major === null && rule.minor === null &&
      rule.access === "rwm";
    if (rule.type === "a" && whole) {
      everything = rule.allow;
      allowed.clear();
      continue;
    }
    for (const type of rule.type === "a" ? ["b", "c"] as const : [rule.type]) {
      const key = `${type} ${rule.major}:${rule.minor}`;
      const before = allowed.get(key)?.access ?? "";
      const access = [..."rwm"].filter((it) =>
        rule.allow
          ? before.includes(it) || rule.access.includes(it)
          : before.includes(it) && !rule.access.includes(it)
      ).join("");
      if (access === "") allowed.delete(key);
      else allowed.set(key, { ...rule, type, allow: true, access });
    }
  }
  const reset: UnitProperty = {
    name: "DeviceAllow",
    signature: "a(ss)",
    value: [],
    from: DEVICES,
  };
  const policy = (value: string): UnitProperty => ({
    name: "DevicePolicy",
    signature: "s",
    value,
    from: DEVICES,
  });
  if (everything) return [policy("auto"), reset];
  const entries: [string, string][] = [];
  for (const rule of allowed.values()) {
    const name = nameDevice(rule, names);
    if (name === undefined) missing(rule);
    else entries.push([name, rule.access]);
  }
  return [
    policy("strict"),
    reset,
    { ...reset, value: entries },
  ];
}

function nameDevice(
  { type, major, minor }: DeviceRule,
  names: ReadonlyMap<string, string>,
): string | undefined {
  const kind = type === "b" ? "block" : "char";
  // A minor number of every kind has no name: ours narrows it.
  if (major === null) return `${kind}-*`;
  if (minor !== null) return `/dev/${kind}/${major}:${minor}`;
  const name = names.get(`${type} ${major}`);
  return name === undefined ? undefined : `${kind}-${name}`;
}
