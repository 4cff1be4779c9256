/**
 * The directory of an image: opened once, and judged before criu gets it. Who
 * restores may have been given it by somebody else, so no name in it may lead
 * out of it.
 *
 * @module
 */

import {
  createBelow,
  findBelow,
  listNames,
  readLinkFd,
  reopen,
  statBelow,
  statFd,
  unlinkBelow,
} from "../../../ffi/at.ts";
import { O, O_BY_ARCH, S_IF } from "../../../ffi/constants.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import { mkdirSync } from "../../../ffi/files.ts";
import { isType } from "../../../ffi/identity.ts";
import { closeFd, openFd, readFd, writeFd } from "../../../ffi/libc.ts";
import { checkedJson } from "./notes.ts";
import type { Notes } from "./notes.ts";
import { ContainerError, describeFileError } from "../../errors.ts";

const DIRECTORY =
  O_BY_ARCH[Deno.build.arch === "aarch64" ? "aarch64" : "x86_64"].DIRECTORY;
const OTHERS_WRITE = 0o22;
const STICKY = 0o1000;
/** criu's name for the image that this one goes on from. */
const PARENT = "parent";
/** Where criu lazy-pages listens: in its work directory, which may be the image. */
const LAZY_PAGES = "lazy-pages.socket";
/** So many images may go on from each other. */
const CHAIN = 64;
/** What rustyrun keeps in an image. */
const NOTES = "rustyrun.json";
const NOTES_MAX = 1 << 20;
/** ../NAME: all that a parent may be. */
const SIBLING = /^\.\.\/(?!\.\.?$)[^/]+\/?$/;

function cannotUse(
  path: string,
  why: string,
  hint: string,
  cause?: unknown,
): ContainerError {
  return new ContainerError(`Cannot use the image "${path}": ${why}`, {
    code: "image",
    hint,
    exitCode: 1,
    cause,
  });
}

/** Whoever may write a directory could put a link there at any time. */
function refuseShared(fd: number, path: string, uid: number): void {
  const { mode, uid: owner } = statFd(fd);
  if ((owner === 0 || owner === uid) && (mode & OTHERS_WRITE) === 0) return;
  throw cannotUse(
    path,
    "others may write there",
    "Copy it to a directory that is yours, with mode 0700",
  );
}

/** Returns where an image goes on from, after all names in it were judged. */
function judgeNames(
  fd: number,
  path: string,
  lazyPages: boolean,
): string | undefined {
  let parent: string | undefined;
  for (const name of listNames(fd)) {
    const found = statBelow(fd, name);
    if (found === undefined || isType(found, S_IF.REG)) continue;
    const listens = lazyPages && name === LAZY_PAGES;
    if (listens && isType(found, S_IF.SOCK)) continue;
    if (name === PARENT && isType(found, S_IF.LNK)) {
      const link = findBelow(fd, name);
      try {
        parent = readLinkFd(link);
      } finally {
        closeFd(link);
      }
      continue;
    }
    throw cannotUse(
      path,
      `"${name}" in it is no regular file`,
      "An image holds only files, and one link named parent",
    );
  }
  return parent;
}

/** Judges an image, and those that it goes on from.
 *
 * @param lazyPages criu is asked to talk to whoever listens in the first */
function judgeImage(
  fd: number,
  path: string,
  uid: number,
  lazyPages = false,
): void {
  let at = fd;
  try {
    for (let depth = 0; depth < CHAIN; depth++) {
      refuseShared(at, path, uid);
      const parent = judgeNames(at, path, lazyPages && at === fd);
      if (parent === undefined) return;
      const next = openSibling(at, path, parent, uid);
      if (at !== fd) closeFd(at);
      at = next;
    }
  } finally {
    if (at !== fd) closeFd(at);
  }
  throw cannotUse(
    path,
    `more than ${CHAIN} images go on from each other`,
    "A parent must not lead back to its own image",
  );
}

/** Opens the image beside another that this goes on from. */
function openSibling(
  fd: number,
  path: string,
  parent: string,
  uid: number,
): number {
  if (!SIBLING.test(parent)) {
    throw cannotUse(
      path,
      `its parent is "${parent}"`,
      "A parent is a directory beside the image: ../NAME",
    );
  }
  const above = openFd("..", O.PATH | DIRECTORY, 0, fd);
  try {
    const { mode, uid: owner } = statFd(above);
    const safe = (owner === 0 || owner === uid) &&
      ((mode & OTHERS_WRITE) === 0 || (mode & STICKY) !== 0);
    if (!safe) {
      throw cannotUse(
        path,
        "others may write the directory above it, where its parent is",
        "Copy both to a directory that is yours, with mode 0700",
      );
    }
    const name = parent.slice(3).replace(/\/$/, "");
    const found = findBelow(above, name);
    try {
      return openFd(`/proc/self/fd/${found}`, DIRECTORY);
    } finally {
      closeFd(found);
    }
  } catch (cause) {
    if (!(cause instanceof SyscallError)) throw cause;
    throw cannotUse(
      path,
      `its parent "${parent}": ${cause.message}`,
      "The image that it goes on from must be beside it",
      cause,
    );
  } finally {
    closeFd(above);
  }
}

