/**
 * The ends of what the library has started: of a process, and of a container.
 *
 * @module
 */

import { closeFd, trySyscall } from "../../../ffi/libc.ts";
import { pollFds } from "../../../ffi/poll.ts";
import { thawKilled } from "../../cgroups/calm.ts";
import { freezeCgroups, thawCgroups } from "../../cgroups/control.ts";
import { deleteContainer } from "../../container/delete.ts";
import { reapNamespace } from "../../container/kill_namespace.ts";
import { type Explained, explainPlan } from "../../explain.ts";
import { examine, type Finding } from "../../doctor.ts";
import { gatherFacts } from "../../host.ts";
import { prepare } from "../../container/launch/prepare.ts";
import {
  awaitReaped,
  type Counts,
  killCgroups,
  readCounts,
  removeRunCgroups,
} from "./count.ts";
import { wordForProgram } from "../words.ts";
import { libraryPlace, placeOf } from "./place.ts";
import {
  type Options,
  readConfig,
  type StartedBox,
  type StartedRun,
} from "./start.ts";

const SIGKILL = 9;

/** Kills a process with all that it has started. Without cgroups: with its
 * process group; what has left that ends with the container. */
export function killRun({ pid, dirs }: StartedRun): void {
  trySyscall("kill", -pid, SIGKILL);
  trySyscall("kill", pid, SIGKILL);
  killCgroups(dirs);
}

/** What a process has used, and the limits that it met. */
export interface EndedRun {
  counts: Counts;
  /** Forks that were refused while it ran. */
  refused: number;
}

/** Ends what a process that has ended left running, says what all of it has used,
 * and removes its cgroups, which are its own. */
export function endRun(run: StartedRun): EndedRun {
  killRun(run);
  const counts = readCounts(run.dirs);
  const above = readCounts(run.above).forksRefused;
  const rise = above === null || run.refusedBefore === null
    ? 0
    : above - run.refusedBefore;
  awaitReaped(run.dirs);
  removeRunCgroups(run.dirs);
  return { counts, refused: Math.max(counts.forksRefused ?? 0, rise) };
}

/** Says what a container of one command has used. With its first process all that
 * was in it has ended; a command beside that has cgroups of its own.
 *
 * @param control the warden's socket, closed then: it removes the container; -1:
 * that stays */
export function endOne(run: StartedRun, control: number): EndedRun {
  try {
    if (run.above.length > 0) return endRun(run);
    const counts = readCounts(run.dirs);
    return { counts, refused: counts.forksRefused ?? 0 };
  } finally {
    if (control >= 0) closeFd(control);
  }
}

/** What a container uses. */
export function countBox({ dirs }: Pick<StartedBox, "dirs">): Counts {
  return readCounts(dirs);
}

/** Stops every process of a container.
 *
 * @throws {ContainerError} where it has no freezer */
export function pauseBox(box: StartedBox): void {
  const { proc } = placeOf(box).caller;
  freezeCgroups(box.dirs, { process: `/proc/${box.pid}`, proc });
}

/** Lets processes of a container that were killed end, also where they are frozen;
 * in v2 those end by themselves. */
export function thawBox(
  { dirs, pid, pidfd }: Pick<StartedBox, "dirs" | "pid" | "pidfd">,
): void {
  thawKilled(dirs, () => pollFds([pidfd], 0).length > 0 ? undefined : pid);
}

/** Reaps children that its commands have given to this program: it does not end
 * before. Those of runs are to be reaped by then. */
export function reapBox({ pidfd }: Pick<StartedBox, "pidfd">): void {
  reapNamespace(pidfd);
}

/** Lets them go on. */
export function resumeBox({ dirs }: StartedBox): void {
  thawCgroups(dirs);
}

/** Removes what a container's warden did not, because something has killed it.
 *
 * @throws {ContainerError} when something stays */
export function deleteBox(box: StartedBox): void {
  deleteContainer(box.id, true, placeOf(box), () => {});
}

/** What would be done for a sandbox, in order. */
export function explainBox(
  options: Options,
  command: readonly string[] | undefined,
): Explained[] {
  const { config, place } = readConfig(options, command);
  const prepared = prepare(config, gatherFacts(place.caller), {
    place,
    gate: "none",
    token: "00000000",
  });
  return explainPlan(
    prepared.steps,
    prepared.cgroup,
    config,
    prepared.resctrl,
    prepared.warnings.map((it) => wordForProgram(it.message)),
  );
}

/** What this machine allows. */
export function examineMachine(): Finding[] {
  return examine(gatherFacts(libraryPlace(new Map()).caller)).map((it) => ({
    ...it,
    detail: wordForProgram(it.detail),
    ...(it.fix === undefined ? {} : { fix: wordForProgram(it.fix) }),
  }));
}
