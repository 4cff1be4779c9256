/**
 * `run` in the foreground: the plan, the warden, and the hand-off to the
 * keeper.
 *
 * @module
 */

import {
  closeFd,
  packetPair,
  trySyscall,
  waitProcess,
} from "../../ffi/libc.ts";
import { makeCgroups } from "../cgroups.ts";
import type { Config } from "../config/config.ts";
import { namespaceUse } from "../config/namespaces.ts";
import { ContainerError } from "../errors.ts";
import { wordFailure, wordPlanError } from "../failure.ts";
import type { Facts } from "../host.ts";
import type { Op } from "../plan.ts";
import { becomeKeeper, type PlanRun, startPlan } from "../process.ts";
import { claimState, replaceFile, type StateDir } from "../state.ts";
import { type Place, serveLaunch } from "./launch.ts";
import { planLeftovers } from "./leftovers.ts";
import { FD_TAG } from "./order.ts";
import { prepare, type Prepared } from "./prepare.ts";
import { makeToken } from "./token.ts";

/** How the keeper words what Deno cannot word any more. */
export interface KeeperWords {
  /** An error as this command prints it: text, or one JSON object. */
  error(error: ContainerError): string;
  /** Result as one JSON object: what comes before `"exitCode":N}`; undefined
   * without --json. */
  json?: string;
}

/** Exit codes of exec's late failures, worded before it is too late. */
function planLateErrors(prepared: Prepared, words: KeeperWords): Op[] {
  const { ops, config, facts } = prepared;
  const at = ops.findIndex((it) => it.do === "exec");
  const op = ops[at];
  if (op === undefined) return [];
  const row = (errno: number): Op => {
    const error = wordFailure(
      { op, errno, detail: 0, text: execPath(prepared) },
      config,
      facts,
    );
    return {
      do: "kText",
      op: at,
      errno,
      exit: error.exitCode,
      text: words.error(error),
      why: "say why the command could not be executed",
    };
  };
  // ENOENT, ENOEXEC, EACCES, ETXTBSY, ELIBBAD, ENOMEM, E2BIG, EPERM
  const rows = [2, 8, 13, 26, 80, 12, 7, 1].map(row);
  const rest = (index: number, errno: number, message: string): Op => ({
    do: "kText",
    op: index,
    errno,
    exit: 125,
    text: words.error(
      new ContainerError(message, {
        code: "start",
        hint: "The kernel's log (dmesg) may say more",
      }),
    ),
    why: "say why the container could not be started",
  });
  const filter = ops.findIndex((it) => it.do === "seccomp");
  if (filter > 0) {
    rows.push(
      rest(filter, -1, "Cannot load the seccomp filter: the kernel refused it"),
    );
  }
  rows.push(
    rest(
      -2,
      9,
      "Cannot start the container: something killed it before the command ran",
    ),
    rest(
      -1,
      -1,
      "Cannot start the container: the last steps before the command failed",
    ),
  );
  return rows;
}

function execPath(prepared: Prepared): string {
  const find = prepared.ops.find((it) => it.do === "findExec");
  return prepared.config.spec.process?.args?.[0] ??
    (find?.do === "findExec" ? find.candidates[0] ?? "" : "");
}

