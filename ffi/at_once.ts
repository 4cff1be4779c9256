/**
 * Writing to somebody else's descriptor without waiting for its reader. Whether
 * a call waits (O_NONBLOCK) belongs to the open file, which others share: it is
 * opened again where that can be.
 *
 * @module
 */

import { statSync } from "./files.ts";
import { closeFd, openFd, trySyscall } from "./libc.ts";
import { SyscallError } from "./errno.ts";

/** MSG_DONTWAIT and MSG_NOSIGNAL. */
const AT_ONCE = 0x4040;
const WRONLY = 1, NOCTTY = 0o400, NONBLOCK = 0o4000;

/**
 * Writes as much as there is room for. A reader that has gone is none of the
 * writer's business.
 */
export function writeAtOnce(fd: number, bytes: Uint8Array): void {
  const path = `/proc/self/fd/${fd}`;
  const { isFile, isSocket } = statSync(path);
  if (isSocket) {
    trySyscall("sendto", fd, bytes, bytes.length, AT_ONCE, null, 0);
    return;
  }
  // Another offset is not wanted in a file, which does not wait.
  if (isFile) {
    trySyscall("write", fd, bytes, bytes.length);
    return;
  }
  let own: number;
  try {
    own = openFd(path, WRONLY | NOCTTY | NONBLOCK);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    // Nobody reads it (ENXIO), or it is another user's (EACCES).
    if (error.code === "EACCES") {
      trySyscall("write", fd, bytes, bytes.length);
    }
    return;
  }
  trySyscall("write", own, bytes, bytes.length);
  closeFd(own);
}
