/**
 * Mount options: the words of mount(8) and of the specification's lists
 * (config.md#mounts), sorted into what the kernel's mount API takes where.
 *
 * @module
 */

import { MOUNT_ATTR as ATTR, MS } from "../../ffi/constants.ts";

/** Options of one mount, sorted. */
export interface MountOptions {
  /** Attributes of the mount itself to set and to clear. */
  set: number;
  clear: number;
  /** The same for it and everything below it, mount_setattr(2) AT_RECURSIVE. */
  recursiveSet: number;
  recursiveClear: number;
  /** Propagation types in the order given; recursive: "rslave". */
  propagation: { type: number; recursive: boolean }[];
  /** bind or rbind was among the options: the type is ignored then. */
  bind: boolean;
  recursiveBind: boolean;
  remount: boolean;
  /** Flags and data for the file system's own context, fsconfig(2). */
  data: string[];
  /** idmap or ridmap. */
  idmap?: "idmap" | "ridmap";
  /** tmpcopyup: the tmpfs starts with what it covers. */
  copyUp: boolean;
}

/** Attribute words: [attribute, sets it]. An access-time word always clears
 * the whole field first. */
const ATTRIBUTES: ReadonlyMap<string, readonly [number, boolean]> = new Map([
  ["ro", [ATTR.RDONLY, true]],
  ["rw", [ATTR.RDONLY, false]],
  ["nosuid", [ATTR.NOSUID, true]],
  ["suid", [ATTR.NOSUID, false]],
  ["nodev", [ATTR.NODEV, true]],
  ["dev", [ATTR.NODEV, false]],
  ["noexec", [ATTR.NOEXEC, true]],
  ["exec", [ATTR.NOEXEC, false]],
  ["nodiratime", [ATTR.NODIRATIME, true]],
  ["diratime", [ATTR.NODIRATIME, false]],
  ["nosymfollow", [ATTR.NOSYMFOLLOW, true]],
  ["symfollow", [ATTR.NOSYMFOLLOW, false]],
  ["relatime", [ATTR.RELATIME, true]],
  ["norelatime", [ATTR.RELATIME, false]],
  ["noatime", [ATTR.NOATIME, true]],
  ["atime", [ATTR.NOATIME, false]],
  ["strictatime", [ATTR.STRICTATIME, true]],
  ["nostrictatime", [ATTR.STRICTATIME, false]],
]);

const TIMES = new Set([
  "relatime",
  "norelatime",
  "noatime",
  "atime",
  "strictatime",
  "nostrictatime",
]);

const PROPAGATION: ReadonlyMap<string, readonly [number, boolean]> = new Map([
  ["private", [MS.PRIVATE, false]],
  ["rprivate", [MS.PRIVATE, true]],
  ["slave", [MS.SLAVE, false]],
  ["rslave", [MS.SLAVE, true]],
  ["shared", [MS.SHARED, false]],
  ["rshared", [MS.SHARED, true]],
  ["unbindable", [MS.UNBINDABLE, false]],
  ["runbindable", [MS.UNBINDABLE, true]],
]);

/** Words that say what a new mount is anyway, or that no part of the mount API
 * knows: `silent` and `loud` concern the kernel's log alone. */
const NOTHING = new Set(["defaults", "silent", "loud", "noiversion"]);

/** Words that every file system's context understands, fs_context. */
const SUPERBLOCK = new Set([
  "sync",
  "async",
  "dirsync",
  "lazytime",
  "nolazytime",
  "mand",
  "nomand",
]);

/** Every word that is not handed on to the file system: for `features`. */
export function knownMountOptions(): string[] {
  const words = [...ATTRIBUTES.keys()];
  return [
    ...words,
    ...words.map((it) => `r${it}`),
    ...PROPAGATION.keys(),
    ...NOTHING,
    ...SUPERBLOCK,
    "bind",
    "rbind",
    "remount",
    "iversion",
    "idmap",
    "ridmap",
    "tmpcopyup",
  ].sort();
}

function setTime(
  word: string,
  bits: { set: number; clear: number },
): void {
  const [attribute, on] = ATTRIBUTES.get(word) ?? [0, true];
  // The "no" of one kind of access time takes another kind that was asked for
  // as it is, and else falls back to the kernel's default.
  const now = bits.set & ATTR.ATIME;
  if (!on && now !== 0 && now !== attribute) return;
  bits.set &= ~ATTR.ATIME;
  bits.clear |= ATTR.ATIME;
  if (on) bits.set |= attribute;
}

function setAttribute(
  word: string,
  bits: { set: number; clear: number },
): boolean {
  const entry = ATTRIBUTES.get(word);
  if (entry === undefined) return false;
  if (TIMES.has(word)) {
    setTime(word, bits);
    return true;
  }
  const [attribute, on] = entry;
  bits.set = on ? bits.set | attribute : bits.set & ~attribute;
  bits.clear = on ? bits.clear & ~attribute : bits.clear | attribute;
  return true;
}

/**
 * Sorts the options of a mount. Of two words that contradict each other the
 * later one counts; a word that is not known is data for the file system.
 */
export function parseMountOptions(words: readonly string[]): MountOptions {
  const own = { set: 0, clear: 0 };
  const below = { set: 0, clear: 0 };
  const result: MountOptions = {
    set: 0,
    clear: 0,
    recursiveSet: 0,
    recursiveClear: 0,
    propagation: [],
    bind: false,
    recursiveBind: false,
    remount: false,
    data: [],
    copyUp: false,
  };
  for (const word of words) {
    if (setAttribute(word, own)) continue;
    if (word.startsWith("r") && setAttribute(word.slice(1), below)) continue;
    const propagation = PROPAGATION.get(word);
    if (propagation !== undefined) {
      result.propagation.push({
        type: propagation[0],
        recursive: propagation[1],
      });
    } else if (word === "bind" || word === "rbind") {
      result.bind = true;
      if (word === "rbind") result.recursiveBind = true;
    } else if (word === "remount") {
      result.remount = true;
    } else if (word === "idmap" || word === "ridmap") {
      result.idmap = word;
    } else if (word === "tmpcopyup") {
      result.copyUp = true;
    } else if (word !== "" && !NOTHING.has(word)) {
      result.data.push(word);
    }
  }
  result.set = own.set;
  result.clear = own.clear;
  result.recursiveSet = below.set;
  result.recursiveClear = below.clear;
  return result;
}

/** Splits what is left for the file system at its commas, as mount(2) would;
 * not inside quotes and not after a backslash. */
export function splitData(words: readonly string[]): string[] {
  const parts: string[] = [];
  for (const word of words) {
    for (const [part] of word.matchAll(/(?:"[^"]*"|\\.|[^,"\\])+/g)) {
      parts.push(part.replaceAll('"', ""));
    }
  }
  return parts;
}
