/**
 * Checks the shape of a config.json by the table that is generated from the
 * zod schema: the same verdict (tests/config_check_test.ts) without zod.
 *
 * @module
 */

import { joinPath, makeProblem, type Problem, showValue } from "./problem.ts";
import { PROCESS, RESOURCES, SECCOMP, SPEC, TYPES } from "./table.ts";

/** The words of a row of words, with quotes around each. */
function listWords(prefix: string, rests: string): string {
  return rests.split(" ").map((rest) => `"${prefix}${rest}"`).join(", ");
}

/** One check: the problems found so far, and the way to the present value. */
class Check {
  readonly problems: Problem[] = [];
  readonly #way: (string | number)[];

  constructor(way: (string | number)[]) {
    this.#way = way;
  }

  visit(value: unknown, key: string | number | undefined, type: number): void {
    const row = TYPES[type]!;
    switch (row[0]) {
      case 1:
        if (typeof value !== "string") {
          this.#report(key, `a string`, value, "write text in double quotes");
        } else if (value.includes("\0")) {
          this.#report(
            key,
            `a string without NUL`,
            value,
            "take out the NUL (\\u0000): the kernel ends text there",
          );
        }
        return;
      case 2:
        if (typeof value !== "boolean") {
          this.#report(key, `true or false`, value, "write true or false");
        }
        return;
      case 3:
        this.#visitInteger(value, key, row[1]!, row[2]!);
        return;
      case 4: {
        const prefix = row[1] as string;
        const rests = row[2] as string;
        if (typeof value === "string" && value.startsWith(prefix)) {
          const rest = value.slice(prefix.length);
          if (!rest.includes(" ") && ` ${rests} `.includes(` ${rest} `)) return;
        }
        this.#report(
          key,
          `one of ${listWords(prefix, rests)}`,
          value,
          "write one of these words, as shown",
        );
        return;
      }
      case 5:
        if (!Array.isArray(value)) {
          this.#report(key, `a list`, value, "write a list: [...]");
          return;
        }
        if (key !== undefined) this.#way.push(key);
        for (let i = 0; i < value.length; i++) {
          this.visit(value[i], i, row[1] as number);
        }
        this.#way.pop();
        return;
      default:
        this.#visitObject(value, key, row);
    }
  }

  #visitInteger(
    value: unknown,
    key: string | number | undefined,
    lowest: number | bigint | string,
    highest: number | bigint | string,
  ): void {
    const wide = typeof lowest === "bigint";
    if (
      (typeof value === "number"
        ? Number.isSafeInteger(value)
        : wide && typeof value === "bigint") &&
      (value as number) >= (lowest as number) &&
      (value as number) <= (highest as number)
    ) {
      return;
    }
    this.#report(
      key,
      `an integer from ${lowest} to ${highest}`,
      value,
      typeof value === "string"
        ? "write the number without quotes"
        : wide && Number.isInteger(value) && !Number.isSafeInteger(value)
        ? "write it as a bigint: a number of this size is not exact"
        : "write an integer of that range",
    );
  }

  #visitObject(
    value: unknown,
    key: string | number | undefined,
    row: readonly (number | bigint | string)[],
  ): void {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      this.#report(key, `an object`, value, "write an object: {...}");
      return;
    }
    if (key !== undefined) this.#way.push(key);
    const object = value as Record<string, unknown>;
    if (row[0] === 6) {
      for (const name of Object.keys(object)) {
        this.visit(object[name], name, row[1] as number);
      }
    } else {
      const required = 2 + 2 * (row[1] as number);
      for (let i = 2; i < row.length; i += 2) {
        const name = row[i] as string;
        const property = object[name];
        if (property !== undefined || i < required) {
          this.visit(property, name, row[i + 1] as number);
        }
      }
    }
    this.#way.pop();
  }

  #report(
    key: string | number | undefined,
    wanted: string,
    found: unknown,
    instead: string,
  ): void {
    let path = "";
    for (const part of this.#way) path = joinPath(path, part);
    if (key !== undefined) path = joinPath(path, key);
    this.problems.push(makeProblem(
      path,
      `must be ${wanted}: found ${showValue(found)}`,
      found === undefined
        ? "add it: the specification requires this property"
        : instead,
    ));
  }
}

function check(value: unknown, type: number, ...way: string[]): Problem[] {
  const key = way.pop();
  const check = new Check(way);
  check.visit(value, key, type);
  return check.problems;
}

/**
 * Checks that a value has the shape of a config.json.
 *
 * @returns all problems found, in the order of the schema; none when a
 * `Spec` can be taken from the value
 */
export function checkSpec(value: unknown): Problem[] {
  return check(value, SPEC);
}

/** Checks the shape of a `process` alone: `exec --process FILE`. */
export function checkProcess(value: unknown): Problem[] {
  return check(value, PROCESS, "process");
}

/** Checks the shape of `linux.resources` alone: `update --resources FILE`. */
export function checkResources(value: unknown): Problem[] {
  return check(value, RESOURCES, "linux", "resources");
}

/** Checks the shape of `linux.seccomp` alone. */
export function checkSeccomp(value: unknown): Problem[] {
  return check(value, SECCOMP, "linux", "seccomp");
}