/** A directory for criu. */
export interface ImageDirectory {
  path: string;
  /** Its descriptor, to be closed. */
  fd: number;
}

/**
 * Opens a directory for images or logs.
 *
 * @param how make: it is made where it is missing; logs: it is for logs alone,
 * and may hold anything else; lazyPages: the socket of criu lazy-pages may be in it
 * @throws {ContainerError} when it cannot be opened, or is not safe to be used
 */
export function openImage(
  path: string,
  { uid, make, logs = false, lazyPages = false }: {
    uid: number;
    make: boolean;
    logs?: boolean;
    lazyPages?: boolean;
  },
): ImageDirectory {
  let fd = -1;
  try {
    if (make) mkdirSync(path, { recursive: true, mode: 0o700 });
    fd = openFd(path, DIRECTORY);
    if (logs) refuseShared(fd, path, uid);
    else judgeImage(fd, path, uid, lazyPages);
    return { path, fd };
  } catch (cause) {
    if (fd >= 0) closeFd(fd);
    if (cause instanceof ContainerError) throw cause;
    throw cannotUse(
      path,
      cause instanceof SyscallError ? cause.message : describeFileError(cause),
      "Name a directory: --image-path DIR",
      cause,
    );
  }
}

/**
 * Checks the parent that an image is to have.
 *
 * @param parent as --parent-path has it, from the image
 * @throws {ContainerError} when there is none, or it is no sibling
 */
export function checkParent(
  { path, fd }: ImageDirectory,
  parent: string,
  uid: number,
): void {
  const found = openSibling(fd, path, parent, uid);
  try {
    judgeImage(found, `${path}/${parent}`, uid);
  } finally {
    closeFd(found);
  }
}

/** Keeps what is needed at the restore, in the image.
 *
 * @throws {SyscallError} when it cannot be written */
export function writeNotes({ fd }: ImageDirectory, notes: Notes): void {
  unlinkBelow(fd, NOTES);
  const file = createBelow(fd, NOTES, 0o600);
  try {
    writeFd(file, new TextEncoder().encode(JSON.stringify(notes)));
  } finally {
    closeFd(file);
  }
}

/** Reads a regular file.
 *
 * @returns undefined when there is none; null when it has more than `limit` bytes */
function readSmall(
  { fd }: ImageDirectory,
  name: string,
  limit: number,
): string | null | undefined {
  if (statBelow(fd, name) === undefined) return undefined;
  const found = findBelow(fd, name);
  let file = -1;
  try {
    const { size } = statFd(found);
    if (!isType(statFd(found), S_IF.REG)) return undefined;
    if (size > limit) return null;
    file = reopen(found, O.RDONLY);
    const parts: Uint8Array[] = [];
    let total = 0;
    for (;;) {
      const part = readFd(file, 65536);
      total += part.length;
      if (total > limit) return null;
      if (part.length === 0) break;
      parts.push(part);
    }
    const decoder = new TextDecoder();
    return parts.map((it) => decoder.decode(it, { stream: true })).join("");
  } finally {
    closeFd(found);
    if (file >= 0) closeFd(file);
  }
}

/**
 * Reads what was kept in an image.
 *
 * @throws {ContainerError} when it is missing or is not ours
 */
export function readNotes(image: ImageDirectory): Notes {
  const text = readSmall(image, NOTES, NOTES_MAX);
  const notes = typeof text === "string" ? checkedJson(text) : undefined;
  if (notes !== undefined) return notes;
  throw cannotUse(
    image.path,
    text === undefined
      ? `there is no ${NOTES} in it`
      : text === null
      ? `its ${NOTES} has more than ${NOTES_MAX} bytes`
      : `its ${NOTES} is not valid`,
    "Name the directory that rustyrun checkpoint has filled",
  );
}

const LOG_MAX = 64 << 20;

/**
 * Reads from criu's log why it has failed.
 *
 * @returns its first error without time and place; undefined when it has none
 */
export function readReason(
  logs: ImageDirectory,
  name: string,
): string | undefined {
  const lines = readSmall(logs, name, LOG_MAX)?.split("\n") ?? [];
  // "(00.012345) Error (criu/mount.c:1088): mnt: ..."
  const found = lines.find((it) => it.includes("Error ("));
  // Whoever named a file in there may have put control characters into it.
  return found?.replace(/^.*?Error \([^)]*\): /, "").trim().replace(
    /\p{Cc}/gu,
    "?",
  );
}
