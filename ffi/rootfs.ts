/**
 * Reads files of a root file system from the host, never outside it.
 *
 * @module
 */

import { fromBytes } from "./bytes.ts";
import { O, RESOLVE, S_IF } from "./constants.ts";
import { statSync } from "./files.ts";
import { identifyFile } from "./identity.ts";
import { closeFd, cstring, openFd, syscall, trySyscall } from "./libc.ts";

/** A file larger than this is not read. */
const CAP = 1 << 20;
const EAGAIN = -11;

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
 * @returns an O_PATH descriptor, or minus an errno: ELOOP also for a link that
 * only procfs can follow
 */
export function findInRoot(root: number, path: string): number {
  return tryOpenAt2(
    root,
    path,
    O.PATH,
    RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS,
  );
}

/**
 * Reads a regular file of at most 1 MiB inside `rootfs`; symbolic links are
 * followed inside it.
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
    const again = `/proc/self/fd/${file}`;
    const info = statSync(again);
    if (!info.isFile || info.size > CAP) return undefined;
    fd = trySyscall("openat", -100, cstring(again), O.CLOEXEC, 0);
    if (fd < 0) return undefined;
    // More than it should be: its end must be seen.
    const bytes = new Uint8Array(info.size + 4096);
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
    if ((identifyFile(file).mode & S_IF.MT) !== S_IF.REG) return "other";
    const again = cstring(`/proc/self/fd/${file}`);
    const fd = hold(trySyscall("openat", -100, again, O.CLOEXEC, 0));
    if (fd < 0) return "other";
    const bytes = new Uint8Array(size);
    const n = trySyscall("read", fd, bytes, size);
    return n < 0 ? "other" : bytes.subarray(0, n);
  } finally {
    for (const fd of open) closeFd(fd);
  }
}
