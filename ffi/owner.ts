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
/** Those that setfsuid(2) takes away, capabilities(7): CHOWN, DAC_OVERRIDE,
 * DAC_READ_SEARCH, FOWNER, FSETID, LINUX_IMMUTABLE, MKNOD; MAC_OVERRIDE. */
const ABOUT_FILES = [0x0800021f, 0x1] as const;
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

/** Sets this thread's supplementary groups; setgroups(2). */
function setGroups(groups: Uint32Array): void {
  syscall("setgroups", groups.length, new Uint8Array(groups.buffer));
}

function getGroups(): Uint32Array {
  const groups = new Uint32Array(syscall("getgroups", 0, null));
  syscall("getgroups", groups.length, new Uint8Array(groups.buffer));
  return groups;
}

/** Whether files have the rights of their owner alone. */
export interface Rights {
  /** Without the caller's capabilities that are about files, and without its
   * groups. */
  bare?: boolean;
}

/**
 * Calls with this thread's ids for files changed, its capabilities kept, unless
 * told; credentials(7). Other threads of the process keep theirs.
 *
 * @param call must not await
 * @returns what `call` returns
 * @throws {SyscallError} EPERM where the caller may not be that owner; and what
 * `call` throws
 */
export function actAs<T>(
  owner: Owner,
  call: () => T,
  { bare = false }: Rights = {},
): T {
  const own: Owner = {
    uid: trySyscall("setfsuid", ASK),
    gid: trySyscall("setfsgid", ASK),
  };
  const same = own.uid === owner.uid && own.gid === owner.gid;
  if (same && !bare) return call();
  const caps = new Uint32Array(6);
  capabilities("capget", caps);
  const groups = bare ? getGroups() : new Uint32Array();
  const dumpable = trySyscall("prctl", GET_DUMPABLE);
  try {
    if (groups.length > 0) setGroups(new Uint32Array());
    become(owner);
    if (
      trySyscall("setfsuid", ASK) !== owner.uid ||
      trySyscall("setfsgid", ASK) !== owner.gid
    ) throw new SyscallError("setfsuid", EPERM);
    // Another fsuid than root's takes those away that are about files.
    capabilities("capset", bare ? withoutFiles(caps) : caps);
    return call();
  } finally {
    become(own);
    capabilities("capset", caps);
    if (groups.length > 0) setGroups(groups);
    // Whoever changes these ids is not dumpable any more, prctl(2).
    if (dumpable === 1) trySyscall("prctl", PR.SET_DUMPABLE, 1);
  }
}

/** The same sets, but for what is effective: of 32 capabilities, three words. */
function withoutFiles(caps: Uint32Array): Uint32Array {
  const fewer = Uint32Array.from(caps);
  for (const [half, mask] of ABOUT_FILES.entries()) {
    fewer[3 * half]! &= ~mask;
  }
  return fewer;
}
