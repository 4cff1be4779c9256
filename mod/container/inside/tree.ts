/**
 * Removes a directory with all that is in it, whatever is renamed in there
 * meanwhile: by descriptors and single names, no link followed, no mount
 * entered. c/tree.c does the same for what containers leave behind.
 *
 * @module
 */

import {
  findBelow,
  listNames,
  moveBelow,
  statFd,
  unlinkBelow,
} from "../../../ffi/at.ts";
import { isType } from "../../../ffi/identity.ts";
import { S_IF } from "../../../ffi/constants.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import { Held } from "./paths.ts";

const ENOENT = -2, ENOTDIR = -20, EISDIR = -21, ENOTEMPTY = -39;

/** How many directories are open at once. What lies deeper is moved up. */
const DEPTH = 64;
/** How often a directory is looked through that is never found empty: somebody
 * keeps making files there. */
const TRIES = 10_000;

/** A directory that is being emptied. */
interface Level {
  /** Its name in the one above. */
  name: string;
  dir: Held;
  names: Iterator<string>;
  /** Something was removed, moved here or changed: it is to be looked through
   * again, unless it is empty. */
  changed: boolean;
  tries: number;
}

/**
 * Removes a directory by its name in another. What somebody else removes at the
 * same time is gone as well.
 *
 * @throws {SyscallError} for what stays: EXDEV or EBUSY where something is
 * mounted
 */
export function removeTree(parent: number, name: string): void {
  const levels: Level[] = [];
  try {
    enter(levels, parent, name);
    for (let level; (level = levels.at(-1));) {
      const next = level.names.next();
      if (next.done) leave(levels, parent);
      else empty(levels, level, next.value);
    }
  } finally {
    levels.forEach(close);
  }
}

function close({ dir, names }: Level): void {
  names.return?.();
  dir[Symbol.dispose]();
}

function enter(levels: Level[], dir: number, name: string): void {
  const fd = findBelow(dir, name, true);
  if (fd === ENOENT) return;
  const held = new Held(fd);
  const names = listNames(fd);
  // Somebody may have put something else there.
  if (isType(statFd(fd), S_IF.DIR)) {
    levels.push({ name, dir: held, names, changed: false, tries: 0 });
  } else held[Symbol.dispose]();
}

function empty(levels: Level[], level: Level, name: string): void {
  level.changed = true;
  const removed = unlinkBelow(level.dir.fd, name);
  if (removed === EISDIR && levels.length < DEPTH) {
    enter(levels, level.dir.fd, name);
  } else if (removed === EISDIR) {
    const top = levels[0]!;
    const fresh = `.rustyrun-${crypto.randomUUID()}`;
    moveBelow(level.dir.fd, name, top.dir.fd, fresh);
    top.changed = true;
  } else if (removed < 0 && removed !== ENOENT) {
    throw new SyscallError("unlinkat", -removed);
  }
}

/** Removes a directory that was looked through, or has it looked through again. */
function leave(levels: Level[], parent: number): void {
  const level = levels.at(-1)!;
  const above = levels.at(-2)?.dir.fd ?? parent;
  const removed = unlinkBelow(above, level.name, true);
  if (removed === ENOTEMPTY && level.changed && level.tries < TRIES) {
    level.names = listNames(level.dir.fd);
    level.changed = false;
    level.tries++;
    return;
  }
  // ENOTDIR: somebody has put something else there; the one above is looked
  // through again.
  const gone = removed === 0 || removed === ENOENT || removed === ENOTDIR;
  if (!gone) throw new SyscallError("unlinkat", -removed);
  levels.pop();
  close(level);
}
