/**
 * Making files as somebody else. Who makes a file is its owner: so nobody has to
 * be found again to hand it over, and a file system of another user namespace
 * takes it, which refuses owners that it has no id for, root's too (EOVERFLOW).
 *
 * @module
 */

import { PR } from "./constants.ts";
import { SyscallError } from "./errno.ts";
import { syscall, trySyscall } from "./libc.ts";

/** Ids on the host. */
export interface Owner {
  uid: number;
  gid: number;
}

const EPERM = 1;
/** setfsuid(2), setfsgid(2): no id, so that nothing is changed. */
const ASK = 0xffffffff;
/** capget(2). */
const CAPABILITY_VERSION_3 = 0x20080522;
const GET_DUMPABLE = 3;

function capabilities(call: "capget" | "capset", sets: Uint32Array): void {
  const head = new Uint32Array([CAPABILITY_VERSION_3, 0]);
  syscall(call, new Uint8Array(head.buffer), new Uint8Array(sets.buffer));
}

function become({ uid, gid }: Owner): void {
  // In vain it says nothing.
  trySyscall("setfsgid", gid);
  trySyscall("setfsuid", uid);
}

/**
 * Calls with this thread's ids for files changed, its capabilities kept;
 * credentials(7). Other threads of the process keep theirs.
 *
 * @param call must not await
 * @returns what `call` returns
 * @throws {SyscallError} EPERM where the caller may not be that owner; and what
 * `call` throws
 */
export function actAs<T>(owner: Owner, call: () => T): T {
  const own: Owner = {
    uid: trySyscall("setfsuid", ASK),
    gid: trySyscall("setfsgid", ASK),
  };
  if (own.uid === owner.uid && own.gid === owner.gid) return call();
  const caps = new Uint32Array(6);
  capabilities("capget", caps);
  const dumpable = trySyscall("prctl", GET_DUMPABLE);
  try {
    become(owner);
    if (
      trySyscall("setfsuid", ASK) !== owner.uid ||
      trySyscall("setfsgid", ASK) !== owner.gid
    ) throw new SyscallError("setfsuid", EPERM);
    // Another fsuid than root's takes those away that are about files.
    capabilities("capset", caps);
    return call();
  } finally {
    become(own);
    capabilities("capset", caps);
    // Whoever changes these ids is not dumpable any more, prctl(2).
    if (dumpable === 1) trySyscall("prctl", PR.SET_DUMPABLE, 1);
  }
}
