/**
 * What has changed in a throw-away root: its overlay's upper layer beside the
 * root file system. What is in the upper layer was made by the container, and is
 * not trusted; nothing in either follows a link or enters a mount.
 *
 * @module
 */

import { isSameData, listNames, readLinkFd, reopen } from "../../../ffi/at.ts";
import { type FileStat, isType } from "../../../ffi/identity.ts";
import { O, S_IF } from "../../../ffi/constants.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import { openFd } from "../../../ffi/libc.ts";
import {
  Entry,
  findEntry,
  isOpaque,
  isWhiteout,
  type LayerOptions,
  refuseRedirect,
} from "./layer.ts";
import { Held } from "./paths.ts";
import { attempt, fileError } from "./words.ts";

/** One thing that is not as it is in the root file system. */
export interface Change {
  /** In the root: "/etc/hosts". Bytes that are no UTF-8 are lone surrogates. */
  path: string;
  kind: "made" | "changed" | "removed";
  /** What it is now; of what was removed, what it was. */
  type: "file" | "directory" | "link" | "other";
}

/** What is listed. */
export interface ChangesOptions extends LayerOptions {
  /** Paths of what rustyrun has made, such as mount points: they are not listed,
   * nor are directories above them as made. */
  own?: readonly string[];
  /** Paths of what the container has not been shown: they are not listed, nor what
   * is missing in them. */
  hidden?: readonly string[];
  /** How many changes there may be; a million unless told. */
  max?: number;
}

/** How deep the upper layer may be: three descriptors are open for each level. */
const DEPTH = 256;
/** How long all paths may be together: a long one may be that of many. */
const TEXT = 1 << 26;

/** A directory of the upper layer that is being looked through. */
interface Level {
  path: string;
  upper: Entry;
  /** The directory that it is laid over, if that has been seen. */
  lower: Entry | undefined;
  /** Nothing of it shows. */
  opaque: boolean;
  names: Iterator<string>;
  /** Names that were met, where the others of the lower one have gone. */
  seen: Set<string>;
  held: DisposableStack;
}

function typeOf({ stat }: Entry): Change["type"] {
  if (isType(stat, S_IF.REG)) return "file";
  if (isType(stat, S_IF.DIR)) return "directory";
  return isType(stat, S_IF.LNK) ? "link" : "other";
}

/** Whether two are the same but for what they hold. */
function isSameBut(a: FileStat, b: FileStat): boolean {
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid;
}

/** Whether two entries are the same: an overlay copies also what was only opened.
 * Where the times are the same, too, what they hold is compared, since whoever
 * changes a file can set its time. */
function isSame(upper: Entry, lower: Entry): boolean {
  const [a, b] = [upper.stat, lower.stat];
  if (!isSameBut(a, b)) return false;
  if (isType(a, S_IF.DIR)) return true;
  if (isType(a, S_IF.LNK)) return readLinkFd(upper.fd) === readLinkFd(lower.fd);
  if (!isType(a, S_IF.REG)) return a.rdev === b.rdev;
  if (a.size !== b.size || a.mtime.some((it, i) => it !== b.mtime[i])) {
    return false;
  }
  using one = new Held(reopen(upper.fd, O.RDONLY));
  using other = new Held(reopen(lower.fd, O.RDONLY));
  return isSameData(one.fd, other.fd, a.size);
}

/** "/a/b/c": "/a", "/a/b". */
function listAbove(path: string): string[] {
  const parts = path.split("/");
  return parts.slice(2).map((_, i) => parts.slice(0, i + 2).join("/"));
}

class Listing {
  readonly changes: Change[] = [];
  readonly #levels: Level[] = [];
  readonly #options: ChangesOptions;
  readonly #own: ReadonlySet<string>;
  readonly #aboveOwn: ReadonlySet<string>;
  readonly #hidden: ReadonlySet<string>;
  #text = 0;

  constructor(options: ChangesOptions) {
    this.#options = options;
    const { own = [], hidden = [] } = options;
    this.#own = new Set(own);
    this.#aboveOwn = new Set(own.flatMap(listAbove));
    this.#hidden = new Set(hidden);
  }

