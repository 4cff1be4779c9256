/**
 * Single mounts by descriptor: a copy of a tree, what identifies a mount, and
 * its end. Only for containers in the caller's mount namespace: all other
 * mounts are the child stage's.
 *
 * @module
 */

import { AT, MS, OPEN_TREE_CLONE } from "./constants.ts";
import { cstring, syscall, trySyscall } from "./libc.ts";

const O_CLOEXEC = 0o2000000;
const MNT_DETACH = 2;
const STATX_INO = 0x100;
/** Since 5.8. */
const STATX_MNT_ID = 0x1000;
/** Since 6.8: an id that no other mount of this boot has. */
const STATX_MNT_ID_UNIQUE = 0x4000;
const EMPTY = new Uint8Array(1);

/** What tells a mount from others. */
export interface MountIdentity {
  /** As in /proc/self/mountinfo; once the mount is gone, another may get it. */
  id: number;
  /** Its id of this boot, in decimal; absent before 6.8. */
  unique?: string;
  /** The file behind the descriptor: "8:1 2" is inode 2 of device 8:1. */
  file: string;
}

function statx(fd: number, mask: number): DataView {
  const bytes = new Uint8Array(256);
  syscall("statx", fd, EMPTY, AT.EMPTY_PATH, mask, bytes);
  return new DataView(bytes.buffer);
}

/**
 * Says which mount a descriptor is in; statx(2).
 *
 * @throws {SyscallError} when it is not open
 */
export function identifyMount(fd: number): MountIdentity {
  const plain = statx(fd, STATX_INO | STATX_MNT_ID);
  const major = plain.getUint32(136, true);
  const minor = plain.getUint32(140, true);
  const unique = statx(fd, STATX_MNT_ID_UNIQUE);
  return {
    id: Number(plain.getBigUint64(144, true)),
    ...(unique.getUint32(0, true) & STATX_MNT_ID_UNIQUE
      ? { unique: String(unique.getBigUint64(144, true)) }
      : {}),
    file: `${major}:${minor} ${plain.getBigUint64(32, true)}`,
  };
}

const ENOENT = -2;
const STATMOUNT_MNT_BASIC = 2n;

/** Whether a mount is in our mount namespace, by its id of this boot; since
 * 6.8, as such ids are. */
export function isMounted(unique: string): boolean {
  const request = new BigUint64Array([
    24n,
    BigInt(unique),
    STATMOUNT_MNT_BASIC,
  ]);
  const answer = new Uint8Array(1024);
  return trySyscall(
    "statmount",
    new Uint8Array(request.buffer),
    answer,
    answer.length,
    0,
  ) !== ENOENT;
}

/**
 * Copies a directory's mount, from there on and with all below it, into a tree
 * that is attached nowhere: it is gone with its descriptor. open_tree(2).
 *
 * @returns the tree's descriptor, close-on-exec
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN
 */
export function copyTree(dir: number): number {
  return syscall(
    "open_tree",
    dir,
    EMPTY,
    OPEN_TREE_CLONE | O_CLOEXEC | AT.RECURSIVE | AT.EMPTY_PATH,
  );
}

/**
 * Lets go of what is mounted topmost where the descriptor is, and of all below
 * it. It is made private before: an unmount propagates as a mount does, and
 * what is below a volume must stay where the volume is from.
 *
 * @returns 0, or -errno
 */
export function detachMount(fd: number): number {
  const attr = new BigUint64Array(4);
  attr[2] = BigInt(MS.PRIVATE);
  const done = trySyscall(
    "mount_setattr",
    fd,
    EMPTY,
    AT.EMPTY_PATH | AT.RECURSIVE,
    new Uint8Array(attr.buffer),
    attr.byteLength,
  );
  if (done < 0) return done;
  // By the descriptor: there is no path between to be renamed.
  return trySyscall("umount2", cstring(`/proc/self/fd/${fd}`), MNT_DETACH);
}
