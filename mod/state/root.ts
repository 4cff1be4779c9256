/**
 * The directory of all states: whose it is, what lies in it, and which
 * directories there are ours to remove.
 *
 * @module
 */

import { S_IF } from "../../ffi/constants.ts";
import { asDeno, readDirSync } from "../../ffi/files.ts";
import {
  type FileStat,
  identifyFile,
  isSameFile as isSame,
  isType,
  lookAt,
} from "../../ffi/identity.ts";
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

/** Every command looks so: without an exception for what is not there, which would
 * be a program's first. */
function look(path: string, follow = false): FileStat | undefined {
  return asDeno(path, () => lookAt(path, follow));
}

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
  const mine = (owner: number) => owner === uid || owner === 0;
  let info = look(root);
  if (info !== undefined && isType(info, S_IF.LNK)) {
    if (!mine(info.uid)) {
      throw refuse(root, `it is a symbolic link of user ${info.uid}`);
    }
    info = look(root, true);
  }
  if (info === undefined) return false;
  if (!mine(info.uid)) throw refuse(root, `it belongs to user ${info.uid}`);
  const { mode } = info;
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
    const info = look(path);
    return info !== undefined && isType(info, S_IF.DIR) &&
      info.uid === Deno.uid() && (info.mode & 0o077) === 0 &&
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
  const found = look(path);
  return found !== undefined && isSame(found, identifyFile(fd));
}
