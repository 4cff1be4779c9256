/**
 * The plan: everything the child stage will do, as data. This file holds the
 * table of operations, their byte format (c/plan.h is its twin, compared by
 * tests/layout_test.ts) and the decoder of what comes back.
 *
 * Byte format, little-endian, every item padded to 8 bytes:
 *
 *   header   "RUSTYPLN" u32 version, u32 size, u32 operations, u32 descriptors
 *   i32[n]   inherited file descriptors: slot i starts as descriptors[i]
 *   record   u16 code, u16 last, u32 size (with this head), then its arguments;
 *            bit i of `last`: argument i is a slot that nothing uses after this
 *            operation, so that it is closed then:
 *     n        i64 (a number)
 *     f        i64 (a slot, -1 for none)
 *     s        u32 length, u32 0, bytes, NUL (a string; no NUL inside)
 *     b        u32 length, u32 0, bytes (a blob)
 *     l        u32 length, u32 count, "a\0b\0" (strings, each NUL-terminated)
 *
 * @module
 */

import { fromBytes, toBytes } from "../ffi/bytes.ts";

/** The operations. c/plan.h names the same codes and signatures. */
export const OPS = {
  // Processes and the two-sided steps.
  warden: { code: 1, args: ["control:f", "config:b"] },
  sync: { code: 2, args: ["id:n"] },
  fork: { code: 3, args: ["flags:n", "cgroup:f"] },
  spawn: {
    code: 4,
    args: ["path:s", "argv:l", "env:l", "stdin:b", "timeout:n", "cwd:s"],
  },
  sendFd: { code: 5, args: ["slot:f", "tag:n"] },
  // Removes what the k operations before it name.
  remove: { code: 9, args: ["how:n"] },
  // Descriptors and files.
  open: {
    code: 10,
    args: ["into:f", "at:f", "path:s", "flags:n", "mode:n", "resolve:n"],
  },
  close: { code: 11, args: ["slot:f"] },
  verify: {
    code: 12,
    args: ["slot:f", "type:n", "rdev:n", "magic:n"],
  },
  same: { code: 28, args: ["slot:f", "dev:n", "ino:n"] },
  setxattr: { code: 29, args: ["slot:f", "name:s", "value:s"] },
  write: { code: 13, args: ["at:f", "path:s", "data:b", "flags:n"] },
  mkdir: { code: 14, args: ["at:f", "name:s", "mode:n"] },
  mknod: {
    code: 15,
    args: ["at:f", "name:s", "mode:n", "rdev:n", "uid:n", "gid:n"],
  },
  symlink: { code: 16, args: ["at:f", "name:s", "target:s"] },
  file: { code: 17, args: ["at:f", "name:s", "mode:n", "data:b"] },
  chown: { code: 26, args: ["slot:f", "uid:n", "gid:n"] },
  writeFd: { code: 18, args: ["slot:f", "data:b"] },
  copyUp: { code: 19, args: ["source:f", "onto:f"] },
  // Namespaces.
  unshare: { code: 20, args: ["flags:n"] },
  setns: { code: 21, args: ["slot:f", "type:n"] },
  hostname: { code: 22, args: ["name:s"] },
  domainname: { code: 23, args: ["name:s"] },
  linkUp: { code: 24, args: ["name:s"] },
  userns: { code: 25, args: ["into:f", "uidMap:s", "gidMap:s"] },
  netlink: { code: 27, args: ["name:s", "message:b"] },
  // Mounts.
  openTree: { code: 30, args: ["into:f", "at:f", "path:s", "flags:n"] },
  fsmount: {
    code: 31,
    args: ["into:f", "fstype:s", "options:l", "attr:n", "flags:n"],
  },
  mountSetattr: {
    code: 32,
    args: [
      "slot:f",
      "path:s",
      "flags:n",
      "set:n",
      "clear:n",
      "propagation:n",
      "userns:f",
    ],
  },
  moveMount: { code: 33, args: ["tree:f", "onto:f"] },
  target: {
    code: 34,
    args: ["into:f", "root:f", "path:s", "kind:n", "mode:n"],
  },
  mask: { code: 35, args: ["root:f", "path:s", "file:f", "dir:f"] },
  readonly: { code: 36, args: ["root:f", "path:s"] },
  reconfigure: { code: 37, args: ["slot:f", "options:l"] },
  pivot: { code: 38, args: ["root:f"] },
  chroot: { code: 39, args: ["root:f"] },
  enter: { code: 40, args: ["root:f"] },
  cover: {
    code: 41,
    args: ["tree:f", "root:f", "path:s", "mode:n", "take:n"],
  },
  stage: { code: 43, args: ["tree:f", "at:f", "name:s"] },
  fchdir: { code: 44, args: ["slot:f"] },
  // Terminal.
  pty: {
    code: 45,
    args: ["master:f", "peer:f", "devpts:f", "rows:n", "cols:n"],
  },
  setsid: { code: 46, args: [] },
  ctty: { code: 47, args: ["slot:f"] },
  dup: { code: 48, args: ["slot:f", "fd:n"] },
  // The process itself.
  keyring: { code: 50, args: ["name:s"] },
  prctl: { code: 51, args: ["option:n", "a:n", "b:n", "c:n", "d:n"] },
  capDrop: { code: 52, args: ["keep:n"] },
  capSet: { code: 53, args: ["effective:n", "permitted:n", "inheritable:n"] },
  capAmbient: { code: 54, args: ["set:n"] },
  setgroups: { code: 55, args: ["gids:b"] },
  setgid: { code: 56, args: ["gid:n"] },
  setuid: { code: 57, args: ["uid:n"] },
  umask: { code: 58, args: ["mask:n"] },
  sched: { code: 59, args: ["attr:b"] },
  ioprio: { code: 60, args: ["value:n"] },
  personality: { code: 61, args: ["value:n"] },
  mempolicy: { code: 62, args: ["mode:n", "nodes:b"] },
  affinity: { code: 63, args: ["cpus:b"] },
  chdir: { code: 64, args: ["path:s", "create:n"] },
  // The end of every plan.
  findExec: { code: 70, args: ["candidates:l"] },
  waitStart: { code: 71, args: ["fifo:f"] },
  seccomp: { code: 72, args: ["filter:b", "flags:n", "into:f"] },
  closeFds: { code: 73, args: ["keep:n", "fifo:f"] },
  signals: { code: 74, args: [] },
  init: { code: 75, args: [] },
  exec: { code: 76, args: ["argv:l", "env:l"] },
  // Configuration of the keeper and the warden (never run by the child stage).
  // c/keeper.h says what each means.
  kRun: {
    code: 89,
    args: [
      "pid:n",
      "warden:n",
      "channel:f",
      "control:f",
      "master:f",
      "userns:f",
    ],
  },
  kCgroup: { code: 90, args: ["root:s", "path:s", "own:n", "kind:n"] },
  kState: { code: 91, args: ["parent:s", "name:s", "dir:f"] },
  kTree: { code: 92, args: ["parent:s", "name:s"] },
  kOom: { code: 93, args: ["file:s", "key:s", "text:s"] },
  kText: { code: 94, args: ["op:n", "errno:n", "exit:n", "text:s"] },
  kJson: { code: 95, args: ["head:s", "signals:l"] },
  kDelete: { code: 96, args: ["argv:l", "env:l"] },
  kFlags: { code: 97, args: ["flags:n"] },
  kRefuse: { code: 98, args: ["text:s"] },
  kMount: { code: 99, args: ["tree:f"] },
  kDetach: { code: 100, args: ["caller:f", "text:s", "dir:f"] },
  kExec: { code: 101, args: ["freezer:s", "thaw:s"] },
} as const;

