/**
 * The state directory, ROOT/ID: who owns an id, and what later commands know
 * of a container. Safe against SIGKILL at every instruction: a directory
 * belongs to whoever holds its flock or, without a lock, to its state.json; one
 * with neither is rubbish that the next create takes over.
 *
 * @module
 */

import { closeFd, cstring, openFd, syscall, trySyscall } from "../ffi/libc.ts";
import { SyscallError } from "../ffi/errno.ts";
import { ContainerError } from "./errors.ts";
import { checkStateRoot, isStateDirectory } from "./state/root.ts";

const O_DIRECTORY = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;
const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000;
/** O_PATH | O_CLOEXEC */
const O_PATH = 0o12000000;
const LOCK_EX = 2, LOCK_NB = 4;
const ENOENT = -2, EWOULDBLOCK = -11;
const O_CLOEXEC = 0o2000000;

/** What ROOT/ID/state.json holds. */
export interface State {
  /** Format of this file. */
  version: 1;
  id: string;
  ociVersion: string;
  /** Host pid of the container's first process. */
  pid: number;
  /** Its start time in clock ticks since boot, proc_pid_stat(5) field 22. */
  startTime: string;
  /** /proc/sys/kernel/random/boot_id. */
  bootId: string;
  bundle: string;
  rootfs: string;
  /** RFC 3339. */
  created: string;
  annotations?: Record<string, string> | undefined;
  /** Name of the user who made it. */
  owner: string;
  /** Made by a foreground `run`: a keeper or warden removes it. */
  foreground: boolean;
  /** It waits at exec.fifo until `start` was called. */
  waits: boolean;
  /** It has no pid namespace of its own: killing means its whole cgroup. */
  sharesPids: boolean;
  /** Its cgroups, as mod/cgroups.ts planned them. */
  cgroup: { dirs: StateCgroup[]; parents?: readonly string[] };
  /** Its class of service: ClassPlan of mod/intel_rdt.ts. */
  resctrl?: StateClass | undefined;
  /** NOTIFY_SOCKET of who made it; start tells it of readiness. */
  notifySocket?: string | undefined;
  /** Hooks that run after it, so that delete need not read config.json. */
  hasPoststop: boolean;
  /** Hooks that start runs. */
  hasPoststart: boolean;
}

/** What a state says of its container's first process. */
export type StateProcess = Pick<
  State,
  "pid" | "startTime" | "bootId" | "created"
>;

/** One cgroup of a container: CgroupDir of mod/cgroups.ts. */
export interface StateCgroup {
  path: string;
  mount: string;
  controllers: string[];
  version: 1 | 2;
}

/** A container's class of service: what exec, update and delete need of it. */
export interface StateClass {
  mount: string;
  group: string;
  tasks: readonly string[];
  remove: readonly string[];
}

/** A state directory that this process owns through its lock. */
export interface StateDir {
  /** ROOT/ID */
  path: string;
  /** The directory's descriptor, which holds the lock. */
  fd: number;
}

/** How long a claim waits for a lock that is none of a creator: who deletes a
 * container, or only looks whether one is being made, holds it for less. */
const PATIENCE_MS = 200;

/** Blocks this thread: all that waits here is sync on purpose. */
export function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/**
 * Takes ROOT/ID for a new container.
 *
 * @returns the directory, and whether it was there already: then it may hold
 * what a create that was killed has left
 * @throws {ContainerError} when a container has the id, or ROOT cannot be made
 */
