/**
 * What flags of run come to in the configuration.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import type { Config } from "../mod/config/config.ts";
import { setUser } from "../mod/config/flags/users.ts";
import { configFromFlags } from "../mod/config/from_flags.ts";
import { checkSpec } from "../mod/config/check.ts";
import { specProblems } from "../mod/config/rules.ts";
import { parseArgs } from "../mod/cli/parse.ts";
import { configOf, makeHost } from "./from_flags_host.ts";
import { CAPABILITIES, LOCKED } from "./from_flags_room.ts";

Deno.test("configFromFlags() gives a container without flags docker's defaults", () => {
  const { flags, ...config } = configOf("--name box");
  assertEquals(config, {
    id: "box",
    bundle: "/home/me",
    mode: "friendly",
    rootfs: "/root",
    seenRoot: { dev: 1, ino: 105 },
    spec: {
      ociVersion: "1.3.0",
      root: { path: "/root", readonly: false },
      hostname: "rustyrun-container",
      process: {
        terminal: false,
        user: { uid: 0, gid: 0 },
        args: ["/bin/sh"],
        env: [
          "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          "HOSTNAME=rustyrun-container",
        ],
        cwd: "/",
        capabilities: {
          bounding: CAPABILITIES,
          effective: CAPABILITIES,
          permitted: CAPABILITIES,
        },
        noNewPrivileges: true,
      },
      mounts: [
        { destination: "/proc", type: "proc", source: "proc", options: LOCKED },
        {
          destination: "/dev",
          type: "tmpfs",
          source: "tmpfs",
          options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
          destination: "/dev/pts",
          type: "devpts",
          source: "devpts",
          options: [
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
            "max=1024",
          ],
        },
        {
          destination: "/sys",
          type: "sysfs",
          source: "sysfs",
          options: [...LOCKED, "ro"],
        },
        {
          destination: "/sys/fs/cgroup",
          type: "cgroup",
          source: "cgroup",
          options: ["ro", ...LOCKED],
        },
        {
          destination: "/dev/mqueue",
          type: "mqueue",
          source: "mqueue",
          options: LOCKED,
        },
        {
          destination: "/dev/shm",
          type: "tmpfs",
          source: "shm",
          options: [...LOCKED, "mode=1777", "size=65536k"],
        },
      ],
      linux: {
        namespaces: ["mount", "uts", "ipc", "pid", "cgroup", "network"]
          .map((type) => ({ type })) as { type: "pid" }[],
        resources: { devices: [{ allow: false, access: "rwm" }] },
        rootfsPropagation: "private",
        maskedPaths: [
          "/proc/acpi",
          "/proc/asound",
          "/proc/interrupts",
          "/proc/kcore",
          "/proc/keys",
          "/proc/latency_stats",
          "/proc/sched_debug",
          "/proc/scsi",
          "/proc/timer_list",
          "/proc/timer_stats",
          "/sys/devices/virtual/powercap",
          "/sys/firmware",
        ],
        readonlyPaths: [
          "/proc/bus",
          "/proc/fs",
          "/proc/irq",
          "/proc/sys",
          "/proc/sysrq-trigger",
        ],
      },
    },
    files: [
      {
        path: "/etc/hosts",
        data:
          "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n127.0.1.1\trustyrun-container\n",
        mode: 0o644,
      },
      { path: "/etc/hostname", data: "rustyrun-container\n", mode: 0o644 },
      {
        path: "/etc/resolv.conf",
        data: "# no network, so no name server (rustyrun --network none)\n",
        mode: 0o644,
      },
    ],
    overwrites: [],
    stdin: false,
    init: false,
    noPivot: false,
    noNewKeyring: false,
    preserveFds: 0,
    cgroupManager: "auto",
    hostDevices: [],
  });
  assertEquals([...flags], [["root.path", "-r /root"], ["id", "--name box"]]);
});

Deno.test("configFromFlags() makes an id of its own, another each time", () => {
  const id = configOf("").id;
  assertMatch(id, /^rr-[0-9a-f]{12}$/);
  assertEquals(id === configOf("").id, false);
});

/** [flags, what of the configuration, its value] */
const rows: [string, (c: Config) => unknown, unknown][] = [
  // The command.
  ["ls -l", (c) => c.spec.process!.args, ["ls", "-l"]],
  ["-c ls", (c) => c.spec.process!.args, ["ls"]],
  ["-c ls -- -l /", (c) => c.spec.process!.args, ["ls", "-l", "/"]],
  ["-w /a/../b", (c) => c.spec.process!.cwd, "/a/../b"],
  ["--hostname my-box", (c) => c.spec.hostname, "my-box"],
  ["-i", (c) => [c.stdin, c.spec.process!.terminal], [true, false]],
  ["-it", (c) => [c.stdin, c.spec.process!.terminal], [true, true]],
  ["-t --tty=false", (c) => c.spec.process!.terminal, false],
  ["--init --no-pivot --rm", (c) => [c.init, c.noPivot], [true, true]],
  ["--read-only", (c) => c.spec.root, { path: "/root", readonly: true }],
  ["--ephemeral", (c) => c.ephemeral, { kind: "memory" }],
  ["--ephemeral=/up", (c) => c.ephemeral, { kind: "directory", dir: "/up" }],
  ["--ephemeral=data", (c) => c.ephemeral, {
    kind: "directory",
    dir: "/home/me/data",
  }],
  ["-r / --ephemeral", (c) => c.rootfs, "/"],
  ["-r / --read-only", (c) => c.rootfs, "/"],
  ["-r ./data", (c) => c.rootfs, "/home/me/data"],
  ["-r .", (c) => c.rootfs, "/home/me"],
  ["--pid-file p", (c) => c.pidFile, "/home/me/p"],
  ["--preserve-fds 3", (c) => c.preserveFds, 3],
  // The environment.
  ["-t", (c) => c.spec.process!.env!.slice(2), ["TERM=xterm"]],
  ["-t -e TERM=vt100", (c) => c.spec.process!.env!.slice(2), ["TERM=vt100"]],
  ["-e A=1 -e B= -e A=2", (c) => c.spec.process!.env!.slice(2), [
    "A=2",
    "B=",
  ]],
  ["-e MINE -e NOT_MINE", (c) => c.spec.process!.env!.slice(2), [
    "MINE=my value",
  ]],
  ["-e constructor -e __proto__", (c) => c.spec.process!.env!.length, 2],
  ["-e PATH=/bin -e NOT_MINE", (c) => c.spec.process!.env, [
    "PATH=/bin",
    "HOSTNAME=rustyrun-container",
  ]],
  ["--env-file good.env -e A=2", (c) => c.spec.process!.env!.slice(2), [
    "A=2",
    "B=two words ",
    'Q="q"',
    "MINE=my value",
    "E=",
  ]],
  // The user. Not root: capabilities only in the bounding set.
  ["-u 0", (c) => c.spec.process!.user, { uid: 0, gid: 0 }],
  ["-u 1000", (c) => [c.spec.process!.user, c.spec.process!.capabilities], [
    { uid: 1000, gid: 0 },
    { bounding: CAPABILITIES },
  ]],
  ["-u 1000:100", (c) => c.spec.process!.user, { uid: 1000, gid: 100 }],
  ["-u app", (c) => [c.userName, c.spec.process!.user], [
    "app",
    { uid: 0, gid: 0 },
  ]],
  ["-u app:staff", (c) => c.userName, "app:staff"],
  ["-u 1000:staff", (c) => c.userName, "1000:staff"],
  ["--userns keep-id", (c) => [c.userns, c.spec.linux!.namespaces![0]], [
    "keep-id",
    { type: "user" },
  ]],
  ["--userns auto", (c) => [c.userns, c.spec.linux!.uidMappings], [
    "auto",
    undefined,
  ]],
  ["--userns host", (c) => [c.userns, c.spec.linux!.namespaces!.length], [
    undefined,
    6,
  ]],
  [
    "--userns 0:100000:65536",
    (c) => [c.userns, c.spec.linux!.uidMappings, c.spec.linux!.gidMappings],
    [
      undefined,
      [{ containerID: 0, hostID: 100000, size: 65536 }],
      [{ containerID: 0, hostID: 100000, size: 65536 }],
    ],
  ],
  [
    "--userns 0:1000:1",
    (c) => c.spec.mounts![2]!.options!.includes("gid=5"),
    false,
  ],
  [
    "--userns 0:1000:6",
    (c) => c.spec.mounts![2]!.options!.includes("gid=5"),
    true,
  ],
  // The network.
  [
    "--network none",
    (c) => c.spec.linux!.namespaces!.map((n) => n.type),
    ["mount", "uts", "ipc", "pid", "cgroup", "network"],
  ],
  [
    "--network host",
    (c) => c.spec.linux!.namespaces!.map((n) => n.type),
    ["mount", "uts", "ipc", "pid", "cgroup"],
  ],
  ["--network host --hostname h", (c) => c.files.map((f) => f.data), [
    "127.0.0.1 localhost myhost\n127.0.1.1\th\n",
    "h\n",
    "nameserver 10.0.0.1\n",
  ]],
  ["--network host --userns auto", (c) => c.spec.mounts![3], {
    destination: "/sys",
    type: "none",
    source: "/sys",
    options: ["rbind", "rro", ...LOCKED],
  }],
];

