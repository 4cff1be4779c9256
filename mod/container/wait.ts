/**
 * `wait`: the end of a container, and its exit code where somebody of ours saw
 * it end, and could keep that: the keeper of `run --detach` and `run --keep`.
 *
 * @module
 */

import { closeFd, cstring, syscall, trySyscall } from "../../ffi/libc.ts";
import { pollFds } from "../../ffi/poll.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { ContainerError } from "../errors.ts";
import { isAlive, readExitCode, readState } from "../state.ts";
import { findState } from "./status.ts";

const LOCK_SH = 1, O_CLOEXEC = 0o2000000, ENOENT = -2;

/**
 * Waits until a container has ended, and its keeper too.
 *
 * @returns its exit code: 128 and the signal's number where one ended it
 * @throws {ContainerError} when there is no such container, or nobody of ours
 * saw how it ended
 */
export function waitContainer(root: string, id: string): number {
  const state = findState(root, id);
  const dir = trySyscall("openat", -100, cstring(`${root}/${id}`), O_CLOEXEC);
  // Removed since.
  if (dir === ENOENT) throw cannotTell(id, true);
  if (dir < 0) throw new SyscallError("openat", -dir);
  try {
    // pidfd_open(2), Linux 5.3. The pid may be another's by the time it is open.
    const pidfd = trySyscall("pidfd_open", state.pid, 0);
    if (pidfd >= 0) {
      if (isAlive(state)) pollFds([pidfd]);
      closeFd(pidfd);
    }
    // Its keeper holds the directory until the code is there.
    syscall("flock", dir, LOCK_SH);
  } finally {
    closeFd(dir);
  }
  const code = readExitCode(root, id);
  if (code !== undefined) return code;
  throw cannotTell(id, readState(root, id) === undefined);
}

function cannotTell(id: string, removed: boolean): ContainerError {
  return new ContainerError(
    `Cannot tell how "${id}" ended: ${
      removed
        ? "it was removed when it ended, and its exit code with it"
        : "its exit code was not kept"
    }`,
    {
      code: "exit-code-unknown",
      hint:
        "It goes to whoever starts the container; rustyrun run keeps it with --keep, and with -d unless there is --rm or its disk is full",
      exitCode: 1,
    },
  );
}
