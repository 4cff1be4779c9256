/**
 * Limits: memory, CPU and pids of the cgroup, and `--ulimit` of the process.
 * Nothing is limited that was not asked for.
 *
 * @module
 */

import type { Cpu, Memory, Resources, Rlimit } from "../schema.ts";
import { type Flags, flagTyped, flagUses, flagValue, refuse } from "./use.ts";
import { isCpuList, parseInteger, parseSize } from "./numbers.ts";
import { findNearest } from "./nearest.ts";

const MAX = Number.MAX_SAFE_INTEGER;
/** Docker's least: below it a container cannot even start. */
const LEAST_MEMORY = 6 * 2 ** 20;
const SIZE_HINT = "Write a number and a unit: 512k, 64m, 1.5g";

/** Notes which flag a key of the configuration came from. */
export type Note = (key: string, typed: string) => void;

const LIMIT_FLAGS = [
  "memory",
  "memory-swap",
  "cpus",
  "cpu-shares",
  "cpuset-cpus",
  "pids-limit",
];

/** Returns the limits of the cgroup.
 *
 * @throws {ContainerError} for a value that is none */
export function readResources(flags: Flags, note: Note): Resources {
  const resources: Resources = {};
  if (!LIMIT_FLAGS.some((name) => flags.has(name))) return resources;
  const memory = readMemory(flags, note);
  const cpu = readCpu(flags, note);
  if (memory) resources.memory = memory;
  if (cpu) resources.cpu = cpu;
  const pids = flagValue(flags, "pids-limit");
  if (pids !== undefined) {
    const typed = flagTyped(flags, "pids-limit");
    const limit = pids === "-1" ? -1 : parseInteger(pids, 1, 4194304);
    if (limit === undefined) {
      throw refuse(
        typed,
        `"${pids}" is not a number of processes`,
        "pids-limit",
        "Write a whole number from 1 to 4194304, or -1 for no limit",
      );
    }
    resources.pids = { limit };
    note("linux.resources.pids.limit", typed);
  }
  return resources;
}

function readMemory(flags: Flags, note: Note): Memory | undefined {
  const text = flagValue(flags, "memory");
  const typed = flagTyped(flags, "memory");
  const swapText = flagValue(flags, "memory-swap");
  const swapTyped = flagTyped(flags, "memory-swap");
  if (text === undefined) {
    if (swapText === undefined) return undefined;
    throw refuse(
      swapTyped,
      "it needs --memory",
      "memory-swap",
      "Give --memory as well: --memory-swap is memory and swap together",
    );
  }
  const limit = parseSize(text);
  if (limit === undefined) {
    throw refuse(typed, `"${text}" is not a size`, "memory", SIZE_HINT);
  }
  if (limit < LEAST_MEMORY) {
    throw refuse(
      typed,
      `${limit} ${limit === 1 ? "byte is" : "bytes are"} less than 6m`,
      "memory",
      limit === 0
        ? "Leave --memory out for no limit"
        : /^\d+$/.test(text)
        ? `A number without a unit is bytes: perhaps ${text}m was meant`
        : "Give at least 6m",
    );
  }
  note("linux.resources.memory.limit", typed);
  if (swapText === undefined) {
    // Docker's rule: as much swap as memory. Without it, v1 and v2 would let
    // the container swap without end.
    const swap = Math.min(2 * limit, MAX);
    note("linux.resources.memory.swap", typed);
    return { limit, swap };
  }
  const swap = swapText === "-1" ? -1 : parseSize(swapText);
  if (swap === undefined) {
    throw refuse(
      swapTyped,
      `"${swapText}" is not a size`,
      "memory-swap",
      `${SIZE_HINT}, or -1 for no limit`,
    );
  }
  if (swap !== -1 && swap < limit) {
    throw refuse(
      swapTyped,
      `it is less than "${typed}"`,
      "memory-swap",
      "It is memory and swap together: give at least as much as --memory",
    );
  }
  note("linux.resources.memory.swap", swapTyped);
  return { limit, swap };
}

/** Returns what `--cpus` means.
 *
 * @throws {ContainerError} when it is no number, or less than the kernel takes */
export function readCpus(
  cpus: string,
  typed: string,
): { period: number; quota: number } {
  const period = 100000;
  const quota = /^\d{1,5}(\.\d+)?$/.test(cpus)
    ? Math.floor(Number(cpus) * period + 0.5)
    : 0;
  // The kernel's least quota is 1 ms.
  if (quota >= 1000) return { period, quota };
  throw refuse(
    typed,
    `"${cpus}" is not a number of CPUs`,
    "cpus",
    "Write a number from 0.01: 0.5 is half of one CPU, 2 is two",
  );
}

