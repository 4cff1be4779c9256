/**
 * Takes changes of a throw-away root over into the root file system: by
 * descriptors and single names, so that nothing follows a link or enters a mount.
 *
 * @module
 */

import {
  chmodFd,
  chownFd,
  readLinkFd,
  reopen,
  unlinkBelow,
} from "../../../ffi/at.ts";
import { type FileStat, isType } from "../../../ffi/identity.ts";
import { O, S_IF } from "../../../ffi/constants.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import { openFd } from "../../../ffi/libc.ts";
import { actAs } from "../../../ffi/owner.ts";
import { COPY_LIMITS } from "./copy.ts";
import {
  Entry,
  findEntry,
  isOpaque,
  isWhiteout,
  type LayerOptions,
  refuseRedirect,
} from "./layer.ts";
import { enterDirectory, Held } from "./paths.ts";
import { putFile, putLink } from "./place.ts";
import { removeTree } from "./tree.ts";
import { attempt, checkPath, describeKind, fileError } from "./words.ts";

const ENOENT = -2, EISDIR = -21;
/** Permissions that are taken over: of files, and of directories. */
const FILE = 0o777, DIRECTORY = 0o3777;
/** Set-user-id and set-group-id. */
const SET_ID = 0o6000;

/** What is taken over. */
export interface ApplyOptions extends LayerOptions {
  /** How many bytes files may have; holes do not count. A GiB unless told. */
  bytes?: number;
}

/** Where a path ends in both layers. */
interface Spot {
  upper: Entry;
  lower: Entry;
  /** Nothing of the lower one shows. */
  opaque: boolean;
}

function unchanged(doing: string): Error {
  return fileError(doing, "it has not changed", "file-missing", {
    hint: "List the changes",
  });
}

/** Finds the directories that a path ends in; makes those of the lower layer as
 * they are in the upper one. */
function findSpot(
  doing: string,
  top: Pick<Spot, "upper" | "lower">,
  parts: readonly string[],
  options: ApplyOptions,
  held: DisposableStack,
): Spot {
  let { upper, lower } = top;
  let opaque = false;
  for (const name of parts) {
    const next = held.use(findEntry(upper.fd, name));
    if (!next?.isDirectory) throw unchanged(doing);
    refuseRedirect(doing, next, options);
    opaque ||= isOpaque(next, options);
    const old = held.use(findEntry(lower.fd, name));
    if (old !== undefined && !old.isDirectory) {
      throw fileError(
        doing,
        `"${name}" above it is ${
          describeKind(old.stat)
        } in the root file system`,
        "file-kind",
        { hint: "Apply that as well" },
      );
    }
    lower = old ?? held.use(makeDirectory(lower.fd, name, next.stat));
    upper = next;
  }
  return { upper, lower, opaque };
}

function makeDirectory(dir: number, name: string, stat: FileStat): Entry {
  return actAs(stat, () => {
    using made = enterDirectory(dir, name, 0o700).held;
    chmodFd(made.fd, stat.mode & DIRECTORY);
    return new Entry(openFd(".", O.PATH, 0, made.fd));
  });
}

/** Removes whatever has a name. */
function remove(dir: number, name: string): void {
  const removed = unlinkBelow(dir, name);
  if (removed === EISDIR) return removeTree(dir, name);
  if (removed < 0 && removed !== ENOENT) {
    throw new SyscallError("unlinkat", -removed);
  }
}

function applyDirectory(
  dir: number,
  name: string,
  { stat }: Entry,
  old: Entry | undefined,
): void {
  if (!old?.isDirectory) {
    remove(dir, name);
    makeDirectory(dir, name, stat)[Symbol.dispose]();
    return;
  }
  if (old.stat.uid !== stat.uid || old.stat.gid !== stat.gid) {
    chownFd(old.fd, stat);
  }
  chmodFd(old.fd, stat.mode & DIRECTORY);
}