/** The keeper's plan. */
function planKeeper(
  prepared: Prepared,
  run: PlanRun,
  root: string,
  words: KeeperWords,
): Op[] {
  const { config, cgroup } = prepared;
  const why = "watch the container until its end";
  const ops: Op[] = [{
    do: "kRun",
    pid: run.pid,
    warden: run.helper,
    channel: "channel",
    control: "control",
    master: run.received.has(FD_TAG.master) ? "master" : "",
    userns: "",
    why,
  }];
  ops.push(...planLeftovers({
    cgroups: cgroup.dirs,
    state: { root, id: config.id },
    ...(prepared.upper === undefined ? {} : { upper: prepared.upper }),
    sharesPids: namespaceUse(config, "pid") !== "new",
  }));
  if (cgroup.oom !== undefined) {
    const limit = config.spec.linux?.resources?.memory?.limit;
    const from = config.flags.get("linux.resources.memory.limit");
    ops.push({
      do: "kOom",
      file: cgroup.oom.file,
      key: cgroup.oom.key,
      text: words.error(
        new ContainerError(
          limit === undefined
            ? "The container was killed: the machine, or a cgroup above it, ran out of memory"
            : `The container was killed: it used more than its memory limit of ${limit} bytes${
              from === undefined ? "" : ` (${from})`
            }`,
          {
            code: "memory-limit",
            hint: limit === undefined
              ? "The kernel's log (dmesg) names the process"
              : "Give it more, or make it use less",
            exitCode: 137,
          },
        ),
      ),
      why,
    });
  }
  ops.push(...planLateErrors(prepared, words));
  ops.push({
    do: "kRefuse",
    text: words.error(
      new ContainerError(
        "The container was killed by a second Ctrl-C: its first process ignores the signal",
        {
          code: "interrupted",
          hint:
            "As pid 1 a program gets no signal that it has no handler for: --init puts a small init before it",
          exitCode: 137,
        },
      ),
    ),
    why,
  });
  if (words.json !== undefined) {
    ops.push({ do: "kJson", head: words.json, signals: SIGNAL_NAMES, why });
  }
  return ops;
}

const SIGNAL_NAMES = [
  "null",
  ...("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM " +
    "STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO " +
    "PWR SYS").split(" ").map((it) => `"SIG${it}"`),
  ...Array.from({ length: 33 }, (_, i) => `"SIG${i + 32}"`),
];

/** Gives up: the warden removes everything that there is already. */
function giveUp(run: PlanRun, control: number): void {
  run.abort();
  closeFd(control);
  waitProcess(run.helper);
}

function say(control: number, letter: string): void {
  trySyscall("write", control, new TextEncoder().encode(letter), 1);
}

/**
 * Runs a container in the foreground.
 *
 * @returns never: this process becomes the keeper, and ends as the container
 * @throws {ContainerError} when the container cannot be made; nothing is left
 */
export function runForeground(
  config: Config,
  facts: Facts,
  place: Place,
  words: KeeperWords,
): never {
  const { root } = place;
  const token = makeToken();
  const dir = claimState(root, config.id);
  let prepared: Prepared;
  try {
    prepared = prepare(config, facts, {
      place,
      gate: "keeper",
      warden: { stateFd: dir.fd },
      token,
    });
  } catch (error) {
    releaseState(dir);
    throw error;
  }
  const [control, wardens] = packetPair();
  let run: PlanRun;
  try {
    run = startPlan(
      prepared.ops,
      new Map([["control", wardens], ["state", dir.fd]]),
    );
  } catch (error) {
    closeFd(control);
    closeFd(wardens);
    releaseState(dir);
    throw error;
  }
  closeFd(wardens);
  try {
    makeCgroups(prepared.cgroup);
    say(control, "C");
    serveLaunch(
      run,
      prepared,
      dir,
      { foreground: true, waits: false },
      place,
    );
    if (config.pidFile !== undefined) {
      replaceFile(config.pidFile, String(run.pid), 0o644);
    }
  } catch (error) {
    giveUp(run, control);
    throw wordPlanError(error, config, facts);
  }
  try {
    const slots = new Map([
      ["channel", run.channel],
      ["control", control],
      ["state", dir.fd],
    ]);
    const master = run.received.get(FD_TAG.master);
    if (master !== undefined) slots.set("master", master);
    return becomeKeeper(planKeeper(prepared, run, root, words), slots);
  } catch (error) {
    giveUp(run, control);
    throw error;
  }
}

/** Removes a state directory that nothing was made for yet. */
function releaseState(dir: StateDir): void {
  Deno.removeSync(dir.path, { recursive: true });
  closeFd(dir.fd);
}
