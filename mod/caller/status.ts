/**
 * What the kernel tells of a process: of any by its directory in /proc, of this
 * one alone what /proc does not show.
 *
 * @module
 */

import { makedev } from "../../ffi/constants.ts";
import { isGone } from "../../ffi/errno.ts";
import { readLinkSync, readTextFileSync, statSync } from "../../ffi/files.ts";
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

/** Reads {@linkcode Inherited} of this process; what may not be asked for counts as default. */
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

/** A limit of a caller, getrlimit(2). */
export interface FileLimit {
  soft: bigint;
  hard: bigint;
}

/** What {@linkcode readStatus} finds. */
export interface Status {
  /** Effective ids, and CapEff. */
  uid: number;
  gid: number;
  caps: bigint;
  umask: number;
}

/** Reads PROC/status; proc_pid_status(5). */
export function readStatus(proc: string): Status {
  const status = readTextFileSync(`${proc}/status`);
  const field = (name: string, column: number): string => {
    const at = status.indexOf(`\n${name}:`);
    const end = status.indexOf("\n", at + 1);
    return status.slice(at, end).split("\t")[column]!;
  };
  return {
    uid: Number(field("Uid", 2)),
    gid: Number(field("Gid", 2)),
    caps: BigInt(`0x${field("CapEff", 1)}`),
    umask: parseInt(field("Umask", 1), 8),
  };
}

/** The soft RLIMIT_NOFILE of a process, from the text of /proc/PID/limits. */
export function parseNofile(limits: string): number | undefined {
  const line = /^Max open files\s+(\d+|unlimited)/m.exec(limits);
  return line === null || line[1] === "unlimited" ? undefined : Number(line[1]);
}

/** The soft RLIMIT_NOFILE of a process; undefined for pid 0 (the parent of a
 * pid 1 is outside), and where hidepid hides it. */
export function readSoftFiles(pid: number): number | undefined {
  try {
    return parseNofile(readTextFileSync(`/proc/${pid}/limits`));
  } catch (error) {
    if (
      isGone(error) || error instanceof Deno.errors.PermissionDenied
    ) return undefined;
    throw error;
  }
}

/** The soft RLIMIT_NOFILE that a caller is taken to have whose own is not known:
 * its parent's, where that is below the hard one; else what every kernel begins
 * with. */
export function guessSoftFiles(
  parent: number | undefined,
  hard: bigint,
): bigint {
  if (parent !== undefined && BigInt(parent) < hard) return BigInt(parent);
  return hard < 1024n ? hard : 1024n;
}

/** Devices that are the same whatever node they are opened by, and minor numbers
 * of major 1: null(4), full(4), random(4). */
export const COMMON_DEVICES = {
  null: 3,
  zero: 5,
  full: 7,
  random: 8,
  urandom: 9,
} as const;

/** One of them. */
export type CommonDevice = keyof typeof COMMON_DEVICES;

/** The number of one, as st_rdev has it. */
export function rdevOf(device: CommonDevice): bigint {
  return makedev(1, COMMON_DEVICES[device]);
}

/** Which of them a descriptor is, by whatever name it was opened. */
export function deviceOf(proc: string, fd: number): CommonDevice | undefined {
  try {
    const { isCharDevice, rdev } = statSync(`${proc}/fd/${fd}`);
    const names = Object.keys(COMMON_DEVICES) as CommonDevice[];
    return isCharDevice && rdev !== null
      ? names.find((it) => rdevOf(it) === BigInt(rdev))
      : undefined;
  } catch (error) {
    // Closed: then it is nothing to be replaced.
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

const O_CLOEXEC = 0o2000000;
const O_ACCMODE = 3;

/** Whether a process hands a descriptor on to what it executes: it is open, and
 * not close-on-exec; proc_pid_fdinfo(5). */
export function isHandedOn(proc: string, fd: number): boolean {
  const flags = readFlags(proc, fd);
  return flags !== undefined && (flags & O_CLOEXEC) === 0;
}

/** Whether it is open for writing, too. */
export function isWritable(proc: string, fd: number): boolean {
  return isHandedOn(proc, fd) && (readFlags(proc, fd)! & O_ACCMODE) !== 0;
}

/** The flags of open(2), proc_pid_fdinfo(5); undefined where it is not open. */
function readFlags(proc: string, fd: number): number | undefined {
  try {
    const info = readTextFileSync(`${proc}/fdinfo/${fd}`);
    return parseInt(/^flags:\s*([0-7]+)$/m.exec(info)?.[1] ?? "", 8);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

const NS_GET_USERNS = 0xb701;

/** Whether the mount namespace of a process belongs to another user namespace
 * than it is in; ioctl_ns(2). */
export function isMountsForeign(proc: string): boolean {
  const mounts = openFd(`${proc}/ns/mnt`, 0);
  const owner = trySyscall("ioctl", mounts, NS_GET_USERNS, 0);
  closeFd(mounts);
  // EPERM: one above ours.
  if (owner < 0) return true;
  const link = readLinkSync(`/proc/self/fd/${owner}`);
  closeFd(owner);
  return link !== readLinkSync(`${proc}/ns/user`);
}
