/**
 * `rustyrun serve`, the warm engine, and `rustyrun front`, which writes what calls
 * it.
 *
 * @module
 */

import { loadFront } from "../../ffi/helper.ts";
import {
  chmodSync,
  mkdirSync,
  renameSync,
  writeFileSync,
} from "../../ffi/files.ts";
import { closeFd, setCloexec } from "../../ffi/libc.ts";
import { spawnWithStreams } from "../../ffi/spawn.ts";
import { findVariable } from "../caller.ts";
import { parseDuration } from "../config/flags/numbers.ts";
import {
  flagTyped,
  flagValue,
  refuse,
  resolvePath,
} from "../config/flags/use.ts";
import { countListenFds } from "../container/properties/activation.ts";
import { ContainerError, describeFileError } from "../errors.ts";
import { outerRoot } from "../host.ts";
import { openHelper, readProgram } from "../process/helper.ts";
import { selfCommand } from "../program.ts";
import { makeFrontCaller } from "../serve/caller.ts";
import { describeSelf, isCurrent, type Program } from "../serve/call.ts";
import { keepDesk } from "../serve/desk.ts";
import {
  Listener,
  removeKilled,
  takeListener,
  usualSocket,
} from "../serve/listener.ts";
import { encodeFront } from "../serve/protocol.ts";
import { describeUnits } from "../serve/units.ts";
import { work, WORKER_FLAGS } from "../serve/worker.ts";
import type { Call } from "./call.ts";
import { printStderr, printStdout } from "./report.ts";
import { isWarm, loadAll } from "./warm.ts";

/** A worker's socket to the desk. */
const DESK = 3;
/** Workers that stay, and workers at most. */
const LEAST = 2, MOST = 8;

/** The whole of rustyrun: mod/cli/main.ts. */
type Main = (outside: Pick<Call, "caller" | "outlet">) => Promise<number>;

/** A worker's life. */
async function serveCalls(call: Call, main: Main): Promise<number> {
  setCloexec(DESK, true);
  await loadAll();
  openHelper(call.root);
  const program: Program = {
    isWarm,
    run: (front, asked) =>
      main({ caller: makeFrontCaller(front, asked), outlet: front }),
  };
  const tell = (why?: string) =>
    printStderr(
      call,
      `rustyrun: a call was ${why === undefined ? "" : "not "}served${
        why === undefined ? "" : `: ${why}`
      }\n`,
    );
  const told = call.reporting.verbose ? tell : undefined;
  const { orphaned, held } = await work(DESK, selfCommand([]), program, told);
  const path = socketOf(call);
  if (orphaned && path !== undefined) removeKilled(path);
  if (held === undefined) return 0;
  printStderr(
    call,
    `rustyrun: warning: a process of serve ends: it holds ${held}\n`,
  );
  return 1;
}

function socketOf({ flags, caller }: Call): string | undefined {
  const given = flagValue(flags, "socket");
  return given === undefined ? undefined : resolvePath(caller.directory, given);
}

/** Milliseconds. */
function readIdle({ flags }: Call): number {
  const text = flagValue(flags, "idle") ?? "10m";
  const idle = parseDuration(/^\d+$/.test(text) ? `${text}s` : text);
  if (idle !== undefined) return idle;
  throw refuse(
    flagTyped(flags, "idle"),
    `"${text}" is not a time`,
    "idle",
    "Write it as in 90s, 10m or 1h; 0: it never ends",
  );
}

/** Deno's variable with the flags of V8. */
const FLAGS = "DENO_V8_FLAGS";

/** The environment of a worker. Calls have their own. */
function describeWorker(environment: readonly string[]): string[] {
  const flags = [findVariable(environment, FLAGS), WORKER_FLAGS];
  return [
    ...environment.filter((it) => !it.startsWith(`${FLAGS}=`)),
    `${FLAGS}=${flags.filter(Boolean).join(",")}`,
  ];
}

