/**
 * Children that can be waited for.
 *
 * @module
 */

import { SyscallError } from "./errno.ts";
import { trySyscall } from "./libc.ts";

const SIGCHLD = 17;
const ECHILD = -10;
const SIG_IGN = 1n;
/** struct kernel_sigaction without what only a handler needs; its first word
 * is the handler. */
const ACTION_SIZE = 32;

let done = false;

/** Undoes an ignored SIGCHLD, which a caller may hand on (signal(7)): with it the
 * kernel reaps our children before we learn how they ended. */
export function keepChildren(): void {
  if (done) return;
  done = true;
  const action = new BigUint64Array(ACTION_SIZE / 8);
  const bytes = new Uint8Array(action.buffer);
  trySyscall("rt_sigaction", SIGCHLD, null, bytes, 8);
  if (action[0] !== SIG_IGN) return;
  trySyscall("rt_sigaction", SIGCHLD, new Uint8Array(ACTION_SIZE), null, 8);
}

const P_PIDFD = 3;
const WEXITED = 4, WNOHANG = 1;
/** struct siginfo. */
const INFO_SIZE = 128;

/** Reaps a child that has ended, by its pidfd; waitid(2), P_PIDFD (5.4). One that
 * somebody has reaped, or that is no child, is fine; it waits for none.
 *
 * @throws {SyscallError} */
export function reapChild(pidfd: number): void {
  const info = new Uint8Array(INFO_SIZE);
  const how = WEXITED | WNOHANG;
  const got = trySyscall("waitid", P_PIDFD, pidfd, info, how, null);
  if (got < 0 && got !== ECHILD) throw new SyscallError("waitid", -got);
}
