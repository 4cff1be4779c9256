/**
 * Who called: all that the host stage knows of it, as one value. It is made of
 * this process, or of a front that the warm engine serves; tests make any.
 *
 * @module
 */

import { readLinkSync, readTextFileSync } from "../ffi/files.ts";
import { limitProcess } from "../ffi/libc.ts";
import {
  type CommonDevice,
  deviceOf,
  type FileLimit,
  guessSoftFiles,
  type Inherited,
  readInherited,
  readSoftFiles,
  readStatus,
} from "./caller/status.ts";
import { ContainerError } from "./errors.ts";

/** What a standard stream is. */
export type StreamKind = "terminal" | CommonDevice | "closed" | "other";

/** Who called. Each property is read when it is first asked for. Strings are
 * byte for byte: what is no UTF-8 is a lone surrogate (ffi/bytes.ts). */
export interface Caller {
  /** The words after the program's name. */
  readonly words: readonly string[];
  /** "NAME=VALUE". */
  readonly environment: readonly string[];
  /**
   * The current directory: for what needs it, so that a caller whose directory
   * was deleted can have everything else.
   *
   * @throws {ContainerError} when it was deleted
   */
  readonly directory: () => string;
  /** Where /proc shows it, "/proc/self" or "/proc/PID": its cgroups, mounts,
   * namespaces, id maps and descriptors are read there. */
  readonly proc: string;
  readonly pid: number;
  /** Its parent's pid. */
  readonly parent: number;
  /** Effective ids, and CapEff. */
  readonly uid: number;
  readonly gid: number;
  readonly caps: bigint;
  readonly umask: number;
  /** RLIMIT_NOFILE. */
  readonly fileLimit: FileLimit;
  /** Kinds of 0, 1 and 2. */
  readonly streams: readonly StreamKind[];
  /** Whether one of them is a terminal: for who needs no more of it, which costs
   * a tenth. */
  readonly isTerminal: (fd: 0 | 1 | 2) => boolean;
  /** What it hands on that no configuration says. */
  readonly inherited: Inherited;
}

/** A variable of the bundle's first lines: the current directory was deleted, may
 * not be entered or has too long a path, and this one is only where Deno could
 * start. */
export const GONE = "RUSTYRUN_CWD_GONE";

const SELF = "/proc/self";
/** RLIMIT_NOFILE of prlimit(2). */
const RLIMIT_NOFILE = 7;

function lazy<T>(read: () => T): () => T {
  let found: { it: T } | undefined;
  return () => (found ??= { it: read() }).it;
}

/** Deno shows U+FFFD for what is no UTF-8; only then the kernel is asked. */
function readWords(): readonly string[] {
  const words = Deno.args;
  if (!words.some((it) => it.includes("\ufffd"))) return words;
  const line = readTextFileSync(`${SELF}/cmdline`).split("\0");
  // Deno's own words come first, and the last one has its NUL, too.
  return line.slice(line.length - 1 - words.length, -1);
}

/** Not Deno.env: where PATH has no node, Deno 2.9 puts a directory of its own
 * into it. */
function readEnvironment(): readonly string[] {
  return readTextFileSync(`${SELF}/environ`).split("\0")
    .filter((it) => it.indexOf("=") > 0 && !it.startsWith(`${GONE}=`));
}

/** The current directory of this process.
 *
 * @throws {ContainerError} when it was deleted, or Deno cannot start in it */
export function readDirectory(): string {
  try {
    if (Deno.env.get(GONE) === undefined) return Deno.cwd();
  } catch (error) {
    if (error instanceof Deno.errors.InvalidData) {
      return readLinkSync(`${SELF}/cwd`);
    }
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  throw directoryGone();
}

/** The error of {@linkcode Caller.directory}. */
export function directoryGone(): ContainerError {
  return new ContainerError(
    "Cannot find the current directory: it was deleted, may not be entered, or has too long a path",
    {
      code: "current-directory",
      hint: "Go to another one, or give every path from the root",
    },
  );
}

/** Deno raises the soft value of its own process before any code of ours runs:
 * the parent's is the nearest that is left. */
function readFileLimit(): FileLimit {
  const [, hard] = limitProcess(0, RLIMIT_NOFILE);
  return { soft: guessSoftFiles(readSoftFiles(Deno.ppid), hard), hard };
}

function isTerminal(fd: 0 | 1 | 2): boolean {
  return [Deno.stdin, Deno.stdout, Deno.stderr][fd]!.isTerminal();
}

function readStreams(): StreamKind[] {
  return ([0, 1, 2] as const).map((fd) =>
    isTerminal(fd) ? "terminal" : deviceOf(SELF, fd) ?? "other"
  );
}

/** The caller that started this process. */
export function readCaller(): Caller {
  const words = lazy(readWords);
  const environment = lazy(readEnvironment);
  const status = lazy(() => readStatus(SELF));
  const fileLimit = lazy(readFileLimit);
  const streams = lazy(readStreams);
  const inherited = lazy(readInherited);
  return {
    proc: SELF,
    directory: lazy(readDirectory),
    isTerminal,
    get words() {
      return words();
    },
    get environment() {
      return environment();
    },
    get pid() {
      return Deno.pid;
    },
    get parent() {
      return Deno.ppid;
    },
    get uid() {
      return status().uid;
    },
    get gid() {
      return status().gid;
    },
    get caps() {
      return status().caps;
    },
    get umask() {
      return status().umask;
    },
    get fileLimit() {
      return fileLimit();
    },
    get streams() {
      return streams();
    },
    get inherited() {
      return inherited();
    },
  };
}

/** A variable of an environment; undefined when it is not set. */
export function findVariable(
  environment: readonly string[],
  name: string,
): string | undefined {
  return environment.find((it) => it.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}

/** A variable of this very process: for what Deno itself has read before our
 * first line, whoever calls. */
export function readOwnVariable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
    return findVariable(readEnvironment(), name);
  }
}
