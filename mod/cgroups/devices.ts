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
      access: orderAccess(access),
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

/** "rwm" in that order, each once. */
export function orderAccess(access: string): string {
  return [..."rwm"].filter((c) => access.includes(c)).join("");
}

/** A rule as the kernel writes it: "c 1:3 rwm". */
export function formatRule(rule: Omit<DeviceRule, "allow">): string {
  return `${rule.type} ${rule.major ?? "*"}:${
    rule.minor ?? "*"
  } ${rule.access}`;
}

/** What a v1 devices cgroup knows: a default, and exceptions without order. */
export interface DeviceList {
  allow: boolean;
  /** "c 1:3" -> "rwm". */
  exceptions: Map<string, string>;
}

const ALL = "rwm";
const join = (a: string, b: string) => orderAccess(a + b);
const minus = (a: string, b: string) =>
  [...a].filter((c) => !b.includes(c)).join("");

function split(key: string): [string, string, string] {
  const [type = "", numbers = ""] = key.split(" ");
  const [major = "", minor = ""] = numbers.split(":");
  return [type, major, minor];
}

/** Whether every device of `b` is one of `a`. */
function covers(a: string, b: string): boolean {
  const [x, y] = [split(a), split(b)];
  return x[0] === y[0] && [1, 2].every((i) => x[i] === "*" || x[i] === y[i]);
}

/** Whether some device is one of both. */
function overlaps(a: string, b: string): boolean {
  const [x, y] = [split(a), split(b)];
  return x[0] === y[0] &&
    [1, 2].every((i) => x[i] === "*" || y[i] === "*" || x[i] === y[i]);
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
  const everything = () => exceptions.set("b *:*", ALL).set("c *:*", ALL);
  // What no rule names is denied, whatever the base.
  if (base) everything();
  for (const [index, rule] of rules.entries()) {
    const { access } = rule;
    if (
      rule.type === "a" && rule.major === null && rule.minor === null &&
      access === ALL
    ) {
      exceptions.clear();
      if (base === undefined) list.allow = rule.allow;
      else if (rule.allow !== base) everything();
      continue;
    }
    for (const type of rule.type === "a" ? ["b", "c"] : [rule.type]) {
      const key = `${type} ${rule.major ?? "*"}:${rule.minor ?? "*"}`;
      if (rule.allow !== list.allow) {
        exceptions.set(key, join(exceptions.get(key) ?? "", access));
        continue;
      }
      for (const [other, has] of exceptions) {
        const rest = minus(has, access);
        if (rest === has || !overlaps(key, other)) continue;
        if (!covers(key, other)) return { index, other: `${other} ${has}` };
        if (rest === "") exceptions.delete(other);
        else exceptions.set(other, rest);
      }
    }
  }
  return list;
}

/**
 * The exceptions as the kernel must have them: it looks for one that holds all
 * that an open asks for, so each takes over the access of those that cover it;
 * what then says nothing of its own is dropped.
 */
export function completeList(list: DeviceList): Map<string, string> {
  const out = new Map<string, string>();
  for (const [key, access] of list.exceptions) {
    let all = access;
    let covered = "";
    for (const [other, more] of list.exceptions) {
      if (other === key || !covers(other, key)) continue;
      all = join(all, more);
      covered = join(covered, more);
    }
    if (minus(all, covered) !== "") out.set(key, all);
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
