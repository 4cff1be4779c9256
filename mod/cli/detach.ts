/**
 * `rustyrun run --detach` of a container from flags: the same `run` once more,
 * in a session of its own, which goes on as the container's keeper. So its exit
 * code is known to somebody, and the caller gets the id and nothing else.
 *
 * @module
 */

import {
  closeFd,
  cstring,
  openFd,
  syscall,
  waitProcess,
} from "../../ffi/libc.ts";
import { packetPair, receivePacket } from "../../ffi/packets.ts";
import { readTextFileSync } from "../../ffi/files.ts";
import { spawnWithStreams } from "../../ffi/spawn.ts";
import { readLaunchOptions } from "../config/flags/launch.ts";
import { countListenFds } from "../container/properties/activation.ts";
import { ContainerError } from "../errors.ts";
import { selfCommand } from "../program.ts";
import type { Call } from "./call.ts";
import { printStderr, printStdout } from "./report.ts";

/** Room for an id, as text or JSON. */
const ANSWER_MAX = 4096;

/** A file in memory, for what is said before there is nobody to say it to. */
function makePaper(): number {
  // MFD_CLOEXEC
  return syscall("memfd_create", cstring("rustyrun-said"), 1);
}

function readPaper(fd: number): string {
  return readTextFileSync(`/proc/self/fd/${fd}`);
}

/**
 * Starts the same command line in the background, and waits until its container
 * runs, or cannot.
 *
 * @returns the exit code: 0, or that of a start that failed
 */
export function runDetached(call: Call): number {
  const { caller } = call;
  const { preserveFds } = readLaunchOptions(call, caller.directory);
  const first = 3 + preserveFds +
    countListenFds(caller.environment, caller.pid);
  const [answers, theirs] = packetPair();
  const opened = [answers, theirs];
  try {
    const said = [makePaper(), makePaper()] as const;
    const none = openFd("/dev/null", 2);
    opened.push(...said, none);
    const streams = new Map([[0, none], [1, said[0]], [2, said[1]]]);
    for (let fd = 3; fd < first; fd++) streams.set(fd, fd);
    streams.set(first, theirs);
    const argv = selfCommand([
      "--detached-fd",
      String(first),
      ...caller.words,
    ]);
    const pid = spawnWithStreams(argv[0]!, argv, caller.environment, streams);
    // Its end is the end of the other one.
    closeFd(theirs);
    opened.splice(opened.indexOf(theirs), 1);
    const buffer = new Uint8Array(ANSWER_MAX);
    const got = receivePacket(answers, buffer);
    printStderr(call, readPaper(said[1]));
    if (got !== undefined) {
      const answer = buffer.subarray(0, got.length);
      printStdout(call, new TextDecoder().decode(answer));
      return 0;
    }
    printStdout(call, readPaper(said[0]));
    return exitCodeOfStart(waitProcess(pid) ?? 0);
  } finally {
    for (const fd of opened) closeFd(fd);
  }
}

/** WTERMSIG and WEXITSTATUS, wait(2). */
function exitCodeOfStart(status: number): number {
  if ((status & 0x7f) === 0) return status >> 8 & 0xff;
  throw new ContainerError(
    `Cannot start the container: signal ${
      status & 0x7f
    } ended rustyrun on the way`,
    { code: "start", hint: "The kernel's log (dmesg) may say more" },
  );
}