function applyFile(
  doing: string,
  dir: number,
  name: string,
  entry: Entry,
  old: Entry | undefined,
  count: (bytes: number) => void,
): void {
  const { stat } = entry;
  if (!Number.isSafeInteger(stat.size)) {
    throw fileError(doing, `it has ${stat.size} bytes`, "file-too-large");
  }
  const kept = old !== undefined && isType(old.stat, S_IF.REG) &&
      old.stat.uid === stat.uid && old.stat.gid === stat.gid
    ? old.stat.mode & SET_ID
    : 0;
  using source = new Held(reopen(entry.fd, O.RDONLY));
  putFile(source.fd, stat, dir, name, {
    mode: stat.mode & (FILE | kept),
    exact: true,
  }, count);
}

function applyOne(
  doing: string,
  top: Pick<Spot, "upper" | "lower">,
  parts: readonly string[],
  options: ApplyOptions,
  count: (bytes: number) => void,
): void {
  using held = new DisposableStack();
  const name = parts.at(-1)!;
  const spot = findSpot(doing, top, parts.slice(0, -1), options, held);
  const dir = spot.lower.fd;
  const entry = held.use(findEntry(spot.upper.fd, name));
  const old = held.use(findEntry(dir, name));
  if (entry === undefined) {
    if (!spot.opaque || old === undefined) throw unchanged(doing);
    return remove(dir, name);
  }
  if (isWhiteout(entry, spot.upper, options)) return remove(dir, name);
  refuseRedirect(doing, entry, options);
  if (entry.isDirectory) return applyDirectory(dir, name, entry, old);
  const isLink = isType(entry.stat, S_IF.LNK);
  if (!isLink && !isType(entry.stat, S_IF.REG)) {
    throw fileError(doing, `it is ${describeKind(entry.stat)}`, "file-kind", {
      hint: "Only files, directories and links can be applied",
    });
  }
  if (old?.isDirectory) removeTree(dir, name);
  actAs(entry.stat, () => {
    if (isLink) putLink(dir, name, readLinkFd(entry.fd));
    else applyFile(doing, dir, name, entry, old, count);
  });
}

/**
 * Takes changes over into the root file system, each path alone: of a directory
 * owner and mode, of a file or link all of it. Directories above it are made as
 * they are in the upper layer. A file gets its name when it is whole; its other
 * attributes (capabilities, access lists) are left out, and set-user-id and
 * set-group-id, unless the file that it replaces has them and the same owner.
 * What was applied before an error stays.
 *
 * @param upper a descriptor of the overlay's upper directory
 * @param lower one of the root file system
 * @param paths of `listChanges()`
 * @throws {ContainerError} file-missing (nothing has changed there), file-kind
 * (devices, FIFOs and sockets), file-too-large, file-access, file-path
 */
export function applyChanges(
  upper: number,
  lower: number,
  paths: Iterable<string>,
  options: ApplyOptions,
): void {
  const { bytes = COPY_LIMITS.bytes } = options;
  let left = bytes;
  using held = new DisposableStack();
  const open = (fd: number) =>
    attempt(
      "apply changes",
      () => held.use(new Entry(openFd(".", O.PATH, 0, fd))),
    );
  const top = { upper: open(upper), lower: open(lower) };
  for (const path of [...new Set(paths)].sort()) {
    const doing = `apply "${path}"`;
    checkPath(doing, path);
    const parts = path.split("/").filter((it) => it !== "");
    if (parts.length === 0 || parts.includes(".") || parts.includes("..")) {
      throw fileError(doing, "no change has that path", "file-path", {
        hint: "List the changes",
      });
    }
    const count = (more: number) => {
      left -= more;
      if (left >= 0) return;
      throw fileError(
        doing,
        `that would be more than ${bytes} bytes`,
        "file-too-large",
      );
    };
    attempt(doing, () => applyOne(doing, top, parts, options, count));
  }
}
