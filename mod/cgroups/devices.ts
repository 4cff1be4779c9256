/**
 * The device rules of a container: from linux.resources.devices and the
 * defaults to what is written (v1: Documentation/admin-guide/cgroup-v1/
 * devices.rst) or compiled (v2: device_program.ts).
 *
 * @module
 */

import type { Resources } from "../config/schema.ts";
import { type DeviceRule, refuse } from "./model.ts";

const KEY = "linux.resources.devices";

/** What every container may do, after all other rules, as under runc: mknod of
 * anything (the node alone opens nothing) and the default devices: pts, ptmx,
 * tun, null, zero, full, random, urandom, tty (runc: specconv, AllowedDevices). */
const DEFAULTS: [
  type: "b" | "c",
  major: number | null,
  minor: number | null,
][] = [
  ["c", null, null],
  ["b", null, null],
  ["c", 136, null],
  ["c", 5, 2],
  ["c", 10, 200],
  ["c", 1, 3],
  ["c", 1, 5],
  ["c", 1, 7],
  ["c", 1, 8],
  ["c", 1, 9],
  ["c", 5, 0],
];

/**
 * The rules in the order in which the last match decides: everything denied,
 * the configuration's, then the defaults; in friendly mode /dev/console too, as
 * docker adds it.
 *
 * @throws {ContainerError} for a type, number or access that is none
 */
export function listRules(
  devices: Resources["devices"],
  friendly: boolean,
  flags: ReadonlyMap<string, string>,
): DeviceRule[] {
  const rules: DeviceRule[] = [
    { allow: false, type: "a", major: null, minor: null, access: "rwm" },
  ];
  for (const [i, device] of (devices ?? []).entries()) {
    const from = `${KEY}[${i}]`;
    const type = device.type || "a";
    if (type !== "a" && type !== "b" && type !== "c" && type !== "u") {
      refuse(flags, `${from}.type`, type, 'it must be "a", "b" or "c"');
    }
    const access = device.access || "rwm";
    if (!/^[rwm]+$/.test(access)) {
      refuse(flags, `${from}.access`, access, "it may only hold r, w and m");
    }
    rules.push({
      allow: device.allow,
      type: type === "u" ? "c" : type,
      major: readNumber(device.major, `${from}.major`, flags),
      minor: readNumber(device.minor, `${from}.minor`, flags),
      access: decodeAccess(encodeAccess(access)),
    });
  }
  for (const [type, major, minor] of DEFAULTS) {
    const access = major === null ? "m" : "rwm";
    rules.push({ allow: true, type, major, minor, access });
  }
  if (friendly) {
    rules.push({ allow: true, type: "c", major: 5, minor: 1, access: "rwm" });
  }
  return rules;
}

function readNumber(
  value: number | bigint | undefined,
  from: string,
  flags: ReadonlyMap<string, string>,
): number | null {
  if (value === undefined || BigInt(value) === -1n) return null;
  if (value < 0 || value > 0xffffffff) {
    refuse(flags, from, value, "it must be between 0 and 4294967295, or -1");
  }
  return Number(value);
}

/** A rule as the kernel writes it: "c 1:3 rwm". */
function formatRule(rule: Omit<DeviceRule, "allow">): string {
  return `${rule.type} ${rule.major ?? "*"}:${
    rule.minor ?? "*"
  } ${rule.access}`;
}

/** Devices, and accesses to them as bits: r 1, w 2, m 4. */
export interface DeviceException {
  type: "b" | "c";
  major: number | null;
  minor: number | null;
  access: number;
}

/** What a v1 devices cgroup knows: a default, and exceptions without order, by
 * "c 1:3". */
export interface DeviceList {
  allow: boolean;
  exceptions: Map<string, DeviceException>;
}

const ALL = 7;

/** "rm" as bits. */
export function encodeAccess(access: string): number {
  return (access.includes("r") ? 1 : 0) | (access.includes("w") ? 2 : 0) |
    (access.includes("m") ? 4 : 0);
}

/** Bits as "rm". */
export function decodeAccess(access: number): string {
  return (access & 1 ? "r" : "") + (access & 2 ? "w" : "") +
    (access & 4 ? "m" : "");
}

type Devices = Omit<DeviceException, "access">;

const keyOf = ({ type, major, minor }: Devices): string =>
  `${type} ${major ?? "*"}:${minor ?? "*"}`;

/** Whether every device of `b` is one of `a`. */
function covers(a: Devices, b: Devices): boolean {
  return a.type === b.type && (a.major === null || a.major === b.major) &&
    (a.minor === null || a.minor === b.minor);
}

/** Whether some device is one of both. */
function overlaps(a: Devices, b: Devices): boolean {
  return a.type === b.type &&
    (a.major === null || b.major === null || a.major === b.major) &&
    (a.minor === null || b.minor === null || a.minor === b.minor);
}

