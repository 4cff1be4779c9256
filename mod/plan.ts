/**
 * The plan: everything the child stage will do, as data. This file holds the
 * table of operations (c/plan.h is its twin, compared by tests/layout_test.ts),
 * their order, and the decoder of what comes back; plan/encode.ts has the bytes.
 *
 * @module
 */

/** The operations. c/plan.h names the same codes and signatures. */
export const OPS = {
  // Processes and the two-sided steps.
  warden: { code: 1, args: ["control:f", "config:b"] },
  sync: { code: 2, args: ["id:n"] },
  fork: { code: 3, args: ["flags:n", "cgroup:f"] },
  spawn: {
    code: 4,
    args: ["path:s", "argv:l", "env:l", "stdin:b", "timeout:n", "dir:f"],
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
  // One that was not there, and stays ours: where others may write.
  mkdirOwn: { code: 8, args: ["into:f", "at:f", "name:s"] },
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
    args: [
      "into:f",
      "at:f",
      "below:s",
      "root:f",
      "path:s",
      "kind:n",
      "mode:n",
    ],
  },
  mask: {
    code: 35,
    args: ["at:f", "below:s", "root:f", "path:s", "file:f", "dir:f"],
  },
  readonly: {
    code: 36,
    args: ["at:f", "below:s", "root:f", "path:s"],
  },
  reconfigure: { code: 37, args: ["slot:f", "options:l"] },
  pivot: { code: 38, args: ["root:f"] },
  chroot: { code: 39, args: ["root:f"] },
  enter: { code: 40, args: ["root:f"] },
  cover: {
    code: 41,
    args: [
      "tree:f",
      "at:f",
      "below:s",
      "root:f",
      "path:s",
      "mode:n",
      "take:n",
    ],
  },
  unmount: { code: 42, args: ["root:f", "path:s", "name:s"] },
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
  signals: { code: 74, args: ["end:n"] },
  init: { code: 75, args: ["idle:n"] },
  exec: { code: 76, args: ["argv:l", "env:l"] },
  // Waits for a plan that goes on from here.
  rest: { code: 77, args: [] },
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
    ],
  },
  kCgroup: { code: 90, args: ["root:s", "path:s", "own:n", "kind:n"] },
  kState: { code: 91, args: ["parent:s", "name:s", "dir:f"] },
  kTree: { code: 92, args: ["parent:s", "name:s", "owner:n"] },
  kOom: { code: 93, args: ["file:s", "key:s", "text:s"] },
  kText: {
    code: 94,
    args: ["op:n", "errno:n", "exit:n", "text:s", "result:s"],
  },
  kJson: { code: 95, args: ["head:s", "signals:l"] },
  kDelete: { code: 96, args: ["argv:l", "env:l"] },
  kFlags: { code: 97, args: ["flags:n"] },
  kRefuse: { code: 98, args: ["text:s"] },
  kMount: { code: 99, args: ["tree:f"] },
  kDetach: { code: 100, args: ["caller:f", "text:s", "dir:f"] },
  kExec: { code: 101, args: ["freezer:s", "thaw:s"] },
  kTime: { code: 102, args: ["ms:n", "exit:n", "text:s"] },
  kResult: {
    code: 103,
    args: ["fd:f", "cpu:n", "signals:l", "failed:s"],
  },
  kCount: { code: 104, args: ["what:n", "file:s", "key:s", "unit:n"] },
  kOutput: {
    code: 105,
    args: ["out:f", "err:f", "bytes:n", "exit:n", "text:s"],
  },
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
  /** Namespaces that nothing in between depends on: the host makes the cgroups
   * meanwhile. */
  "ahead",
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
  /** A container that is made in advance: what follows comes when it is known
   * what will run. */
  "rest",
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
  /** Nobody waits for more than some of it: the rest goes on in a process of its
   * own, which tells of nothing and holds the state's lock until its end. */
  later: 8,
  /** The state stays, and its lock is held meanwhile. */
  spare: 16,
  /** Whoever was killed there is let die: nothing slows or freezes them. */
  free: 32,
  /** Nothing goes: the right to see who is in the cgroups is given back. */
  show: 64,
} as const;

/** Kinds for `target`: what to make when the path is missing. */
export const TARGET = { any: 0, directory: 1, file: 2 } as const;

/** What `cover` gives a new file system's root of the directory that it covers.
 * c/plan.h: COVER_*. */
export const COVER = { mode: 1, uid: 2, gid: 4 } as const;
