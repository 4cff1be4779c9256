/**
 * Looks at the machine that have names, so that what a plan rests on can be
 * written down and looked at again: a plan whose every look still shows the
 * same would come out the same (container/replay.ts).
 *
 * While looks are being recorded, looks/record.ts stands between this
 * program and `Deno`, and notes what is read through it. The looks of this file
 * are those that it could not note by itself: their source never reads the same
 * twice (/proc/self/status), says more than a plan uses (mountinfo), is a
 * secret (the environment), or is no call of Deno's.
 *
 * @module
 */

import { closeFd, cstring, limitProcess, trySyscall } from "../ffi/libc.ts";
import { readHead, readInRoot } from "../ffi/rootfs.ts";

/** What is written down of a look: its name, its argument, and what was seen:
 * "=" and a text, or "!" and the name of an error. */
export type Look = [name: LookName, argument: string, seen: string];

const KINDS = [
  "isFile",
  "isDirectory",
  "isSymlink",
  "isBlockDevice",
  "isCharDevice",
  "isFifo",
  "isSocket",
] as const;

/** What a plan may know of a file: nothing that a mere use of it changes. */
export type SeenFile = Pick<
  Deno.FileInfo,
  typeof KINDS[number] | "mode" | "uid" | "gid" | "rdev" | "dev" | "ino"
>;

function describeFile(info: Deno.FileInfo): string {
  const kind = KINDS.findIndex((it) => info[it]);
  return [kind, info.mode, info.uid, info.gid, info.rdev, info.dev, info.ino]
    .join(" ");
}

/** The file that {@linkcode LOOKS}.stat and .lstat describe. */
export function parseFile(text: string): SeenFile {
  const [kind, mode, uid, gid, rdev, dev = 0, ino] = text.split(" ")
    .map(Number);
  const kinds = Object.fromEntries(KINDS.map((it, at) => [it, at === kind]));
  return { ...kinds, mode, uid, gid, rdev, dev, ino } as SeenFile;
}

/** What of a file's start is enough to tell what it is, in bytes. */
const HEAD_SIZE = 256;

let environment: string | undefined;

