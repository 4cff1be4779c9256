/**
 * The keeper's part of --timeout, --max-output and --result-fd: when it ends the
 * container, and what it reads for the result (c/keeper.h says what each operation
 * means).
 *
 * @module
 */

import { listMeasured } from "../../cgroups/measured.ts";
import type { Bounds } from "../../config/flags/bounds.ts";
import { ContainerError } from "../../errors.ts";
import type { Op } from "../../plan.ts";
import type { Prepared } from "../model.ts";
import { type KeeperWords, signalNames, wordKill } from "./keeper.ts";

/** The exit code when time is up: timeout(1)'s. */
const TIMED_OUT = 124;
/** The one when it has written too much: SIGKILL's. */
const KILLED = 137;
/** c/kept.h: enum count. */
const COUNT = { oom: 0, pids: 1, cpu: 2, peak: 3 } as const;
/** RLIMIT_CPU of prlimit(2), and RLIM_INFINITY. */
const RLIMIT_CPU = 0;
const INFINITY = 0xffffffffffffffffn;

/** The operations; none where nothing was asked for.
 *
 * @param words with {@linkcode KeeperWords.result} where there is a descriptor */
export function planBounds(
  { rlimits, cgroup }: Pick<Prepared, "rlimits" | "cgroup">,
  { timeout, maxOutput, resultFd }: Bounds,
  words: KeeperWords,
): Op[] {
  const ops: Op[] = [];
  if (timeout !== undefined) {
    ops.push({
      do: "kTime",
      ms: timeout.ms,
      exit: TIMED_OUT,
      text: wordKill(
        words,
        new ContainerError(
          `The container was killed: it ran longer than it may (${timeout.typed})`,
          {
            code: "time-limit",
            hint: "Give it more time, or make it end sooner",
            exitCode: TIMED_OUT,
          },
        ),
      ),
      why: "end the container when its time is up",
    });
  }
  if (maxOutput !== undefined) {
    ops.push({
      do: "kOutput",
      out: "stdout",
      err: "stderr",
      bytes: maxOutput.bytes,
      exit: KILLED,
      text: wordKill(
        words,
        new ContainerError(
          `The container was killed: it wrote more than ${maxOutput.bytes} bytes (${maxOutput.typed})`,
          {
            code: "output-limit",
            hint: "Let it write more, or make it write less",
            exitCode: KILLED,
          },
        ),
      ),
      why: "copy what the command writes, as much of it as it may write",
    });
  }
  if (resultFd === undefined) return ops;
  const hard = BigInt(
    rlimits.find((it) => it.resource === RLIMIT_CPU)?.hard ?? INFINITY,
  );
  const why = "tell the caller how the container has ended";
  const failed = new ContainerError(
    "Cannot start the container: the helper has ended",
    { code: "start", hint: "The kernel's log (dmesg) may say more" },
  );
  ops.push({
    do: "kResult",
    fd: "result",
    // What a signed number has no room for is no limit.
    cpu: hard > 0x7fffffffffffffffn ? -1 : hard,
    signals: signalNames(),
    failed: words.result?.(failed) ?? "",
    why,
  });
  for (const { what, file, key, unit } of listMeasured(cgroup.dirs)) {
    ops.push({ do: "kCount", what: COUNT[what], file, key, unit, why });
  }
  return ops;
}