export function claimState(
  root: string,
  id: string,
): StateDir & { reused: boolean } {
  const path = `${root}/${id}`;
  const end = performance.now() + PATIENCE_MS;
  let safe = checkStateRoot(root);
  for (;;) {
    const reused = !makeDirectory(root, path);
    // Somebody else may have been faster with it in a directory for all.
    safe ||= checkStateRoot(root);
    const fd = lockDirectory(path);
    // Between mkdir and the lock a delete has removed it: again.
    if (fd === undefined) continue;
    if (fd === "busy") {
      if (performance.now() > end || hasState(path)) throw exists(id);
      sleep(2);
      continue;
    }
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
  if (fd < 0) throw cannotMake(path, new SyscallError("openat", -fd));
  const locked = trySyscall("flock", fd, LOCK_EX | LOCK_NB);
  if (locked === 0 && isSameFile(path, fd)) return fd;
  closeFd(fd);
  if (locked === 0) return undefined;
  if (locked === EWOULDBLOCK) return "busy";
  throw cannotMake(path, new SyscallError("flock", -locked));
}

/**
 * Takes the directory of a container that is to be removed; waits for whoever
 * makes or removes it.
 *
 * @param milliseconds how long at the most; 0: not at all
 * @returns undefined when there is no such directory, "busy" when the time is
 * over
 */
export function holdState(
  root: string,
  id: string,
  milliseconds: number,
): StateDir | "busy" | undefined {
  const path = `${root}/${id}`;
  const end = performance.now() + milliseconds;
  for (;;) {
    const fd = lockDirectory(path);
    if (fd === undefined) return undefined;
    if (fd !== "busy") return { path, fd };
    if (performance.now() >= end) return "busy";
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
    Deno.mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    if (!(error instanceof Deno.errors.NotFound)) {
      throw cannotMake(root, error);
    }
  }
  try {
    Deno.mkdirSync(root, { recursive: true, mode: 0o700 });
    Deno.mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw cannotMake(root, error);
  }
}

function cannotMake(root: string, cause: unknown): ContainerError {
  return new ContainerError(
    `Cannot keep the container's state in "${root}": ${
      cause instanceof Error ? cause.message : cause
    }`,
    {
      code: "state-directory",
      hint: "Name a directory that you may write: rustyrun --root DIR",
      cause,
    },
  );
}

function isSameFile(path: string, fd: number): boolean {
  try {
    const a = Deno.lstatSync(path);
    const b = Deno.statSync(`/proc/self/fd/${fd}`);
    return a.ino === b.ino && a.dev === b.dev;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Writes a file: a new one, renamed over the old. A pid file may be in a
 * directory for all, where somebody can have put a symbolic link before us. */
export function replaceFile(path: string, text: string, mode = 0o600): void {
  const temporary = `${path}.new`;
  const write = () =>
    Deno.writeTextFileSync(temporary, text, { mode, createNew: true });
  try {
    write();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    Deno.removeSync(temporary);
    write();
  }
  Deno.renameSync(temporary, path);
}

/** Writes ROOT/ID/state.json. */
export function writeState(dir: StateDir, state: State): void {
  replaceFile(`${dir.path}/state.json`, encodeState(state));
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

/**
 * Reads ROOT/ID/state.json.
 *
 * @returns undefined when there is no such container
 * @throws {ContainerError} when somebody else could have written it
 */
export function readState(root: string, id: string): State | undefined {
  if (!checkStateRoot(root)) return undefined;
  let text: string;
  try {
    text = Deno.readTextFileSync(`${root}/${id}/state.json`);
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory
    ) return undefined;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    // A rename is whole, but for a machine that went down before the file had
    // reached its disk: no container has outlived that.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * Removes a state directory that this process holds: what is in it, then
 * itself. One that is gone, or has become another container's, is left alone.
 */
export function removeState(dir: StateDir): void {
  if (!isSameFile(dir.path, dir.fd)) return;
  emptyState(dir);
  try {
    Deno.removeSync(dir.path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Makes a state directory rubbish: what it names is there for the taking. */
export function disownState({ path }: StateDir): void {
  try {
    Deno.removeSync(`${path}/state.json`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Removes what is in a state directory that this process holds. */
export function emptyState(dir: StateDir): void {
  const { path } = dir;
  // state.json first: from then on the directory is rubbish, not a container.
  // Its leftovers' names last: until then somebody may still need them.
  const names = [...Deno.readDirSync(path)].map((it) => it.name)
    .filter((it) => it !== "state.json" && it !== LEFTOVERS);
  disownState(dir);
  for (const name of [...names, LEFTOVERS]) {
    try {
      Deno.removeSync(`${path}/${name}`, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

const LEFTOVERS = "leftovers.json";

/** Writes a file of a state directory, readable for its owner only. */
export function writeBytes(
  dir: StateDir,
  name: string,
  bytes: Uint8Array,
): void {
  Deno.writeFileSync(`${dir.path}/${name}`, bytes, { mode: 0o600 });
}

/** Writes ROOT/ID/leftovers.json: the names of what is about to be made. While
 * there is no state.json, only this file knows them. */
export function writeLeftovers(dir: StateDir, leftovers: unknown): void {
  Deno.writeTextFileSync(
    `${dir.path}/${LEFTOVERS}`,
    JSON.stringify(leftovers),
    { mode: 0o600 },
  );
}

/** Reads ROOT/ID/leftovers.json.
 *
 * @returns undefined when nothing was made yet: then it is missing, or its
 * writer was killed half way */
export function readLeftovers(dir: StateDir): unknown {
  try {
    return JSON.parse(Deno.readTextFileSync(`${dir.path}/${LEFTOVERS}`));
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound || error instanceof SyntaxError
    ) return undefined;
    throw error;
  }
}

/**
 * Locks a container against other commands for the time of one, and waits for
 * them. (The directory's own lock says who made it: a keeper holds that.)
 *
 * @returns the lock's descriptor, to be closed; undefined when there is no such
 * container
 */
export function lockState(root: string, id: string): number | undefined {
  const path = `${root}/${id}/lock`;
  for (;;) {
    const fd = openLock(path);
    if (fd === undefined) return undefined;
    syscall("flock", fd, LOCK_EX);
    if (isSameFile(path, fd)) return fd;
    closeFd(fd);
  }
}

/** {@linkcode lockState} without waiting: "busy" when another command has it. */
export function tryLockState(
  root: string,
  id: string,
): number | "busy" | undefined {
  const path = `${root}/${id}/lock`;
  for (;;) {
    const fd = openLock(path);
    if (fd === undefined) return undefined;
    if (trySyscall("flock", fd, LOCK_EX | LOCK_NB) === EWOULDBLOCK) {
      closeFd(fd);
      return "busy";
    }
    if (isSameFile(path, fd)) return fd;
    closeFd(fd);
  }
}

function openLock(path: string): number | undefined {
  const fd = trySyscall(
    "openat",
    -100,
    cstring(path),
    // O_RDWR | O_CREAT | O_CLOEXEC
    0o2000102 | O_NOFOLLOW,
    0o600,
  );
  if (fd === -2 || fd === -20) return undefined;
  if (fd < 0) throw new SyscallError("openat", -fd);
  return fd;
}

/** Writes ROOT/ID/config.json: the saved copy that exec and update read, so
 * that what happens to the bundle meanwhile changes nothing. */
export function writeSaved(dir: StateDir, saved: unknown): void {
  Deno.writeTextFileSync(`${dir.path}/config.json`, encodeState(saved), {
    mode: 0o600,
  });
}

/** Reads the text of ROOT/ID/config.json. */
export function readSaved(root: string, id: string): string {
  return Deno.readTextFileSync(`${root}/${id}/config.json`);
}

/** Makes ROOT/ID/exec.fifo and opens it without reading or writing (O_PATH).
 *
 * @returns the descriptor, close-on-exec */
export function makeExecFifo(dir: StateDir): number {
  // 0622 like runc: the container's root may have another id.
  syscall("mknodat", dir.fd, cstring("exec.fifo"), 0o10622, 0);
  Deno.chmodSync(`${dir.path}/exec.fifo`, 0o622);
  return openFd("exec.fifo", 0o10000000 | O_NOFOLLOW, 0, dir.fd);
}

export {
  bootId,
  describeProcess,
  isAlive,
  readProcess,
} from "./state/identity.ts";
