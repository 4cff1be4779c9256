/**
 * Descriptors that go to others: the terminal's master to --console-socket,
 * the pidfd to --pidfd-socket, the seccomp listener to its supervisor.
 *
 * @module
 */

import { closeFd, openFd } from "../../../ffi/libc.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import { sendOverSocket } from "../../../ffi/socket.ts";
import type { Caller } from "../../caller.ts";
import type { Config } from "../../config/config.ts";
import { ContainerError } from "../../errors.ts";
import type { HookState } from "../../hooks.ts";
import type { PlanRun } from "../../process.ts";
import { FD_TAG } from "../model.ts";

function send(
  what: string,
  path: string,
  payload: string,
  fds: readonly number[],
): void {
  try {
    sendOverSocket(path, payload, fds);
  } catch (cause) {
    if (!(cause instanceof SyscallError)) throw cause;
    throw new ContainerError(
      `Cannot send ${what} to the socket "${path}": ${cause.message}`,
      {
        code: "socket",
        hint: "Somebody must listen there before the container is made",
        cause,
      },
    );
  }
}

/** Whether there is a terminal to relay to, where runc looks for one. */
function hasTerminal(streams: Caller["streams"]): boolean {
  if (streams.includes("terminal")) return true;
  try {
    // O_RDWR | O_NOCTTY
    closeFd(openFd("/dev/tty", 0o402));
    return true;
  } catch (error) {
    if (error instanceof SyscallError) return false;
    throw error;
  }
}

/** Checks that the caller has a terminal to relay to: a shell in one that nobody
 * can type into waits for ever. */
function checkOwnTerminal(
  streams: Caller["streams"],
  interactive: boolean,
): void {
  const found = interactive ? streams[0] === "terminal" : hasTerminal(streams);
  if (found) return;
  throw interactive
    ? new ContainerError(
      "Cannot give the command a terminal: standard input is not one",
      {
        code: "no-terminal",
        hint: "Leave -t out of -it, or run rustyrun from a terminal",
      },
    )
    : new ContainerError(
      "Cannot give the process a terminal: rustyrun has none itself",
      {
        code: "no-terminal",
        hint:
          "Run rustyrun from a terminal, or leave -t (process.terminal) out; --console-socket PATH gives the terminal to a program",
      },
    );
}

/**
 * Checks that a terminal has somebody at its other end: the caller behind
 * --console-socket, or else this process, which relays.
 *
 * @param how detached: nobody of ours stays with the process; interactive: it
 * is asked for to type into it
 * @throws {ContainerError} in runc's words, which callers know
 */
export function checkTerminal(
  config: Config,
  { caller, detached, interactive = false }: {
    caller: Pick<Caller, "streams">;
    detached: boolean;
    interactive?: boolean;
  },
): void {
  const socket = config.consoleSocket !== undefined;
  const terminal = config.spec.process?.terminal ?? false;
  if (terminal && !socket && !detached) {
    checkOwnTerminal(caller.streams, interactive);
  }
  if (socket ? detached && terminal : !(detached && terminal)) return;
  throw new ContainerError(
    `Cannot give the process its terminal: ${
      socket
        ? "cannot use console socket if runtime will not detach or allocate tty"
        : "cannot allocate tty if runtime will detach without setting console socket"
    }`,
    {
      code: "terminal",
      hint: socket
        ? "Leave --console-socket out, or set process.terminal and detach"
        : "Name a socket that takes the terminal: --console-socket, or unset process.terminal",
    },
  );
}

/**
 * Hands out what the child stage sent.
 *
 * @param kind how runc names the pidfd's process: the first one, or an exec's
 * @throws {ContainerError} when nobody takes it
 */
export function handOver(
  run: PlanRun,
  config: Config,
  kind: "standard" | "setns",
  state: HookState,
): void {
  const master = run.received.get(FD_TAG.master);
  if (master !== undefined && config.consoleSocket !== undefined) {
    // A payload of at least a byte: a stream socket needs one for the fd.
    send("the terminal", config.consoleSocket, "/dev/ptmx", [master]);
    closeFd(master);
    run.received.delete(FD_TAG.master);
  }
  if (config.pidfdSocket !== undefined) {
    send("the pidfd", config.pidfdSocket, kind, [run.pidfd]);
  }
  const listener = run.received.get(FD_TAG.listener);
  const seccomp = config.spec.linux?.seccomp;
  if (listener === undefined || seccomp === undefined) return;
  if (!seccomp.listenerPath) {
    throw new ContainerError(
      "Cannot hand out the seccomp listener: linux.seccomp.listenerPath is missing",
      {
        code: "seccomp-listener",
        hint: "SCMP_ACT_NOTIFY needs a supervisor that listens on a socket",
      },
    );
  }
  // config-linux.md "containerProcessState"
  const message = {
    ociVersion: state.ociVersion,
    fds: ["seccompFd"],
    pid: run.pid,
    ...(seccomp.listenerMetadata ? { metadata: seccomp.listenerMetadata } : {}),
    // It has not started: config-linux.md "containerProcessState".
    state: { ...state, status: "creating" },
  };
  send(
    "the seccomp listener",
    seccomp.listenerPath,
    JSON.stringify(message),
    [listener],
  );
  closeFd(listener);
  run.received.delete(FD_TAG.listener);
}