/** The name of an operation. */
export type OpName = keyof typeof OPS;

type ArgName<S> = S extends `${infer N}:${string}` ? N : never;
type ArgKind<S, N extends string> = S extends `${N}:${infer K}` ? K : never;
type KindType<K> = K extends "n" ? number | bigint
  : K extends "f" | "s" ? string
  : K extends "b" ? Uint8Array
  : K extends "l" ? readonly string[]
  : never;
type ArgsOf<K extends OpName> = {
  [N in ArgName<typeof OPS[K]["args"][number]>]: KindType<
    ArgKind<typeof OPS[K]["args"][number], N>
  >;
};

/** Why an operation is in the plan: for `--explain` and for error texts. */
export interface Note {
  /** One clause, lower case, no full stop: "hide the kernel log". */
  why: string;
  /** The config key it came from ("mounts[3]", "process.cwd"), or absent for
   * what every container gets. */
  from?: string;
}

/** One operation. A slot argument is a name; "" stands for none (for `at`:
 * the current directory). */
export type Op = { [K in OpName]: { do: K } & ArgsOf<K> & Note }[OpName];

/** The steps of a plan, in the one order in which they run. Managers say which
 * step each operation belongs to; container.ts concatenates. Up to "fork" the
 * helper's own process runs them, from there on the container's first process. */
