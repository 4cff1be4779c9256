/**
 * Hears of the OOM killer in a container: the kernel says it, nobody looks by the
 * clock. v2: memory.events, which can be polled; v1: an eventfd(2) that is
 * registered in cgroup.event_control (cgroup-v1/memory.rst, "OOM Control").
 *
 * @module
 */

import { EPOLL } from "../../ffi/epoll.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { makeEvent } from "../../ffi/event.ts";
import { closeFd, openFd, readFd, syscall, writeFd } from "../../ffi/libc.ts";
import type { CgroupDir } from "../cgroups.ts";
import { ContainerError } from "../errors.ts";
import { forget, untilReady } from "./watcher.ts";

const WRONLY = 1;

/** A watch that goes on until it is closed. */
export interface OomWatch {
  close(): void;
}

/** What is waited for, and how it is made ready for the next time. */
interface Bell {
  fd: number;
  events: number;
  /** @returns whether it was the OOM killer; undefined where nobody can tell any
   * more */
  answer(): boolean | undefined;
}

/** @returns undefined when the cgroup has gone: systemd removes one as soon as
 * nobody is in it */
function readKills(fd: number): number | undefined {
  let text: string;
  try {
    syscall("lseek", fd, 0, 0);
    text = new TextDecoder().decode(readFd(fd, 4096));
  } catch (error) {
    if (error instanceof SyscallError && error.code === "ENODEV") return;
    throw error;
  }
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}

function watchEvents(path: string): Bell {
  const fd = openFd(`${path}/memory.events`, 0);
  let kills = readKills(fd) ?? 0;
  return {
    fd,
    events: EPOLL.priority,
    answer() {
      const [before, now] = [kills, readKills(fd)];
      if (now === undefined) return undefined;
      kills = now;
      return now > before;
    },
  };
}

function watchControl(path: string): Bell {
  const fd = makeEvent();
  const control = openFd(`${path}/memory.oom_control`, 0);
  const registry = openFd(`${path}/cgroup.event_control`, WRONLY);
  try {
    writeFd(registry, new TextEncoder().encode(`${fd} ${control}`));
  } catch (error) {
    closeFd(fd);
    throw error;
  } finally {
    closeFd(control);
    closeFd(registry);
  }
  return {
    fd,
    events: EPOLL.in,
    answer() {
      readFd(fd, 8);
      return true;
    },
  };
}

/**
 * Watches a container's cgroups.
 *
 * @param ring is called each time
 * @throws {ContainerError} where there is no memory cgroup
 */
export function watchOom(
  dirs: readonly CgroupDir[],
  ring: () => void,
): OomWatch {
  const v1 = dirs.find((it) =>
    it.version === 1 && it.controllers.includes("memory")
  );
  const v2 = dirs.find((it) => it.version === 2);
  let bell: Bell;
  try {
    if (v1 === undefined && v2 === undefined) throw new Error("no cgroup");
    bell = v1 === undefined ? watchEvents(v2!.path) : watchControl(v1.path);
  } catch (cause) {
    throw new ContainerError(
      "Cannot tell when the sandbox runs out of memory: it has no memory cgroup",
      {
        code: "controller-missing",
        hint:
          "A user needs a delegated cgroup v2 for that, root a memory controller",
        cause,
      },
    );
  }
  let closed = false;
  const close = () => {
    if (closed) return;
    closed = true;
    forget(bell.fd);
    closeFd(bell.fd);
  };
  (async () => {
    while (!closed) {
      await untilReady(bell.fd, bell.events, false);
      if (closed) return;
      const rung = bell.answer();
      if (rung === undefined) close();
      else if (rung) ring();
    }
  })();
  return { close };
}
