/**
 * The rules of a configuration (../rules.ts), in words for who typed flags.
 *
 * @module
 */

import { ContainerError } from "../../errors.ts";
import { collectInto } from "../forms.ts";
import { checkLinux } from "../linux_rules.ts";
import { checkMounts } from "../mount_rules.ts";
import type { Problem } from "../problem.ts";
import type { Spec } from "../schema.ts";
import { refuse } from "./use.ts";

/** Returns what to do about a sysctl that is refused. */
function hintSysctl(path: string, fallback: string): string {
  if (/\bkernel[./](hostname|domainname)\b/.test(path)) {
    return "Write --hostname NAME for the host name";
  }
  return /\["net[./]/.test(path)
    ? "Leave out --network host, or set it on the host itself"
    : fallback;
}

/**
 * Checks mounts and namespaces that flags came to by the rules that a
 * config.json has to pass; the other rules are met by construction, and stay
 * out of the file that every start loads.
 *
 * @param origin key of the configuration to the flag that it came from
 * @throws {ContainerError} for the first problem, with its flag
 */
export function checkRules(
  spec: Spec,
  origin: ReadonlyMap<string, string>,
): void {
  const problems: Problem[] = [];
  const add = collectInto(problems);
  checkMounts(add, spec);
  checkLinux(add, spec, true);
  const [problem] = problems;
  if (!problem) return;
  const { path, message, instead } = problem;
  let hint = instead[0]!.toUpperCase() + instead.slice(1);
  if (path.startsWith("linux.sysctl")) hint = hintSysctl(path, hint);
  // "mounts[7].destination" came from the flag of "mounts[7]".
  for (let key = path; key !== ""; key = key.replace(/(^|[.[])[^.[]*$/, "")) {
    const typed = origin.get(key);
    if (typed !== undefined) {
      throw refuse(typed, `it ${message}`, "combination", hint);
    }
  }
  throw new ContainerError(`Cannot use these flags: ${path} ${message}`, {
    code: "invalid-combination",
    hint,
  });
}
