/**
 * What a container's class of service has and uses, for events.
 *
 * @module
 */

import { readDirSync, readTextFileSync } from "../../../ffi/files.ts";
import type { StateClass } from "../../state.ts";

/** `intel_rdt` of an event, with the names that runc's events have. */
export interface ClassStats {
  l3_cache_info?: Record<string, string | bigint>;
  l3_cache_schema_root?: string;
  l3_cache_schema?: string;
  mem_bw_info?: Record<string, string | bigint>;
  mem_bw_schema_root?: string;
  mem_bw_schema?: string;
  schemata?: string[];
  mbm_stats?: Record<string, bigint>[];
  cmt_stats?: Record<string, bigint>[];
}

function read(path: string): string | undefined {
  try {
    return readTextFileSync(path).trim();
  } catch (error) {
    // ENOENT, or ENODEV of a group that goes at this moment.
    if (error instanceof Error) return undefined;
    throw error;
  }
}

/** A counter; "Unavailable" and "Error" are none, resctrl.rst "mon_data". */
function readCount(path: string): bigint | undefined {
  const text = read(path);
  return text !== undefined && /^\d+$/.test(text) ? BigInt(text) : undefined;
}

/** Files of info/ that are there: numbers but for the mask. */
function readInfo(
  dir: string,
  names: readonly string[],
): Record<string, string | bigint> | undefined {
  const found: Record<string, string | bigint> = {};
  for (const name of names) {
    const value = name === "cbm_mask"
      ? read(`${dir}/${name}`)
      : readCount(`${dir}/${name}`);
    if (value !== undefined) found[name] = value;
  }
  return Object.keys(found).length === 0 ? undefined : found;
}

const readLines = (dir: string): string[] =>
  (read(`${dir}/schemata`) ?? "").split("\n").map((it) => it.trim())
    .filter((it) => it !== "");

/** The counters of a group, one entry for each cache. */
function readCounters(
  dir: string,
  names: readonly string[],
): Record<string, bigint>[] {
  let caches: string[];
  try {
    caches = readDirSync(`${dir}/mon_data`).map((it) => it.name)
      .sort();
  } catch (error) {
    // Nothing counts here, or the group is gone.
    if (error instanceof Error) return [];
    throw error;
  }
  return caches.map((cache) =>
    Object.fromEntries(names.flatMap((name) => {
      const count = readCount(`${dir}/mon_data/${cache}/${name}`);
      return count === undefined ? [] : [[name, count]];
    }))
  ).filter((it) => Object.keys(it).length > 0);
}

/**
 * Reads what a class has and uses: of the container alone where it has a MON
 * group (the last of `tasks`), else of everybody in the class.
 *
 * @returns a part of an event; empty for a container without a class
 */
export function readClassStats(
  resctrl: StateClass | undefined,
): { intel_rdt?: ClassStats } {
  if (resctrl === undefined) return {};
  const { mount, group, tasks } = resctrl;
  const own = readLines(group);
  const root = readLines(mount);
  const line = (lines: readonly string[], name: string) =>
    lines.find((it) => it.startsWith(name));
  const counted = (tasks.at(-1) ?? `${group}/tasks`).replace(/\/tasks$/, "");
  const mbm = readCounters(counted, ["mbm_total_bytes", "mbm_local_bytes"]);
  const cmt = readCounters(counted, ["llc_occupancy"]);
  const stats: Record<keyof ClassStats, unknown> = {
    l3_cache_info: readInfo(`${mount}/info/L3`, [
      "cbm_mask",
      "min_cbm_bits",
      "num_closids",
    ]),
    l3_cache_schema_root: line(root, "L3"),
    l3_cache_schema: line(own, "L3"),
    mem_bw_info: readInfo(`${mount}/info/MB`, [
      "bandwidth_gran",
      "delay_linear",
      "min_bandwidth",
      "num_closids",
    ]),
    mem_bw_schema_root: line(root, "MB"),
    mem_bw_schema: line(own, "MB"),
    schemata: own.length > 0 ? own : undefined,
    mbm_stats: mbm.length > 0 ? mbm : undefined,
    cmt_stats: cmt.length > 0 ? cmt : undefined,
  };
  return { intel_rdt: stats as ClassStats };
}
