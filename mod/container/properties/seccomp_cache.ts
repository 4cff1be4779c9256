/**
 * Caches below the directory of all states, ROOT/.cache. ROOT belongs to the
 * caller alone, so that nobody else can put anything there. What the disk has
 * against a cache is no reason to fail.
 *
 * @module
 */

import { errnoOf } from "../../../ffi/errno.ts";
import {
  mkdirSync,
  openSync,
  readDirSync,
  readFileSync,
  removeSync,
  renameSync,
  writeFileSync,
} from "../../../ffi/files.ts";
import { ContainerError } from "../../errors.ts";
import { checkStateRoot } from "../../state/root.ts";

/** Most files of one cache. Who has more does not come back to most of them,
 * and ROOT may be small. */
const MOST = 64;
/** Before the bytes of each file: how many there are. A machine that goes down
 * may cut off what its disk has not got yet. */
const HEAD = 8;

/** Whether the file system refused something. */
const isRefused = (error: unknown): boolean =>
  !(error instanceof ContainerError) && errnoOf(error) !== "";

/**
 * Reads a file of a cache.
 *
 * @returns undefined where there is none, or not all of it
 * @throws {ContainerError} when somebody else could write `root`
 */
export function readCache(
  root: string,
  dir: string,
  name: string,
): Uint8Array | undefined {
  if (!checkStateRoot(root)) return undefined;
  let file: Uint8Array;
  try {
    file = readFileSync(`${root}/${dir}/${name}`);
  } catch (error) {
    if (isRefused(error)) return undefined;
    throw error;
  }
  if (file.length < HEAD) return undefined;
  const size = new DataView(file.buffer).getUint32(0, true);
  return size === file.length - HEAD ? file.subarray(HEAD) : undefined;
}

/** Writes a file under a hidden name that nobody else writes, and gives it its
 * own. The lock says that somebody is at it. */
function writeLocked(hidden: string, path: string, bytes: Uint8Array): void {
  writeFileSync(hidden, new Uint8Array(), { createNew: true, mode: 0o600 });
  const file = openSync(hidden, { write: true });
  try {
    file.lockSync(true);
    const whole = new Uint8Array(HEAD + bytes.length);
    new DataView(whole.buffer).setUint32(0, bytes.length, true);
    whole.set(bytes, HEAD);
    for (let at = 0; at < whole.length;) {
      at += file.writeSync(whole.subarray(at));
    }
    renameSync(hidden, path);
  } catch (error) {
    removeSync(hidden);
    throw error;
  } finally {
    file.close();
  }
}

/** Whether a hidden file was left by a writer that was killed: nobody has its
 * lock. */
function isLeft(path: string): boolean {
  const file = openSync(path, { write: true });
  try {
    return file.tryLockSync(true);
  } finally {
    file.close();
  }
}

/** Removes what writers have left half-written; and all, where it is too much. */
function tidy(path: string): void {
  const names = readDirSync(path).map((it) => it.name);
  const many = names.length >= MOST;
  for (const name of names) {
    const file = `${path}/${name}`;
    if (name.startsWith(".") ? isLeft(file) : many) removeSync(file);
  }
}

/**
 * Writes a file of a cache, whole or not at all.
 *
 * @param dir directory below `root`: ".cache/seccomp"
 * @throws {ContainerError} when somebody else could write `root`
 */
export function writeCache(
  root: string,
  dir: string,
  name: string,
  bytes: Uint8Array,
): void {
  const path = `${root}/${dir}`;
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    checkStateRoot(root);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    tidy(path);
    writeLocked(
      `${path}/.${name}.${crypto.randomUUID()}`,
      `${path}/${name}`,
      bytes,
    );
  } catch (error) {
    // Where `root` itself cannot be, making the state says so.
    if (!isRefused(error)) throw error;
  }
}
