/**
 * A process of the warm engine that serves one call after the other, which the
 * desk hands to it.
 *
 * @module
 */

import { errnoOf } from "../../ffi/errno.ts";
import { readDirSync, readLinkSync } from "../../ffi/files.ts";
import { trySyscall } from "../../ffi/libc.ts";
import { receivePacket } from "../../ffi/packets.ts";
import { beNobodys, describeSelf, type Program, serveCall } from "./call.ts";
import { sayFree } from "./desk.ts";

const ECHILD = -10;
/** Calls of one process: V8 has taken 65 MB by then (of `run`), and 136 MB at
 * 1,000; what it puts off until nothing runs has no turn in a synchronous loop. */
const CALLS = 400;

/** The open descriptors of this process, and the one that lists them. */
function listDescriptors(): ReadonlySet<string> {
  return new Set(readDirSync("/proc/self/fd").map((it) => it.name));
}

/** What a descriptor leads to. */
function describe(fd: string): string {
  try {
    return `${fd}: ${readLinkSync(`/proc/self/fd/${fd}`)}`;
  } catch (error) {
    // The one that listed them.
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}

/**
 * Serves calls until the desk has none any more, or there were many.
 *
 * A worker that holds anything of a call at its end would hand it to the next
 * one: it ends instead, and the desk starts another.
 *
 * @param desk the socket to it
 * @param command the command line of the full program
 * @returns what it holds of a call; undefined for nothing
 * @throws {SyscallError}
 */
export async function work(
  desk: number,
  command: readonly string[],
  program: Program,
): Promise<string | undefined> {
  beNobodys();
  const self = describeSelf(command);
  const buffer = new Uint8Array(1);
  const before = listDescriptors();
  for (let calls = 0; calls < CALLS && sayFree(desk); calls++) {
    const packet = receivePacket(desk, buffer);
    if (packet === undefined) return undefined;
    await serveCall(packet.fds[0]!, self, program);
    const more = [...listDescriptors()].filter((it) => !before.has(it));
    const held = more.map(describe).filter((it) => it !== "");
    if (held.length > 0) return held.join(", ");
    const child = trySyscall("wait4", -1, null, 1, null);
    if (child !== ECHILD) return `a child of a call, ${child}`;
  }
  return undefined;
}
