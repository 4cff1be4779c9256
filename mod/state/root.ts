/**
 * The directory of all states: whose it is, what lies in it, and which
 * directories there are ours to remove.
 *
 * @module
 */

import { lstatSync, readDirSync, statSync } from "../../ffi/files.ts";
import { ContainerError } from "../errors.ts";
import { reading } from "./words.ts";

/** Everything that ROOT/ID may hold. */
const NAMES: ReadonlySet<string> = new Set([
  "state.json",
  "state.json.new",
  "config.json",
  "config.json.new",
  "leftovers.json",
  "lock",
  "exec.fifo",
  "exit",
  "exit.new",
  "notify",
]);

function refuse(root: string, why: string): ContainerError {
  return new ContainerError(
    `Cannot keep the container's state in "${root}": ${why}`,
    {
      code: "state-directory-shared",
      hint:
        "Who can write there can run programs as you. Name a directory of your own: rustyrun --root DIR",
    },
  );
}

/**
 * Checks that nobody but the caller and root can change what is kept in `root`:
 * filters, configurations with their hooks, pids. The default of a user without
 * XDG_RUNTIME_DIR lies in /tmp, where anybody may be first.
 *
 * @returns false when it does not exist
 * @throws {ContainerError} when it is another user's, or others may write it
 */
export function checkStateRoot(root: string): boolean {
  const uid = Deno.uid();
  const mine = (owner: number | null) => owner === uid || owner === 0;
  let info: Deno.FileInfo;
  try {
    info = lstatSync(root);
    if (info.isSymlink) {
      if (!mine(info.uid)) {
        throw refuse(root, `it is a symbolic link of user ${info.uid}`);
      }
      info = statSync(root);
    }
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory
    ) return false;
    throw error;
  }
  if (!mine(info.uid)) throw refuse(root, `it belongs to user ${info.uid}`);
  const mode = info.mode ?? 0;
  if (mode & 0o002) throw refuse(root, "everybody may write it");
  if (mode & 0o020 && info.gid !== 0 && info.gid !== Deno.gid()) {
    throw refuse(root, `group ${info.gid} may write it`);
  }
  return true;
}

/**
 * Says whether a directory in ROOT can be one that rustyrun has made: private,
 * the caller's, and with nothing in it but what a state holds. Any other is
 * somebody's, however it came there (`--root $HOME`), and is left alone.
 */
export function isStateDirectory(path: string): boolean {
  try {
    const info = lstatSync(path);
    return info.isDirectory && info.uid === Deno.uid() &&
      ((info.mode ?? 0) & 0o077) === 0 &&
      readDirSync(path).every((it) => NAMES.has(it.name));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
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

/** Whether a path is still what a descriptor was opened as. */
export function isSameFile(path: string, fd: number): boolean {
  try {
    const a = lstatSync(path);
    const b = statSync(`/proc/self/fd/${fd}`);
    return a.ino === b.ino && a.dev === b.dev;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
