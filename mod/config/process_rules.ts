/**
 * Rules of `process` beyond its shape: config.md#process.
 *
 * @module
 */

import type { Process, Scheduler } from "./schema.ts";
import { type Add, collectInto, wantAbsolute, wantId } from "./forms.ts";
import { wantNumberList } from "./forms.ts";
import { type Problem, showValue } from "./problem.ts";

/** What getrlimit(2) knows, space before and after each. */
const RLIMITS = " AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE " +
  "NPROC RSS RTPRIO RTTIME SIGPENDING STACK ";

/**
 * Checks what the shape cannot say about a process: also that of
 * `exec --process FILE`.
 *
 * @param base the path of the process in the document
 * @returns all problems found
 */
export function processProblems(
  process: Process,
  base = "process",
): Problem[] {
  const problems: Problem[] = [];
  const add = collectInto(problems);
  wantAbsolute(add, `${base}.cwd`, process.cwd);
  if (process.args === undefined || process.args.length === 0) {
    add(
      `${base}.args`,
      "must have at least one entry: found none",
      'write the program and its arguments: ["sh", "-c", "..."]',
    );
  }
  const env = process.env ?? [];
  for (let i = 0; i < env.length; i++) {
    const entry = env[i]!;
    if (entry.indexOf("=") < 1) {
      add(
        `${base}.env[${i}]`,
        `must be NAME=VALUE: found ${showValue(entry)}`,
        `write ${showValue(`${entry.replaceAll("=", "") || "NAME"}=`)}`,
      );
    }
  }
  checkUser(add, base, process);
  checkRlimits(add, base, process);
  const size = process.consoleSize;
  if (process.terminal && size) {
    for (const key of ["height", "width"] as const) {
      if (size[key] > 65535) {
        add(
          `${base}.consoleSize.${key}`,
          `must be at most 65535: found ${size[key]}`,
          "write the terminal's size in characters",
        );
      }
    }
  }
  const score = process.oomScoreAdj;
  if (score !== undefined && (score < -1000 || score > 1000)) {
    add(
      `${base}.oomScoreAdj`,
      `must be from -1000 to 1000: found ${score}`,
      "write a number of that range: proc_pid_oom_score_adj(5)",
    );
  }
  if (process.scheduler) checkScheduler(add, base, process.scheduler);
  const priority = process.ioPriority?.priority ?? 0;
  if (priority < 0 || priority > 7) {
    add(
      `${base}.ioPriority.priority`,
      `must be from 0 to 7: found ${priority}`,
      "write 0 for the highest priority, 7 for the lowest",
    );
  }
  const affinity = process.execCPUAffinity;
  if (affinity) {
    wantNumberList(add, `${base}.execCPUAffinity.initial`, affinity.initial);
    wantNumberList(add, `${base}.execCPUAffinity.final`, affinity.final);
  }
  return problems;
}

function checkUser(add: Add, base: string, process: Process): void {
  const user = process.user;
  if (!user) return;
  wantId(add, `${base}.user.uid`, user.uid);
  wantId(add, `${base}.user.gid`, user.gid);
  user.additionalGids?.forEach((gid, i) =>
    wantId(add, `${base}.user.additionalGids[${i}]`, gid)
  );
  if (user.umask !== undefined && user.umask > 0o777) {
    add(
      `${base}.user.umask`,
      `must be from 0 to 511 (octal 777): found ${user.umask}`,
      "write the octal umask as a decimal number: 022 is 18",
    );
  }
}

function checkRlimits(add: Add, base: string, process: Process): void {
  const seen = new Set<string>();
  const rlimits = process.rlimits ?? [];
  for (let i = 0; i < rlimits.length; i++) {
    const { type, soft, hard } = rlimits[i]!;
    const path = `${base}.rlimits[${i}]`;
    const name = type.startsWith("RLIMIT_") ? type.slice(7) : " ";
    if (name.includes(" ") || !RLIMITS.includes(` ${name} `)) {
      add(
        `${path}.type`,
        `must be a resource of getrlimit(2): found ${showValue(type)}`,
        'write a name like "RLIMIT_NOFILE"',
      );
    }
    if (seen.has(type)) {
      add(
        `${path}.type`,
        `must not come twice: found ${showValue(type)} again`,
        "remove one of the entries",
      );
    }
    seen.add(type);
    if (soft > hard) {
      add(
        `${path}.soft`,
        `must not be above the hard limit ${hard}: found ${soft}`,
        "lower soft or raise hard",
      );
    }
  }
}

/** sched(7), sched_setattr(2): what the kernel would answer with EINVAL. */
function checkScheduler(add: Add, base: string, scheduler: Scheduler): void {
  const path = `${base}.scheduler`;
  const { policy, nice = 0, priority = 0 } = scheduler;
  if (policy === "SCHED_ISO") {
    add(
      `${path}.policy`,
      'must be a policy of this kernel: found "SCHED_ISO"',
      "write another policy: Linux has reserved this one and never made it",
    );
  }
  if (nice < -20 || nice > 19) {
    add(
      `${path}.nice`,
      `must be from -20 to 19: found ${nice}`,
      "write a nice value of that range",
    );
  }
  const fixed = policy === "SCHED_FIFO" || policy === "SCHED_RR";
  if (fixed && (priority < 1 || priority > 99)) {
    add(
      `${path}.priority`,
      `must be from 1 to 99 for ${policy}: found ${priority}`,
      "write a real-time priority",
    );
  } else if (!fixed && priority !== 0) {
    add(
      `${path}.priority`,
      `must be 0 for ${policy}: found ${priority}`,
      "remove it, or write the policy SCHED_FIFO or SCHED_RR",
    );
  }
  const deadline = policy === "SCHED_DEADLINE";
  for (const key of ["runtime", "deadline", "period"] as const) {
    const value = scheduler[key] ?? 0;
    if (!deadline && value != 0) {
      add(
        `${path}.${key}`,
        `must be 0 for ${policy}: found ${value}`,
        "remove it, or write the policy SCHED_DEADLINE",
      );
    }
  }
  if (!deadline) return;
  const { runtime = 0, period = 0 } = scheduler;
  const end = scheduler.deadline ?? 0;
  if (runtime == 0) {
    add(
      `${path}.runtime`,
      "must be greater than 0 for SCHED_DEADLINE: found 0",
      "write the nanoseconds of work in each period",
    );
  }
  if (runtime > end) {
    add(
      `${path}.runtime`,
      `must not be above the deadline ${end}: found ${runtime}`,
      "write runtime <= deadline <= period",
    );
  }
  if (period != 0 && end > period) {
    add(
      `${path}.deadline`,
      `must not be above the period ${period}: found ${end}`,
      "write runtime <= deadline <= period",
    );
  }
}
