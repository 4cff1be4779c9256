/**
 * The keeper's plan: what this process must know when it is no longer Deno.
 *
 * @module
 */

import type { Config } from "../../config/config.ts";
import { namespaceUse } from "../../config/namespaces.ts";
import { ContainerError } from "../../errors.ts";
import { wordFailure } from "../../failure.ts";
import type { Facts } from "../../host.ts";
import type { Op } from "../../plan.ts";
import type { PlanRun } from "../../process.ts";
import { signalName } from "../../signals.ts";
import { planLeftovers } from "../kept/leftovers.ts";
import { FD_TAG, type Prepared } from "../model.ts";

/** How the keeper words what Deno cannot word any more. */
export interface KeeperWords {
  /** An error as this command prints it: text, or one JSON object. */
  error(error: ContainerError): string;
  /** The exit code that goes with an error. */
  exit(error: ContainerError): number;
  /** Result as one JSON object: what comes before `"exitCode":N}`; undefined
   * without --json. */
  json?: string;
  /** An error as --result-fd gets it; undefined without a descriptor. */
  result?(error: ContainerError): string;
}

/** Where a plan searches the command. */
function candidatesOf(ops: readonly Op[]): readonly string[] {
  return ops.find((it) => it.do === "findExec")?.candidates ?? [];
}

/** Exit codes of exec's late failures, worded before it is too late. */
export function planLateErrors(
  ops: readonly Op[],
  config: Config,
  facts: Facts,
  words: KeeperWords,
): Op[] {
  const at = ops.findIndex((it) => it.do === "exec");
  if (at < 0) return [];
  const candidates = candidatesOf(ops);
  const text = config.spec.process?.args?.[0] ?? "";
  const row = (index: number, errno: number, said = errno): Op => {
    const op = ops[index]!;
    const failure = { op, errno: said, detail: 0, text, candidates };
    const error = wordFailure(failure, config, facts);
    return {
      do: "kText",
      op: index,
      errno,
      exit: words.exit(error),
      text: words.error(error),
      result: words.result?.(error) ?? "",
      why: "say why the command could not be executed",
    };
  };
  // ENOENT, ENOEXEC, EACCES, ETXTBSY, ELIBBAD, ENOMEM, E2BIG, EPERM
  const rows = [2, 8, 13, 26, 80, 12, 7, 1].map((errno) => row(at, errno));
  const rest = (index: number, errno: number, message: string): Op => {
    const error = new ContainerError(message, {
      code: "start",
      hint: "The kernel's log (dmesg) may say more",
    });
    return {
      do: "kText",
      op: index,
      errno,
      exit: words.exit(error),
      text: words.error(error),
      result: words.result?.(error) ?? "",
      why: "say why the container could not be started",
    };
  };
  // ENOENT, EACCES, ELOOP, ETIMEDOUT; ECANCELED: its exit status is not known yet
  ops.forEach((op, index) => {
    if (op.do !== "spawn" || !op.from?.startsWith("hooks.startContainer")) {
      return;
    }
    rows.push(
      ...[2, 13, 40, 110].map((errno) => row(index, errno)),
      row(index, -1, 125),
    );
  });
  const init = ops.findIndex((it) => it.do === "init");
  if (init >= 0) {
    // EAGAIN
    rows.push(row(init, 11));
  }
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

/** What the keeper watches. */
export function planWatch(
  run: Pick<PlanRun, "pid" | "received">,
  options: { runs: boolean; warden: number },
): Op[] {
  return [{
    do: "kRun",
    pid: run.pid,
    warden: options.warden,
    channel: options.runs ? "" : "channel",
    control: options.warden > 0 ? "control" : "",
    master: run.received.has(FD_TAG.master) ? "master" : "",
    why: WHY,
  }];
}

const WHY = "watch the container until its end";

/** The keeper's plan without what it watches ({@linkcode planWatch}): nothing
 * here depends on the processes. */
export function planKeeper(
  prepared: Prepared,
  root: string,
  words: KeeperWords,
): Op[] {
  const { config, cgroup, resctrl } = prepared;
  const why = WHY;
  const ops = planLeftovers({
    cgroups: cgroup.dirs,
    parents: cgroup.parents,
    resctrl,
    state: { root, id: config.id },
    trees: prepared.upper === undefined ? [] : [prepared.upper],
    mount: prepared.sharedRoot !== undefined,
    sharesPids: namespaceUse(config, "pid") !== "new",
    // An engine's signals are passed on, and no more, as runc does.
    also: { ends: config.mode === "friendly", init: config.init },
  });
  if (cgroup.oom !== undefined) {
    const limit = config.spec.linux?.resources?.memory?.limit;
    const from = config.flags.get("linux.resources.memory.limit");
    ops.push({
      do: "kOom",
      file: cgroup.oom.file,
      key: cgroup.oom.key,
      text: wordKill(
        words,
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
  ops.push(...planLateErrors(prepared.ops, config, prepared.facts, words));
  ops.push(planRefusal(words, "container"));
  if (words.json !== undefined) {
    ops.push({ do: "kJson", head: words.json, signals: signalNames(), why });
  }
  return ops;
}

/** What is said when Ctrl-C came a third time.
 *
 * @param what ended by it */
export function planRefusal(
  words: KeeperWords,
  what: "container" | "command",
): Op {
  return {
    do: "kRefuse",
    text: wordKill(
      words,
      new ContainerError(`The ${what} was killed by a third Ctrl-C`, {
        code: "interrupted",
        hint:
          "One or two only ask it to end, and leave it the time that it needs",
        exitCode: 137,
      }),
    ),
    why: "let nothing run on that its user wants to end",
  };
}

/** Why the container was killed: with --json, members of its result. */
export function wordKill(words: KeeperWords, error: ContainerError): string {
  if (words.json === undefined) return words.error(error);
  const { exitCode: _, ...members } = error.toJSON();
  return `${JSON.stringify(members).slice(1, -1)},`;
}

/** The same for a container in the foreground.
 *
 * @param keep its state and cgroups stay */
export function planEnd(
  prepared: Prepared,
  root: string,
  words: KeeperWords,
  keep: boolean,
): Op[] {
  return planKeeper(prepared, root, words).filter((op) =>
    !keep || op.do !== "kState" && op.do !== "kCgroup"
  );
}

/** By number, as JSON; 0 stands for no signal. */
export function signalNames(): string[] {
  return Array.from(
    { length: 65 },
    (_, signal) => signal === 0 ? "null" : `"${signalName(signal)}"`,
  );
}