export const PHASES = [
  /** The warden splits off, before anything exists that could be left behind. */
  "warden",
  /** Detached trees and descriptors of the host, opened with the host's ids. */
  "sources",
  /** With a user namespace: what was taken is put where it gets locked. */
  "stage",
  /** sync: the host has made the cgroups. Then their files are opened. */
  "cgroupOpen",
  /** User namespace (setns or unshare), sync: id maps, become root in it. */
  "user",
  /** Time namespace and its offsets. */
  "time",
  /** The other namespaces that are joined or must exist before the fork. */
  "namespaces",
  "fork",
  /** "0" into the v1 tasks files; then the cgroup namespace. */
  "cgroupJoin",
  "session",
  /** Loopback, hostname and domainname. */
  "network",
  "uts",
  /** Slot "proc": a private procfs. Propagation, slot "root": the new root. */
  "root",
  "mounts",
  "devices",
  /** sync: prestart and createRuntime hooks; createContainer hooks. */
  "hooks",
  "console",
  "pivot",
  "sysctl",
  "readonly",
  "masked",
  "rootReadonly",
  /** Scheduler, I/O priority, personality, memory policy, oom score. */
  "process",
  /** no_new_privs. */
  "privileges",
  /** sync: the host applies rlimits and writes the state. */
  "ready",
  "labels",
  /** Everything is closed that the rest does not need. */
  "close",
  /** A seccomp filter without no_new_privs needs CAP_SYS_ADMIN. From here on
   * only calls that every filter must allow: no openat2, no close_range. */
  "seccompEarly",
  /** Working directory, bounding set, groups, ids, capabilities, umask. */
  "credentials",
  "findExec",
  /** Foreground, sync: the keeper is there. */
  "gate",
  "seccomp",
  /** create waits at the fifo. */
  "waitStart",
  "startHooks",
  "exec",
] as const;

/** A step of a plan. */
export type Phase = typeof PHASES[number];

/** Operations by step: what a manager returns. */
export type Phased = Partial<Record<Phase, Op[]>>;

/** Ids of `sync`, in the order in which a plan has them. */
export const SYNC = {
  /** The cgroups must exist. */
  cgroups: 1,
  /** The id maps of the user namespace must be written. */
  idMaps: 2,
  /** prestart and createRuntime hooks run now. */
  hooks: 3,
  /** rlimits; the state is written. */
  ready: 4,
  /** Foreground: the keeper is there and lets the command start. */
  start: 5,
  /** The host moves network devices into the new namespace. */
  netDevices: 6,
} as const;

/** Bits of `remove`. c/plan.h: REMOVE_*. */
export const REMOVE = {
  /** Cgroups go with those below them; else only where there are none. */
  below: 1,
  /** Trees go with all that is in them; else only empty ones. */
  trees: 2,
  /** Whoever is in the cgroups is killed. */
  kill: 4,
} as const;

/** Kinds for `target`: what to make when the path is missing. */
export const TARGET = { any: 0, directory: 1, file: 2 } as const;

/** What `cover` gives a new file system's root of the directory that it covers.
 * c/plan.h: COVER_*. */
export const COVER = { mode: 1, uid: 2, gid: 4 } as const;

/** "RUSTYPLN" */
export const PLAN_MAGIC = 0x4e4c505954535552n;
export const PLAN_VERSION = 1;
/** Largest plan the child stage takes, in bytes. c/plan.h: PLAN_MAX. */
export const PLAN_MAX = 16 << 20;
/** Number of descriptor slots. c/plan.h: PLAN_SLOTS. */
export const PLAN_SLOTS = 1024;
/** Most strings in one list: execve(2) takes 6 MiB of strings and of pointers to
 * them. c/plan.h: PLAN_LIST. */
