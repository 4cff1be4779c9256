/**
 * Hooks that run in the runtime's namespaces: prestart, createRuntime,
 * poststart, poststop; runtime-spec config.md "POSIX-platform Hooks".
 *
 * @module
 */

import {
  closeFd,
  cstring,
  sealedMemfd,
  syscall,
  trySyscall,
  waitProcess,
} from "../ffi/libc.ts";
import { errnoText, SyscallError } from "../ffi/errno.ts";
import { isLink } from "../ffi/files.ts";
import { spawnWithStreams } from "../ffi/spawn.ts";
import { keepLast } from "./config/environment.ts";
import type { Hook } from "./config/schema.ts";
import { ContainerError, sayLink } from "./errors.ts";
import type { State } from "./state.ts";

/** When a hook runs. */
export type HookKind =
  | "prestart"
  | "createRuntime"
  | "createContainer"
  | "startContainer"
  | "poststart"
  | "poststop";

/** The container's state as hooks get it on stdin, runtime.md "State". */
export interface HookState {
  ociVersion: string;
  id: string;
  status: "creating" | "created" | "running" | "stopped";
  /** As the namespace sees it in which the hook runs. */
  pid?: number;
  bundle: string;
  annotations?: Record<string, string>;
}

/** The state as the hooks of a container get it. */
export function hookState(
  state: Pick<State, "ociVersion" | "id" | "bundle" | "annotations">,
  status: HookState["status"],
  pid: number,
): HookState {
  return {
    ociVersion: state.ociVersion,
    id: state.id,
    status,
    ...(pid > 0 ? { pid } : {}),
    bundle: state.bundle,
    ...(state.annotations === undefined
      ? {}
      : { annotations: state.annotations }),
  };
}

/** Milliseconds between looks at a hook that has a timeout. */
const TICK = 10;

function failed(
  kind: HookKind,
  hook: Hook,
  why: string,
  hint = "The hook's own output above may say more",
  cause?: unknown,
) {
  return new ContainerError(
    `Cannot run the ${kind} hook "${hook.path}": ${why}`,
    { code: "hook", hint, cause },
  );
}

/** What execve(2) says of the program itself. */
const NOT_RUN = ["ENOENT", "EACCES", "ENOTDIR", "ENOEXEC", "EPERM"];

/** Says of a hook that could not be started whether its working directory is
 * to blame: posix_spawn(3) has one errno for both. */
function wordStart(
  kind: HookKind,
  hook: Hook,
  bundle: string,
  cause: SyscallError,
): ContainerError {
  const fd = trySyscall(
    "openat",
    -100,
    cstring(`${bundle}/.`),
    // O_PATH | O_CLOEXEC
    0o12000000,
    0,
  );
  if (fd < 0) {
    return failed(
      kind,
      hook,
      `its working directory "${bundle}": ${errnoText(-fd)}`,
      "It is the bundle, which must stay until the container is deleted",
      cause,
    );
  }
  closeFd(fd);
  return failed(
    kind,
    hook,
    cause.message,
    ["ENOENT", "ELOOP"].includes(cause.code) && isLink(hook.path)
      ? sayLink(hook.path)
      : NOT_RUN.includes(cause.code)
      ? "Its path is one of the host, and it must be executable; a script needs the program of its #! line"
      : undefined,
    cause,
  );
}

/** Waits for a hook; undefined when its time is over, then it is killed. */
function waitForHook(pid: number, seconds: number | undefined) {
  if (seconds === undefined) return waitProcess(pid);
  const end = performance.now() + seconds * 1000;
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    const status = waitProcess(pid, false);
    if (status !== undefined) return status;
    if (performance.now() >= end) break;
    Atomics.wait(sleeper, 0, 0, TICK);
  }
  // What it started itself holds our standard streams: the whole session.
  trySyscall("kill", -pid, 9);
  waitProcess(pid);
  return undefined;
}

/**
 * Runs one hook with the state on its stdin, and waits for it. A hook that names
 * no environment has none: the caller's may hold secrets.
 *
 * @throws {ContainerError} when it cannot be started, fails, or takes too long
 */
export function runHook(
  kind: HookKind,
  hook: Hook,
  state: HookState,
): void {
  const stdin = sealedMemfd(
    "rustyrun-state",
    new TextEncoder().encode(JSON.stringify(state)),
  );
  let pid: number;
  try {
    syscall("lseek", stdin, 0, 0);
    pid = spawnWithStreams(
      hook.path,
      hook.args?.length ? hook.args : [hook.path],
      keepLast(hook.env ?? []),
      new Map([[0, stdin]]),
      state.bundle,
    );
  } catch (cause) {
    if (!(cause instanceof SyscallError)) throw cause;
    throw wordStart(kind, hook, state.bundle, cause);
  } finally {
    closeFd(stdin);
  }
  const seconds = hook.timeout === undefined ? undefined : Number(hook.timeout);
  const status = waitForHook(pid, seconds);
  if (status === undefined) {
    throw failed(kind, hook, `it took longer than its timeout of ${seconds} s`);
  }
  if ((status & 0x7f) !== 0) {
    throw failed(kind, hook, `signal ${status & 0x7f} killed it`);
  }
  if (status !== 0) {
    throw failed(kind, hook, `exit status ${status >> 8}`);
  }
}

/** Runs the hooks of a kind, in their order.
 *
 * @throws {ContainerError} at the first that fails */
export function runHooks(
  kind: HookKind,
  hooks: readonly Hook[] | null | undefined,
  state: HookState,
): void {
  for (const hook of hooks ?? []) runHook(kind, hook, state);
}
