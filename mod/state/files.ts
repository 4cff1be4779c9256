/**
 * The files of a state directory: what stands in each, and how it is written so
 * that a reader sees it whole.
 *
 * @module
 */

import { fromBytes } from "../../ffi/bytes.ts";
import { errnoOf, SyscallError } from "../../ffi/errno.ts";
import {
  lstatSync,
  readTextFileSync,
  removeSync,
  renameSync,
  writeTextFileSync,
} from "../../ffi/files.ts";
import {
  closeFd,
  cstring,
  openFd,
  syscall,
  trySyscall,
} from "../../ffi/libc.ts";
import type { State, StateDir } from "./model.ts";
import { makeLock } from "./lock.ts";
import { checkStateRoot } from "./root.ts";
import { keeping, reading } from "./words.ts";

const O_NONBLOCK = 0o4000, O_CLOEXEC = 0o2000000;
const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000;

/** Writes a file: a new one, renamed over the old. A pid file may be in a
 * directory for all, where somebody can have put a symbolic link before us. What
 * came only in part, on a full disk, goes. */
export function replaceFile(path: string, text: string, mode = 0o600): void {
  stageFile(path, text, mode);
  renameSync(`${path}.new`, path);
}

/** The first half of that: the text is there, and not yet by its name. */
function stageFile(path: string, text: string, mode = 0o600): void {
  const temporary = `${path}.new`;
  const write = () =>
    writeTextFileSync(temporary, text, { mode, createNew: true });
  try {
    writeOrRemove(temporary, write);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    removeSync(temporary);
    writeOrRemove(temporary, write);
  }
}

/** Writes a new file; one that cannot be written to its end is removed. */
function writeOrRemove(path: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    const room = ["ENOSPC", "EDQUOT", "EFBIG", "EIO"];
    if (room.includes(errnoOf(error)) && isThere(path)) removeSync(path);
    throw error;
  }
}

