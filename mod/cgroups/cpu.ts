/**
 * linux.resources.cpu as values of cgroup files (config-linux.md#cpu;
 * scheduler/sched-bwc.rst, cgroup-v2.rst).
 *
 * @module
 */

import type { Cpu } from "../config/schema.ts";
import type { Limit, Limits } from "./limits.ts";

const KEY = "linux.resources.cpu";

/**
 * cpu.weight for a number of v1 shares: 2 is 1, 1024 is 100 and 262144 is
 * 10000, with a curve through the three as runc and crun have it since 2025.
 */
export function convertShares(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const l = Math.log2(shares);
  return Math.ceil(10 ** ((l * l + 125 * l) / 612 - 7 / 34));
}

/**
 * Adds the CPU limits and the cpuset. 0 is unset; a negative quota none.
 *
 * @throws {ContainerError} for shares that v1 would silently change, and for
 * real-time settings on v2, which has none
 */
export function addCpu(limits: Limits, cpu: Cpu): void {
  const { cpus, mems, ...time } = cpu;
  if (Object.values(time).some((v) => v !== undefined)) {
    const version = limits.version("cpu", KEY, {
      ...time,
      burst: time.burst?.toString(),
      idle: time.idle?.toString(),
    });
    if (version === 1) addV1(limits, time);
    else if (version === 2) addV2(limits, time);
  }
  if (!cpus && !mems) return;
  const version = limits.version("cpuset", KEY, { cpus, mems });
  if (version === undefined) return;
  const add = (name: "cpus" | "mems", value: string, why: string) =>
    limits.add({
      controller: "cpuset",
      version,
      file: `cpuset.${name}`,
      value,
      why,
      from: `${KEY}.${name}`,
    });
  if (cpus) add("cpus", cpus, "CPUs that the container may use");
  if (mems) add("mems", mems, "memory nodes that the container may use");
}

function addV1(limits: Limits, cpu: Cpu): void {
  const add = adder(limits, 1);
  // The shares of an idle cgroup cannot be set: idle goes first.
  if (cpu.idle !== undefined) {
    add("idle", "cpu.idle", `${cpu.idle}`, "run only when the CPU is idle");
  }
  const shares = BigInt(cpu.shares ?? 0);
  if (shares !== 0n) {
    // The kernel would clip without a word.
    if (shares < 2n || shares > 262144n) {
      limits.refuse(
        `${KEY}.shares`,
        cpu.shares,
        "it must be between 2 and 262144",
      );
    }
    if (BigInt(cpu.idle ?? 0) !== 1n) {
      add(
        "shares",
        "cpu.shares",
        `${shares}`,
        "share of the CPU when it is busy",
      );
    }
  }
  // Before the first process: a real-time one cannot join without a runtime.
  if (BigInt(cpu.realtimePeriod ?? 0) !== 0n) {
    add(
      "realtimePeriod",
      "cpu.rt_period_us",
      `${cpu.realtimePeriod}`,
      "period of the real-time CPU time",
      { again: true },
    );
  }
  if (BigInt(cpu.realtimeRuntime ?? 0) !== 0n) {
    add(
      "realtimeRuntime",
      "cpu.rt_runtime_us",
      `${cpu.realtimeRuntime}`,
      "real-time CPU time in each period",
      { again: true },
    );
  }
  if (BigInt(cpu.period ?? 0) !== 0n) {
    add(
      "period",
      "cpu.cfs_period_us",
      `${cpu.period}`,
      "period in which CPU time is counted",
      { again: true },
    );
  }
  if (BigInt(cpu.quota ?? 0) !== 0n) {
    add(
      "quota",
      "cpu.cfs_quota_us",
      BigInt(cpu.quota!) < 0n ? "-1" : `${cpu.quota}`,
      "CPU time in each period",
      { again: true },
    );
  }
  if (cpu.burst !== undefined) {
    add(
      "burst",
      "cpu.cfs_burst_us",
      `${cpu.burst}`,
      "unused CPU time that may be saved up",
      { again: true },
    );
  }
}

function addV2(limits: Limits, cpu: Cpu): void {
  const add = adder(limits, 2);
  for (const name of ["realtimePeriod", "realtimeRuntime"] as const) {
    if (BigInt(cpu[name] ?? 0) === 0n) continue;
    limits.refuse(
      `${KEY}.${name}`,
      cpu[name],
      "cgroup v2 has no real-time CPU time",
      { code: "limit-needs-v1", hint: "Leave it out on this machine" },
    );
  }
  // The weight of an idle cgroup cannot be set: idle goes first.
  if (cpu.idle !== undefined) {
    add("idle", "cpu.idle", `${cpu.idle}`, "run only when the CPU is idle");
  }
  const shares = Number(cpu.shares ?? 0);
  if (shares !== 0 && BigInt(cpu.idle ?? 0) !== 1n) {
    add(
      "shares",
      "cpu.weight",
      `${convertShares(shares)}`,
      "share of the CPU when it is busy",
    );
  }
  const quota = BigInt(cpu.quota ?? 0);
  const period = BigInt(cpu.period ?? 0);
  if (quota !== 0n || period !== 0n) {
    add(
      quota !== 0n ? "quota" : "period",
      "cpu.max",
      `${quota > 0n ? quota : "max"} ${period === 0n ? 100000n : period}`,
      "CPU time in each period",
      { again: true },
    );
  }
  if (cpu.burst !== undefined) {
    add(
      "burst",
      "cpu.max.burst",
      `${cpu.burst}`,
      "unused CPU time that may be saved up",
      { again: true },
    );
  }
}

function adder(limits: Limits, version: 1 | 2) {
  return (
    name: keyof Cpu,
    file: string,
    value: string,
    why: string,
    more: Partial<Limit> = {},
  ) =>
    limits.add({
      controller: "cpu",
      version,
      file,
      value,
      why,
      from: `${KEY}.${name}`,
      ...more,
    });
}
