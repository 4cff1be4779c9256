/**
 * What this very process is, as the kernel says it.
 *
 * @module
 */

import { readLinkSync, readTextFileSync } from "../../ffi/files.ts";
import { closeFd, openFd, trySyscall } from "../../ffi/libc.ts";

/** What fork and execve would hand on of this process, and no configuration
 * says; each is the kernel's default unless somebody has changed it. */
export interface Inherited {
  /** Nanoseconds by which its timers may be late; 50,000. */
  timerSlack: number;
  /** No transparent huge pages for it; false. */
  noHugePages: boolean;
  /** Its execution domain and flags, personality(2); 0. */
  personality: number;
  /** Where its memory comes from, set_mempolicy(2); 0. */
  memoryPolicy: number;
  /** What root means to it, capabilities(7); 0. */
  securebits: number;
}

const PR_GET_SECUREBITS = 27;
const PR_GET_TIMERSLACK = 30;
const PR_GET_THP_DISABLE = 42;

/** Reads {@linkcode Inherited}; what may not be asked for counts as default. */
export function readInherited(): Inherited {
  const mode = new Int32Array(1);
  const policy = trySyscall(
    "get_mempolicy",
    new Uint8Array(mode.buffer),
    null,
    0,
    null,
    0,
  );
  return {
    timerSlack: trySyscall("prctl", PR_GET_TIMERSLACK, 0, 0, 0, 0),
    noHugePages: trySyscall("prctl", PR_GET_THP_DISABLE, 0, 0, 0, 0) > 0,
    personality: Math.max(0, trySyscall("personality", 0xffffffff)),
    memoryPolicy: policy < 0 ? 0 : mode[0]!,
    securebits: Math.max(0, trySyscall("prctl", PR_GET_SECUREBITS, 0, 0, 0, 0)),
  };
}

/** Effective uid, gid and capabilities (CapEff); proc_pid_status(5). */
export function readIds(): { uid: number; gid: number; caps: bigint } {
  const status = readTextFileSync("/proc/self/status");
  const field = (name: string, column: number): string => {
    const at = status.indexOf(`\n${name}:`);
    const end = status.indexOf("\n", at + 1);
    return status.slice(at, end).split("\t")[column]!;
  };
  return {
    uid: Number(field("Uid", 2)),
    gid: Number(field("Gid", 2)),
    caps: BigInt(`0x${field("CapEff", 1)}`),
  };
}

/** The soft RLIMIT_NOFILE of a process, from the text of /proc/PID/limits. */
export function parseNofile(limits: string): number | undefined {
  const line = /^Max open files\s+(\d+|unlimited)/m.exec(limits);
  return line === null || line[1] === "unlimited" ? undefined : Number(line[1]);
}

/** The parent's soft RLIMIT_NOFILE; undefined for pid 1, whose parent is
 * outside, and where hidepid hides it. */
export function readParentFiles(): number | undefined {
  try {
    return parseNofile(readTextFileSync(`/proc/${Deno.ppid}/limits`));
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.PermissionDenied
    ) return undefined;
    throw error;
  }
}

/** Whether standard stream `fd` is the null device. */
export function isNull(fd: number): boolean {
  try {
    return readLinkSync(`/proc/self/fd/${fd}`) === "/dev/null";
  } catch (error) {
    // Closed: then it is nothing to be replaced.
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

const NS_GET_USERNS = 0xb701;

/** Whether the mount namespace belongs to another user namespace than this
 * process is in; ioctl_ns(2). */
export function isMountsForeign(): boolean {
  const mounts = openFd("/proc/self/ns/mnt", 0);
  const owner = trySyscall("ioctl", mounts, NS_GET_USERNS, 0);
  closeFd(mounts);
  // EPERM: one above ours.
  if (owner < 0) return true;
  const link = readLinkSync(`/proc/self/fd/${owner}`);
  closeFd(owner);
  return link !== readLinkSync("/proc/self/ns/user");
}
