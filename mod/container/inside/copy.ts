/**
 * Copies files and directories into a container and out of it, by safe paths:
 * below what was named no link is followed, on either side, and nothing but
 * regular files is opened.
 *
 * @module
 */

import {
  chmodFd,
  findBelow,
  listNames,
  readLinkFd,
  reopen,
  setMtime,
  statFd,
} from "../../../ffi/at.ts";
import { O, S_IF } from "../../../ffi/constants.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import { type FileStat, isSameFile, isType } from "../../../ffi/identity.ts";
import { openFd } from "../../../ffi/libc.ts";
import { findInRoot } from "../../../ffi/rootfs.ts";
import {
  closing,
  enterDirectory,
  findDirectory,
  Held,
  splitPath,
} from "./paths.ts";
import { putFile, putLink } from "./place.ts";
import {
  type Act,
  eachWay,
  isVolume,
  plainly,
  refuseVolume,
  type Root,
  type Walk,
} from "./rights.ts";
import {
  attempt,
  checkPath,
  describeKind,
  fileError,
  refuseKernelFile,
} from "./words.ts";

const ENOENT = -2, ENOTDIR = 20;

/** How deep a tree may be: two descriptors are open for each of its levels. */
const DEPTH = 256;

/** How much may be copied. */
export interface CopyLimits {
  /** Bytes of all files; holes do not count. */
  bytes: number;
  /** Files, directories and links. */
  entries: number;
}

/** What a container may give out unless more is allowed: it can make files that
 * are larger, and trees that are wider, than the host has room for. */
export const COPY_LIMITS: CopyLimits = { bytes: 2 ** 30, entries: 100_000 };

const UNLIMITED: CopyLimits = { bytes: Infinity, entries: Infinity };

/** A directory that is being copied. */
interface Level {
  /** Below what was named: "/a/b". */
  path: string;
  stat: FileStat;
  from: Held;
  to: Held;
  made: boolean;
  names: Iterator<string>;
}

/** The side of a copy that is in a container, and how its path was walked. */
interface Inside {
  side: "source" | "target";
  walk: Walk;
}

class Copy {
  readonly #levels: Level[] = [];
  readonly #left: CopyLimits;
  readonly #limits: CopyLimits;
  readonly #exact: boolean;
  readonly #doing: (path: string) => string;
  /** The copy itself, if it is a directory: it is not copied into itself. */
  #top: FileStat | undefined;

  readonly #inside: Inside;
  readonly #asSource: Act;
  readonly #asTarget: Act;

  /** @param exact modes count as they are, and not without what umask(2) takes
   * @param doing what is wanted, for a path below what was named
   * @param inside which of both is in the container
   * @param asSource reads, with the rights for that, and
   * @param asTarget makes the copy */
  constructor(
    exact: boolean,
    limits: CopyLimits,
    doing: (path: string) => string,
    inside: Inside,
    asSource: Act,
    asTarget: Act,
  ) {
    this.#inside = inside;
    this.#exact = exact;
    this.#limits = limits;
    this.#left = { ...limits };
    this.#doing = doing;
    this.#asSource = asSource;
    this.#asTarget = asTarget;
  }

  /**
   * Copies what `source` stands for, with O_PATH, to a name in a directory, or
   * into the directory itself.
   */
  run(source: number, target: number, name: string): void {
    try {
      this.#copy(source, target, name, "");
      for (let level; (level = this.#levels.at(-1));) {
        const { path, from, to } = level;
        const next = attempt(
          this.#doing(path),
          () => this.#asSource(() => level.names.next()),
        );
        if (next.done) {
          attempt(this.#doing(path), () => this.#leave(level));
          continue;
        }
        const below = `${path}/${next.value}`;
        attempt(this.#doing(below), () => {
          const fd = this.#asSource(() => findBelow(from.fd, next.value));
          // Somebody has just removed it.
          if (fd === ENOENT) return;
          using entry = new Held(fd);
          this.#stayOut("source", below, entry.fd);
          this.#copy(entry.fd, to.fd, next.value, below);
        });
      }
    } finally {
      for (const level of this.#levels) close(level);
    }
  }

  /** What is named is no volume: one that lies in it goes by other rights. */
  #stayOut(side: Inside["side"], path: string, fd: number): void {
    const { walk, side: inside } = this.#inside;
    if (side !== inside || !isVolume(walk, fd)) return;
    throw fileError(this.#doing(path), "it is a volume", "file-access", {
      hint: "Name it itself, or copy what is in it on the host",
    });
  }

  #copy(source: number, target: number, name: string, path: string): void {
    const doing = this.#doing(path);
    if (--this.#left.entries < 0) {
      const { entries } = this.#limits;
      throw fileError(
        doing,
        `that would be more than ${entries} entries`,
        "file-too-large",
      );
    }
    const stat = statFd(source);
    if (isType(stat, S_IF.DIR)) {
      this.#enter(source, stat, target, name, path);
    } else if (name === "") {
      throw fileError(
        doing,
        `it is ${describeKind(stat)}, and would replace a directory`,
        "file-kind",
      );
    } else if (isType(stat, S_IF.LNK)) {
      const leads = readLinkFd(source);
      this.#asTarget(() => putLink(target, name, leads));
    } else if (isType(stat, S_IF.REG)) {
      refuseKernelFile(doing, source);
      if (!Number.isSafeInteger(stat.size)) {
        throw fileError(doing, `it has ${stat.size} bytes`, "file-too-large");
      }
      using from = new Held(this.#asSource(() => reopen(source, O.RDONLY)));
      this.#asTarget(() =>
        putFile(from.fd, stat, target, name, {
          // Whose program it was does not count any more.
          mode: stat.mode & 0o777,
          exact: this.#exact,
        }, (bytes) => this.#count(doing, bytes))
      );
    } else {
      throw fileError(doing, `it is ${describeKind(stat)}`, "file-kind", {
        hint:
          "Copy what lies beside it: only files, directories and links can be",
      });
    }
  }

