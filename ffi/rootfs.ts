/**
 * Reads files of a root file system from the host, never outside it.
 *
 * @module
 */

import { fromBytes } from "./bytes.ts";
import { statSync } from "./files.ts";
import { closeFd, cstring, openFd, syscall, trySyscall } from "./libc.ts";

/** A file larger than this is not read. */
const CAP = 1 << 20;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
/** RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, openat2(2). */
const IN_ROOT = 0x12n;
const EAGAIN = -11;

/** Opens with O_PATH inside `root`: to open a device of the image may be an act
 * of its own, such as starting a watchdog.
 *
 * @returns a descriptor, or minus an errno */
function findInRoot(root: number, path: string): number {
  const how = new BigUint64Array([BigInt(O_CLOEXEC | O_PATH), 0n, IN_ROOT]);
  let fd = EAGAIN;
  // EAGAIN: a ".." met a rename or a mount anywhere on the machine, openat2(2).
  for (let tries = 0; tries < 128 && fd === EAGAIN; tries++) {
    fd = trySyscall(
      "openat2",
      root,
      cstring(path.replace(/^\/+/, "")),
      new Uint8Array(how.buffer),
      24,
    );
  }
  return fd;
}

/**
 * Reads a regular file of at most 1 MiB inside `rootfs`; symbolic links are
 * followed inside it.
 *
 * @returns undefined when there is no such file, or it is none to be read
 */
export function readInRoot(rootfs: string, path: string): string | undefined {
  const root = openFd(rootfs, O_PATH);
  let file = -1;
  let fd = -1;
  try {
    // Only what is a file is opened.
    file = findInRoot(root, path);
    if (file < 0) return undefined;
    const again = `/proc/self/fd/${file}`;
    const info = statSync(again);
    if (!info.isFile || info.size > CAP) return undefined;
    fd = trySyscall("openat", -100, cstring(again), O_CLOEXEC, 0);
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

const AT_EMPTY_PATH = 0x1000;
/** STATX_TYPE; where struct statx has stx_mode, statx(2). */
const STATX_TYPE = 1, STX_MODE = 28;

function isRegular(fd: number): boolean {
  const info = new Uint8Array(256);
  const done = trySyscall(
    "statx",
    fd,
    cstring(""),
    AT_EMPTY_PATH,
    STATX_TYPE,
    info,
  );
  return done === 0 &&
    (new DataView(info.buffer).getUint16(STX_MODE, true) & 0o170000) ===
      0o100000;
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
      trySyscall("openat", -100, cstring(rootfs), O_PATH | O_CLOEXEC, 0),
    );
    if (root < 0) return "other";
    const file = hold(findInRoot(root, path));
    if (file < 0) return file === -2 ? undefined : "other";
    if (!isRegular(file)) return "other";
    const again = cstring(`/proc/self/fd/${file}`);
    const fd = hold(trySyscall("openat", -100, again, O_CLOEXEC, 0));
    if (fd < 0) return "other";
    const bytes = new Uint8Array(size);
    const n = trySyscall("read", fd, bytes, size);
    return n < 0 ? "other" : bytes.subarray(0, n);
  } finally {
    for (const fd of open) closeFd(fd);
  }
}
