/**
 * Rules of `linux.seccomp` beyond its shape: config-linux.md#seccomp.
 *
 * @module
 */

import type { Seccomp, SeccompAction } from "./schema.ts";
import { type Add, collectInto } from "./forms.ts";
import { type Problem, showValue } from "./problem.ts";

/** What the child stage calls between loading the filter and handing out its
 * listener: a supervisor that is asked about these is not there yet. */
export const BEFORE_LISTENER: readonly string[] = ["write", "sendmsg"];

/**
 * Checks what the shape cannot say about a seccomp profile.
 *
 * @param base the path of the profile in the document
 * @returns all problems found
 */
export function seccompProblems(
  seccomp: Seccomp,
  base = "linux.seccomp",
): Problem[] {
  const problems: Problem[] = [];
  const add = collectInto(problems);
  const { defaultAction, defaultErrnoRet, syscalls = [] } = seccomp;
  wantErrno(add, `${base}.defaultErrnoRet`, defaultAction, defaultErrnoRet);
  if (defaultAction === "SCMP_ACT_NOTIFY") {
    add(
      `${base}.defaultAction`,
      'must not be "SCMP_ACT_NOTIFY": the agent would have to answer for the runtime itself',
      "write the action in syscalls, for the calls that the agent handles",
    );
  }
  const listening = seccomp.listenerPath !== undefined &&
    seccomp.listenerPath !== "";
  if (!listening && (seccomp.listenerMetadata ?? "") !== "") {
    add(
      `${base}.listenerMetadata`,
      `must not be set without listenerPath: found ${
        showValue(seccomp.listenerMetadata)
      }`,
      "write listenerPath too, or remove it",
    );
  }
  for (let i = 0; i < syscalls.length; i++) {
    const { names, action, errnoRet, args } = syscalls[i]!;
    if (names.length === 0) {
      add(
        `${base}.syscalls[${i}].names`,
        "must have at least one entry: found none",
        "write the names of the system calls, or remove the rule",
      );
    }
    const empty = names.indexOf("");
    if (empty >= 0) {
      add(
        `${base}.syscalls[${i}].names[${empty}]`,
        'must be the name of a system call: found ""',
        "write a name like those in syscalls(2)",
      );
    }
    if (errnoRet !== undefined) {
      wantErrno(add, `${base}.syscalls[${i}].errnoRet`, action, errnoRet);
    }
    if (action === "SCMP_ACT_NOTIFY" && !listening) {
      add(
        `${base}.syscalls[${i}].action`,
        'must not be "SCMP_ACT_NOTIFY" without listenerPath',
        "write listenerPath: the socket of the agent that answers",
      );
    }
    if (action === "SCMP_ACT_NOTIFY" && listening) {
      names.forEach((name, j) => {
        if (!BEFORE_LISTENER.includes(name)) return;
        add(
          `${base}.syscalls[${i}].names[${j}]`,
          `must not be "${name}" for SCMP_ACT_NOTIFY: it is needed before the agent has the listener`,
          "allow it, and ask the agent about other calls",
        );
      });
    }
    args?.forEach(({ index }, j) => {
      if (index > 5) {
        add(
          `${base}.syscalls[${i}].args[${j}].index`,
          `must be from 0 to 5: found ${index}`,
          "count the arguments of the system call from 0",
        );
      }
    });
  }
  return problems;
}

/** Adds a problem for a number that the action cannot carry: seccomp(2). */
function wantErrno(
  add: Add,
  path: string,
  action: SeccompAction,
  value: number | undefined,
): void {
  if (value === undefined) return;
  if (action !== "SCMP_ACT_ERRNO" && action !== "SCMP_ACT_TRACE") {
    add(
      path,
      `must not be set: "${action}" takes no errno`,
      "remove it, or write the action SCMP_ACT_ERRNO",
    );
    return;
  }
  const highest = action === "SCMP_ACT_ERRNO" ? 4095 : 65535;
  if (value > highest) {
    add(
      path,
      `must be from 0 to ${highest} for ${action}: found ${value}`,
      "write a number of errno(3)",
    );
  }
}