  #count(doing: string, bytes: number): void {
    this.#left.bytes -= bytes;
    if (this.#left.bytes >= 0) return;
    throw fileError(
      doing,
      `that would be more than ${this.#limits.bytes} bytes`,
      "file-too-large",
    );
  }

  #enter(
    source: number,
    stat: FileStat,
    target: number,
    name: string,
    path: string,
  ): void {
    const doing = this.#doing(path);
    if (this.#levels.length >= DEPTH) {
      throw fileError(
        doing,
        `it is more than ${DEPTH} directories deep`,
        "file-too-large",
        { hint: "Pack it with tar in the container" },
      );
    }
    if (this.#top !== undefined && isSameFile(this.#top, stat)) {
      throw fileError(doing, "it is the copy itself", "file-kind");
    }
    const mode = this.#exact ? 0o700 : stat.mode & 0o1777 | 0o700;
    refuseKernelFile(doing, source);
    const from = new Held(this.#asSource(() => openDirectory(source)));
    const { held, made } = closing(
      from,
      () =>
        this.#asTarget(() =>
          name === ""
            ? { held: new Held(openDirectory(target)), made: false }
            : enterDirectory(target, name, mode)
        ),
    );
    closing(
      from,
      () => closing(held, () => this.#stayOut("target", path, held.fd)),
    );
    this.#levels.push({
      path,
      stat,
      from,
      to: held,
      made,
      names: listNames(from.fd),
    });
    this.#top ??= statFd(held.fd);
    refuseKernelFile(doing, held.fd);
  }

  #leave(level: Level): void {
    this.#levels.pop();
    try {
      if (!level.made) return;
      const { mode, mtime } = level.stat;
      const has = this.#exact ? 0o7777 : statFd(level.to.fd).mode;
      this.#asTarget(() => {
        chmodFd(level.to.fd, mode & 0o1777 & has);
        setMtime(level.to.fd, mtime);
      });
    } finally {
      close(level);
    }
  }
}

function close({ from, to, names }: Level): void {
  names.return?.();
  from[Symbol.dispose]();
  to[Symbol.dispose]();
}

/** One more descriptor of the same directory. */
function openDirectory(fd: number): number {
  return openFd(".", O.PATH, 0, fd);
}

/**
 * Copies a file or a directory into a container. The source itself may be a
 * link; links below it are copied as links. Missing directories of the path are
 * made, mode 0755. A directory that is there gets what the source has, a file or
 * link that is there is replaced. What is made is the user's; modes are the source's
 * without set-user-id and set-group-id, times are the source's.
 *
 * @param source a path of the host's
 * @param path the name of the copy
 * @throws {ContainerError} file-missing, file-kind (devices, FIFOs and sockets,
 * too), file-too-large (too deep), file-access, file-path
 */
export function copyIn(
  source: string,
  root: Root,
  path: string,
): void {
  const words = (below: string) =>
    `copy "${source}${below}" to "${path}${below}" in the container`;
  const doing = words("");
  checkPath(doing, source);
  checkPath(doing, path);
  eachWay(doing, root, true, (walk, asUser) => {
    using from = new Held(openFd(source, O.PATH));
    const { parent, name } = splitPath(path);
    using dir = asUser(() => findDirectory(doing, walk, parent, true));
    new Copy(true, UNLIMITED, words, { side: "target", walk }, plainly, asUser)
      .run(from.fd, dir.fd, name);
  });
}

/**
 * Copies a file or a directory out of a container. The path itself may be a
 * link, followed inside the root; links below it are copied as links, which may
 * point anywhere. What is made is the caller's own, with the modes inside but
 * for set-user-id, set-group-id and what umask(2) takes. A directory that is
 * there gets what the container's has, a file or link that is there is replaced.
 *
 * @param destination the name of the copy on the host, in a directory that is
 * there
 * @param limits {@linkcode COPY_LIMITS}, unless told
 * @throws {ContainerError} file-missing, file-kind (devices, FIFOs and sockets,
 * too), file-too-large, file-access, file-path
 */
export function copyOut(
  root: Root,
  path: string,
  destination: string,
  limits: CopyLimits = COPY_LIMITS,
): void {
  const words = (below: string) =>
    `copy "${path}${below}" in the container to "${destination}${below}"`;
  const doing = words("");
  checkPath(doing, path);
  checkPath(doing, destination);
  eachWay(doing, root, false, (walk, asUser) => {
    const { fd, links } = walk;
    using from = new Held(asUser(() => findInRoot(fd, path, links)));
    refuseVolume(walk, from.fd);
    const { parent, name } = splitPath(destination);
    using dir = new Held(openFd(parent, O.PATH));
    if (!isType(statFd(dir.fd), S_IF.DIR)) {
      throw new SyscallError("openat", ENOTDIR);
    }
    new Copy(false, limits, words, { side: "source", walk }, asUser, plainly)
      .run(from.fd, dir.fd, name);
  });
}
