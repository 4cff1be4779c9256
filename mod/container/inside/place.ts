/**
 * Puts one file, link or directory into a directory, by its descriptor and a
 * single name. A file or link is made under a name of its own and renamed when
 * it is whole: nobody sees half of it, and what had the name stays until then.
 *
 * @module
 */

import {
  chmodFd,
  copyData,
  createBelow,
  linkBelow,
  renameBelow,
  setMtime,
  unlinkBelow,
} from "../../../ffi/at.ts";
import type { FileStat } from "../../../ffi/identity.ts";
import { Held } from "./paths.ts";

/** Makes something under a name of its own and gives it its name.
 *
 * @throws {SyscallError} EISDIR where that is a directory's */
function putBelow(
  dir: number,
  name: string,
  make: (fresh: string) => void,
): void {
  const fresh = `.rustyrun-${crypto.randomUUID()}`;
  try {
    make(fresh);
    renameBelow(dir, fresh, name);
  } catch (error) {
    unlinkBelow(dir, fresh);
    throw error;
  }
}

/** Puts a symbolic link there.
 *
 * @throws {SyscallError} */
export function putLink(dir: number, name: string, target: string): void {
  putBelow(dir, name, (fresh) => linkBelow(dir, fresh, target));
}

/** What a copy of a file gets beside what it holds. */
export interface Finish {
  /** Permissions. */
  mode: number;
  /** They count as they are, and not without what umask(2) takes. */
  exact: boolean;
  /** What else is to be done to it, by its descriptor. */
  then?: (fd: number) => void;
}

/**
 * Copies a regular file there, with the time of its last change.
 *
 * @param source its descriptor, to be read
 * @param stat what it was when it was looked at: no more is copied
 * @param count told of the bytes before they are written; may throw
 * @throws {SyscallError}
 */
export function putFile(
  source: number,
  stat: FileStat,
  dir: number,
  name: string,
  { mode, exact, then }: Finish,
  count: (bytes: number) => void,
): void {
  putBelow(dir, name, (fresh) => {
    const created = createBelow(dir, fresh, exact ? 0o600 : mode);
    using to = new Held(created, "openat");
    copyData(source, to.fd, stat.size, count);
    then?.(to.fd);
    if (exact) chmodFd(to.fd, mode);
    setMtime(to.fd, stat.mtime);
  });
}
