/**
 * The rest of a plan: what a container does that was made before it was known
 * what will run in it. Its first process has waited with everything but the
 * command's own: its words, environment, directory, user, and streams.
 *
 * @module
 */

import { closeFd, fillMemfd, makeMemfd } from "../../../ffi/libc.ts";
import { sendWithFds } from "../../../ffi/packets.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import type { Config } from "../../config/config.ts";
import type { Facts } from "../../host.ts";
import { type Outlet, ownOutlet } from "../../outlet.ts";
import type { Op, Phase, Phased } from "../../plan.ts";
import { encodePlan } from "../../plan/encode.ts";
import { PlanRun } from "../../process.ts";
import { planFindExec, planSecurity } from "../../security.ts";
import type { Filter, Prepared, Step } from "../model.ts";
import { orderPlan, planSteps, streamSlot } from "./order.ts";

/** Ends a plan where its rest begins. */
export function cutAtRest(steps: readonly Step[]): Step[] {
  const at = steps.findIndex(([phase]) => phase === "rest");
  return steps.slice(0, at + 1);
}

/** What the rest is planned of. */
export interface RestOptions extends Pick<Prepared, "setgroups"> {
  filter: Filter | undefined;
  /** The standard streams that are given along. */
  streams: readonly number[];
}

/** The steps of a rest. The second `close` is for what came with it. */
const RESTS: readonly Phase[] = [
  "console",
  "pivot",
  "labels",
  "close",
  "seccompEarly",
  "credentials",
  "findExec",
  "seccomp",
  "startHooks",
  "exec",
];

/**
 * Plans what a container that waits goes on with.
 *
 * @param config the container's, with the process that is to run; or idle
 * @throws {ContainerError} when a property cannot be applied as it stands
 */
export function planRest(
  config: Config,
  facts: Facts,
  { setgroups, filter, streams }: RestOptions,
): Op[] {
  const security = planSecurity(config, facts, {
    // Its directory must be there: the root is closed to changes by now.
    exec: true,
    ...(setgroups === undefined ? {} : { setgroups }),
  });
  const parts: Phased[] = [
    // All of them are given, or stay as they are.
    planSteps({
      config: { ...config, stdin: true },
      gate: "none",
      tasks: [],
      filter,
      streams,
    }),
    {
      ...security,
      // Its labels it has already.
      labels: (security.labels ?? []).filter((it) => it.do === "chdir"),
    },
  ];
  return orderPlan(parts).flatMap(([phase, ops]) =>
    RESTS.includes(phase) ? ops : []
  );
}

/** The same rest for other words: all else of it is as it was planned.
 *
 * @throws {ContainerError} when there is no command in them */
export function withCommand(ops: readonly Op[], args: readonly string[]): Op[] {
  const env = ops.flatMap((it) => it.do === "exec" ? it.env : []);
  return ops.map((it) =>
    it.do === "findExec"
      ? planFindExec(args, env)
      : it.do === "exec"
      ? { ...it, argv: args }
      : it
  );
}

/** A container that waits for the rest of its plan. */
export interface WaitingPlan {
  /** Host's end of the report channel. */
  channel: number;
  /** Its first process. */
  pid: number;
  /** Its warden. */
  warden: number;
}

/**
 * Gives a container that waits the rest of its plan; {@linkcode PlanRun.serve}
 * comes next.
 *
 * @param streams what becomes its standard streams, in order
 * @throws {SyscallError} EPIPE when it has ended
 */
export function sendRest(
  waiting: WaitingPlan,
  ops: readonly Op[],
  streams: readonly number[],
  outlet: Outlet = ownOutlet,
): PlanRun {
  const memfd = makeMemfd("rustyrun-plan");
  try {
    // By their places in the packet; c/rest.c.
    const slots = streams.map((_, at): [string, number] => [
      streamSlot(at),
      at,
    ]);
    fillMemfd(memfd, encodePlan(ops, new Map(slots)));
    sendWithFds(waiting.channel, new Uint8Array(1), [memfd, ...streams]);
  } finally {
    closeFd(memfd);
  }
  const run = new PlanRun(ops, waiting.channel, waiting.warden, outlet);
  run.pid = waiting.pid;
  return run;
}

/** Whether an error says that the container has ended while it waited. */
export function hasEnded(error: unknown): boolean {
  return error instanceof SyscallError && error.code === "EPIPE";
}