  run(upper: number, lower: number): void {
    try {
      attempt(doing("/"), () => {
        using held = new DisposableStack();
        const [above, below] = [upper, lower].map((fd) =>
          held.use(new Entry(openFd(".", O.PATH, 0, fd)))
        );
        this.#enter("", above!, below, false, held.move());
      });
      for (let level; (level = this.#levels.at(-1));) {
        const { path } = level;
        attempt(doing(path || "/"), () => this.#step(level));
      }
    } finally {
      for (const { held } of this.#levels) held.dispose();
    }
  }

  #enter(
    path: string,
    upper: Entry,
    lower: Entry | undefined,
    opaque: boolean,
    held: DisposableStack,
  ): void {
    const names = listNames(upper.fd);
    held.defer(() => names.return(undefined));
    this.#levels.push({
      path,
      upper,
      lower,
      opaque,
      names,
      seen: new Set(),
      held,
    });
    if (this.#levels.length <= DEPTH) return;
    throw fileError(
      doing(path),
      `it is more than ${DEPTH} directories deep`,
      "file-too-large",
      { hint: "Look at it, or remove it, by a command in the container" },
    );
  }

  #step(level: Level): void {
    const next = level.names.next();
    if (!next.done) {
      const path = `${level.path}/${next.value}`;
      return attempt(doing(path), () => this.#look(level, path, next.value));
    }
    this.#levels.pop();
    using _ = level.held;
    if (level.opaque) this.#tellGone(level);
  }

  #look(level: Level, path: string, name: string): void {
    using held = new DisposableStack();
    const upper = held.use(findEntry(level.upper.fd, name));
    // Somebody has just removed it.
    if (upper === undefined) return;
    if (level.opaque) level.seen.add(name);
    const lower = held.use(findLower(level, name));
    if (isWhiteout(upper, level.upper, this.#options)) {
      if (lower !== undefined) this.#tell(path, "removed", lower);
      return;
    }
    refuseRedirect(doing(path), upper, this.#options);
    if (lower === undefined) this.#tell(path, "made", upper);
    else if (!isSame(upper, lower)) this.#tell(path, "changed", upper);
    if (!upper.isDirectory) return;
    const opaque = level.opaque || isOpaque(upper, this.#options);
    // What the container has not seen in the first place has not gone.
    const hidden = opaque && this.#hidden.has(path);
    const below = lower?.isDirectory && !hidden ? lower : undefined;
    this.#enter(path, upper, below, opaque, held.move());
  }

  /** What an opaque directory does not have of the one below. */
  #tellGone(level: Level): void {
    if (level.lower === undefined) return;
    for (const name of listNames(level.lower.fd)) {
      if (level.seen.has(name)) continue;
      using entry = findLower(level, name);
      if (entry === undefined) continue;
      this.#tell(`${level.path}/${name}`, "removed", entry);
    }
  }

  #tell(path: string, kind: Change["kind"], entry: Entry): void {
    if (this.#own.has(path) || this.#hidden.has(path)) return;
    if (kind === "made" && this.#aboveOwn.has(path)) return;
    const { max = 1_000_000 } = this.#options;
    this.#text += path.length;
    const why = this.changes.length >= max
      ? `there are more than ${max} changes`
      : this.#text > TEXT
      ? `their paths have more than ${TEXT} characters`
      : undefined;
    if (why !== undefined) throw fileError(doing("/"), why, "file-too-large");
    this.changes.push({ path, kind, type: typeOf(entry) });
  }
}

function doing(path: string): string {
  return `list what has changed in "${path}"`;
}

/** What is below an entry, as far as the overlay has seen it: not what is mounted
 * there on the host. */
function findLower(level: Level, name: string): Entry | undefined {
  if (level.lower === undefined) return undefined;
  try {
    return findEntry(level.lower.fd, name);
  } catch (error) {
    if (error instanceof SyscallError && error.code === "EXDEV") {
      return undefined;
    }
    throw error;
  }
}

/**
 * Lists what a container has changed in its throw-away root. Of attributes only
 * owner and mode count. What was renamed is removed and made; of a directory that
 * was removed or renamed, what was in it is not listed.
 *
 * @param upper a descriptor of the overlay's upper directory
 * @param lower one of the root file system
 * @returns by path, what is above first
 * @throws {ContainerError} file-too-large, file-kind (a layer that cannot be read
 * by itself), file-access
 */
export function listChanges(
  upper: number,
  lower: number,
  options: ChangesOptions,
): Change[] {
  const listing = new Listing(options);
  listing.run(upper, lower);
  return listing.changes.sort((a, b) => a.path < b.path ? -1 : 1);
}
