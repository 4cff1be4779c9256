/**
 * Reads files of a root file system from the host, never outside it.
 *
 * @module
 */

import { fromBytes } from "./bytes.ts";
import { MAGIC, O, O_BY_ARCH, RESOLVE, S_IF } from "./constants.ts";
import { statSync } from "./files.ts";
import { identifyFile, readFsSize } from "./identity.ts";
import { closeFd, cstring, openFd, syscall, trySyscall } from "./libc.ts";

/** File systems of files that may say that they have no blocks: there is no limit
 * to their size. */
const WITHOUT_BLOCKS: readonly number[] = [
  MAGIC.TMPFS,
  MAGIC.RAMFS,
  MAGIC.OVERLAYFS,
  MAGIC.FUSE,
];

/**
 * Whether a descriptor is on a file system that stores files. procfs, sysfs,
 * cgroups and their like store nothing: to read there may wait, may take what
 * others wait for (/proc/kmsg), and goes by the rights of who reads.
 *
 * @throws {SyscallError} when the file system cannot be asked
 */
export function storesFiles(fd: number): boolean {
  const { type, blocks } = readFsSize(fd);
  return (blocks > 0n && type !== MAGIC.EFIVARFS) ||
    WITHOUT_BLOCKS.includes(type);
}

/** A file larger than this is not read. */
const CAP = 1 << 20;
const EAGAIN = -11, EINVAL = -22;

/** Opens by openat2(2).
 *
 * @param resolve of {@linkcode RESOLVE}
 * @returns a close-on-exec descriptor, or minus an errno */
export function tryOpenAt2(
  dir: number,
  path: string,
  flags: number,
  resolve: number,
): number {
  const how = new BigUint64Array([
    BigInt(flags | O.CLOEXEC),
    0n,
    BigInt(resolve),
  ]);
  const name = cstring(path);
  let fd = EAGAIN;
  // EAGAIN: a ".." met a rename or a mount anywhere on the machine, openat2(2).
  for (let tries = 0; tries < 128 && fd === EAGAIN; tries++) {
    fd = trySyscall("openat2", dir, name, new Uint8Array(how.buffer), 24);
  }
  return fd;
}

/**
 * Finds a path inside `root`, links in it followed as if that were "/". With
 * O_PATH: to open a device of the image may be an act of its own, such as
 * starting a watchdog.
 *
 * @param links whether they are followed; else ELOOP for any
 * @returns an O_PATH descriptor, or minus an errno: ELOOP also for a link that
 * only procfs can follow
 */
export function findInRoot(root: number, path: string, links = true): number {
  return tryOpenAt2(
    root,
    path,
    O.PATH,
    RESOLVE.IN_ROOT | (links ? RESOLVE.NO_MAGICLINKS : RESOLVE.NO_SYMLINKS),
  );
}

/**
 * Opens a regular file that is stored, to read it. It never waits: a container
 * that holds a lease on its file, fcntl(2), does not stop who reads it.
 *
 * @param file an O_PATH descriptor
 * @returns a close-on-exec descriptor, or minus an errno
 */
function openStored(file: number): number {
  const isRegular = (identifyFile(file).mode & S_IF.MT) === S_IF.REG;
  if (!isRegular || !storesFiles(file)) return EINVAL;
  const again = cstring(`/proc/self/fd/${file}`);
  return trySyscall("openat", -100, again, O.CLOEXEC | O.NONBLOCK, 0);
}

/**
 * Reads a regular file of at most 1 MiB inside `rootfs`; symbolic links are
 * followed inside it. What another holds a lease on is not read.
 *
 * @returns undefined when there is no such file, or it is none to be read
 */
export function readInRoot(rootfs: string, path: string): string | undefined {
  const root = openFd(rootfs, O.PATH);
  let file = -1;
  let fd = -1;
  try {
    // Only what is a file is opened.
    file = findInRoot(root, path);
    if (file < 0) return undefined;
    fd = openStored(file);
    if (fd < 0) return undefined;
    const { size } = statSync(`/proc/self/fd/${fd}`);
    if (size > CAP) return undefined;
    // More than it should be: its end must be seen.
    const bytes = new Uint8Array(size + 4096);
    let at = 0;
    for (;;) {
      const rest = bytes.subarray(at);
      if (rest.length === 0) return undefined;
      const n = syscall("read", fd, rest, rest.length);
      if (n === 0) break;
      at += n;
    }
    return fromBytes(bytes.subarray(0, at));
  } finally {
    for (const it of [root, file, fd]) if (it >= 0) closeFd(it);
  }
}

/**
 * Whether a path inside `rootfs` is there and is a symbolic link, wherever that
 * leads; false where nobody can tell.
 */
export function isLinkInRoot(rootfs: string, path: string): boolean {
  const root = trySyscall(
    "openat",
    -100,
    cstring(rootfs),
    O.PATH | O.CLOEXEC,
    0,
  );
  if (root < 0) return false;
  const file = tryOpenAt2(
    root,
    path,
    O.PATH | O_BY_ARCH[Deno.build.arch].NOFOLLOW,
    RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS,
  );
  closeFd(root);
  if (file < 0) return false;
  const { mode } = identifyFile(file);
  closeFd(file);
  return (mode & S_IF.MT) === S_IF.LNK;
}

/**
 * Reads the first bytes of a file inside `rootfs`.
 *
 * @returns undefined when there is no such file; "other" when it is not
 * regular, or not to be read
 */
export function readHead(
  rootfs: string,
  path: string,
  size: number,
): Uint8Array | "other" | undefined {
  const open: number[] = [];
  const hold = (fd: number) => {
    if (fd >= 0) open.push(fd);
    return fd;
  };
  try {
    const root = hold(
      trySyscall("openat", -100, cstring(rootfs), O.PATH | O.CLOEXEC, 0),
    );
    if (root < 0) return "other";
    const file = hold(findInRoot(root, path));
    if (file < 0) return file === -2 ? undefined : "other";
    const fd = hold(openStored(file));
    if (fd < 0) return "other";
    const bytes = new Uint8Array(size);
    const n = trySyscall("read", fd, bytes, size);
    return n < 0 ? "other" : bytes.subarray(0, n);
  } finally {
    for (const fd of open) closeFd(fd);
  }
}