/** Every look there is: each returns a text. */
const LOOKS = {
  text: (path: string) => Deno.readTextFileSync(path),
  stat: (path: string) => describeFile(Deno.statSync(path)),
  lstat: (path: string) => describeFile(Deno.lstatSync(path)),
  link: (path: string) => Deno.readLinkSync(path),
  real: (path: string) => Deno.realPathSync(path),
  cwd: () => Deno.cwd(),
  uid: () => String(Deno.uid()),
  gid: () => String(Deno.gid()),
  umask: () => String(Deno.umask()),
  /** "=VALUE" of a variable of the caller's environment; "" when it is not set.
   * Not Deno.env: where PATH has no node, Deno 2.9 puts a directory of its own
   * into it. */
  env(name: string) {
    environment ??= "\0" + Deno.readTextFileSync("/proc/self/environ");
    const at = environment.indexOf(`\0${name}=`);
    if (at < 0) return "";
    const start = at + name.length + 1;
    return environment.slice(start, environment.indexOf("\0", start));
  },
  /** The caller's effective uid, gid and CapEff; proc_pid_status(5). */
  ids() {
    const status = Deno.readTextFileSync("/proc/self/status");
    const field = (name: string, column: number): string => {
      const at = status.indexOf(`\n${name}:`);
      const end = status.indexOf("\n", at + 1);
      return status.slice(at, end).split("\t")[column]!;
    };
    return `${field("Uid", 2)} ${field("Gid", 2)} ${field("CapEff", 1)}`;
  },
  /** The lines of /proc/self/mountinfo that are cgroup hierarchies, without
   * the ids of mounts and peer groups, which each mount namespace has of its
   * own. */
  cgroupMounts() {
    return Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
      .filter((it) => it.includes(" - cgroup")).map((line) => {
        const [where = "", what] = line.split(" - ");
        const [, , , root, path] = where.split(" ");
        return `0 0 0:0 ${root} ${path} - ${what}`;
      }).join("\n");
  },
  /** "yes" when standard stream `fd` is the null device. */
  isNull(fd: string) {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${fd}`) === "/dev/null"
        ? "yes"
        : "no";
    } catch (error) {
      // Closed: then it is nothing to be replaced.
      if (error instanceof Deno.errors.NotFound) return "no";
      throw error;
    }
  },
  /** The parent's line "Max open files" of proc_pid_limits(5); "" for pid 1,
   * whose parent is outside, and where hidepid hides it. */
  parentFiles() {
    try {
      const limits = Deno.readTextFileSync(`/proc/${Deno.ppid}/limits`);
      return /^Max open files.*/m.exec(limits)?.[0] ?? "";
    } catch (error) {
      if (
        error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.PermissionDenied
      ) return "";
      throw error;
    }
  },
  /** This process's hard RLIMIT_NOFILE. */
  hardFiles: () => String(limitProcess(0, 7)[1]),
  /** "yes" when nothing has this path. */
  isMissing: (path: string) => isAbsent(path, true) ? "yes" : "no",
  /** "=TEXT" of a file inside a root file system: "ROOTFS\0PATH"; "" when there
   * is none. */
  inRoot(argument: string) {
    const at = argument.indexOf("\0");
    const text = readInRoot(argument.slice(0, at), argument.slice(at + 1));
    return text === undefined ? "" : `=${text}`;
  },
  /** "=HEX" of the first bytes of a file inside a root file system:
   * "ROOTFS\0PATH"; "" when there is none, "other" when it cannot be read. */
  head(argument: string) {
    const at = argument.indexOf("\0");
    const head = readHead(
      argument.slice(0, at),
      argument.slice(at + 1),
      HEAD_SIZE,
    );
    if (head === undefined) return "";
    return head === "other" ? head : `=${head.toHex()}`;
  },
} satisfies Record<string, (argument: string) => string>;

/** The name of a look. */
export type LookName = keyof typeof LOOKS;

/** Takes note of looks. */
export interface Noter {
  note(name: LookName, argument: string, see: () => string): string;
  /** Calls a function and takes no note of what it looks at. */
  pause<T>(call: () => T): T;
}

let noter: Noter | undefined;

/** Has every look noted; undefined ends that. */
export function setNoter(it: Noter | undefined): void {
  noter = it;
}

/**
 * Looks at the machine.
 *
 * @throws what the look throws
 */
export function look(name: LookName, argument = ""): string {
  const see = () => LOOKS[name](argument);
  return noter === undefined ? see() : noter.note(name, argument, see);
}

/** Calls a function whose looks change nothing about its result: a cache of
 * what follows from its arguments. */
export function aside<T>(call: () => T): T {
  return noter === undefined ? call() : noter.pause(call);
}

/** {@linkcode Look}'s third part, for what a look shows now. */
export function describeLook(see: () => string): string {
  try {
    return `=${see()}`;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return `!${error.name}`;
  }
}

const O_NOFOLLOW = Deno.build.arch === "aarch64" ? 0o100000 : 0o400000;

/** Whether openat(2) says ENOENT of a path. */
function isAbsent(path: string, follow: boolean): boolean {
  // O_PATH | O_CLOEXEC
  const flags = 0o12000000 | (follow ? 0 : O_NOFOLLOW);
  const fd = trySyscall("openat", -100, cstring(path), flags, 0);
  if (fd >= 0) closeFd(fd);
  return fd === -2;
}

/** Whether all looks still show what was written down. */
export function isUnchanged(looks: readonly Look[]): boolean {
  return looks.every(([name, argument, seen]) =>
    // An exception would cost 3 ms.
    seen === "!NotFound" && (name === "text" || name === "stat")
      ? isAbsent(argument, true)
      : seen === "!NotFound" && (name === "lstat" || name === "link")
      ? isAbsent(argument, false)
      : describeLook(() => LOOKS[name](argument)) === seen
  );
}
