/**
 * `--explain`: the words for every operation, and a small plan as a whole.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { CAPS_ALL, CLONE, MOUNT_ATTR, MS } from "../ffi/constants.ts";
import type { CgroupPlan } from "../mod/cgroups.ts";
import {
  describeOp,
  type Explained,
  explainPlan,
  formatExplanation,
} from "../mod/explain.ts";
import {
  bitList,
  deviceNumber,
  type Held,
  mountAttributes,
  remember,
} from "../mod/explain/describe.ts";
import { CHAPTERS } from "../mod/explain/steps.ts";
import { type Op, type OpName, OPS, PHASES, SYNC } from "../mod/plan.ts";
import { makeConfig } from "./manager_fixtures.ts";
import type { Step } from "../mod/container/model.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const config = makeConfig({
  mounts: [{ destination: "/mnt", source: "/data" }],
});
const FROM = { from: "mounts[0]" };

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
        cwd: "/bundle",
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
    { tree: "x", root: "root", path: "/t", mode: 0o1777, take: 1 },
    "fchmodat(x, mode of /t, or 01777)",
  ], [
    { tree: "x", root: "root", path: "/t", mode: 0o1777, take: 7 },
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
    { into: "x", root: "root", path: "/dev", kind: 1, mode: 0 },
    'open "/dev" in the root, made if missing',
  ]],
  mask: [[
    { root: "root", path: "/proc/kcore", file: "null", dir: "empty" },
    "move_mount(/dev/null or an empty directory -> /proc/kcore)",
  ]],
  readonly: [[
    { root: "root", path: "/proc/sys" },
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
  signals: [[{}, "rt_sigprocmask() of none, SIGPIPE as it is by default"]],
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

for (
  const [attr, want] of [
    [0, []],
    [0xf, ["ro", "nosuid", "nodev", "noexec"]],
    [MOUNT_ATTR.NOATIME, ["noatime"]],
    [MOUNT_ATTR.STRICTATIME, ["strictatime"]],
    [MOUNT_ATTR.NODIRATIME | MOUNT_ATTR.NOSYMFOLLOW, [
      "nodiratime",
      "nosymfollow",
    ]],
  ] as [number, string[]][]
) {
  Deno.test(`mountAttributes() of 0x${attr.toString(16)}`, () => {
    assertEquals(mountAttributes(attr), want);
  });
}

for (
  const [mode, rdev, want] of [
    [0o20666, 0x103, "c 1:3"],
    [0o60660, 0x800, "b 8:0"],
    [0o20666, 0x8800n, "c 136:0"],
    [0o60660, (1n << 32n) * 0x1000n + 0xfff00000n + 0xffn, "b 4096:1048575"],
    [0o10644, 0, "p"],
  ] as [number, number | bigint, string][]
) {
  Deno.test(`deviceNumber() gives ${want}`, () => {
    assertEquals(deviceNumber(mode, rdev), want);
  });
}

for (
  const [mask, want] of [
    [[], ""],
    [[0, 0], ""],
    [[1], "0"],
    [[0xff, 0xff], "0-15"],
    [[0b10000001, 0b10000001], "0,7-8,15"],
  ] as [number[], string][]
) {
  Deno.test(`bitList() of ${JSON.stringify(mask)}`, () => {
    assertEquals(bitList(new Uint8Array(mask)), want);
  });
}

Deno.test("remember() follows a mount from its making to its place", () => {
  const slots: Held = new Map();
  const run = (op: unknown) => {
    const line = describeOp(op as Op, config, slots);
    remember(op as Op, slots);
    return line;
  };
  assertEquals(
    [
      { do: "fsmount", into: "m", fstype: "tmpfs", options: [], attr: 0 },
      { do: "target", into: "t", root: "root", path: "/dev" },
      { do: "moveMount", tree: "m", onto: "t" },
      { do: "mkdir", at: "m", name: "shm", mode: 0o1777 },
      { do: "openTree", into: "root", at: "", path: "/r", flags: 1 },
      { do: "moveMount", tree: "root", onto: "t" },
      { do: "pivot", root: "root" },
      { do: "close", slot: "root" },
    ].map(run),
    [
      'fsopen("tmpfs")',
      'open "/dev" in the root, made if missing',
      "move_mount(new tmpfs -> /dev)",
      "mkdir /dev/shm 01777",
      'open_tree("/r")',
      "move_mount(/r -> /dev)",
      'pivot_root(".", "."), umount2(".", MNT_DETACH)',
      "close(/)",
    ],
  );
});

Deno.test("CHAPTERS has a title and sentences for every step", () => {
  for (const step of ["cgroup", ...PHASES] as const) {
    const { title, lesson } = CHAPTERS[step];
    assert(/^[A-Z].*[^.]$/.test(title), step);
    assert(/^[A-Za-z].*\.$/.test(lesson), step);
  }
});

/** A plan of three steps, and cgroups of one hierarchy. */
const STEPS: Step[] = [
  ["fork", [{
    do: "fork",
    flags: CLONE.NEWPID,
    cgroup: "",
    why: "start the container's first process",
    from: "linux.namespaces",
  }]],
  ["uts", [{
    do: "hostname",
    name: "box",
    why: "set the host name",
    from: "hostname",
  }]],
  ["masked", [{
    do: "mask",
    root: "root",
    path: "/proc/kcore",
    file: "null",
    dir: "empty",
    why: 'hide "/proc/kcore"',
    from: "linux.maskedPaths[0]",
  }]],
  ["exec", [
    { do: "signals", why: "give the command a clean signal mask" },
    {
      do: "exec",
      argv: ["sh"],
      env: [],
      why: "run the command",
      from: "process.args",
    },
  ]],
];
const CGROUP: CgroupPlan = {
  dirs: [{
    path: "/sys/fs/cgroup/box",
    mount: "/sys/fs/cgroup",
    controllers: ["memory"],
    version: 1,
  }, {
    path: "/sys/fs/cgroup/unified/box",
    mount: "/sys/fs/cgroup/unified",
    controllers: [],
    version: 2,
  }],
  fresh: true,
  inherit: [],
  writes: [{
    file: "/sys/fs/cgroup/box/memory.max",
    value: "64",
    why: "memory that the container may use",
    from: "linux.resources.memory.limit",
    controller: "memory",
    version: 1,
  }],
  devices: {
    version: 1,
    dir: "/sys/fs/cgroup/box",
    rules: [],
    writes: [
      ["deny", "a"],
      ["allow", "c *:* m"],
      ["allow", "c 1:3 rwm"],
      ["allow", "b 8:0 rw"],
      ["deny", "c 5:1 r"],
      ["allow", "a"],
    ].map(([verb, value]) => ({
      file: `/sys/fs/cgroup/box/devices.${verb}`,
      value: value!,
    })),
    program: new Uint8Array(),
  },
  joins: { tasks: [] },
  made: false,
  parents: [],
  notes: ["there is no blkio controller"],
  flags: new Map(),
};
const FLAGS = new Map([
  ["hostname", "--hostname box"],
  ["linux.resources.memory.limit", "-m 64"],
]);

