/**
 * The numbers in cgroup files: counts, "key value" lines, lists, pressure.
 *
 * @module
 */

import { readTextFileSync } from "../../ffi/files.ts";
import type { CgroupDir } from "./model.ts";

/** A count; a bigint beyond 2^53. */
export type Count = number | bigint;

/** Pressure stall information (accounting/psi.rst). */
export type Psi = Record<"some" | "full", Record<string, Count>>;

/** No limit, as runc prints it: 2^64 - 1. */
export const UNLIMITED = 18446744073709551615n;

/** A count as a number where that is exact. */
export function toCount(value: bigint): Count {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

/** Parses a count; "max" is no limit, anything else but digits 0. */
export function parseCount(text: string | undefined): bigint {
  const word = text?.trim() ?? "";
  if (word === "max") return UNLIMITED;
  return /^[0-9]+$/.test(word) ? BigInt(word) : 0n;
}

/** Without the entries that are 0, empty or absent. */
export function dropZeros<T>(
  values: Record<string, T | undefined>,
): Record<string, T> {
  return Object.fromEntries(
    Object.entries(values).filter(([, v]) =>
      v !== undefined && v !== 0 && !(Array.isArray(v) && v.length === 0)
    ),
  ) as Record<string, T>;
}

/** Reads files of one cgroup; a missing file is "". */
export type Reader = (file: string) => string;

/** Reads the files of a cgroup. */
export function readerOf(dir: CgroupDir | undefined): Reader {
  return (file) => {
    if (dir === undefined) return "";
    try {
      return readTextFileSync(`${dir.path}/${file}`);
    } catch {
      return "";
    }
  };
}

/** "key value" lines. */
export function parsePairs(text: string): Map<string, bigint> {
  const pairs = new Map<string, bigint>();
  for (const line of text.split("\n")) {
    const [key = "", value] = line.split(" ");
    if (value !== undefined) pairs.set(key, parseCount(value));
  }
  return pairs;
}

/** Parses a pressure file; undefined where the kernel has none. */
export function parsePsi(text: string): Psi | undefined {
  const empty = { avg10: 0, avg60: 0, avg300: 0, total: 0 };
  const psi: Psi = { some: { ...empty }, full: { ...empty } };
  let found = false;
  for (const line of text.split("\n")) {
    const [kind, ...fields] = line.split(" ");
    if (kind !== "some" && kind !== "full") continue;
    found = true;
    for (const field of fields) {
      const [key = "", value = "0"] = field.split("=");
      psi[kind][key] = key === "total" ? toCount(parseCount(value)) : +value;
    }
  }
  return found ? psi : undefined;
}

/** `{psi}` of a pressure file, or nothing. */
export const withPsi = (text: string) => {
  const psi = parsePsi(text);
  return psi ? { psi } : {};
};

/** Parses a list of CPUs or nodes: "0-2,7" is [0, 1, 2, 7]. */
export function parseList(text: string): number[] {
  const list: number[] = [];
  for (const range of text.trim().split(",")) {
    if (range === "") continue;
    const [first = "", last = first] = range.split("-");
    for (let n = +first; n <= +last; n++) list.push(n);
  }
  return list;
}