function isThere(path: string): boolean {
  try {
    return lstatSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Writes ROOT/ID/state.json. */
export function writeState(dir: StateDir, state: State): void {
  stageState(dir, state);
  publishState(dir);
}

/** Writes it, so that {@linkcode publishState} has next to nothing to do: somebody
 * waits for that. Its lock is made with it: later the disk may be full, or
 * read-only. */
export function stageState(dir: StateDir, state: State): void {
  keeping(dir.path, () => {
    makeLock(dir);
    stageFile(`${dir.path}/state.json`, encodeState(state));
  });
}

/** Gives it its name: from here on the container exists. */
export function publishState({ path }: StateDir): void {
  keeping(
    path,
    () => renameSync(`${path}/state.json.new`, `${path}/state.json`),
  );
}

// ES2025's JSON.rawJSON, which TypeScript 6 does not type yet.
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** JSON with integers beyond 2^53 kept: a bigint is written as a number. */
export function encodeState(value: unknown): string {
  return JSON.stringify(
    value,
    (_, it) => typeof it === "bigint" ? rawJSON(String(it)) : it,
  );
}

/** Largest state that is read, in bytes: annotations have room in it. */
const STATE_MAX = 16 << 20;
/** ENOENT, ENOTDIR, ELOOP (a link), EISDIR, ENXIO (a socket) */
const NO_RECORD = [2, 20, 40, 21, 6];

/** Reads a small file whole, and waits for nothing: whatever has its name.
 *
 * @returns undefined when there is none of that name, or what has it is no file
 * @throws {SyscallError} when the disk refuses */
function readRecord(path: string): Uint8Array | undefined {
  const fd = trySyscall(
    "openat",
    -100,
    cstring(path),
    O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW,
  );
  if (fd < 0) {
    if (NO_RECORD.includes(-fd)) return undefined;
    throw new SyscallError("openat", -fd);
  }
  let bytes = new Uint8Array(16384);
  let at = 0;
  try {
    while (at <= STATE_MAX) {
      const rest = bytes.subarray(at);
      const got = trySyscall("read", fd, rest, rest.length);
      if (got < 0 && NO_RECORD.includes(-got)) return undefined;
      if (got < 0) throw new SyscallError("read", -got);
      if (got === 0) return bytes.subarray(0, at);
      at += got;
      if (at < bytes.length) continue;
      const more = new Uint8Array(2 * bytes.length);
      more.set(bytes);
      bytes = more;
    }
  } finally {
    closeFd(fd);
  }
  return undefined;
}

/** Whether a value has what every command rests on. */
function isState(value: unknown, id: string): value is State {
  const state = value as Partial<State> | null;
  return typeof state === "object" && state !== null && state.id === id &&
    Number.isSafeInteger(state.pid) && typeof state.startTime === "string" &&
    typeof state.bootId === "string" && Array.isArray(state.cgroup?.dirs);
}

/**
 * Reads ROOT/ID/state.json.
 *
 * @returns undefined when there is no such container. A file that is no state is
 * none: a rename is whole, but for a machine that went down before the file had
 * reached its disk, and no container has outlived that
 * @throws {ContainerError} when somebody else could have written it
 */
export function readState(root: string, id: string): State | undefined {
  if (!checkStateRoot(root)) return undefined;
  const bytes = reading(root, () => readRecord(`${root}/${id}/state.json`));
  if (bytes === undefined) return undefined;
  try {
    const state: unknown = JSON.parse(fromBytes(bytes));
    return isState(state, id) ? state : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Reads ROOT/ID/exit: the exit code that the keeper of a container that
 * stays left (c/verdict.c).
 *
 * @returns undefined when there is none */
export function readExitCode(root: string, id: string): number | undefined {
  const bytes = reading(root, () => readRecord(`${root}/${id}/exit`));
  return bytes === undefined ? undefined : Number(fromBytes(bytes));
}

/** Its file with the names of what is about to be made. */
export const LEFTOVERS = "leftovers.json";

/** Writes ROOT/ID/leftovers.json: the names of what is about to be made. While
 * there is no state.json, only this file knows them. */
export function writeLeftovers(dir: StateDir, leftovers: unknown): void {
  keeping(dir.path, () =>
    writeTextFileSync(
      `${dir.path}/${LEFTOVERS}`,
      JSON.stringify(leftovers),
      { mode: 0o600 },
    ));
}

/** Reads ROOT/ID/leftovers.json.
 *
 * @returns undefined when nothing was made yet: then it is missing, or its
 * writer was killed half way */
export function readLeftovers(dir: StateDir): unknown {
  try {
    return JSON.parse(readTextFileSync(`${dir.path}/${LEFTOVERS}`));
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound || error instanceof SyntaxError
    ) return undefined;
    throw error;
  }
}

/** Writes ROOT/ID/config.json: the saved copy that exec and update read, so
 * that what happens to the bundle meanwhile changes nothing. */
export function writeSaved(dir: StateDir, saved: unknown): void {
  keeping(
    dir.path,
    () =>
      writeTextFileSync(`${dir.path}/config.json`, encodeState(saved), {
        mode: 0o600,
      }),
  );
}

/** Reads the text of ROOT/ID/config.json. */
export function readSaved(root: string, id: string): string {
  return readTextFileSync(`${root}/${id}/config.json`);
}

const F_SETPIPE_SZ = 1031;

/** Makes ROOT/ID/exec.fifo, and fills it: who writes into it waits until
 * `start` reads. Held open for both, it needs no other way to it, and whoever
 * takes it from the waiting process can start that container and no more.
 *
 * @returns the descriptor, close-on-exec */
export function makeExecFifo(dir: StateDir): number {
  return keeping(dir.path, () => {
    syscall("mknodat", dir.fd, cstring("exec.fifo"), 0o10600, 0);
    const fd = openFd("exec.fifo", 2 | O_NOFOLLOW, 0, dir.fd);
    // The kernel rounds it up to a page.
    const size = syscall("fcntl", fd, F_SETPIPE_SZ, 1);
    syscall("write", fd, new Uint8Array(size), size);
    return fd;
  });
}
