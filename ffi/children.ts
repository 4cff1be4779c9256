/**
 * Children that can be waited for.
 *
 * @module
 */

import { trySyscall } from "./libc.ts";

const SIGCHLD = 17;
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
