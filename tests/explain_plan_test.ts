/**
 * How a whole plan is told, to people and to machines, and the words for numbers in
 * it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { CLONE, MOUNT_ATTR } from "../ffi/constants.ts";
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
import type { Op } from "../mod/plan.ts";
import { makeConfig } from "./manager_fixtures.ts";
import type { Step } from "../mod/container/model.ts";

const config = makeConfig({
  mounts: [{ destination: "/mnt", source: "/data" }],
});

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
      { do: "target", into: "t", at: "", root: "root", path: "/dev" },
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
    at: "mount.0",
    below: "kcore",
    root: "root",
    path: "/proc/kcore",
    file: "null",
    dir: "empty",
    why: 'hide "/proc/kcore"',
    from: "linux.maskedPaths[0]",
  }]],
  ["exec", [
    { do: "signals", end: 0, why: "give the command a clean signal mask" },
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