/** @param path of the socket; undefined for a service manager's, which stays */
function serveAt(
  listener: number,
  path: string | undefined,
  idle: number,
  { caller, reporting }: Call,
): void {
  const self = describeSelf(selfCommand([]));
  const place = path === undefined ? [] : ["--socket", path];
  const told = reporting.verbose ? ["--verbose"] : [];
  const argv = selfCommand([...told, "serve", "--worker", ...place]);
  const environment = describeWorker(caller.environment);
  keepDesk({
    listener,
    start(socket) {
      const streams = new Map([[DESK, socket]]);
      spawnWithStreams(argv[0]!, argv, environment, streams, "/");
    },
    isCurrent: () => isCurrent(self),
    least: LEAST,
    most: MOST,
    cpus: navigator.hardwareConcurrency,
    idle,
  });
}

/** Writes systemd's units into a directory; a user's is often not there yet. */
function writeUnits(dir: string, call: Call): void {
  try {
    mkdirSync(dir, { recursive: true });
  } catch (cause) {
    throw new ContainerError(
      `Cannot make "${dir}": ${describeFileError(cause)}`,
      {
        code: "front",
        hint: "Name a directory that you may write: serve --units DIR",
        cause,
      },
    );
  }
  const { flags } = call;
  const idle = flagValue(flags, "idle");
  const serve = selfCommand([
    ...call.reporting.verbose ? ["--verbose"] : [],
    "serve",
    ...idle === undefined ? [] : ["--idle", idle],
  ]);
  for (const { name, text } of describeUnits(serve, socketOf(call))) {
    const path = `${dir}/${name}`;
    writeProgram(path, new TextEncoder().encode(text), 0o644, call);
    printStdout(call, `${path}\n`);
  }
}

/** `rustyrun serve`. */
export async function serve(call: Call, main: Main): Promise<number> {
  const { caller } = call;
  const units = flagValue(call.flags, "units");
  if (call.flags.has("worker")) return await serveCalls(call, main);
  const idle = readIdle(call);
  if (units !== undefined) {
    writeUnits(resolvePath(call.caller.directory, units), call);
    return 0;
  }
  const given = countListenFds(caller.environment, caller.pid);
  if (given > 0) {
    const listener = takeListener(given);
    serveAt(listener, undefined, idle, call);
    closeFd(listener);
    return 0;
  }
  const named = socketOf(call);
  const path = named ?? usualSocket(
    caller.uid || outerRoot(caller.proc),
    findVariable(caller.environment, "XDG_RUNTIME_DIR"),
  );
  if (path === undefined) {
    throw new ContainerError(
      "Cannot serve: there is no directory for the socket, XDG_RUNTIME_DIR is not set",
      {
        code: "serve",
        hint:
          "Log in as the user (machinectl shell, ssh): sudo and su do not set it",
      },
    );
  }
  using listener = new Listener(path, named !== undefined);
  serveAt(listener.fd, path, idle, call);
  return 0;
}

/** Puts a whole file in place of another, or none. */
function writeProgram(
  path: string,
  bytes: Uint8Array,
  mode: number,
  { caller }: Call,
): void {
  const part = `${path}.${caller.pid}`;
  try {
    writeFileSync(part, bytes, { createNew: true });
    // Whatever the umask.
    chmodSync(part, mode);
    renameSync(part, path);
  } catch (cause) {
    throw new ContainerError(
      `Cannot write "${path}": ${describeFileError(cause)}`,
      {
        code: "front",
        hint: cause instanceof Deno.errors.NotFound
          ? "Make its directory first: mkdir -p DIR"
          : "Name a file in a directory that you may write",
        cause,
      },
    );
  }
}

/** `rustyrun front FILE`. */
export function front(call: Call): number {
  const socket = socketOf(call);
  const plain = readProgram(loadFront);
  let bytes: Uint8Array;
  try {
    bytes = encodeFront(plain, {
      program: selfCommand([]),
      ...(socket === undefined ? {} : { socket }),
    });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new ContainerError(`Cannot make a front: ${cause.message}`, {
      code: "front",
      hint: "Move rustyrun, or the socket, to a shorter path",
      cause,
    });
  }
  writeProgram(
    resolvePath(call.caller.directory, call.args[0]!),
    bytes,
    0o755,
    call,
  );
  return 0;
}
