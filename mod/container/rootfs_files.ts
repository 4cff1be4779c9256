/**
 * Reads a file of a root file system from the host, never outside it.
 *
 * @module
 */

import {
  closeFd,
  cstring,
  openFd,
  syscall,
  trySyscall,
} from "../../ffi/libc.ts";

/** A file larger than this is not read. */
const CAP = 1 << 20;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
/** RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, openat2(2). */
const IN_ROOT = 0x12n;

/**
 * Reads a regular file of at most 1 MiB inside `rootfs`; symbolic links are
 * followed inside it.
 *
 * @returns undefined when there is no such file, or it is none to be read
 */
export function readInRoot(rootfs: string, path: string): string | undefined {
  const root = openFd(rootfs, O_PATH);
  let fd = -1;
  try {
    const how = new BigUint64Array([
      BigInt(O_CLOEXEC | O_NONBLOCK),
      0n,
      IN_ROOT,
    ]);
    fd = trySyscall(
      "openat2",
      root,
      cstring(path.replace(/^\/+/, "")),
      new Uint8Array(how.buffer),
      24,
    );
    if (fd < 0) return undefined;
    const info = Deno.statSync(`/proc/self/fd/${fd}`);
    if (!info.isFile || info.size > CAP) return undefined;
    const bytes = new Uint8Array(CAP);
    let at = 0;
    for (;;) {
      const rest = bytes.subarray(at);
      if (rest.length === 0) return undefined;
      const n = syscall("read", fd, rest, rest.length);
      if (n === 0) break;
      at += n;
    }
    return new TextDecoder().decode(bytes.subarray(0, at));
  } finally {
    closeFd(root);
    if (fd >= 0) closeFd(fd);
  }
}
