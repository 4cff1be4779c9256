/**
 * Rules of a configuration beyond its shape: what two properties have to do
 * with each other, and a value with the kernel. Plain functions that every
 * door passes, flags and config.json alike.
 *
 * @module
 */

import type { Hook, Spec } from "./schema.ts";
import { type Add, collectInto, wantAbsolute } from "./forms.ts";
import { checkLinux } from "./linux_rules.ts";
import { checkMounts } from "./mount_rules.ts";
import { type Problem, showValue } from "./problem.ts";
import { processProblems } from "./process_rules.ts";
import { resourcesProblems } from "./resources_rules.ts";
import { seccompProblems } from "./seccomp_rules.ts";

export type { Problem } from "./problem.ts";
export { processProblems } from "./process_rules.ts";
export {
  resourcesProblems,
  type ResourcesProblemsOptions,
} from "./resources_rules.ts";
export { seccompProblems } from "./seccomp_rules.ts";

/** Semantic Versioning 2.0.0, clauses 2, 9 and 10. */
const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-(?:0|[1-9]\d*|\d*[a-zA-Z-][\da-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][\da-zA-Z-]*))*)?(?:\+[\da-zA-Z-]+(?:\.[\da-zA-Z-]+)*)?$/;

/** How {@linkcode specProblems} looks at a configuration. */
export interface SpecProblemsOptions {
  /** The ids of a new user namespace are chosen later (`--userns auto`; a
   * caller that is not root), so that both mappings may be missing. */
  mapsLater?: boolean;
}

/**
 * Checks what the shape cannot say about a whole configuration.
 *
 * @param spec a value that checkSpec() has no problem with
 * @returns all problems found
 */
export function specProblems(
  spec: Spec,
  options: SpecProblemsOptions = {},
): Problem[] {
  const problems: Problem[] = [];
  const add = collectInto(problems);
  checkVersion(add, spec.ociVersion);
  if (spec.root.path === "") {
    add(
      "root.path",
      "must not be empty",
      "write the directory of the root file system",
    );
  }
  if (spec.process) problems.push(...processProblems(spec.process));
  checkMounts(add, spec);
  if (spec.hooks) {
    for (const kind of HOOKS) checkHooks(add, kind, spec.hooks[kind] ?? []);
  }
  if (spec.annotations && Object.hasOwn(spec.annotations, "")) {
    add(
      "annotations",
      'must not have an empty key: found ""',
      "write a key like com.example.key",
    );
  }
  checkLinux(add, spec, options.mapsLater ?? false);
  const { resources, seccomp } = spec.linux ?? {};
  if (resources) problems.push(...resourcesProblems(resources));
  if (seccomp) problems.push(...seccompProblems(seccomp));
  return problems;
}

/** Versions that callers write: the regular expression costs 0.1 ms at first
 * use. */
const VERSIONS = new Set([
  "1.0.0",
  "1.0.1",
  "1.0.2",
  "1.0.2-dev",
  "1.1.0",
  "1.2.0",
  "1.2.1",
  "1.3.0",
]);

function checkVersion(add: Add, version: string): void {
  if (VERSIONS.has(version)) return;
  const major = SEMVER.exec(version)?.[1];
  if (major === undefined) {
    add(
      "ociVersion",
      `must be a version of SemVer 2.0.0: found ${showValue(version)}`,
      'write "1.3.0"',
    );
  } else if (major !== "1") {
    add(
      "ociVersion",
      `must be a version 1.x: found ${showValue(version)}`,
      'write "1.3.0", and what that version has',
    );
  }
}

/** Kinds of hooks, in the order in which they run. */
const HOOKS = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;

function checkHooks(add: Add, kind: string, hooks: readonly Hook[]): void {
  for (let i = 0; i < hooks.length; i++) {
    const { path, timeout } = hooks[i]!;
    wantAbsolute(add, `hooks.${kind}[${i}].path`, path);
    if (timeout !== undefined && timeout < 1) {
      add(
        `hooks.${kind}[${i}].timeout`,
        `must be greater than 0: found ${timeout}`,
        "write the seconds after which the hook is killed, or leave it out",
      );
    }
  }
}
