/**
 * Small parts of a container's life: what is left behind, what the keeper says,
 * counters of interfaces, network devices, descriptors that are passed on.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { closeFd, libc, syscall } from "../ffi/libc.ts";
import {
  applyListenFds,
  checkPreserved,
} from "../mod/container/properties/activation.ts";
import {
  type KeeperWords,
  planLateErrors,
} from "../mod/container/launch/keeper.ts";
import { planLeftovers } from "../mod/container/kept/leftovers.ts";
import { planNetDevices } from "../mod/container/properties/net_devices.ts";
import {
  parseNetDev,
  readNetwork,
} from "../mod/container/properties/network_stats.ts";
import { ContainerError } from "../mod/errors.ts";
import type { Op } from "../mod/plan.ts";
import {
  makeConfig,
  makeFacts,
  pickSteps,
  showOp,
} from "./manager_fixtures.ts";

libc();

const STATE = { root: "/run/rustyrun", id: "box" };

Deno.test("planLeftovers() names cgroups below their mounts, and the state", () => {
  assertEquals(
    planLeftovers({
      cgroups: [
        {
          mount: "/sys/fs/cgroup/freezer",
          path: "/sys/fs/cgroup/freezer/a/box",
          version: 1,
          controllers: ["freezer"],
        },
        {
          mount: "/sys/fs/cgroup/cpu,cpuacct",
          path: "/sys/fs/cgroup/cpu,cpuacct/box",
          version: 1,
          controllers: ["cpu", "cpuacct"],
        },
        {
          mount: "/sys/fs/cgroup/unified",
          path: "/sys/fs/cgroup/unified/box",
          version: 2,
          controllers: [],
        },
      ],
      state: STATE,
      sharesPids: false,
    }).map(showOp),
    [
      "kCgroup /sys/fs/cgroup/freezer a/box 1 1",
      "kCgroup /sys/fs/cgroup/cpu,cpuacct box 1 0",
      "kCgroup /sys/fs/cgroup/unified box 1 2",
      "kState /run/rustyrun box state",
      "kFlags 0",
    ],
  );
});

Deno.test("planLeftovers() counts the parents that were made for it", () => {
  const cgroups = [{
    mount: "/cg",
    path: "/cg/a/b/box",
    version: 2 as const,
    controllers: [],
  }];
  assertEquals(
    planLeftovers({
      cgroups,
      parents: ["/cg/a", "/cg/a/b", "/cg/a/b/bo", "/other"],
      state: STATE,
      trees: [
        { parent: "/tmp/up", name: "box.1", owner: 1000 },
        { parent: "/tmp", name: "mine" },
      ],
      mount: true,
      sharesPids: true,
    }).map(showOp),
    [
      "kCgroup /cg a/b/box 3 2",
      "kState /run/rustyrun box state",
      "kTree /tmp/up box.1 0x3e8",
      "kTree /tmp mine -1",
      "kMount root",
      "kFlags 1",
    ],
  );
});

/** Words as `run` has them, in short. */
const WORDS: KeeperWords = {
  error: (error) => `${error.code}: ${error.message}`,
  exit: (error) => error.exitCode,
};

const EXEC: Op = { do: "exec", argv: ["app"], env: [], why: "run the command" };
const SECCOMP: Op = {
  do: "seccomp",
  filter: new Uint8Array(),
  flags: 0,
  into: "",
  why: "filter",
};

/** [operation, errno, exit code, text] of each row. */
function lateErrors(ops: Op[]): unknown[] {
  const config = makeConfig({ process: { cwd: "/", args: ["app"], env: [] } });
  return planLateErrors(ops, config, makeFacts(), WORDS).map((it) =>
    it.do === "kText" ? [it.op, it.errno, it.exit, it.text] : it
  );
}

const LAST = [
  [
    -2,
    9,
    125,
    "start: Cannot start the container: something killed it before the command ran",
  ],
  [
    -1,
    -1,
    125,
    "start: Cannot start the container: the last steps before the command failed",
  ],
];

Deno.test("planLateErrors() words what execve can say, before it is too late", () => {
  const it = "Cannot run the command: exec: ";
  assertEquals(lateErrors([{ do: "signals", end: 0, why: "x" }, EXEC]), [
    [
      1,
      2,
      127,
      `interpreter-missing: ${it}"app": no such file or directory: its interpreter is missing`,
    ],
    [
      1,
      8,
      126,
      `command-format: ${it}"app": exec format error: permission denied`,
    ],
    [
      1,
      13,
      126,
      `command-not-executable: ${it}"app": permission denied: "app" is not an executable file for this user`,
    ],
    [
      1,
      26,
      126,
      `command-busy: ${it}"app": text file busy: permission denied`,
    ],
    [
      1,
      80,
      126,
      `command: ${it}"app": ELIBBAD (accessing a corrupted shared library)`,
    ],
    [1, 12, 126, `command: ${it}"app": ENOMEM (cannot allocate memory)`],
    [1, 7, 126, `command: ${it}"app": E2BIG (argument list too long)`],
    [
      1,
      1,
      126,
      `command-not-executable: ${it}"app": permission denied: "app" is not an executable file for this user`,
    ],
    ...LAST,
  ]);
});

Deno.test("planLateErrors() has a row for the filter at its index", () => {
  const rows = lateErrors([{ do: "setsid", why: "x" }, SECCOMP, EXEC]);
  assertEquals(rows.slice(8), [
    [
      1,
      -1,
      125,
      "start: Cannot load the seccomp filter: the kernel refused it",
    ],
    ...LAST,
  ]);
});

