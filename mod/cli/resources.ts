/**
 * `rustyrun update` and `rustyrun events`.
 *
 * @module
 */

import { closeFd } from "../../ffi/libc.ts";
import { checkThere } from "../cgroups/control.ts";
import { noCgroup } from "../cgroups/errors.ts";
import {
  formatStats,
  readOomKills,
  readStats,
  type Stats,
} from "../cgroups/stats.ts";
import { updateCgroups } from "../cgroups/update.ts";
import { readCpus } from "../config/flags/limits.ts";
import {
  parseDuration,
  parseInteger,
  parseSize,
} from "../config/flags/numbers.ts";
import {
  type Flags,
  flagValue,
  refuse,
  resolvePath,
} from "../config/flags/use.ts";
import { flagOn, flagTyped } from "../config/flags/use.ts";
import { parseResources, readText } from "../config/load.ts";
import type { Resources } from "../config/schema.ts";
import { readClassStats } from "../container/properties/resctrl_stats.ts";
import { updateClass } from "../container/properties/resctrl.ts";
import { loadSaved, rewriteSaved } from "../container/kept/saved.ts";
import { findState, statusOf } from "../container/status.ts";
import { ContainerError } from "../errors.ts";
import { fromBytes } from "../../ffi/bytes.ts";
import { lockState } from "../state.ts";
import { readNetwork } from "../container/properties/network_stats.ts";
import type { Call } from "./call.ts";
import { printStdout } from "./report.ts";

function notRunning(id: string): ContainerError {
  return new ContainerError(
    `Cannot look into "${id}": container with id ${id} is not running: container not running`,
    { code: "not-running", hint: `rustyrun state ${id} shows how it is` },
  );
}

const MAX = Number.MAX_SAFE_INTEGER;

/** A whole number of a flag, or undefined when it was not given. */
function readNumber(flags: Flags, name: string): number | undefined {
  const text = flagValue(flags, name);
  if (text === undefined) return undefined;
  const number = text.startsWith("-")
    ? (text === "-1" ? -1 : undefined)
    : parseInteger(text, 0, MAX);
  if (number !== undefined) return number;
  throw refuse(
    flagTyped(flags, name),
    `"${text}" is not a number`,
    name,
    "Write a whole number; -1 takes a limit away",
  );
}

/** A size of a flag: 64m, 1g, -1. */
function readSize(flags: Flags, name: string): number | undefined {
  const text = flagValue(flags, name);
  if (text === undefined) return undefined;
  const size = text === "-1" ? -1 : parseSize(text);
  if (size !== undefined) return size;
  throw refuse(
    flagTyped(flags, name),
    `"${text}" is not a size`,
    name,
    "Write a number and a unit: 512k, 64m, 1g; -1 takes the limit away",
  );
}

/** Only the values that are there. */
function defined<T extends object>(values: T): T | undefined {
  const entries = Object.entries(values).filter(([, it]) => it !== undefined);
  return entries.length === 0 ? undefined : Object.fromEntries(entries) as T;
}

/** The quota and the period, each by its own flag or both by `--cpus`. */
function readQuota(flags: Flags): { quota?: number; period?: number } {
  const cpus = flagValue(flags, "cpus");
  const quota = readNumber(flags, "cpu-quota");
  const period = readNumber(flags, "cpu-period");
  if (cpus === undefined) {
    return {
      ...(quota === undefined ? {} : { quota }),
      ...(period === undefined ? {} : { period }),
    };
  }
  const typed = flagTyped(flags, "cpus");
  if (quota === undefined && period === undefined) return readCpus(cpus, typed);
  throw refuse(
    typed,
    "it excludes --cpu-quota and --cpu-period",
    "cpus",
    "Leave it out, or both of them: --cpus N is the quota divided by the period",
  );
}

