/**
 * The end of a container.
 *
 * @module
 */

import { reapChild } from "../../ffi/children.ts";
import { EPOLL } from "../../ffi/epoll.ts";
import { closeFd, trySyscall, waitProcess } from "../../ffi/libc.ts";
import { callEngine } from "./engine.ts";
import type { EndedRun } from "./engine/end.ts";
import type { StartedBox, StartedRun } from "./engine/start.ts";
import { forget, untilReady } from "./watcher.ts";

const SIGKILL = 9;

/** Where nothing is counted. */
const UNCOUNTED: EndedRun = {
  counts: {
    cpuMs: null,
    memoryBytes: null,
    peakBytes: null,
    memoryLimit: null,
    oomKills: null,
    pids: null,
    pidsLimit: null,
    forksRefused: null,
  },
  refused: 0,
};

/**
 * Says what a container of one command has used, which has ended with it.
 *
 * @param box it is removed then, and {@linkcode removeBox} waits for that
 */
export function endOne(run: StartedRun, box?: StartedBox): Promise<EndedRun> {
  const control = box?.control ?? -1;
  if (box !== undefined) box.control = -1;
  if (run.dirs.length > 0) return callEngine("endOne", run, control);
  if (control >= 0) closeFd(control);
  return Promise.resolve(UNCOUNTED);
}

/** A start that was killed has ended by then, in milliseconds, or is frozen: by
 * pause(), or by the sandbox. */
const START_MS = 200;

/** What has not ended by then has children of this program in it, or has much to
 * remove; in milliseconds. */
const LATE_MS = 500;

/**
 * Waits for the starts in a container that was killed. Where they are held, its
 * warden lets them die; it holds no thread of the engine, however many cgroups the
 * sandbox has made. Where something has killed the warden, the engine does it.
 */
export async function endStarts(
  box: StartedBox,
  starts: readonly Promise<unknown>[],
): Promise<void> {
  const started = Promise.allSettled(starts);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((done) =>
    timer = setTimeout(() => done(true), START_MS)
  );
  const held = await Promise.race([started, late]) === true;
  clearTimeout(timer);
  if (!held) return;
  if (box.control >= 0) closeFd(box.control);
  box.control = -1;
  const gone = untilReady(box.wardenfd, EPOLL.in);
  const dead = typeof await Promise.race([started, gone]) === "number";
  forget(box.wardenfd);
  // What does not go is told at the end.
  if (dead) await Promise.allSettled([callEngine("thawBox", box)]);
  await started;
}

/** Closes what this program has of a container's mounts, before that is killed
 * where it can be: whoever closes them last takes them down, some milliseconds each,
 * and nobody waits for a dying process. */
export function closeFiles(box: StartedBox): void {
  for (const name of ["files", "upper"] as const) {
    if (box[name] >= 0) closeFd(box[name]);
    box[name] = -1;
  }
}

/** Waits for the warden of a container, which ends with it. */
async function untilGone(
  box: StartedBox,
  runs: Promise<unknown>,
): Promise<void> {
  const gone = untilReady(box.wardenfd, EPOLL.in);
  await Promise.race([runs, gone]);
  for (;;) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<string>((done) =>
      timer = setTimeout(() => done("late"), LATE_MS)
    );
    const first = await Promise.race([gone, late]);
    clearTimeout(timer);
    if (first !== "late") break;
    await callEngine("reapBox", box);
  }
  forget(box.wardenfd);
}

/** Closes a container, and waits until all of it is gone.
 *
 * @param ended when its first process was reaped
 * @param runs when all that this program started in it was reaped
 * @throws {ContainerError} when something stays */
export async function removeBox(
  box: StartedBox,
  ended: () => Promise<unknown>,
  runs: Promise<unknown> = Promise.resolve(),
): Promise<void> {
  // Its mounts stay while they are open.
  closeFiles(box);
  if (box.control >= 0) closeFd(box.control);
  await untilGone(box, runs);
  // By the warden it has ended; something may have killed that.
  trySyscall("pidfd_send_signal", box.pidfd, SIGKILL, null, 0);
  await ended();
  const status = waitProcess(box.warden);
  try {
    if (status !== 0) await callEngine("deleteBox", box);
  } finally {
    closeFd(box.pidfd);
    closeFd(box.wardenfd);
  }
}

/** The same of one whose first process nobody else waits for.
 *
 * @throws {ContainerError} when something stays */
export function removeWhole(box: StartedBox): Promise<void> {
  return removeBox(box, async () => {
    await untilReady(box.pidfd, EPOLL.in);
    forget(box.pidfd);
    // Its run may have done so: by then the pid is anybody's.
    reapChild(box.pidfd);
  });
}