Deno.test("formatExplanation() of a small plan", () => {
  const lines = explainPlan(STEPS, CGROUP, makeConfig({}, { flags: FLAGS }));
  assertEquals(
    formatExplanation(lines),
    `Cgroups, made by the host
  A cgroup is a directory that counts, and can limit, what the processes in it
  use. Limits and device rules are files in it.
   1  mkdir /sys/fs/cgroup/box
      count what the container uses: memory
   2  mkdir /sys/fs/cgroup/unified/box
      hold the container's processes together
   3  write "a" to /sys/fs/cgroup/box/devices.deny
      deny every device, to begin with  [linux.resources.devices]
   4  write "c *:* m" to /sys/fs/cgroup/box/devices.allow
      allow every character device: making its node only  [linux.resources.devices]
   5  write "c 1:3 rwm" to /sys/fs/cgroup/box/devices.allow
      allow /dev/null  [linux.resources.devices]
   6  write "b 8:0 rw" to /sys/fs/cgroup/box/devices.allow
      allow the block device 8:0: reading and writing only  [linux.resources.devices]
   7  write "c 5:1 r" to /sys/fs/cgroup/box/devices.deny
      deny /dev/console: reading only  [linux.resources.devices]
   8  write "a" to /sys/fs/cgroup/box/devices.allow
      allow every device  [linux.resources.devices]
   9  write "64" to /sys/fs/cgroup/box/memory.max
      memory that the container may use  [-m 64]
  10  leave out
      there is no blkio controller

The first process
  A namespace is a private view: of mounts (NEWNS), processes (NEWPID),
  network, host name (NEWUTS), message queues (NEWIPC). The process born here
  is pid 1 of the container.
  11  clone3(CLONE_NEWPID)
      start the container's first process  [linux.namespaces]

Names
  The uts namespace makes the name private.
  12  sethostname("box")
      set the host name  [--hostname box]

What may not be seen
  Files that tell of the host are covered: with /dev/null, directories with an
  empty one.
  13  move_mount(/dev/null or an empty directory -> /proc/kcore)
      hide "/proc/kcore": it is the memory of the whole machine  [linux.maskedPaths[0]]

Go
  The command takes the place of what has prepared all this.
  14  rt_sigprocmask() of none, SIGPIPE as it is by default
      give the command a clean signal mask
  15  execve("sh")
      run the command  [process.args]
`,
  );
});