function readCpu(flags: Flags, note: Note): Cpu | undefined {
  const cpu: Cpu = {};
  const cpus = flagValue(flags, "cpus");
  if (cpus !== undefined) {
    const typed = flagTyped(flags, "cpus");
    Object.assign(cpu, readCpus(cpus, typed));
    note("linux.resources.cpu.quota", typed);
    note("linux.resources.cpu.period", typed);
  }
  const shares = flagValue(flags, "cpu-shares");
  if (shares !== undefined) {
    const typed = flagTyped(flags, "cpu-shares");
    const value = parseInteger(shares, 2, 262144);
    if (value === undefined) {
      throw refuse(
        typed,
        `"${shares}" is not a weight`,
        "cpu-shares",
        "Write a whole number from 2 to 262144; a container without it has 1024",
      );
    }
    cpu.shares = value;
    note("linux.resources.cpu.shares", typed);
  }
  const list = flagValue(flags, "cpuset-cpus");
  if (list !== undefined) {
    const typed = flagTyped(flags, "cpuset-cpus");
    if (!isCpuList(list)) {
      throw refuse(
        typed,
        `"${list}" is not a list of CPUs`,
        "cpuset-cpus",
        "Write numbers and ranges: 0, 0-3, 0-2,4",
      );
    }
    cpu.cpus = list;
    note("linux.resources.cpu.cpus", typed);
  }
  return Object.keys(cpu).length ? cpu : undefined;
}

const RLIMITS: readonly string[] = [
  "as",
  "core",
  "cpu",
  "data",
  "fsize",
  "locks",
  "memlock",
  "msgqueue",
  "nice",
  "nofile",
  "nproc",
  "rss",
  "rtprio",
  "rttime",
  "sigpending",
  "stack",
];

/** RLIM_INFINITY. */
const UNLIMITED = 18446744073709551615n;

/**
 * Returns the limits of the process, each of getrlimit(2), in its own unit.
 *
 * @throws {ContainerError} for a name or value that there is not, a soft limit
 * above the hard one, and a name given twice
 */
export function readUlimits(flags: Flags, note: Note): Rlimit[] {
  const limits: Rlimit[] = [];
  for (const { value, typed } of flagUses(flags, "ulimit")) {
    const [name, text, ...none] = value.split("=");
    if (!name || text === undefined || none.length) {
      throw refuse(
        typed,
        "it is not NAME=SOFT or NAME=SOFT:HARD",
        "ulimit",
        "Write for example --ulimit nofile=1024:2048",
      );
    }
    if (!RLIMITS.includes(name)) {
      const nearest = findNearest(name, RLIMITS);
      throw refuse(
        typed,
        `there is no limit "${name}"`,
        "ulimit",
        nearest === undefined
          ? `The names are: ${RLIMITS.join(", ")}`
          : `The nearest one is "${nearest}"`,
      );
    }
    const values = text.split(":").map(readUlimit);
    const [soft, hard = soft] = values;
    if (
      values.length > 2 || soft === undefined || values.includes(undefined)
    ) {
      throw refuse(
        typed,
        `"${text}" is not a limit`,
        "ulimit",
        "Write a whole number, or -1 for no limit, and the hard limit after a colon",
      );
    }
    if (soft > hard!) {
      throw refuse(
        typed,
        "the soft limit is above the hard limit",
        "ulimit",
        "The soft limit stands first: nofile=1024:2048",
      );
    }
    const type = `RLIMIT_${name.toUpperCase()}`;
    if (limits.some((l) => l.type === type)) {
      throw refuse(
        typed,
        `"${name}" is limited twice`,
        "ulimit",
        "Leave one of them out",
      );
    }
    note(`process.rlimits[${limits.length}]`, typed);
    limits.push({ type, soft, hard: hard! });
  }
  return limits;
}

function readUlimit(text: string): number | bigint | undefined {
  if (text === "-1" || text === "unlimited") return UNLIMITED;
  if (!/^(0|[1-9]\d{0,19})$/.test(text)) return undefined;
  const value = BigInt(text);
  if (value > UNLIMITED) return undefined;
  return value <= BigInt(MAX) ? Number(value) : value;
}
