/**
 * What a container is right now, from its state file and its first process.
 *
 * @module
 */

import { lstatSync, readDirSync, readLinkSync } from "../../ffi/files.ts";
import { UNLINKED } from "../../ffi/unlinked.ts";
import { isFrozen } from "../cgroups/control.ts";
import { ContainerError } from "../errors.ts";
import { checkId } from "../config/id.ts";
import { isAlive, readExitCode, readState, type State } from "../state.ts";
import { reading } from "../state/words.ts";

/** runtime.md "Lifecycle", and runc's "paused". */
export type Status = "created" | "running" | "paused" | "stopped";

function exists(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Says whether the first process is past its execve. A start that was killed
 * leaves the fifo to a container that runs; the program tells. Where we may not
 * look, it counts as waiting. */
export function hasExecuted(pid: number): boolean {
  try {
    const exe = readLinkSync(`/proc/${pid}/exe`);
    return !exe.startsWith(HELPER) && !UNLINKED.test(exe);
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.PermissionDenied
    ) return false;
    throw error;
  }
}

/** How /proc/PID/exe names the helper that runs from a memfd. */
const HELPER = "/memfd:rustyrun-helper";

/** Returns the status of a container. */
export function statusOf(root: string, state: State): Status {
  if (!isAlive(state)) return "stopped";
  if (isFrozen(state.cgroup.dirs)) return "paused";
  return state.waits && exists(`${root}/${state.id}/exec.fifo`) &&
      !hasExecuted(state.pid)
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
        "rustyrun list shows those there are; --root says where they are kept",
      exitCode: 1,
    },
  );
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

/** The names below `root`, sorted: containers, and what is being made. */
export function listIds(root: string): string[] {
  try {
    return reading(root, () => readDirSync(root))
      .filter((it) => it.isDirectory && !it.name.startsWith("."))
      .map((it) => it.name).sort();
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory
    ) return [];
    throw error;
  }
}

/** The containers below `root`, by id. */
export function listStates(root: string): State[] {
  return listIds(root).map((id) => readState(root, id))
    .filter((it) => it !== undefined);
}