/** The changes that the flags of `update` ask for. */
function changesOf(flags: Flags): Resources {
  const number = (name: string) => readNumber(flags, name);
  const text = (name: string) => flagValue(flags, name);
  const weight = number("blkio-weight");
  const pids = number("pids-limit");
  const changes = defined({
    memory: defined({
      limit: readSize(flags, "memory"),
      reservation: readSize(flags, "memory-reservation"),
      swap: readSize(flags, "memory-swap"),
    }),
    cpu: defined({
      shares: number("cpu-share"),
      ...readQuota(flags),
      burst: number("cpu-burst"),
      idle: number("cpu-idle"),
      realtimeRuntime: number("cpu-rt-runtime"),
      realtimePeriod: number("cpu-rt-period"),
      cpus: text("cpuset-cpus"),
      mems: text("cpuset-mems"),
    }),
    blockIO: weight === undefined ? undefined : { weight },
    pids: pids === undefined ? undefined : { limit: pids },
  });
  return (changes ?? {}) as Resources;
}

/** `rustyrun update ID`. */
export function update(call: Call): number {
  const { flags, root } = call;
  const id = call.args[0]!;
  if (flags.size === 0) {
    throw new ContainerError("Cannot change anything: no limit is named", {
      code: "usage",
      hint:
        "Name one, such as --memory 512m: rustyrun update --help lists them",
    });
  }
  const file = flagValue(flags, "resources");
  const change = file === undefined
    ? changesOf(flags)
    : file === "-"
    ? parseResources(fromBytes(call.outlet.readInput()), "stdin")
    : parseResources(
      readText(
        resolvePath(call.caller.directory, file),
        "Name a file with an object like linux.resources of config.json, or - for stdin",
      ),
      file,
    );
  const classChange = defined({
    l3CacheSchema: flagValue(flags, "l3-cache-schema"),
    memBwSchema: flagValue(flags, "mem-bw-schema"),
  });
  findState(root, id);
  const lock = lockState(root, id);
  try {
    const state = findState(root, id);
    if (statusOf(root, state) === "stopped") throw notRunning(id);
    checkThere(state.cgroup.dirs, "update the container");
    const saved = loadSaved(root, id);
    const { spec, mode } = saved.config;
    const resources = updateCgroups(
      state.cgroup.dirs,
      spec.linux?.resources ?? {},
      change,
      {
        friendly: mode === "friendly",
        rootless: call.caller.uid !== 0,
        unit: state.cgroup.unit,
      },
    );
    spec.linux = { ...spec.linux, resources };
    if (classChange !== undefined) {
      updateClass(state, [classChange.l3CacheSchema, classChange.memBwSchema]);
      spec.linux.intelRdt = { ...spec.linux.intelRdt, ...classChange };
    }
    rewriteSaved(root, id, saved);
  } finally {
    if (lock !== undefined) closeFd(lock);
  }
  return 0;
}

function printEvent(call: Call, type: string, data?: Stats): void {
  const id = call.args[0]!;
  printStdout(call, formatStats({ type, id, ...(data && { data }) }) + "\n");
}

/** `rustyrun events ID`. */
export async function events(call: Call): Promise<number> {
  const { flags, root } = call;
  const id = call.args[0]!;
  const text = flagValue(flags, "interval") ?? "5s";
  const interval = parseDuration(text);
  if (interval === undefined || interval <= 0) {
    throw refuse(
      flagTyped(flags, "interval"),
      `"${text}" is not a time: duration interval must be greater than 0`,
      "interval",
      "Write it as in 5s, 500ms or 1m30s",
    );
  }
  const state = findState(root, id);
  const { dirs } = state.cgroup;
  const wanted = "count what the container uses";
  const stats = () => {
    checkThere(dirs, wanted);
    printEvent(call, "stats", {
      ...readStats(dirs),
      ...readNetwork(state.pid),
      ...readClassStats(state.resctrl),
    });
  };
  if (statusOf(root, state) === "stopped") throw notRunning(id);
  // All would be 0, and no process killed for want of memory ever told of.
  if (dirs.length === 0) throw noCgroup(wanted);
  if (flagOn(flags, "stats")) {
    stats();
    return 0;
  }
  // The counter is looked at more often than statistics are printed: a killed
  // process is news.
  const tick = Math.min(interval, 250);
  let kills = readOomKills(dirs) ?? 0;
  for (let next = performance.now() + interval;;) {
    await new Promise((done) => setTimeout(done, tick));
    const now = readOomKills(dirs) ?? kills;
    if (now > kills) printEvent(call, "oom");
    kills = now;
    if (statusOf(root, state) === "stopped") return 0;
    if (performance.now() < next) continue;
    next += interval;
    stats();
  }
}
