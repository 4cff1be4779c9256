/**
 * The end of a container.
 *
 * @module
 */

import { EPOLL } from "../../ffi/epoll.ts";
import { closeFd, trySyscall } from "../../ffi/libc.ts";
import { callEngine } from "./engine.ts";
import type { StartedBox } from "./engine/start.ts";
import { forget, untilReady } from "./watcher.ts";

const SIGKILL = 9;

/** Closes a container, and waits until all of it is gone.
 *
 * @param ended when its first process was reaped
 * @throws {ContainerError} when something stays */
export async function removeBox(
  box: StartedBox,
  ended: () => Promise<unknown>,
): Promise<void> {
  // Its mounts stay while they are open.
  for (const fd of [box.files, box.upper]) if (fd >= 0) closeFd(fd);
  closeFd(box.control);
  await untilReady(box.wardenfd, EPOLL.in);
  forget(box.wardenfd);
  // By the warden it has ended; something may have killed that.
  trySyscall("pidfd_send_signal", box.pidfd, SIGKILL, null, 0);
  await ended();
  await callEngine("endBox", box);
}
