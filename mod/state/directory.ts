/**
 * The directory ROOT/ID: who takes it, holds it, and removes it.
 *
 * @module
 */

import { mkdirSync, readDirSync, removeSync } from "../../ffi/files.ts";
import { closeFd, cstring, trySyscall } from "../../ffi/libc.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { ContainerError } from "../errors.ts";
import type { StateDir } from "./model.ts";
import { readState } from "./files.ts";
import { checkStateRoot, isSameFile, isStateDirectory } from "./root.ts";
import { cannotKeep, removing } from "./words.ts";

const O_DIRECTORY = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;
const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000;
/** O_PATH | O_CLOEXEC */
const O_PATH = 0o12000000;
const O_CLOEXEC = 0o2000000;
const LOCK_EX = 2, LOCK_NB = 4;
const ENOENT = -2, EWOULDBLOCK = -11;

/** How long a claim waits for a lock that is none of a creator: who deletes a
 * container, or only looks whether one is being made, holds it for less, also
 * where it is stopped for a second by a machine that is busy. Counted by the
 * pauses: a machine that stands still lets nobody go on. */
const PATIENCE_MS = 3000;

/** Blocks this thread: all that waits here is sync on purpose. */
export function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/**
 * Takes ROOT/ID for a new container.
 *
 * @param patience milliseconds that a lock of somebody else's is waited for
 * @returns the directory, and whether it was there already: then it may hold
 * what a create that was killed has left
 * @throws {ContainerError} when a container has the id, or ROOT cannot be made
 */
export function claimState(
  root: string,
  id: string,
  patience = PATIENCE_MS,
): StateDir & { reused: boolean } {
  const path = `${root}/${id}`;
  let left = patience;
  let safe = checkStateRoot(root);
  for (;;) {
    const made = makeDirectory(root, path);
    // Somebody else may have been faster with it in a directory for all.
    safe ||= checkStateRoot(root);
    const fd = lockDirectory(path);
    // Between mkdir and the lock a delete has removed it: again.
    if (fd === undefined) continue;
    if (fd === "busy") {
      if (left <= 0 || hasState(path)) throw exists(id);
      sleep(2);
      left -= 2;
      continue;
    }
    // Between our mkdir and the lock another may have lived in it.
    const reused = !made || readDirSync(path).length > 0;
    const taken = reused && hasState(path) && readState(root, id) !== undefined;
    if (reused && (taken || !isStateDirectory(path))) {
      closeFd(fd);
      throw taken ? exists(id) : foreign(id, path);
    }
    return { path, fd, reused };
  }
}

/** Looked up this way since an error object costs 0.2 ms. */
function hasState(path: string): boolean {
  const fd = trySyscall("openat", -100, cstring(`${path}/state.json`), O_PATH);
  if (fd >= 0) closeFd(fd);
  return fd >= 0;
}

/** Locks a state directory without waiting: undefined when there is none,
 * "busy" when somebody else holds it.
 *
 * @throws {ContainerError} when it is no directory, or not ours */
function lockDirectory(path: string): number | "busy" | undefined {
  const fd = trySyscall(
    "openat",
    -100,
    cstring(path),
    O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
    0,
  );
  if (fd === ENOENT) return undefined;
  if (fd < 0) throw cannotKeep(path, new SyscallError("openat", -fd));
  const locked = trySyscall("flock", fd, LOCK_EX | LOCK_NB);
  if (locked === 0 && isSameFile(path, fd)) return fd;
  closeFd(fd);
  if (locked === 0) return undefined;
  if (locked === EWOULDBLOCK) return "busy";
  throw cannotKeep(path, new SyscallError("flock", -locked));
}

/**
 * Takes the directory of a container that is to be removed; waits for whoever
 * makes or removes it.
 *
 * @param milliseconds how long at the most, counted by the pauses; 0: not at all
 * @returns undefined when there is no such directory, "busy" when the time is
 * over
 */
export function holdState(
  root: string,
  id: string,
  milliseconds: number,
): StateDir | "busy" | undefined {
  const path = `${root}/${id}`;
  for (let left = milliseconds;; left -= 5) {
    const fd = lockDirectory(path);
    if (fd === undefined) return undefined;
    if (fd !== "busy") return { path, fd };
    if (left <= 0) return "busy";
    sleep(5);
  }
}

function exists(id: string): ContainerError {
  return new ContainerError(
    `Cannot create "${id}": container with given ID already exists`,
    {
      code: "id-exists",
      hint: `Choose another id, or remove it first: rustyrun delete ${id}`,
    },
  );
}

function foreign(id: string, path: string): ContainerError {
  return new ContainerError(
    `Cannot create "${id}": "${path}" exists and is not rustyrun's`,
    {
      code: "state-directory",
      hint: "Choose another id, or another directory for states: --root DIR",
    },
  );
}

/** @returns false when it was there */
function makeDirectory(root: string, path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    if (!(error instanceof Deno.errors.NotFound)) {
      throw cannotKeep(root, error);
    }
  }
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw cannotKeep(root, error);
  }
}

/** Makes a state directory rubbish: what it names is there for the taking. */
export function disownState({ path }: StateDir): void {
  try {
    removing(path, () => removeSync(`${path}/state.json`));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
