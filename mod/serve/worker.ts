/**
 * A process of the warm engine that serves one call after the other, which the
 * desk hands to it.
 *
 * @module
 */

import { errnoOf } from "../../ffi/errno.ts";
import {
  readDirSync,
  readLinkSync,
  readTextFileSync,
} from "../../ffi/files.ts";
import { trySyscall } from "../../ffi/libc.ts";
import { pollFds } from "../../ffi/poll.ts";
import { readPeer } from "../../ffi/listening.ts";
import { receivePacket } from "../../ffi/packets.ts";
import { beNobodys, describeSelf, type Program, serveCall } from "./call.ts";
import { sayFree } from "./desk.ts";

const ECHILD = -10;
/** Calls between two looks at what this process weighs. */
const LOOK = 100;
/** Kilobytes of memory of its own with which a worker serves no more. It has 45
 * MB after thousands of `run`; one call may have been very large. */
const HEAVIEST = 64 << 10;

/** V8's flags for a worker. Its loop is synchronous, so the tasks by which V8
 * tidies up when nothing runs have no turn: the room for new objects would grow to
 * 3 times 16 MB and stay, and as much garbage would grow old in it. */
export const WORKER_FLAGS = "--max-semi-space-size=2";

/** Kilobytes of memory that is no file's; proc_pid_status(5). */
function weigh(): number {
  const status = readTextFileSync("/proc/self/status");
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]);
}

/** The open descriptors of this process, and the one that lists them. */
function listDescriptors(): ReadonlySet<string> {
  return new Set(readDirSync("/proc/self/fd").map((it) => it.name));
}

/** Whether a file is a cache of Deno's, which Deno opens on a thread of its own
 * when it comes to it: on a busy machine after the first call. */
export function isDenoCache(path: string): boolean {
  return /\/[a-z0-9_]+_cache_v\d+(-wal|-shm|-journal)?$/.test(path);
}

/** What a descriptor leads to; "" for none of a call's. */
function describe(fd: string): string {
  try {
    const path = readLinkSync(`/proc/self/fd/${fd}`);
    return isDenoCache(path) ? "" : `${fd}: ${path}`;
  } catch (error) {
    // The one that listed them.
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}

/** How a worker has ended. */
export interface End {
  /** The process of the desk has, so there may be something to clear up. */
  orphaned?: boolean;
  /** What it holds of a call. */
  held?: string;
}

/** @returns what this process holds since a call, "" for nothing */
function listHeld(before: ReadonlySet<string>): string {
  const more = [...listDescriptors()].filter((it) => !before.has(it));
  const held = more.map(describe).filter((it) => it !== "");
  if (held.length > 0) return held.join(", ");
  const child = trySyscall("wait4", -1, null, 1, null);
  return child === ECHILD ? "" : `a child of a call, ${child}`;
}

/**
 * Serves calls until the desk lets it go, or has ended itself, or the process is
 * too heavy.
 *
 * A worker that holds anything of a call at its end would hand it to the next
 * one: it ends instead, and the desk starts another.
 *
 * @param desk the socket to it
 * @param command the command line of the full program
 * @param tell is told of each call why it was not served; undefined: it was
 * @throws {SyscallError}
 */
export async function work(
  desk: number,
  command: readonly string[],
  program: Program,
  tell: (why: string | undefined) => void = () => {},
): Promise<End> {
  beNobodys();
  const self = describeSelf(command);
  const buffer = new Uint8Array(1);
  const life = trySyscall("pidfd_open", readPeer(desk).pid, 0);
  const before = listDescriptors();
  for (let calls = 1; sayFree(desk); calls++) {
    const packet = receivePacket(desk, buffer);
    if (packet === undefined) break;
    const [front] = packet.fds;
    if (front === undefined) return {};
    tell(await serveCall(front, self, program));
    const held = listHeld(before);
    if (held !== "") return { held };
    if (calls % LOOK === 0 && weigh() > HEAVIEST) return {};
  }
  // Its descriptors are closed one by one; then it has none, and no lock.
  if (life >= 0) pollFds([life]);
  return { orphaned: true };
}
