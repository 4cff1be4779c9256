/**
 * What the end of a process comes to. The members and their meanings are those of
 * `run --result-fd`: c/verdict.c and c/result.c say the same of a container that
 * the keeper has watched, and docs/using.md has the table of both.
 *
 * @module
 */

import { signalName } from "../signals.ts";
import type { Limit } from "./options.ts";

const SIGKILL = 9, SIGXCPU = 24;
/** The exit code when time is up: timeout(1)'s. */
const TIMED_OUT = 124;
/** RLIMIT_CPU counts a whole tick for whoever is met at its end, the kernel's times
 * what was really used: on a busy machine less, by far. Who was killed by somebody
 * else and had used half of it is taken for one who met the limit. */
const TICKS = 0.5;

/** Why we have killed it. */
export type Reason = "time" | "output" | "abort";

/** What is known of an ended process. */
export interface End {
  /** Of wait4(2). */
  status: number;
  /** Why we killed it, if we did. */
  reason: Reason | undefined;
  /** The OOM killer took a process of it. */
  oomKilled: boolean;
  /** A fork of it was refused. */
  forkRefused: boolean;
  /** Its hard limit of CPU time in milliseconds, and what it has used. */
  cpuLimit: number | null;
  usedMs: number;
}

/** How it ended. */
export interface Verdict {
  code: number;
  signal: string | null;
  success: boolean;
  limit: Limit | null;
  timedOut: boolean;
}

/** Says how a process ended, and which limit ended it. */
export function judge(end: End): Verdict {
  const signal = end.status & 0x7f;
  const own = signal === 0 ? end.status >> 8 & 0xff : 128 + signal;
  // It had just ended by itself.
  const late = end.reason === "time" && signal !== SIGKILL;
  const cause = end.reason === "abort" || late ? undefined : end.reason;
  const code = cause === "time"
    ? TIMED_OUT
    : cause === "output"
    ? 128 + SIGKILL
    : own;
  return {
    code,
    signal: signal === 0 ? null : signalName(signal),
    success: code === 0,
    limit: code === 0 ? null : findLimit(end, own, cause),
    timedOut: cause === "time",
  };
}

function findLimit(
  { oomKilled, forkRefused, cpuLimit, usedMs }: End,
  own: number,
  cause: "time" | "output" | undefined,
): Limit | null {
  if (cause === "output") return cause;
  if (oomKilled) return "memory";
  if (forkRefused) return "pids";
  if (cause !== undefined) return cause;
  // The second is the hard limit's.
  const cpu = own === 128 + SIGXCPU ||
    own === 128 + SIGKILL && cpuLimit !== null && usedMs >= TICKS * cpuLimit;
  return cpu ? "cpu" : null;
}
