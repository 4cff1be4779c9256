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
import { readArguments, readDirectory } from "../caller.ts";
import { readLaunchOptions } from "../config/from_flags.ts";
import { countListenFds } from "../container/properties/activation.ts";
import { ContainerError } from "../errors.ts";
import { selfCommand } from "../program.ts";
import { type Call, placeOf } from "./call.ts";
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
  const { env } = placeOf(call);
  const { preserveFds } = readLaunchOptions(call, readDirectory());
  const first = 3 + preserveFds + countListenFds(env, Deno.pid);
  const [answers, theirs] = packetPair();
  const said = [makePaper(), makePaper()] as const;
  const none = openFd("/dev/null", 2);
  const streams = new Map([[0, none], [1, said[0]], [2, said[1]]]);
  for (let fd = 3; fd < first; fd++) streams.set(fd, fd);
  streams.set(first, theirs);
  const argv = selfCommand([
    "--detached-fd",
    String(first),
    ...readArguments(),
  ]);
  const pid = spawnWithStreams(argv[0]!, argv, env, streams);
  closeFd(theirs);
  const buffer = new Uint8Array(ANSWER_MAX);
  const got = receivePacket(answers, buffer);
  printStderr(readPaper(said[1]));
  if (got !== undefined) {
    printStdout(new TextDecoder().decode(buffer.subarray(0, got.length)));
    return 0;
  }
  printStdout(readPaper(said[0]));
  const status = waitProcess(pid) ?? 0;
  // WTERMSIG and WEXITSTATUS, wait(2).
  if ((status & 0x7f) === 0) return status >> 8 & 0xff;
  throw new ContainerError(
    `Cannot start the container: signal ${
      status & 0x7f
    } ended rustyrun on the way`,
    { code: "start", hint: "The kernel's log (dmesg) may say more" },
  );
}