export const PLAN_LIST = 699050;

function refuseNul(s: string): void {
  if (!s.includes("\0")) return;
  throw new RangeError(
    `Cannot encode the plan: a string holds a NUL: ${JSON.stringify(s)}`,
  );
}

/** Slots that an operation fills; the other slots among its arguments it uses. */
const FILLS: ReadonlySet<string> = new Set(["into:f", "master:f", "peer:f"]);

/**
 * Returns for each operation which of its arguments are slots that nothing uses
 * after it, as bits: what is open longer than that may be found open by
 * whoever sees the process (CVE-2024-21626). After `closeFds` a filter may forbid
 * close(2), and what is still open is closed by execve(2).
 */
function findLastUses(ops: readonly Op[]): Uint16Array {
  const bits = new Uint16Array(ops.length);
  const used = new Set<string>();
  const end = ops.findLastIndex((it) => it.do === "closeFds");
  for (let i = ops.length - 1; i >= 0; i--) {
    const op = ops[i]! as unknown as Record<string, string>;
    const { args } = OPS[ops[i]!.do];
    let fills: string[] | undefined;
    let uses: string[] | undefined;
    for (const [at, arg] of args.entries()) {
      if (!arg.endsWith(":f")) continue;
      const name = op[arg.slice(0, -2)]!;
      if (name === "") continue;
      if (!used.has(name) && (end < 0 || i <= end)) bits[i]! |= 1 << at;
      (FILLS.has(arg) ? fills ??= [] : uses ??= []).push(name);
    }
    // What it held before is closed where it is filled again.
    for (const name of fills ?? []) used.delete(name);
    for (const name of uses ?? []) used.add(name);
  }
  return bits;
}

/**
 * Encodes operations for the child stage.
 *
 * @param ops the operations, in order
 * @param inherited slot name -> descriptor number that the helper inherits
 * @returns the bytes of the plan
 * @throws {RangeError} when the plan needs more slots or bytes than the child
 * stage takes, or a string holds a NUL
 */
