/**
 * Properties of the process that the kernel keeps apart from its rights:
 * scheduler, I/O priority, personality, memory policy, OOM score, CPUs.
 *
 * @module
 */

import {
  IOPRIO_CLASS,
  MAGIC,
  MPOL,
  MPOL_F,
  O,
  PERSONALITY,
  SCHED,
  SCHED_FLAG,
} from "../../ffi/constants.ts";
import type { Config } from "../config/config.ts";
import type { IoPriority, Linux, Scheduler } from "../config/schema.ts";
import { ContainerError } from "../errors.ts";
import type { Op } from "../plan.ts";

/** Size of struct sched_attr with the utilization clamps, sched_setattr(2). */
const SCHED_ATTR_SIZE = 56;

/** Most CPUs or memory nodes that a list may name. */
const SET_MAX = 8192;

/** The OOM score is written before any namespace is entered: in a user
 * namespace the file would no longer be the process's own. */
export function planOomScore(config: Config): Op[] {
  const score = config.spec.process?.oomScoreAdj;
  if (score === undefined) return [];
  const from = "process.oomScoreAdj";
  if (score < -1000 || score > 1000) {
    throw new ContainerError(
      `Cannot set the OOM score to ${score}: it must be between -1000 and 1000 (${from})`,
      { code: "oom-score", hint: "0 leaves it to the kernel" },
    );
  }
  return [
    {
      do: "open",
      into: "self",
      at: "",
      path: "/proc/self",
      flags: O.PATH,
      mode: 0,
      resolve: 0,
      why: "hold the files of this process",
      from,
    },
    {
      do: "verify",
      slot: "self",
      type: 0,
      rdev: 0,
      magic: MAGIC.PROC,
      why: "make sure that /proc is a procfs",
      from,
    },
    {
      do: "write",
      at: "self",
      path: "oom_score_adj",
      data: new TextEncoder().encode(String(score)),
      flags: 0,
      why: `set the OOM score to ${score}`,
      from,
    },
  ];
}

/**
 * Plans scheduler, I/O priority, personality and memory policy.
 *
 * @throws {ContainerError} for a value that no kernel takes
 */
export function planProcess(config: Config): Op[] {
  const { process, linux } = config.spec;
  const ops: Op[] = [];
  if (process?.scheduler) {
    ops.push({
      do: "sched",
      attr: encodeScheduler(process.scheduler),
      why: `schedule it by ${process.scheduler.policy}`,
      from: "process.scheduler",
    });
  }
  if (process?.ioPriority) {
    ops.push({
      do: "ioprio",
      value: encodeIoPriority(process.ioPriority),
      why: "set its I/O priority",
      from: "process.ioPriority",
    });
  }
  if (linux?.personality) ops.push(planPersonality(linux.personality));
  if (linux?.memoryPolicy) ops.push(planMemoryPolicy(linux.memoryPolicy));
  return ops;
}

function encodeScheduler(scheduler: Scheduler): Uint8Array {
  const { policy, nice = 0, priority = 0, flags = [] } = scheduler;
  const bytes = new Uint8Array(SCHED_ATTR_SIZE);
  const view = new DataView(bytes.buffer);
  const refuse = (what: string, hint: string): never => {
    throw new ContainerError(
      `Cannot schedule the process by ${policy}: ${what} (process.scheduler)`,
      { code: "scheduler-invalid", hint },
    );
  };
  if (nice < -20 || nice > 19) {
    refuse(`nice is ${nice}`, "Use a value between -20 and 19");
  }
  const realtime = policy === "SCHED_FIFO" || policy === "SCHED_RR";
  if (priority !== 0 && !realtime) {
    refuse(
      `it takes no priority, which is ${priority}`,
      "Leave priority out, or use SCHED_FIFO or SCHED_RR",
    );
  }
  if (realtime && (priority < 1 || priority > 99)) {
    refuse(`priority is ${priority}`, "Use a value between 1 and 99");
  }
  const times = ["runtime", "deadline", "period"] as const;
  if (
    policy !== "SCHED_DEADLINE" &&
    times.some((it) => BigInt(scheduler[it] ?? 0) !== 0n)
  ) {
    refuse(
      "runtime, deadline and period are for SCHED_DEADLINE only",
      "Leave them out, or use SCHED_DEADLINE",
    );
  }
  view.setUint32(0, SCHED_ATTR_SIZE, true);
  view.setUint32(4, SCHED[policy], true);
  let bits = 0;
  for (const flag of flags) bits |= SCHED_FLAG[flag];
  view.setBigUint64(8, BigInt(bits), true);
  view.setInt32(16, nice, true);
  view.setUint32(20, priority, true);
  view.setBigUint64(24, BigInt(scheduler.runtime ?? 0), true);
  view.setBigUint64(32, BigInt(scheduler.deadline ?? 0), true);
  view.setBigUint64(40, BigInt(scheduler.period ?? 0), true);
  return bytes;
}

