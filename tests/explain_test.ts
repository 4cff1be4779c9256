/**
 * How each operation of a plan is described.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { CLONE, MOUNT_ATTR, MS } from "../ffi/constants.ts";
import { CAPS_ALL } from "../ffi/names.ts";
import { describeOp } from "../mod/explain.ts";
import type { Held } from "../mod/explain/describe.ts";
import { CHAPTERS } from "../mod/explain/steps.ts";
import { type Op, type OpName, OPS, PHASES, SYNC } from "../mod/plan.ts";
import { makeConfig } from "./manager_fixtures.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

const config = makeConfig({
  mounts: [{ destination: "/mnt", source: "/data" }],
});

const FROM = { from: "mounts[0]" };

/** A place that is in no mount of the container's. */
const IN_ROOT = { at: "", below: "", root: "root" };

/** Fields of an operation, and the words for it. */
type Row = [fields: Record<string, unknown>, want: string];

/** Every operation that a plan can hold. */
const ROWS: Partial<Record<OpName, Row[]>> = {
  warden: [[
    { control: "control", config: bytes("") },
    "fork the warden, which waits for the end of this process",
  ]],
  sync: [
    [{ id: SYNC.cgroups }, "wait for the host, until the cgroups are made"],
    [
      { id: SYNC.idMaps },
      "wait for the host, until uid_map and gid_map are written",
    ],
    [
      { id: SYNC.hooks },
      "wait for the host, until the host has run its hooks",
    ],
    [
      { id: SYNC.ready },
      "wait for the host, until rlimits are set and the state is written",
    ],
    [{ id: SYNC.start }, "wait for the host, until the keeper watches"],
    [
      { id: SYNC.netDevices },
      "wait for the host, until the network devices are there",
    ],
    [{ id: 99 }, "wait for the host"],
  ],
  fork: [
    [
      { flags: CLONE.NEWPID + CLONE.NEWNS, cgroup: "" },
      "clone3(CLONE_NEWPID|CLONE_NEWNS)",
    ],
    [{ flags: 0, cgroup: "cgroup" }, "clone3(0|CLONE_INTO_CGROUP)"],
  ],
  spawn: [
    [
      {
        path: "/bin/hook",
        argv: ["hook", "a b"],
        env: [],
        stdin: bytes(""),
        timeout: 5,
        dir: "root",
      },
      'run /bin/hook "a b", at most 5 s',
    ],
    [
      { path: "/h", argv: ["h"], env: [], stdin: bytes(""), timeout: 0 },
      "run /h",
    ],
  ],
  sendFd: [[
    { slot: "master", tag: 1 },
    "send master to the host (SCM_RIGHTS)",
  ]],
  open: [
    [
      { into: "x", at: "", path: "/etc", flags: 0, mode: 0, resolve: 0 },
      'open "/etc"',
    ],
    [
      { into: "x", at: "root", path: "proc", flags: 0, mode: 0, resolve: 0 },
      'open "/proc"',
    ],
    [
      { into: "x", at: "tree", path: "a", flags: 0, mode: 0, resolve: 0 },
      'open "/srv/tree/a"',
    ],
  ],
  close: [[{ slot: "tree" }, "close(/srv/tree)"]],
  same: [[
    { slot: "tree", dev: 1, ino: 2 },
    "fstat(/srv/tree): the one that was looked at",
  ]],
  verify: [
    [
      { slot: "null", type: 0o20000, rdev: 0x103, magic: 0 },
      "fstat(null): c 1:3",
    ],
    [
      { slot: "tree", type: 0, rdev: 0, magic: 0x9fa0 },
      "fstat(/srv/tree), fstatfs",
    ],
  ],
  write: [
    [
      { at: "proc", path: "sys/net/x", data: bytes("1\n"), flags: 0 },
      'write "1\\n" to /proc/sys/net/x',
    ],
    [
      { at: "self", path: "oom_score_adj", data: bytes("a"), flags: 0 },
      'write "a" to /proc/self/oom_score_adj',
    ],
    [
      { at: "", path: "/x", data: bytes("y".repeat(201)), flags: 0 },
      "write 201 bytes to /x",
    ],
  ],
  mkdirOwn: [[
    { into: "own", at: "tree", name: "box" },
    "mkdir /srv/tree/box 0700, which was not there, and open it",
  ]],
  mkdir: [[{ at: "root", name: "proc", mode: 0o755 }, "mkdir /proc 0755"]],
  mknod: [
    [
      { at: "tree", name: "tty", mode: 0o20666, rdev: 0x500, uid: 0, gid: 0 },
      "mknod /srv/tree/tty c 5:0 0666",
    ],
    [
      { at: "tree", name: "p", mode: 0o10644, rdev: 0, uid: 0, gid: 0 },
      "mknod /srv/tree/p p 0644",
    ],
  ],
  symlink: [[
    { at: "tree", name: "fd", target: "/proc/self/fd" },
    "symlink /srv/tree/fd -> /proc/self/fd",
  ]],
  file: [[
    { at: "files", name: "0", mode: 0o644, data: bytes("abc") },
    "create files/0 (3 bytes)",
  ]],
  chown: [[{ slot: "tree", uid: 1, gid: 2 }, "chown /srv/tree 1:2"]],
  writeFd: [[{ slot: "tree", data: bytes("0") }, 'write "0" to /srv/tree']],
  copyUp: [[{ source: "tree", onto: "x" }, "copy /srv/tree into x"]],
  cover: [[
    { tree: "x", ...IN_ROOT, path: "/t", mode: 0o1777, take: 1 },
    "fchmodat(x, mode of /t, or 01777)",
  ], [
    { tree: "x", ...IN_ROOT, path: "/t", mode: 0o1777, take: 7 },
    "fchmodat(x, mode, uid, gid of /t, or 01777)",
  ]],
  unshare: [[{ flags: CLONE.NEWUSER }, "unshare(CLONE_NEWUSER)"]],
  setns: [[
    { slot: "tree", type: CLONE.NEWNET },
    "setns(/srv/tree, CLONE_NEWNET)",
  ]],
  hostname: [[{ name: "box" }, 'sethostname("box")']],
  domainname: [[{ name: "nis" }, 'setdomainname("nis")']],
  linkUp: [[{ name: "lo" }, 'ioctl(SIOCSIFFLAGS, "lo", IFF_UP)']],
  userns: [[
    { into: "x", uidMap: "0 1000 1\n", gidMap: "0 5 1\n1 9 2\n" },
    "clone3(CLONE_NEWUSER) to hold ids: uid 0 1000 1; gid 0 5 1, 1 9 2",
  ]],
  netlink: [[
    { name: "eth0", message: bytes("") },
    "rtnetlink message for eth0",
  ]],
  openTree: [
    [
      { into: "x", at: "", path: "/data", flags: 1, ...FROM },
      'open_tree("/data") for /mnt',
    ],
    [{ into: "x", at: "tree", path: "", flags: 1 }, 'open_tree("/srv/tree")'],
  ],
  fsmount: [
    [
      {
        into: "x",
        fstype: "tmpfs",
        options: ["source=shm", "size=1m"],
        attr: MOUNT_ATTR.NOSUID | MOUNT_ATTR.RDONLY,
        flags: 0,
        ...FROM,
      },
      'fsopen("tmpfs", size=1m,ro,nosuid) for /mnt',
    ],
    [
      { into: "x", fstype: "proc", options: [], attr: 0, flags: 0 },
      'fsopen("proc")',
    ],
  ],
  mountSetattr: [
    [
      {
        slot: "",
        path: "/",
        flags: 0x8000,
        set: 0,
        clear: 0,
        propagation: MS.PRIVATE,
        userns: "",
      },
      "mount_setattr(/, and all below: private)",
    ],
    [
      {
        slot: "tree",
        path: "",
        flags: 0,
        set: MOUNT_ATTR.RDONLY,
        clear: MOUNT_ATTR.NODEV,
        propagation: 0,
        userns: "ids",
      },
      "mount_setattr(/srv/tree: ro, not nodev, ids mapped)",
    ],
  ],
  moveMount: [[{ tree: "tree", onto: "x" }, "move_mount(/srv/tree -> x)"]],
  target: [[
    { into: "x", ...IN_ROOT, path: "/dev", kind: 1, mode: 0 },
    'open "/dev" in the root, made if missing',
  ], [
    { into: "x", ...IN_ROOT, at: "tree", path: "/t/a", kind: 1, mode: 0 },
    'open "/t/a" in /srv/tree, made if missing',
  ]],
  mask: [[
    {
      at: "p",
      below: "kcore",
      root: "root",
      path: "/proc/kcore",
      file: "null",
      dir: "empty",
    },
    "move_mount(/dev/null or an empty directory -> /proc/kcore)",
  ]],
  readonly: [[
    { at: "p", below: "sys", root: "root", path: "/proc/sys" },
    "mount_setattr(/proc/sys: ro)",
  ]],
  reconfigure: [[
    { slot: "tree", options: ["size=1m", "mode=700"] },
    "fspick(/srv/tree, size=1m,mode=700)",
  ]],
  pivot: [[{ root: "root" }, 'pivot_root(".", "."), umount2(".", MNT_DETACH)']],
  chroot: [[{ root: "root" }, 'chroot(".")']],
  enter: [[{ root: "root" }, 'chroot(".")']],
  pty: [[
    { master: "m", peer: "p", devpts: "d", rows: 0, cols: 0 },
    "open a new pseudoterminal",
  ]],
  setsid: [[{}, "setsid()"]],
  ctty: [[{ slot: "p" }, "ioctl(TIOCSCTTY)"]],
  dup: [[{ slot: "tree", fd: 0 }, "dup3(/srv/tree, 0)"]],
  keyring: [[{ name: "_ses.x" }, 'keyctl(JOIN_SESSION_KEYRING, "_ses.x")']],
  prctl: [
    [{ option: 38, a: 1, b: 0, c: 0, d: 0 }, "prctl(PR_SET_NO_NEW_PRIVS, 1)"],
    [{ option: 4, a: 0, b: 0, c: 0, d: 0 }, "prctl(PR_SET_DUMPABLE, 0)"],
    [{ option: 8, a: 1, b: 0, c: 0, d: 0 }, "prctl(PR_SET_KEEPCAPS, 1)"],
    [{ option: 777, a: 1, b: 0, c: 0, d: 0 }, "prctl(777, 1)"],
  ],
  capDrop: [
    [
      { keep: 3n },
      "prctl(PR_CAPBSET_DROP) of all but CAP_CHOWN, CAP_DAC_OVERRIDE",
    ],
    [{ keep: 0 }, "prctl(PR_CAPBSET_DROP) of all but none"],
  ],
  capSet: [
    [
      { effective: 1n, permitted: 1n, inheritable: 0n },
      "capset(permitted CAP_CHOWN; effective the same; inheritable none)",
    ],
    [
      { effective: 0n, permitted: CAPS_ALL, inheritable: 1n << 40n },
      "capset(permitted all 41; effective none; inheritable CAP_CHECKPOINT_RESTORE)",
    ],
  ],
  capAmbient: [[{ set: 1n << 21n }, "prctl(PR_CAP_AMBIENT): CAP_SYS_ADMIN"]],
  setgroups: [
    [
      { gids: new Uint8Array(new Uint32Array([5, 70000]).buffer) },
      "setgroups(5, 70000)",
    ],
    [{ gids: new Uint8Array() }, "setgroups()"],
  ],
  setgid: [[{ gid: 5 }, "setresgid(5)"]],
  setuid: [[{ uid: 5 }, "setresuid(5)"]],
  umask: [[{ mask: 0o22 }, "umask(022)"]],
  sched: [[{ attr: bytes("") }, "sched_setattr()"]],
  ioprio: [[{ value: 2 << 13 | 7 }, "ioprio_set(class 2, level 7)"]],
  personality: [[{ value: 8 }, "personality(0x8)"]],
  mempolicy: [
    [{ mode: 2, nodes: new Uint8Array([3]) }, "set_mempolicy(nodes 0-1)"],
    [{ mode: 4, nodes: new Uint8Array() }, "set_mempolicy(nodes none)"],
  ],
  affinity: [[
    { cpus: new Uint8Array([0b1011, 1]) },
    "sched_setaffinity(CPUs 0-1,3,8)",
  ], [
    { cpus: new Uint8Array() },
    "sched_setaffinity(every CPU)",
  ]],
  chdir: [[{ path: "/srv", create: 1 }, 'chdir("/srv")']],
  findExec: [[
    { candidates: ["/bin/sh", "/sbin/sh"] },
    "look for /bin/sh, /sbin/sh",
  ]],
  waitStart: [[
    { fifo: "fifo" },
    "write into exec.fifo, which is full until start reads it",
  ]],
  rest: [[{}, "recvmsg() of the rest of the plan"]],
  seccomp: [[
    { filter: new Uint8Array(80), flags: 0, into: "" },
    "seccomp(SECCOMP_SET_MODE_FILTER, 10 instructions)",
  ]],
  closeFds: [[{ keep: 2, fifo: "" }, "close_range(5, ~0)"]],
  setxattr: [[
    { slot: "tree", name: "user.a", value: "y" },
    "fsetxattr(/srv/tree, user.a=y)",
  ]],
  unmount: [
    [{ root: "tree", path: "/", name: "a" }, "umount2(/a)"],
    [{ root: "tree", path: "/a", name: "b" }, "umount2(/a/b)"],
  ],
  stage: [[
    { tree: "tree", at: "stage", name: "3" },
    "move_mount(/srv/tree -> the stage)",
  ]],
  fchdir: [[{ slot: "tree" }, "fchdir(/srv/tree)"]],
  signals: [
    [{ end: 0 }, "rt_sigprocmask() of none, SIGPIPE as it is by default"],
    [{ end: 1 }, "sigaction() of SIGHUP, SIGINT, SIGQUIT, SIGTERM: end"],
  ],
  remove: [
    [{ how: 5 }, "remove below, kill"],
    [{ how: 0 }, "remove only what is empty"],
  ],
  init: [[{}, "fork: the child goes on, pid 1 forwards signals and reaps"]],
  exec: [[
    { argv: ["sh", "-c", 'a "b"'], env: ["A=1"] },
    'execve("sh" "-c" "a \\"b\\"")',
  ]],
};

for (const name of Object.keys(OPS) as OpName[]) {
  // The keeper's part of the format is in no plan that is explained.
  if (name.startsWith("k") && name !== "keyring") continue;
  Deno.test(`describeOp() has words for ${name}`, () => {
    const rows = ROWS[name] ?? [];
    assert(rows.length > 0);
    for (const [fields, want] of rows) {
      const op = { do: name, why: "x", ...fields } as unknown as Op;
      const slots: Held = new Map([["tree", "/srv/tree"]]);
      assertEquals(describeOp(op, config, slots), want);
      assert(want !== name && want.length > 3);
    }
  });
}

Deno.test("CHAPTERS has a title and sentences for every step", () => {
  for (const step of ["cgroup", ...PHASES] as const) {
    const { title, lesson } = CHAPTERS[step];
    assert(/^[A-Z].*[^.]$/.test(title), step);
    assert(/^[A-Za-z].*\.$/.test(lesson), step);
  }
});
