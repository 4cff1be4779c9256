/**
 * The shape of an engine's seccomp profile (`--security-opt seccomp=FILE`):
 * `linux.seccomp` with conditions, which ../seccomp/file.ts resolves.
 *
 * @module
 */

import { checkSeccomp } from "./check.ts";
import { parseConfigJson } from "./json.ts";
import { joinPath, makeProblem, type Problem, showValue } from "./problem.ts";
import type { Seccomp } from "./schema.ts";
import { seccompProblems } from "./seccomp_rules.ts";
import { ContainerError } from "../errors.ts";

type Properties = Record<string, unknown>;

/** The problems of what engines add to `linux.seccomp`. */
class Additions {
  readonly problems: Problem[] = [];

  /** Returns the list at `object[key]`; empty without one. */
  list(object: Properties, key: string, base = ""): unknown[] {
    const value = object[key] ?? [];
    if (Array.isArray(value)) return value;
    return this.#report(base, key, "a list", value, "write a list: [...]", []);
  }

  texts(object: Properties, key: string, base = ""): void {
    const path = joinPath(base, key);
    this.list(object, key, base).forEach((value, i) => {
      if (typeof value !== "string") this.#reportText(path, i, value);
    });
  }

  text(object: Properties, key: string, base = ""): void {
    const value = object[key] ?? "";
    if (typeof value !== "string") this.#reportText(base, key, value);
  }

  object(value: unknown, key: string | number, base = ""): Properties {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Properties;
    }
    const instead = "write an object: {...}";
    return this.#report(base, key, "an object", value, instead, {});
  }

  #reportText(base: string, key: string | number, value: unknown): void {
    const instead = "write text in double quotes";
    this.#report(base, key, "a string", value, instead, undefined);
  }

  #report<T>(
    base: string,
    key: string | number,
    wanted: string,
    found: unknown,
    instead: string,
    value: T,
  ): T {
    this.problems.push(makeProblem(
      joinPath(base, key),
      `must be ${wanted}: found ${showValue(found)}`,
      instead,
    ));
    return value;
  }
}

/** All that is wrong with a profile, conditions or not. */
function findProblems(file: Properties): Problem[] {
  const additions = new Additions();
  additions.text(file, "defaultErrno");
  additions.list(file, "archMap").forEach((value, i) => {
    const entry = additions.object(value, i, "archMap");
    additions.text(entry, "architecture", `archMap[${i}]`);
    additions.texts(entry, "subArchitectures", `archMap[${i}]`);
  });
  const rules = additions.list(file, "syscalls").map((value, i) => {
    const base = `syscalls[${i}]`;
    const rule = additions.object(value, i, "syscalls");
    additions.text(rule, "name", base);
    additions.text(rule, "errno", base);
    for (const key of ["includes", "excludes"]) {
      const conditions = additions.object(rule[key] ?? {}, key, base);
      const path = `${base}.${key}`;
      additions.texts(conditions, "caps", path);
      additions.texts(conditions, "arches", path);
      additions.text(conditions, "minKernel", path);
    }
    const { name, ...rest } = rule;
    return name ? { ...rest, names: [name] } : rest;
  });
  if (additions.problems.length > 0) return additions.problems;
  const profile = { ...file, syscalls: rules };
  const problems = checkSeccomp(profile);
  return (problems.length > 0
    ? problems
    : seccompProblems(profile as unknown as Seccomp))
    .map((it) => ({ ...it, path: it.path.replace(/^linux\.seccomp\.?/, "") }));
}

/**
 * Parses and checks the text of an engine's profile.
 *
 * @param path what to call it in an error
 * @returns what has the shape of a `SeccompFile`
 * @throws {ContainerError} "json-invalid", or "seccomp-file-invalid" for the
 * first thing that is wrong
 */
export function parseSeccompFile(text: string, path: string): unknown {
  const file = parseConfigJson(text, path);
  const isObject = typeof file === "object" && file !== null &&
    !Array.isArray(file);
  const [problem] = isObject ? findProblems(file as Properties) : [makeProblem(
    "",
    `must be an object: found ${showValue(file)}`,
    "write an object: {...}",
  )];
  if (problem === undefined) return file;
  const { message, instead } = problem;
  throw new ContainerError(
    `Cannot use the seccomp profile "${path}": ${
      problem.path === "" ? "it" : problem.path
    } ${message}`,
    {
      code: "seccomp-file-invalid",
      hint: instead.slice(0, 1).toUpperCase() + instead.slice(1),
    },
  );
}
