/**
 * What a container is right now, from its state file and its first process.
 *
 * @module
 */

import { isGone } from "../../ffi/errno.ts";
import { existsSync, readLinkSync, readTextFileSync } from "../../ffi/files.ts";
import { isFrozen } from "../cgroups/control.ts";
import { ContainerError } from "../errors.ts";
import { checkId } from "../config/id.ts";
import {
  findThread,
  isAlive,
  listIds,
  readExitCode,
  readState,
  type State,
} from "../state.ts";

/** runtime.md "Lifecycle", and runc's "paused". */
export type Status = "created" | "running" | "paused" | "stopped";

/** How far a container's first process has come: it waits at the fifo, it has
 * been let go (hooks run), its command runs. */
export type Progress = "waiting" | "let go" | "executed";

/**
 * Returns how far a first process has come, by what it has done itself: a start
 * that was killed has left the fifo to a container that runs. The helper's
 * command line says it (c/process.c writes over its second word), and execve
 * puts another in its place. With --init it stays, and says so. One that is about
 * to end has no command line any more, proc_pid_cmdline(5), and gets no further.
 */
export function progressOf(pid: number): Progress {
  const dir = findThread(pid) ?? `/proc/${pid}`;
  const words = readOr(`${dir}/cmdline`);
  if (words === "" && isEnding(dir)) return "waiting";
  const [program, stage] = words.split("\0");
  if (program !== "rustyrun-helper") return "executed";
  if (stage === "child") return "waiting";
  return stage === "start" ? "let go" : "executed";
}

/** Whether a process without a command line has given its memory back. A program may
 * also have emptied its own. */
function isEnding(dir: string): boolean {
  try {
    readLinkSync(`${dir}/exe`);
    return false;
  } catch (error) {
    if (isGone(error)) return true;
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}

/** What nobody may look into counts as waiting. */
function readOr(path: string): string {
  try {
    return readTextFileSync(path);
  } catch (error) {
    if (isGone(error) || error instanceof Deno.errors.PermissionDenied) {
      return "rustyrun-helper\0child\0";
    }
    throw error;
  }
}

/** Returns the status of a container. */
export function statusOf(root: string, state: State): Status {
  if (!isAlive(state)) return "stopped";
  if (isFrozen(state.cgroup.dirs)) return "paused";
  return state.waits && existsSync(`${root}/${state.id}/exec.fifo`) &&
      progressOf(state.pid) === "waiting"
    ? "created"
    : "running";
}

/**
 * Reads a container's state.
 *
 * @throws {ContainerError} "container does not exist", the words that engines
 * look for
 */
export function findState(root: string, id: string): State {
  checkId(id);
  const state = readState(root, id);
  if (state !== undefined) return state;
  throw new ContainerError(
    `Cannot find "${id}": container does not exist`,
    {
      code: "container-missing",
      hint:
        "rustyrun list shows the containers; --root says where they are kept",
      exitCode: 1,
    },
  );
}

/** What to do with a container that has ended. */
export function endedHint({ id, sharesPids }: State): string {
  return sharesPids
    ? `Its first process has ended: rustyrun delete --force ${id} ends what that has left running, and removes it`
    : `It has ended: rustyrun delete ${id} removes it`;
}

/** The state as `rustyrun state` prints it: runc's fields in runc's order. */
export function describeState(
  root: string,
  state: State,
): Record<string, unknown> {
  const status = statusOf(root, state);
  const { annotations } = state;
  const exitCode = status === "stopped"
    ? readExitCode(root, state.id)
    : undefined;
  return {
    ociVersion: state.ociVersion,
    id: state.id,
    pid: status === "stopped" ? 0 : state.pid,
    status,
    bundle: state.bundle,
    rootfs: state.rootfs,
    created: state.created,
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(annotations && Object.keys(annotations).length > 0
      ? { annotations }
      : {}),
    owner: state.owner,
  };
}

/** The containers below `root`, by id. What cannot be read as a state, of one
 * alone, is none of theirs. */
export function listStates(root: string): State[] {
  return listIds(root).map((id) => readState(root, id))
    .filter((it) => Array.isArray(it?.cgroup?.dirs)) as State[];
}
