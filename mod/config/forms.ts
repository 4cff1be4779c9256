/**
 * Forms that single values of a configuration have to have: paths, lists of
 * CPUs, interface names, ids.
 *
 * @module
 */

import { toBytes } from "../../ffi/bytes.ts";
import type { IdMapping } from "./schema.ts";
import { makeProblem, type Problem, showValue } from "./problem.ts";

/** Highest id that is one: 2^32-1 means "leave as it is" to chown(2) and
 * setresuid(2). */
const ID_MAX = 4294967294;

/** Reports one problem: path, message, what to write instead. */
export type Add = (path: string, message: string, instead: string) => void;

/** Makes an {@linkcode Add} that collects into a list. */
export function collectInto(problems: Problem[]): Add {
  return (path, message, instead) => {
    problems.push(makeProblem(path, message, instead));
  };
}

/** Adds a problem unless `value` is an absolute path. */
export function wantAbsolute(add: Add, path: string, value: string): void {
  if (value[0] === "/") return;
  add(
    path,
    `must be an absolute path: found ${showValue(value)}`,
    'start the path with "/"',
  );
}

/** Returns a path as seen from "/" without ".", ".." and doubled slashes. */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return "/" + parts.join("/");
}

/** Returns whether text is a list of numbers and ranges: "0-3,7". */
function isNumberList(text: string): boolean {
  return text.split(",").every((part) => {
    const match = /^\s*(\d{1,6})(?:-(\d{1,6}))?\s*$/.exec(part);
    return match !== null &&
      (match[2] === undefined || Number(match[1]) <= Number(match[2]));
  });
}

/** Adds a problem unless `value` is empty or a list of CPUs or nodes. */
export function wantNumberList(
  add: Add,
  path: string,
  value: string | undefined,
): void {
  if (value === undefined || value === "" || isNumberList(value)) return;
  add(
    path,
    `must be a list of numbers and ranges: found ${showValue(value)}`,
    'write it like "0-3,7"',
  );
}

/** Returns whether text has more than so many bytes in UTF-8. */
export function isLongerThan(text: string, bytes: number): boolean {
  // Three bytes a code unit at most; TextEncoder costs 0.1 ms at first use.
  return text.length * 3 > bytes &&
    toBytes(text).length > bytes;
}

/** Returns whether text can name a network interface: netdev(7), the kernel's
 * dev_valid_name(). */
export function isInterfaceName(text: string): boolean {
  return text !== "" && !isLongerThan(text, 15) &&
    text !== "." && text !== ".." && !/[\s/:]/.test(text);
}

/** Adds a problem unless `value` can be a user or group id. */
export function wantId(
  add: Add,
  path: string,
  value: number | undefined,
): void {
  if (value === undefined || value <= ID_MAX) return;
  add(
    path,
    `must be an id from 0 to ${ID_MAX}: found ${value}`,
    "write another id: this one means no id to the kernel",
  );
}

/** Adds a problem unless `value` can be a device's major or minor number:
 * 12 and 20 bits in the kernel. -1 is any number where `any` is set. */
export function wantDeviceNumber(
  add: Add,
  path: string,
  value: number | bigint | undefined,
  which: "major" | "minor",
  any = false,
): void {
  const highest = which === "major" ? 4095 : 1048575;
  if (value === undefined || (value >= 0 && value <= highest)) return;
  if (any && value == -1) return;
  add(
    path,
    `must be a ${which} number from 0 to ${highest}: found ${value}`,
    any
      ? "write the device's number, or leave it out for any"
      : "write the device's number as ls -l shows it",
  );
}

/** Adds the problems of a list of id mappings: user_namespaces(7). */
export function checkMappings(
  add: Add,
  path: string,
  mappings: readonly IdMapping[],
): void {
  for (let i = 0; i < mappings.length; i++) {
    const { containerID, hostID, size } = mappings[i]!;
    if (size === 0) {
      add(
        `${path}[${i}].size`,
        "must be greater than 0: found 0",
        "write how many ids are mapped",
      );
    }
    for (const [key, first] of Object.entries({ containerID, hostID })) {
      if (first + size > ID_MAX + 1) {
        add(
          `${path}[${i}]`,
          `must end below 4294967295: ${key} ${first} plus size ${size} does not`,
          "write a smaller size",
        );
      }
    }
    for (let j = 0; j < i; j++) {
      const other = mappings[j]!;
      for (const key of ["containerID", "hostID"] as const) {
        const first = mappings[i]![key];
        if (first < other[key] + other.size && other[key] < first + size) {
          add(
            `${path}[${i}].${key}`,
            `must not overlap with ${path}[${j}]: found ${first}`,
            "give each id to one mapping only",
          );
        }
      }
    }
  }
  if (mappings.length > 340) {
    add(
      path,
      `must have at most 340 entries: found ${mappings.length}`,
      "join neighbouring ranges",
    );
  }
}