Deno.test("planLateErrors() has a row for the fork of --init at its index", () => {
  const rows = lateErrors([{ do: "init", idle: 0, why: "reap" }, EXEC]);
  assertEquals(rows.slice(8), [
    [
      0,
      11,
      125,
      "process-limit: Cannot start the command under --init: the limit of processes leaves no room for it",
    ],
    ...LAST,
  ]);
});

Deno.test("planLateErrors() of a plan without a command is empty", () => {
  assertEquals(lateErrors([SECCOMP]), []);
});

const NET_DEV =
  `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0: 1296000    9001    3    4    5     6          7         8   778899     321   11   12   13    14      15         16
veth1a2b:1234567890123 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
`;

Deno.test("parseNetDev() reads every interface but the loopback", () => {
  assertEquals(parseNetDev(NET_DEV), [
    {
      Name: "eth0",
      RxBytes: 1296000,
      RxPackets: 9001,
      RxErrors: 3,
      RxDropped: 4,
      TxBytes: 778899,
      TxPackets: 321,
      TxErrors: 11,
      TxDropped: 12,
    },
    {
      Name: "veth1a2b",
      RxBytes: 1234567890123,
      RxPackets: 1,
      RxErrors: 2,
      RxDropped: 3,
      TxBytes: 8,
      TxPackets: 9,
      TxErrors: 10,
      TxDropped: 11,
    },
  ]);
});

Deno.test("parseNetDev() of an empty text is empty", () => {
  assertEquals(parseNetDev(""), []);
});

Deno.test("readNetwork() of a process that is gone is empty", () => {
  assertEquals(readNetwork(0x3fffff), {});
});

Deno.test("planNetDevices() of none is nothing", () => {
  assertEquals(planNetDevices([]), {});
});

Deno.test("planNetDevices() waits once, then gives addresses and brings up", () => {
  const phased = planNetDevices([
    {
      host: "eth0",
      index: 2,
      name: "net0",
      addresses: [new Uint8Array([1, 0xff]), new Uint8Array([2, 0xff])],
    },
    { host: "dummy", index: 3, name: "dummy", addresses: [] },
  ]);
  const lines = pickSteps(phased, "network");
  assertEquals(lines.slice(0, 4), [
    "# network",
    "sync 6",
    "netlink net0 01ff",
    "netlink net0 02ff",
  ]);
  assertEquals(
    lines.slice(4).map((it) => it.split(" ").slice(0, 2).join(" ")),
    ["netlink net0", "netlink dummy"],
  );
  assertEquals(phased.network?.map((it) => it.why), [
    "let the host move the network devices",
    "give net0 an address that it had on the host",
    "give net0 an address that it had on the host",
    "bring net0 up",
    "bring dummy up",
  ]);
});

/** Runs `use` with descriptors 3 to 2+count open, as a caller hands them on:
 * to be open after exec. */
function withDescriptors(count: number, use: () => void): void {
  const opened: number[] = [];
  const flags: [number, number][] = [];
  for (let fd = 3; fd < 3 + count; fd++) {
    // F_DUPFD takes the first free one: those in use are open already.
    const got = syscall("fcntl", 0, 0, fd);
    if (got === fd) {
      opened.push(fd);
      continue;
    }
    closeFd(got);
    // F_GETFD, F_SETFD
    flags.push([fd, syscall("fcntl", fd, 1, 0)]);
    syscall("fcntl", fd, 2, 0);
  }
  try {
    use();
  } finally {
    opened.forEach(closeFd);
    for (const [fd, old] of flags) syscall("fcntl", fd, 2, old);
  }
}

function listen(env: string[], preserveFds = 0) {
  const config = makeConfig(
    { process: { cwd: "/", args: ["sh"], env: ["A=1"] } },
    { preserveFds },
  );
  applyListenFds(config, { environment: env, proc: "/proc/self" }, Deno.pid);
  return [config.preserveFds, config.spec.process?.env];
}

Deno.test("applyListenFds() passes on what is meant for this process", () => {
  withDescriptors(2, () => {
    assertEquals(listen([`LISTEN_PID=${Deno.pid}`, "LISTEN_FDS=2"]), [
      2,
      ["A=1", "LISTEN_FDS=2", "LISTEN_PID=1"],
    ]);
  });
});

for (
  const [what, env] of [
    ["another process", ["LISTEN_PID=1", "LISTEN_FDS=2"]],
    ["nobody", ["LISTEN_FDS=2"]],
    ["nothing", [`LISTEN_PID=${Deno.pid}`]],
    ["no number", [`LISTEN_PID=${Deno.pid}`, "LISTEN_FDS=two"]],
    ["less than nothing", [`LISTEN_PID=${Deno.pid}`, "LISTEN_FDS=-1"]],
    ["a part", [`LISTEN_PID=${Deno.pid}`, "LISTEN_FDS=1.5"]],
  ] as const
) {
  Deno.test(`applyListenFds() leaves the environment alone for ${what}`, () => {
    assertEquals(listen([...env]), [0, ["A=1"]]);
  });
}

Deno.test("checkPreserved() throws on a descriptor that is not the caller's", () => {
  const own = syscall("fcntl", 0, 1030, 3); // F_DUPFD_CLOEXEC
  try {
    assertThrows(() => checkPreserved(own - 2, "/proc/self"), ContainerError);
  } finally {
    closeFd(own);
  }
});

Deno.test("applyListenFds() throws on a descriptor that is not open", () => {
  const error = assertThrows(() => listen([], 900), ContainerError);
  assertEquals(error.code, "preserve-fds");
  const fd = /descriptor (\d+) on/.exec(error.message)?.[1];
  assertEquals(
    error.message,
    `Cannot pass descriptor ${fd} on: unable to stat preserved-fd ${fd}: it is not open`,
  );
  assertEquals(
    error.hint,
    "--preserve-fds N passes 3 to 2+N: open them in the caller",
  );
});