for (const [line, pick, want] of rows) {
  Deno.test(`configFromFlags() of: ${line}`, () => {
    const config = configOf(line);
    assertEquals(pick(config), want);
    // Whatever flags come to, the checks of a config.json have nothing to say.
    assertEquals(checkSpec(config.spec), []);
    assertEquals(specProblems(config.spec, { mapsLater: true }), []);
  });
}

Deno.test("configFromFlags() gives who is not root a user namespace and no device rules", () => {
  const config = configOf("", makeHost({ uid: 1000, gid: 100 }));
  assertEquals(
    [
      config.userns,
      config.spec.linux!.namespaces![0],
      config.spec.linux!
        .resources,
    ],
    ["auto", { type: "user" }, undefined],
  );
});

Deno.test("configFromFlags() of --userns keep-id runs as the caller", () => {
  const host = makeHost({ uid: 1000, gid: 100 });
  assertEquals(configOf("--userns keep-id", host).spec.process!.user, {
    uid: 1000,
    gid: 100,
  });
  assertEquals(configOf("--userns keep-id -u 0", host).spec.process!.user, {
    uid: 0,
    gid: 0,
  });
});

Deno.test("configFromFlags() takes the global cgroup manager", () => {
  const words = ["run", "-r", "/root"];
  for (
    const [global, want] of [
      [["--systemd-cgroup"], "systemd"],
      [["--cgroup-manager", "disabled"], "disabled"],
    ] as const
  ) {
    const config = configFromFlags(
      parseArgs([...global, ...words]),
      makeHost(),
    );
    assertEquals(config.cgroupManager, want);
  }
});

