/**
 * What a process is born with: fork and execve hand on more than a configuration
 * has words for. It is what the kernel's first process has, whoever called;
 * docs/conformance.md has the table.
 *
 * @module
 */

import { PR } from "../../ffi/constants.ts";
import type { Config } from "../config/config.ts";
import { namespaceUse } from "../config/namespaces.ts";
import type { Facts } from "../host.ts";
import type { Op } from "../plan.ts";
import { encodeSet } from "./process.ts";

/** The kernel's default, in nanoseconds. */
const TIMER_SLACK = 50_000;

/**
 * Plans what is put back where the caller has it otherwise. Before the fork: a
 * process's timer slack is its children's default as well.
 */
export function planInherited(config: Config, facts: Facts): Op[] {
  const own = facts.inherited;
  if (own === undefined) return [];
  const ops: Op[] = [];
  const prctl = (option: number, a: number, why: string) =>
    ops.push({ do: "prctl", option, a, b: 0, c: 0, d: 0, why });
  if (own.timerSlack !== TIMER_SLACK) {
    prctl(
      PR.SET_TIMERSLACK,
      TIMER_SLACK,
      "have timers as late as usual, not as the caller's",
    );
  }
  if (own.noHugePages) {
    prctl(
      PR.SET_THP_DISABLE,
      0,
      "have huge pages, whether the caller has or not",
    );
  }
  if (own.personality !== 0 && !config.spec.linux?.personality) {
    ops.push({
      do: "personality",
      value: 0,
      why: "have the usual execution domain, not the caller's",
    });
  }
  if (own.memoryPolicy !== 0 && !config.spec.linux?.memoryPolicy) {
    ops.push({
      do: "mempolicy",
      mode: 0,
      nodes: new Uint8Array(),
      why: "take its memory where its cgroup may, not by the caller's policy",
    });
  }
  // A user namespace begins without.
  if (own.securebits !== 0 && namespaceUse(config, "user") === "inherit") {
    prctl(
      PR.SET_SECUREBITS,
      0,
      "give root the meaning it has by default, not the caller's",
    );
  }
  return ops;
}

/**
 * Plans the CPUs, once the process is in its cgroup: those of the list, else all
 * that the cgroup allows, sched_setaffinity(2).
 */
export function planCpus(list: string | undefined, from: string): Op {
  return list
    ? {
      do: "affinity",
      cpus: encodeSet(list, from),
      why: `run on the CPUs ${list}`,
      from,
    }
    : {
      do: "affinity",
      cpus: new Uint8Array(),
      why: "run on every CPU that its cgroup allows, not on the caller's alone",
    };
}