function encodeIoPriority({ class: kind, priority = 0 }: IoPriority): number {
  if (priority < 0 || priority > 7) {
    throw new ContainerError(
      `Cannot set the I/O priority to ${priority}: it must be between 0 and 7 (process.ioPriority)`,
      { code: "io-priority", hint: "0 is the highest, 7 the lowest" },
    );
  }
  return (IOPRIO_CLASS[kind] << 13) | priority;
}

function planPersonality(
  personality: NonNullable<Linux["personality"]>,
): Op {
  const { domain, flags = [] } = personality;
  if (flags.length > 0) {
    throw new ContainerError(
      `Cannot set the personality flag "${
        flags[0]
      }": the specification knows none (linux.personality.flags)`,
      { code: "personality-flag", hint: "Leave the flags out" },
    );
  }
  return {
    do: "personality",
    value: PERSONALITY[domain],
    why: `give it the execution domain ${domain}`,
    from: "linux.personality",
  };
}

function planMemoryPolicy(policy: NonNullable<Linux["memoryPolicy"]>): Op {
  const from = "linux.memoryPolicy";
  const { mode, nodes = "", flags = [] } = policy;
  const refuse = (what: string, hint: string): never => {
    throw new ContainerError(
      `Cannot set the memory policy ${mode}: ${what} (${from})`,
      { code: "memory-policy", hint },
    );
  };
  const none = mode === "MPOL_DEFAULT" || mode === "MPOL_LOCAL";
  if (none && nodes !== "") {
    refuse("it takes no nodes", "Leave linux.memoryPolicy.nodes out");
  }
  if (nodes === "" && !none && mode !== "MPOL_PREFERRED") {
    refuse("it names no nodes", 'Write the nodes as "0-1,3"');
  }
  const both = flags.includes("MPOL_F_STATIC_NODES") &&
    flags.includes("MPOL_F_RELATIVE_NODES");
  if (both) {
    refuse(
      "static and relative nodes exclude each other",
      "Leave one of the two flags out",
    );
  }
  let value: number = MPOL[mode];
  for (const flag of flags) value |= MPOL_F[flag];
  return {
    do: "mempolicy",
    mode: value,
    nodes: nodes === "" ? new Uint8Array() : encodeSet(nodes, `${from}.nodes`),
    why: `take its memory by ${mode}`,
    from,
  };
}

/**
 * Encodes a list such as "0-3,7" as the kernel's bit mask, whole 64-bit words:
 * cpuset(7) "List format".
 *
 * @throws {ContainerError} when it is not such a list
 */
export function encodeSet(list: string, key: string): Uint8Array {
  const ranges = list.split(",").map((part) => {
    const match = /^\s*(\d{1,6})(?:-(\d{1,6}))?\s*$/.exec(part);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || last < first || last >= SET_MAX) {
      throw new ContainerError(
        `Cannot read the list "${list}": "${part}" is neither a number nor a range (${key})`,
        { code: "list-invalid", hint: 'Write it as "0-3,7"' },
      );
    }
    return [first, last] as const;
  });
  const top = Math.max(...ranges.map(([, last]) => last));
  const bytes = new Uint8Array((Math.floor(top / 64) + 1) * 8);
  for (const [first, last] of ranges) {
    for (let bit = first; bit <= last; bit++) {
      const at = bit >> 3;
      bytes[at] = (bytes[at] ?? 0) | (1 << (bit & 7));
    }
  }
  return bytes;
}