Deno.test("configFromFlags() gives no CAP_MKNOD where no device rules are", () => {
  const has = (line: string, host = makeHost()) =>
    configFromFlags(
      parseArgs([
        ...["--cgroup-manager", "disabled", "run", "-r", "/root"],
        ...line.split(" ").filter((it) => it !== ""),
      ]),
      host,
    ).spec.process!.capabilities!.bounding!.includes("CAP_MKNOD");
  assertEquals(has(""), false);
  assertEquals(has("--cap-add BPF"), false);
  assertEquals(has("--cap-add MKNOD"), true);
  assertEquals(has("--cap-add ALL"), true);
  assertEquals(has("--cap-add ALL --cap-drop MKNOD"), false);
  assertEquals(has("--userns 0:100000:65536"), true);
  assertEquals(has("", makeHost({ uid: 1000, gid: 1000 })), true);
});

Deno.test("configFromFlags() says which flag each key came from", () => {
  const { flags } = configOf(
    "-m 64m --cpus=0.5 -v ./data:/d:ro -e A=1 -it --cap-add BPF --sysctl kernel.msgmax=1 --network=none --ulimit core=0 -c sh",
  );
  assertEquals(Object.fromEntries(flags), {
    "root.path": "-r /root",
    "linux.namespaces[5]": "--network=none",
    "process.terminal": "-it",
    "process.env[3]": "-e A=1",
    "process.capabilities": "--cap-add BPF",
    "process.args": "-c sh",
    "process.rlimits[0]": "--ulimit core=0",
    "mounts[7]": "-v ./data:/d:ro",
    "linux.resources.memory.limit": "-m 64m",
    "linux.resources.memory.swap": "-m 64m",
    "linux.resources.cpu.quota": "--cpus=0.5",
    "linux.resources.cpu.period": "--cpus=0.5",
    'linux.sysctl["kernel.msgmax"]': "--sysctl kernel.msgmax=1",
  });
});

Deno.test("setUser() leaves root its capabilities and others the bounding set", () => {
  const { spec } = configOf("-u app");
  setUser(spec, 0, 5, [6]);
  assertEquals(spec.process!.user, { uid: 0, gid: 5, additionalGids: [6] });
  assertEquals(spec.process!.capabilities!.effective, CAPABILITIES);
  setUser(spec, 7, 8);
  assertEquals(spec.process!.user, { uid: 7, gid: 8 });
  assertEquals(spec.process!.capabilities, { bounding: CAPABILITIES });
});

Deno.test("configFromFlags() masks how hot each CPU became, where the machine says it", () => {
  const CPUS = "/sys/devices/system/cpu";
  const throttles = (line: string, files: Record<string, string[]>) =>
    configOf(
      line,
      makeHost({
        list: (path) =>
          (files[path] ?? []).map((name) => ({
            name,
            kind: "directory",
            mode: 0o755,
            size: 0,
          })),
      }),
    ).spec.linux!.maskedPaths!.filter((it) => it.startsWith(CPUS));
  const all = ["cpu0", "cpu1", "cpu10", "cpufreq", "cpuidle", "online"];
  const hot = { [CPUS]: all, [`${CPUS}/cpu0`]: ["thermal_throttle"] };
  assertEquals(
    throttles("", hot),
    ["cpu0", "cpu1", "cpu10"].map((it) => `${CPUS}/${it}/thermal_throttle`),
  );
  assertEquals(throttles("", { [CPUS]: all }), []);
  assertEquals(
    throttles("--security-opt systempaths=unconfined", hot),
    [],
  );
});
