/**
 * What a service manager gives the caller and the caller passes on: open
 * descriptors (--preserve-fds, LISTEN_FDS; sd_listen_fds(3)) and the socket
 * for readiness (NOTIFY_SOCKET; sd_notify(3)).
 *
 * @module
 */

import { chmodSync, mkdirSync } from "../../../ffi/files.ts";
import { closeFd, readFd, syscall } from "../../../ffi/libc.ts";
import { pollFds, pollUntilEnd } from "../../../ffi/poll.ts";
import { sendWithFds } from "../../../ffi/packets.ts";
import { fromBytes, toBytes } from "../../../ffi/bytes.ts";
import { bindDatagram, connectDatagram } from "../../../ffi/socket.ts";
import { type Caller, findVariable } from "../../caller.ts";
import { isHandedOn } from "../../caller/status.ts";
import type { Config } from "../../config/config.ts";
import { ContainerError } from "../../errors.ts";
import type { State } from "../../state.ts";
import type { Place } from "../model.ts";

/** Where a container finds its socket for readiness. */
const NOTIFY_DIR = "/run/notify";
const BARRIER_MS = 30_000;

/** How many descriptors the service manager gave to the process `pid`. */
export function countListenFds(env: readonly string[], pid: number): number {
  const count = Number(findVariable(env, "LISTEN_FDS") ?? 0);
  return Number.isInteger(count) && count > 0 &&
      findVariable(env, "LISTEN_PID") === String(pid)
    ? count
    : 0;
}

/**
 * Takes LISTEN_FDS into the configuration when they are meant for the
 * process `pid`, and checks that the caller has opened what is to be preserved.
 *
 * @throws {ContainerError} when a descriptor is not open
 */
export function applyListenFds(
  config: Config,
  caller: Pick<Caller, "environment" | "proc">,
  pid: number,
): void {
  const count = countListenFds(caller.environment, pid);
  if (count > 0 && config.spec.process) {
    config.preserveFds += count;
    config.spec.process.env = [
      ...config.spec.process.env ?? [],
      `LISTEN_FDS=${count}`,
      "LISTEN_PID=1",
    ];
  }
  checkPreserved(config.preserveFds, caller.proc);
}

/**
 * Checks that the caller has opened what is to be preserved. What it hands on
 * has no close-on-exec; a descriptor that has it is rustyrun's own.
 *
 * @param proc where /proc shows the caller
 * @throws {ContainerError} when the caller has not
 */
export function checkPreserved(count: number, proc: string): void {
  for (let fd = 3; fd < 3 + count; fd++) {
    if (isHandedOn(proc, fd)) continue;
    throw new ContainerError(
      `Cannot pass descriptor ${fd} on: unable to stat preserved-fd ${fd}: it is not open`,
      {
        code: "preserve-fds",
        hint: `--preserve-fds N passes 3 to 2+N: open them in the caller`,
      },
    );
  }
}

/**
 * Gives the container a socket for readiness, when the caller has one.
 *
 * @returns the caller's socket, for `start`; undefined when it has none
 */
export function applyNotifySocket(
  config: Config,
  place: Place,
): string | undefined {
  const socket = findVariable(place.caller.environment, "NOTIFY_SOCKET");
  if (!socket || config.mode !== "oci" || !config.spec.process) {
    return undefined;
  }
  const source = `${place.root}/${config.id}/notify`;
  mkdirSync(source, { mode: 0o755 });
  config.spec.mounts = [...config.spec.mounts ?? [], {
    destination: NOTIFY_DIR,
    type: "bind",
    source,
    options: ["bind", "nosuid", "noexec", "nodev", "ro"],
  }];
  config.spec.process.env = [
    ...config.spec.process.env ?? [],
    `NOTIFY_SOCKET=${NOTIFY_DIR}/notify.sock`,
  ];
  return socket;
}

/** Opens the container's side of the socket, before its process runs.
 *
 * @returns its descriptor; undefined when the container has none */
export function openNotifySocket(
  root: string,
  state: State,
): number | undefined {
  if (state.notifySocket === undefined) return undefined;
  const path = `${root}/${state.id}/notify/notify.sock`;
  const fd = bindDatagram(path);
  chmodSync(path, 0o777);
  return fd;
}

/**
 * Waits for the container's "READY=1" (or its end) and tells the caller's
 * service manager: READY, MAINPID, and a barrier so that it has read them.
 */
export function forwardReady(
  socket: number,
  pidfd: number,
  state: State,
): void {
  for (;;) {
    if (!pollUntilEnd(socket, pidfd).news) return;
    const line = fromBytes(readFd(socket, 4096)).split("\n")
      .find((it) => it.startsWith("READY="));
    if (line === undefined) continue;
    const host = connectDatagram(state.notifySocket!);
    const pipe = new Int32Array(2);
    syscall("pipe2", new Uint8Array(pipe.buffer), 0o2000000);
    const [read, write] = [pipe[0]!, pipe[1]!];
    try {
      sendWithFds(host, toBytes(line));
      sendWithFds(host, toBytes(`MAINPID=${state.pid}`));
      sendWithFds(host, toBytes("BARRIER=1"), [write]);
      closeFd(write);
      pollFds([read], BARRIER_MS);
    } finally {
      closeFd(read);
      closeFd(host);
    }
    return;
  }
}