Deno.test("explainPlan() gives machines the key and the flag", () => {
  const lines = explainPlan(STEPS, CGROUP, makeConfig({}, { flags: FLAGS }));
  const find = (step: Explained["step"]) =>
    lines.filter((it) => it.step === step);
  assertEquals(find("uts"), [{
    step: "uts",
    action: 'sethostname("box")',
    why: "set the host name",
    from: "hostname",
    flag: "--hostname box",
  }]);
  assertEquals(find("exec")[0], {
    step: "exec",
    action: "rt_sigprocmask() of none, SIGPIPE as it is by default",
    why: "give the command a clean signal mask",
  });
});

const origins: [string, { from?: string; flag?: string }][] = [
  ["hostname", { from: "hostname", flag: "--hostname box" }],
  ["process.cwd", { from: "process.cwd" }],
  [
    "process.capabilities.bounding",
    { from: "process.capabilities.bounding", flag: "--cap-add BPF" },
  ],
  // A file of ours: that is no key of anybody's.
  ["files[0]", {}],
];

for (const [from, want] of origins) {
  Deno.test(`explainPlan() says where "${from}" came from`, () => {
    const flags = new Map([...FLAGS, [
      "process.capabilities",
      "--cap-add BPF",
    ]]);
    const ops: Op[] = [{ do: "umask", mask: 0, why: "x", from }];
    const lines = explainPlan(
      [["uts", ops]],
      CGROUP,
      makeConfig({}, { flags }),
    );
    const { action: _action, step: _step, why: _why, ...rest } = lines.at(-1)!;
    assertEquals(rest, want);
  });
}

Deno.test("explainPlan() tells of the program that rules devices on v2", () => {
  const devices = {
    ...CGROUP.devices!,
    version: 2 as const,
    writes: [],
    rules: [{
      allow: true,
      type: "c" as const,
      major: 1,
      minor: 3,
      access: "rwm",
    }],
    program: new Uint8Array(64),
  };
  const lines = explainPlan([], { ...CGROUP, dirs: [], devices }, makeConfig());
  assertEquals(lines[0], {
    step: "cgroup",
    action: "bpf(BPF_PROG_TYPE_CGROUP_DEVICE) on /sys/fs/cgroup/box",
    why: "allow only the listed devices, by the number of rules: 1",
    from: "linux.resources.devices",
  });
});

Deno.test("formatExplanation() of nothing is nothing", () => {
  assertEquals(formatExplanation([]), "");
});