function addException(list: DeviceList, devices: Devices, access: number) {
  const key = keyOf(devices);
  const has = list.exceptions.get(key)?.access ?? 0;
  const { type, major, minor } = devices;
  list.exceptions.set(key, { type, major, minor, access: has | access });
}

/**
 * Reduces ordered rules to a v1 list.
 *
 * @throws {ContainerError} for a rule that makes a hole in a wildcard before
 * it: a v1 cgroup has no order and would not apply it
 */
export function reduceRules(
  rules: readonly DeviceRule[],
  flags: ReadonlyMap<string, string> = new Map(),
): DeviceList {
  // "Allow all, deny c *:*, allow c 1:3" is a hole when all else is allowed
  // and none when all else is denied: where one base fails, the other may do.
  const failed: { index: number; other: string }[] = [];
  for (const base of [undefined, false, true]) {
    const list = reduceFrom(base, rules);
    if (!("index" in list)) return list;
    failed.push(list);
  }
  const { index, other } = failed[0]!;
  const rule = rules[index]!;
  // Rule 0 is ours, so the configuration's begin at 1.
  return refuse(
    flags,
    `${KEY}[${index - 1}]`,
    formatRule(rule),
    `cgroup v1 cannot ${
      rule.allow ? "allow" : "deny"
    } a part of the earlier rule "${other}"`,
    { hint: "Write the earlier rule without that part" },
  );
}

/** Reduces to a list with that base, or with the one that the last rule for
 * everything names; else says which rule cannot be had. */
function reduceFrom(
  base: boolean | undefined,
  rules: readonly DeviceRule[],
): DeviceList | { index: number; other: string } {
  const list: DeviceList = { allow: base ?? false, exceptions: new Map() };
  const { exceptions } = list;
  const addEverything = () => {
    for (const type of ["b", "c"] as const) {
      addException(list, { type, major: null, minor: null }, ALL);
    }
  };
  // What no rule names is denied, whatever the base.
  if (base) addEverything();
  for (const [index, rule] of rules.entries()) {
    const { allow, type, major, minor } = rule;
    const access = encodeAccess(rule.access);
    if (type === "a" && major === null && minor === null && access === ALL) {
      exceptions.clear();
      if (base === undefined) list.allow = allow;
      else if (allow !== base) addEverything();
      continue;
    }
    for (const each of type === "a" ? ["b", "c"] as const : [type]) {
      const devices = { type: each, major, minor };
      if (allow !== list.allow) {
        addException(list, devices, access);
        continue;
      }
      for (const [key, other] of exceptions) {
        if (!(other.access & access) || !overlaps(devices, other)) continue;
        if (!covers(devices, other)) {
          return { index, other: `${key} ${decodeAccess(other.access)}` };
        }
        other.access &= ~access;
        if (other.access === 0) exceptions.delete(key);
      }
    }
  }
  return list;
}

/**
 * The exceptions as the kernel must have them: it looks for one that holds all
 * that an open asks for, so each takes over the reading and writing of those
 * that cover it (mknod is asked for alone); what then says nothing of its own is
 * dropped.
 *
 * @returns "c 1:3" -> "rwm"
 */
export function completeList(list: DeviceList): Map<string, string> {
  const out = new Map<string, string>();
  for (const [key, exception] of list.exceptions) {
    let covered = 0;
    for (const other of list.exceptions.values()) {
      if (other !== exception && covers(other, exception)) {
        covered |= other.access;
      }
    }
    if (exception.access & ~covered) {
      out.set(key, decodeAccess(exception.access | (covered & OPENING)));
    }
  }
  return out;
}

/** The writes that turn a new v1 cgroup's list into `list`. */
export function writeList(
  dir: string,
  list: DeviceList,
): { file: string; value: string }[] {
  const [reset, except] = list.allow ? ["allow", "deny"] : ["deny", "allow"];
  const writes = [{ file: `${dir}/devices.${reset}`, value: "a" }];
  for (const [key, access] of completeList(list)) {
    writes.push({
      file: `${dir}/devices.${except}`,
      value: `${key} ${access}`,
    });
  }
  return writes;
}

/** Reading and writing: what an open asks for at once. */
const OPENING = 3;

/** {@linkcode writeList} of {@linkcode listRules} without a configuration's own:
 * nothing to reduce, so that most starts need not. */
export function writeDefaults(
  dir: string,
  [, ...defaults]: readonly DeviceRule[],
): { file: string; value: string }[] {
  const file = `${dir}/devices.allow`;
  return [
    { file: `${dir}/devices.deny`, value: "a" },
    ...defaults.map((rule) => ({ file, value: formatRule(rule) })),
  ];
}