export function encodePlan(
  ops: readonly Op[],
  inherited: ReadonlyMap<string, number> = new Map(),
): Uint8Array<ArrayBuffer> {
  const slots = new Map<string, number>();
  const free: number[] = [];
  const slot = (name: string): number => {
    if (name === "") return -1;
    let n = slots.get(name);
    if (n === undefined) {
      n = free.pop() ?? slots.size;
      if (n >= PLAN_SLOTS) {
        throw new RangeError(
          `Cannot encode the plan: it needs more than ${PLAN_SLOTS} descriptors`,
        );
      }
      slots.set(name, n);
    }
    return n;
  };
  for (const name of inherited.keys()) slot(name);
  let bytes = new Uint8Array(16384);
  let view = new DataView(bytes.buffer);
  let at = 24;
  const room = (n: number) => {
    if (at + n + 16 <= bytes.length) return;
    if (at + n > PLAN_MAX) {
      throw new RangeError(
        `Cannot encode the plan: it is larger than ${PLAN_MAX} bytes`,
      );
    }
    const more = new Uint8Array(Math.max(bytes.length * 2, at + n + 16));
    more.set(bytes);
    bytes = more;
    view = new DataView(bytes.buffer);
  };
  for (const fd of inherited.values()) {
    room(4);
    view.setInt32(at, fd, true);
    at += 4;
  }
  at = (at + 7) & ~7;
  // Two halves: a BigInt per number would cost more than all the rest.
  const number = (value: number | bigint) => {
    room(8);
    if (typeof value === "number" && value === (value | 0)) {
      view.setInt32(at, value, true);
      view.setInt32(at + 4, value >> 31, true);
    } else view.setBigInt64(at, BigInt(value), true);
    at += 8;
  };
  const blob = (data: Uint8Array, count: number, nul: boolean) => {
    const padded = (data.length + (nul ? 8 : 7)) & ~7;
    room(8 + padded);
    view.setUint32(at, data.length, true);
    view.setUint32(at + 4, count, true);
    bytes.set(data, at + 8);
    at += 8 + padded;
  };
  const last = findLastUses(ops);
  for (const [index, op] of ops.entries()) {
    const { code, args } = OPS[op.do];
    const start = at;
    room(8);
    at += 8;
    for (const arg of args) {
      const colon = arg.length - 2;
      // deno-lint-ignore no-explicit-any -- the table above types the fields
      const value = (op as any)[arg.slice(0, colon)];
      switch (arg[colon + 1]) {
        case "n":
          number(value);
          break;
        case "f":
          number(slot(value));
          break;
        case "s":
          refuseNul(value);
          blob(toBytes(value), 0, true);
          break;
        case "b":
          blob(value, 0, false);
          break;
        case "l": {
          const list = value as readonly string[];
          if (list.length > PLAN_LIST) {
            throw new RangeError(
              `Cannot encode the plan: a list holds more than ${PLAN_LIST} strings`,
            );
          }
          for (const s of list) refuseNul(s);
          const all = list.length ? list.join("\0") + "\0" : "";
          blob(toBytes(all), list.length, false);
          break;
        }
      }
    }
    view.setUint16(start, code, true);
    view.setUint16(start + 2, last[index]!, true);
    for (let i = 0; last[index]! >> i !== 0; i++) {
      if ((last[index]! >> i & 1) === 0) continue;
      // deno-lint-ignore no-explicit-any -- the table above types the fields
      const name = (op as any)[args[i]!.slice(0, -2)];
      const n = slots.get(name);
      if (n !== undefined) free.push(n);
      slots.delete(name);
    }
    view.setUint32(start + 4, at - start, true);
  }
  view.setBigUint64(0, PLAN_MAGIC, true);
  view.setUint32(8, PLAN_VERSION, true);
  view.setUint32(12, at, true);
  view.setUint32(16, ops.length, true);
  view.setUint32(20, inherited.size, true);
  if (at > PLAN_MAX) {
    throw new RangeError(
      `Cannot encode the plan: it is larger than ${PLAN_MAX} bytes`,
    );
  }
  return bytes.subarray(0, at);
}

/** Kinds of packets from the child stage. c/plan.h: REPORT_*. */
export const REPORT = {
  /** An operation failed: index, errno, detail, text. */
  error: 1,
  /** `sync` waits for one byte: detail is its id, errno the process's pid as
   * it sees it itself (the host's, before `fork`). */
  sync: 2,
  /** `fork` made the container's first process: detail is its pid; the packet
   * carries its pidfd. */
  forked: 3,
  /** The next thing is execve; end of file after this means it worked. */
  aboutToExec: 4,
  /** `sendFd`: detail is the tag; the packet carries the descriptor. */
  fd: 5,
  /** `waitStart` goes on at the fifo; nothing follows on this channel. */
  waiting: 6,
  /** `remove` goes on, but something stays: the operation that names it by its
   * index, errno, and what of it. */
  stays: 7,
} as const;

/** Size of a report packet in bytes. c/plan.h: struct report. */
export const REPORT_SIZE = 272;

/** One packet from the child stage. */
export interface Report {
  kind: number;
  /** Index of the operation in the plan. */
  index: number;
  /** errno, 0 for none. */
  errno: number;
  /** Depends on the kind. */
  detail: number;
  /** The kernel's own words (fscontext log) or the path that failed. */
  text: string;
}

/**
 * Decodes one packet from the child stage.
 *
 * @throws {RangeError} when the packet is not {@linkcode REPORT_SIZE} bytes
 */
export function decodeReport(packet: Uint8Array): Report {
  if (packet.length !== REPORT_SIZE) {
    throw new RangeError(
      `Cannot decode a report of ${packet.length} bytes: it must have ${REPORT_SIZE}`,
    );
  }
  const view = new DataView(packet.buffer, packet.byteOffset, REPORT_SIZE);
  const text = packet.subarray(16);
  const end = text.indexOf(0);
  return {
    kind: view.getUint32(0, true),
    index: view.getUint32(4, true),
    errno: view.getInt32(8, true),
    detail: view.getInt32(12, true),
    text: fromBytes(end < 0 ? text : text.subarray(0, end)),
  };
}
