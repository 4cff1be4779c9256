/**
 * Which process a state means: a pid alone may be another one's after a reboot,
 * or when pids have gone round.
 *
 * @module
 */

import { isGone } from "../../ffi/errno.ts";
import {
  readDirSync,
  readLinkSync,
  readTextFileSync,
} from "../../ffi/files.ts";
import { readKernel } from "../host/kernel.ts";
import type { State, StateProcess } from "./model.ts";

/** PF_EXITING of the kernel's sched.h. */
const EXITING = 4;

/** What /proc/PID/stat says of a process. */
export interface ProcessStat {
  /** Field 22, in clock ticks since boot. */
  startTime: string;
  /** Field 3. */
  letter: string;
  /** It is on its way out (field 9). */
  exiting: boolean;
  /** Threads that have not been reaped, a zombie of a first one too (field 20). */
  threads: number;
}

/** Reads what a process is; undefined when it is gone. */
export function readProcess(pid: number): ProcessStat | undefined {
  return readStat(`/proc/${pid}`);
}

function readStat(path: string): ProcessStat | undefined {
  let text: string;
  try {
    text = readTextFileSync(`${path}/stat`);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return {
    letter: fields[0] ?? "?",
    startTime: fields[19] ?? "",
    exiting: (Number(fields[6]) & EXITING) !== 0,
    threads: Number(fields[17]),
  };
}

/** Whether a thread that is on its way out has nothing left of what it was. */
function hasLeft(path: string): boolean {
  try {
    readLinkSync(`${path}/ns/mnt`);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

/**
 * Says whether a thread is there and no zombie.
 *
 * Nor one that waits for zombies: as pid 1 it has killed all others, given up
 * its memory, files and namespaces, and stays until each has been reaped, those
 * of a careless caller of exec too (zap_pid_ns_processes() in the kernel).
 */
function isLiving(path: string, now = readStat(path)): boolean {
  return now !== undefined && now.letter !== "Z" && now.letter !== "X" &&
    !(now.exiting && hasLeft(path));
}

/** So often threads are looked for while they change. */
const PASSES = 1000;

/**
 * So many threads are looked at in all these passes, once two of them are done:
 * a tracer among the container's own processes may keep any number that have
 * ended.
 */
const LOOKS = 20_000;

/**
 * Looks through the threads behind a first one that has ended. They may change
 * faster than they can be read: each can make the next one and end. Those that
 * are on their way out make none, so it takes two equal lists of them to say
 * that nobody lives; and they must be all that are counted, as the kernel ends a
 * list at one that goes while it is listed (next_tid() in fs/proc/base.c).
 *
 * @returns a living one's directory; "changing" where they would not hold still
 */
function findOther(pid: number): string | "changing" | undefined {
  const path = `/proc/${pid}`;
  let before = "";
  let looks = 0;
  for (let pass = 0; pass < 2 || (pass < PASSES && looks < LOOKS); pass++) {
    const count = readStat(path)?.threads;
    let names: string[];
    try {
      names = readDirSync(`${path}/task`).map((it) => it.name);
    } catch (error) {
      if (readStat(path) === undefined) return undefined;
      throw error;
    }
    looks += names.length;
    let isWhole = true;
    for (const name of names) {
      if (name === `${pid}`) continue;
      const thread = `${path}/task/${name}`;
      const now = readStat(thread);
      if (now === undefined) isWhole = false;
      else if (isLiving(thread, now)) return thread;
    }
    const list = names.join(" ");
    const after = readStat(path)?.threads ?? 0;
    // The first one is the only one that is left (or was, and is reaped now).
    if (after <= 1) return undefined;
    isWhole &&= count === names.length && after === names.length;
    if (isWhole && names.length > 1 && list === before) return undefined;
    before = list;
  }
  return "changing";
}

/**
 * Where /proc shows what a process is: its namespaces, root and program. That
 * is "/proc/PID" but for a process whose first thread has ended (a zombie, which
 * has nothing any more) while others go on: there it is one of those.
 *
 * @returns undefined when no thread is left, or none stays long enough
 */
export function findThread(
  pid: number,
  now?: ProcessStat,
): string | undefined {
  const path = `/proc/${pid}`;
  if (isLiving(path, now)) return path;
  const other = findOther(pid);
  return other === "changing" ? undefined : other;
}

let boot: string | undefined;

/** This boot's id. */
export function bootId(): string {
  return boot ??= readKernel("random/boot_id");
}

/** What a new state says of its container's first process, which is there. */
export function describeProcess(pid: number): StateProcess {
  return {
    pid,
    startTime: readProcess(pid)?.startTime ?? "",
    bootId: bootId(),
    created: new Date().toISOString(),
  };
}

/**
 * Says whether a state's first process is there: same boot, same pid, same
 * start time, and a thread of it lives.
 */
export function isAlive(state: State): boolean {
  if (state.bootId !== bootId()) return false;
  const { pid } = state;
  const now = readProcess(pid);
  return now !== undefined && now.startTime === state.startTime &&
    (isLiving(`/proc/${pid}`, now) || findOther(pid) !== undefined);
}
