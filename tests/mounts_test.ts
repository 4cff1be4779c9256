/** The mounts manager: whole plans for whole configurations, and a row for each
 * mount option. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import type { Mount, Spec } from "../mod/config/schema.ts";
import type { Config } from "../mod/config/config.ts";
import type { CgroupMount, Facts } from "../mod/host.ts";
import {
  inspectMounts,
  type MountHost,
  ownerOfUpper,
  planMounts,
} from "../mod/mounts.ts";
import { parseMountOptions, splitData } from "../mod/mounts/options.ts";
import { absolutePath, joinPath, splitPath } from "../mod/mounts/path.ts";
import {
  findBadNotes,
  makeConfig,
  makeFacts,
  makeHost,
  pickSteps,
  showPlan,
  UNPRIVILEGED,
} from "./manager_fixtures.ts";
import { testOn } from "./needs.ts";

const QUIET = ["nosuid", "noexec", "nodev"];

/** What `runc spec` writes, as far as mounts go. */
const RUNC: Partial<Spec> = {
  process: { cwd: "/", terminal: true },
  root: { path: "rootfs", readonly: true },
  mounts: [
    { destination: "/proc", type: "proc", source: "proc" },
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
      ],
    },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: [...QUIET, "mode=1777", "size=65536k"],
    },
    {
      destination: "/dev/mqueue",
      type: "mqueue",
      source: "mqueue",
      options: QUIET,
    },
    {
      destination: "/sys",
      type: "sysfs",
      source: "sysfs",
      options: [...QUIET, "ro"],
    },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: [...QUIET, "relatime", "ro"],
    },
  ],
  linux: {
    namespaces: [{ type: "pid" }, { type: "mount" }],
    maskedPaths: [
      "/proc/acpi",
      "/proc/asound",
      "/proc/kcore",
      "/proc/keys",
      "/proc/latency_stats",
      "/proc/timer_list",
      "/proc/timer_stats",
      "/proc/sched_debug",
      "/sys/firmware",
      "/proc/scsi",
    ],
    readonlyPaths: [
      "/proc/bus",
      "/proc/fs",
      "/proc/irq",
      "/proc/sys",
      "/proc/sysrq-trigger",
    ],
  },
};

const USERNS: Partial<Spec> = {
  linux: {
    namespaces: [{ type: "user" }, { type: "pid" }, { type: "mount" }],
    uidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
    gidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
  },
  mounts: [{ destination: "/vol", source: "/src", options: ["rbind", "ro"] }],
};

const plan = (
  spec: Partial<Spec> = {},
  facts: Partial<Facts> = {},
  host: Partial<MountHost> = {},
  config: Partial<Config> = {},
) => planMounts(makeConfig(spec, config), makeFacts(facts), makeHost(host));

const DIRECTORY = { sources: new Map([[0, "directory" as const]]) };

Deno.test("planMounts() plans the bundle that `runc spec` writes", () => {
  const phased = plan(RUNC);
  assertEquals(showPlan(phased), [
    "# sources",
    "openTree null - /dev/null 1",
    "verify null 0x2000 0x103 0",
    "mountSetattr null - 0 1 0 0x40000 -",
    "openTree root - /bundle/rootfs 0x8001",
    "# root",
    "mountSetattr - / 0x8000 0 0 0x80000 -",
    "fsmount empty tmpfs [source=tmpfs mode=0755 nr_blocks=1 nr_inodes=1] 1 0",
    "mountSetattr root - 0x8000 0 0 0x80000 -",
    "open target - /bundle/rootfs 0x210000 0 0",
    "moveMount root target",
    "# mounts",
    "fsmount mount proc [source=proc] 0 0",
    "mkdir root proc 0x1ed",
    "open target root proc 0x230000 0 0xe",
    "moveMount mount target",
    "fsmount mount tmpfs [source=tmpfs mode=755 size=65536k] 0x22 0",
    "target target root /dev 1 0x1ed",
    "moveMount mount target",
    "fsmount devpts devpts [source=devpts newinstance ptmxmode=0666 mode=0620 gid=5] 0xa 0",
    "target target root /dev/pts 1 0x1ed",
    "moveMount devpts target",
    "fsmount mount tmpfs [source=shm mode=1777 size=65536k] 0xe 0",
    "target target root /dev/shm 1 0x1ed",
    "moveMount mount target",
    "fsmount mount mqueue [source=mqueue] 0xe 0",
    "target target root /dev/mqueue 1 0x1ed",
    "moveMount mount target",
    "fsmount mount sysfs [source=sysfs] 0xf 0",
    "mkdir root sys 0x1ed",
    "open target root sys 0x230000 0 0xe",
    "moveMount mount target",
    "fsmount mount cgroup2 [source=cgroup] 0xf 0",
    "target target root /sys/fs/cgroup 1 0x1ed",
    "moveMount mount target",
    "# devices",
    "target dev root /dev 1 0x1ed",
    "mknod dev null 0x21b6 0x103 0 0",
    "mknod dev zero 0x21b6 0x105 0 0",
    "mknod dev full 0x21b6 0x107 0 0",
    "mknod dev random 0x21b6 0x108 0 0",
    "mknod dev urandom 0x21b6 0x109 0 0",
    "mknod dev tty 0x21b6 0x500 0 0",
    "symlink dev fd /proc/self/fd",
    "symlink dev stdin /proc/self/fd/0",
    "symlink dev stdout /proc/self/fd/1",
    "symlink dev stderr /proc/self/fd/2",
    "symlink dev core /proc/kcore",
    "symlink dev ptmx pts/ptmx",
    "# console",
    "verify devpts 0x4000 0 0x1cd1",
    "pty master peer devpts 0 0",
    "openTree console peer - 0x1001",
    'file dev console 0x180 ""',
    "open target dev console 0x220000 0 0xc",
    "moveMount console target",
    "sendFd master 1",
    "ctty peer",
    "dup peer 0",
    "dup peer 1",
    "dup peer 2",
    "# pivot",
    "pivot root",
    "# readonly",
    "readonly root /proc/bus",
    "readonly root /proc/fs",
    "readonly root /proc/irq",
    "readonly root /proc/sys",
    "readonly root /proc/sysrq-trigger",
    "# masked",
    "mask root /proc/acpi null empty",
    "mask root /proc/asound null empty",
    "mask root /proc/kcore null empty",
    "mask root /proc/keys null empty",
    "mask root /proc/latency_stats null empty",
    "mask root /proc/timer_list null empty",
    "mask root /proc/timer_stats null empty",
    "mask root /proc/sched_debug null empty",
    "mask root /sys/firmware null empty",
    "mask root /proc/scsi null empty",
    "# rootReadonly",
    "mountSetattr root - 0 1 0 0 -",
  ]);
  assertEquals(findBadNotes(phased), []);
});

Deno.test("planMounts() takes host trees before a user namespace when it may, and again from a stage", () => {
  const phased = plan(USERNS, {}, DIRECTORY);
  assertEquals(showPlan(phased), [
    "# sources",
    "openTree root - /bundle/rootfs 0x8001",
    "# stage",
    "unshare 0x20000",
    "mountSetattr - / 0x8000 0 0 0x80000 -",
    "fsmount stage tmpfs [source=rustyrun mode=0711] 0xe 0",
    "open target - /bundle/rootfs 0x210000 0 0",
    "moveMount stage target",
    "mountSetattr root - 0x8000 0 0 0x80000 -",
    "stage root stage 0",
    "openTree mount.0 - /src 0x8001",
    "mountSetattr mount.0 - 0 1 0 0 -",
    "stage mount.0 stage 1",
    "openTree device./dev/null - /dev/null 1",
    "verify device./dev/null 0x2000 0x103 0",
    "mountSetattr device./dev/null - 0 0 0 0x40000 -",
    "stage device./dev/null stage 2",
    "openTree device./dev/zero - /dev/zero 1",
    "verify device./dev/zero 0x2000 0x105 0",
    "mountSetattr device./dev/zero - 0 0 0 0x40000 -",
    "stage device./dev/zero stage 3",
    "openTree device./dev/full - /dev/full 1",
    "verify device./dev/full 0x2000 0x107 0",
    "mountSetattr device./dev/full - 0 0 0 0x40000 -",
    "stage device./dev/full stage 4",
    "openTree device./dev/random - /dev/random 1",
    "verify device./dev/random 0x2000 0x108 0",
    "mountSetattr device./dev/random - 0 0 0 0x40000 -",
    "stage device./dev/random stage 5",
    "openTree device./dev/urandom - /dev/urandom 1",
    "verify device./dev/urandom 0x2000 0x109 0",
    "mountSetattr device./dev/urandom - 0 0 0 0x40000 -",
    "stage device./dev/urandom stage 6",
    "openTree device./dev/tty - /dev/tty 1",
    "verify device./dev/tty 0x2000 0x500 0",
    "mountSetattr device./dev/tty - 0 0 0 0x40000 -",
    "stage device./dev/tty stage 7",
    "fchdir stage",
    "# root",
    "openTree root - 0 0x8001",
    "mountSetattr - / 0x8000 0 0 0x80000 -",
    "mountSetattr root - 0x8000 0 0 0x80000 -",
    "open target - . 0x210000 0 0",
    "moveMount root target",
    "# mounts",
    "openTree mount.0 - 1 0x8001",
    "target target root /vol 1 0x1ed",
    "mountSetattr mount.0 - 0x8000 0 0 0x80000 -",
    "moveMount mount.0 target",
    "# devices",
    "target dev root /dev 1 0x1ed",
    "openTree device./dev/null - 2 0x8001",
    "target target dev null 2 0x1a4",
    "moveMount device./dev/null target",
    "openTree device./dev/zero - 3 0x8001",
    "target target dev zero 2 0x1a4",
    "moveMount device./dev/zero target",
    "openTree device./dev/full - 4 0x8001",
    "target target dev full 2 0x1a4",
    "moveMount device./dev/full target",
    "openTree device./dev/random - 5 0x8001",
    "target target dev random 2 0x1a4",
    "moveMount device./dev/random target",
    "openTree device./dev/urandom - 6 0x8001",
    "target target dev urandom 2 0x1a4",
    "moveMount device./dev/urandom target",
    "openTree device./dev/tty - 7 0x8001",
    "target target dev tty 2 0x1a4",
    "moveMount device./dev/tty target",
    "symlink dev fd /proc/self/fd",
    "symlink dev stdin /proc/self/fd/0",
    "symlink dev stdout /proc/self/fd/1",
    "symlink dev stderr /proc/self/fd/2",
    "symlink dev core /proc/kcore",
    "symlink dev ptmx pts/ptmx",
    "# pivot",
    "pivot root",
  ]);
  assertEquals(findBadNotes(phased), []);
});

Deno.test("planMounts() binds a device read-only whose owner is in the container", () => {
  const owned = new Set(["/dev/null", "/dev/x"]);
  const change = "mountSetattr device./dev/null - 0 1 0 0 -";
  for (const facts of [{}, UNPRIVILEGED, { inUserns: true }]) {
    const lines = showPlan(plan(USERNS, facts, { ...DIRECTORY, owned }));
    assertEquals(
      lines.filter((it) => /^mountSetattr device.* 1 /.test(it)),
      [change],
    );
    const at = lines.indexOf(change);
    assertEquals(lines[at - 2], "verify device./dev/null 0x2000 0x103 0");
  }
});

Deno.test("planMounts() opens host trees in the new mount namespace without CAP_SYS_ADMIN", () => {
  assertEquals(showPlan(plan(USERNS, UNPRIVILEGED, DIRECTORY)), [
    "# root",
    "mountSetattr - / 0x8000 0 0 0x80000 -",
    "openTree root - /bundle/rootfs 0x8001",
    "openTree device./dev/null - /dev/null 1",
    "verify device./dev/null 0x2000 0x103 0",
    "mountSetattr device./dev/null - 0 0 0 0x40000 -",
    "openTree device./dev/zero - /dev/zero 1",
    "verify device./dev/zero 0x2000 0x105 0",
    "mountSetattr device./dev/zero - 0 0 0 0x40000 -",
    "openTree device./dev/full - /dev/full 1",
    "verify device./dev/full 0x2000 0x107 0",
    "mountSetattr device./dev/full - 0 0 0 0x40000 -",
    "openTree device./dev/random - /dev/random 1",
    "verify device./dev/random 0x2000 0x108 0",
    "mountSetattr device./dev/random - 0 0 0 0x40000 -",
    "openTree device./dev/urandom - /dev/urandom 1",
    "verify device./dev/urandom 0x2000 0x109 0",
    "mountSetattr device./dev/urandom - 0 0 0 0x40000 -",
    "openTree device./dev/tty - /dev/tty 1",
    "verify device./dev/tty 0x2000 0x500 0",
    "mountSetattr device./dev/tty - 0 0 0 0x40000 -",
    "mountSetattr root - 0x8000 0 0 0x80000 -",
    "open target - /bundle/rootfs 0x210000 0 0",
    "moveMount root target",
    "# mounts",
    "openTree mount.0 - /src 0x8001",
    "target target root /vol 1 0x1ed",
    "mountSetattr mount.0 - 0x8000 0 0 0x80000 -",
    "mountSetattr mount.0 - 0 1 0 0 -",
    "moveMount mount.0 target",
    "# devices",
    "target dev root /dev 1 0x1ed",
    "target target dev null 2 0x1a4",
    "moveMount device./dev/null target",
    "target target dev zero 2 0x1a4",
    "moveMount device./dev/zero target",
    "target target dev full 2 0x1a4",
    "moveMount device./dev/full target",
    "target target dev random 2 0x1a4",
    "moveMount device./dev/random target",
    "target target dev urandom 2 0x1a4",
    "moveMount device./dev/urandom target",
    "target target dev tty 2 0x1a4",
    "moveMount device./dev/tty target",
    "symlink dev fd /proc/self/fd",
    "symlink dev stdin /proc/self/fd/0",
    "symlink dev stdout /proc/self/fd/1",
    "symlink dev stderr /proc/self/fd/2",
    "symlink dev core /proc/kcore",
    "symlink dev ptmx pts/ptmx",
    "# pivot",
    "pivot root",
  ]);
});

const ROOT_STEPS = ["sources", "root", "pivot"] as const;

Deno.test("planMounts() lays an overlay in memory over the root file system", () => {
  const phased = plan({}, {}, {}, { ephemeral: { kind: "memory" } });
  assertEquals(pickSteps(phased, ...ROOT_STEPS), [
    "# sources",
    "openTree lower - /bundle/rootfs 1",
    "# root",
    "mountSetattr - / 0x8000 0 0 0x80000 -",
    "fsmount layers tmpfs [mode=0755] 0 0",
    "mkdir layers upper 0x1ed",
    "mkdir layers work 0x1ed",
    "mkdir layers lower 0x1ed",
    "open target - /proc 0x210000 0 0",
    "moveMount layers target",
    "mountSetattr lower - 0 0 0 0x40000 -",
    "target target layers /lower 0 0",
    "moveMount lower target",
    "fsmount root overlay [source=overlay lowerdir=/proc/lower upperdir=/proc/upper workdir=/proc/work redirect_dir=nofollow metacopy=off] 0 0",
    "open target - /bundle/rootfs 0x210000 0 0",
    "moveMount layers target",
    "moveMount root target",
    "# pivot",
    "pivot root",
  ]);
});

Deno.test('planMounts() keeps all but the root off a root that is "/"', () => {
  const phased = plan({}, {}, {}, {
    rootfs: "/",
    ephemeral: { kind: "directory", dir: "/var/tmp/up" },
    files: [{ path: "/etc/hosts", data: "h", mode: 0o644 }],
  });
  assertEquals(pickSteps(phased, ...ROOT_STEPS, "mounts"), [
    "# sources",
    "openTree layers - /var/tmp/up 1",
    "openTree lower - / 1",
    "# root",
    "mountSetattr - / 0x8000 0 0 0x80000 -",
    "fsmount files tmpfs [source=rustyrun mode=0755] 0xe 0",
    'file files 0 0x81a4 "h"',
    "mountSetattr layers - 0 0 0 0x40000 -",
    "mkdir layers upper 0x1ed",
    "mkdir layers work 0x1ed",
    "mkdir layers lower 0x1ed",
    "open target - /proc 0x210000 0 0",
    "moveMount layers target",
    "mountSetattr lower - 0 0 0 0x40000 -",
    "target target layers /lower 0 0",
    "moveMount lower target",
    "fsmount root overlay [source=overlay lowerdir=/proc/lower upperdir=/proc/upper workdir=/proc/work redirect_dir=nofollow metacopy=off] 0 0",
    "open target - /proc 0x210000 0 0",
    "moveMount files target",
    "open target - / 0x210000 0 0",
    "moveMount root target",
    "# mounts",
    "openTree mount files 0 1",
    "target target root /etc/hosts 2 0x1a4",
    "moveMount mount target",
    "# pivot",
    "pivot root",
  ]);
});

Deno.test('planMounts() attaches a root elsewhere than "/" where chroot moves it there', () => {
  const phased = plan({}, {}, {}, {
    rootfs: "/",
    noPivot: true,
    ephemeral: { kind: "memory" },
  });
  assertEquals(pickSteps(phased, "pivot"), ["# pivot", "chroot root"]);
  const targets = (phased.root ?? []).flatMap((op) =>
    op.do === "open" ? [op.path] : []
  );
  assertEquals(targets, ["/proc", "/proc"]);
});

Deno.test("planMounts() puts an unprivileged root together from an overlay per directory", () => {
  const phased = plan(
    { linux: USERNS.linux },
    UNPRIVILEGED,
    {
      top: [
        {
          path: "/bin",
          type: "symlink",
          link: "usr/bin",
          mode: 0o777,
          mountPoint: false,
        },
        { path: "/proc", type: "directory", mode: 0o555, mountPoint: true },
        { path: "/usr", type: "directory", mode: 0o755, mountPoint: false },
        {
          path: "/var",
          type: "directory",
          mode: 0o755,
          mountPoint: false,
          entries: [
            { path: "/var/file", type: "file", mode: 0o644, mountPoint: false },
            {
              path: "/var/lib",
              type: "directory",
              mode: 0o755,
              mountPoint: false,
            },
            {
              path: "/var/mnt",
              type: "directory",
              mode: 0o755,
              mountPoint: true,
            },
          ],
        },
      ],
    },
    { rootfs: "/", ephemeral: { kind: "memory" } },
  );
  assertEquals(
    pickSteps(phased, "root").filter((it) => !it.includes("device./")),
    [
      "# root",
      "mountSetattr - / 0x8000 0 0 0x80000 -",
      "openTree file.1 - /var/file 1",
      "fsmount layers tmpfs [mode=0755] 0 0",
      "mkdir layers upper 0x1ed",
      "mkdir layers work 0x1ed",
      "open target - /proc 0x210000 0 0",
      "moveMount layers target",
      "target target layers /upper/0 1 0x1ed",
      "target target layers /work/0 1 0x1ed",
      "fsmount overlay.0 overlay [source=overlay lowerdir=/usr upperdir=/proc/upper/0 workdir=/proc/work/0 userxattr] 0 0",
      "target target layers /upper/2 1 0x1ed",
      "target target layers /work/2 1 0x1ed",
      "fsmount overlay.2 overlay [source=overlay lowerdir=/var/lib upperdir=/proc/upper/2 workdir=/proc/work/2 userxattr] 0 0",
      "fsmount root tmpfs [source=rootfs mode=0755] 0 0",
      "open target - / 0x210000 0 0",
      "moveMount root target",
      "target target root / 1 0x1ed",
      "symlink target bin usr/bin",
      "target target root /proc 1 0x16d",
      "target target root /usr 1 0x1ed",
      "moveMount overlay.0 target",
      "target target root /var 1 0x1ed",
      "mountSetattr file.1 - 0 1 0 0x40000 -",
      "target target root /var/file 2 0x1a4",
      "moveMount file.1 target",
      "target target root /var/lib 1 0x1ed",
      "moveMount overlay.2 target",
      "target target root /var/mnt 1 0x1ed",
    ],
  );
});

/** What a stage with the host's root on it hides, and which trees it has. */
function listCovers(
  spec: Partial<Spec>,
  host: Partial<MountHost>,
  config: Partial<Config> = {},
): string[] {
  const phased = plan({ ...USERNS, ...spec }, {}, {
    ...DIRECTORY,
    ...host,
  }, config);
  return (phased.stage ?? []).flatMap((op) =>
    op.do === "mask" || op.do === "readonly"
      ? [`${op.do} ${op.root} ${op.path}`]
      : []
  );
}

Deno.test("planMounts() hides on the stage what the container's own mounts cover of the host's", () => {
  const mounts = [
    { destination: "/proc", type: "proc" },
    { destination: "/sys", type: "sysfs" },
    { destination: "/dev", type: "tmpfs", options: ["mode=755"] },
    { destination: "/home/me/x", type: "bind", options: ["bind"] },
    { destination: "/home", type: "tmpfs", options: ["mode=755"] },
    { destination: "/root", type: "tmpfs", options: ["mode=700"] },
    { destination: "/opt", type: "tmpfs" },
    { destination: "/run", type: "tmpfs", options: ["mode=755", "tmpcopyup"] },
  ];
  const linux = {
    ...USERNS.linux,
    namespaces: [...USERNS.linux!.namespaces!, { type: "network" as const }],
  };
  const sources = new Map([[3, "file" as const]]);
  assertEquals(listCovers({ mounts, linux }, { sources }), []);
  assertEquals(
    listCovers({ mounts, linux }, { sources, below: ["/proc/fs", "/dev"] }),
    ["mask root /proc", "mask root /dev"],
  );
  assertEquals(
    listCovers({ mounts, linux }, { sources, unsure: true }),
    ["mask root /proc", "mask root /sys", "mask root /dev"],
  );
  assertEquals(
    listCovers({ mounts, linux }, { sources, isHostRoot: true }, {
      files: [{ path: "/etc/shadow", data: "", mode: 0o600 }],
    }),
    [
      ...["/proc", "/sys", "/dev", "/home", "/root", "/opt", "/etc/shadow"]
        .map((it) => `mask root ${it}`),
    ],
  );
});

Deno.test("planMounts() gives what hides the host's the mode of that, and the places of earlier mounts", () => {
  const mounts = [
    { destination: "/opt/x/y", type: "tmpfs", options: ["mode=700"] },
    { destination: "/opt/x/y/z", type: "tmpfs" },
    { destination: "/opt/x/f", source: "/f", options: ["bind"] },
    { destination: "/opt/x", type: "tmpfs", options: ["mode=700"] },
    { destination: "/opt/x/later", type: "tmpfs" },
    { destination: "/srv", type: "tmpfs", options: ["size=1k"] },
  ];
  const phased = plan({ ...USERNS, mounts }, {}, {
    sources: new Map([[2, "file"]]),
    isHostRoot: true,
  });
  assertEquals(
    pickSteps(phased, "stage").filter((it) =>
      /cover|^target target/.test(it) && !it.startsWith("stage")
    ),
    [
      "fsmount cover tmpfs [source=tmpfs mode=0755 nr_blocks=1 nr_inodes=1] 1 0",
      "fsmount cover.0 tmpfs [source=tmpfs mode=0755] 0 0",
      "cover cover.0 root /opt/x 0x1ed 1",
      "target target cover.0 /y 1 0x1ed",
      "cover target root /opt/x/y 0x1ed 1",
      "target target cover.0 /f 2 0x1ed",
      "mountSetattr cover.0 - 0 1 0 0 -",
      "mask root /opt/x null cover.0",
      "fsmount cover.1 tmpfs [source=tmpfs mode=0755] 0 0",
      "cover cover.1 root /srv 0x1ed 1",
      "mountSetattr cover.1 - 0 1 0 0 -",
      "mask root /srv null cover.1",
    ],
  );
  assertEquals(findBadNotes(phased), []);
});

Deno.test("planMounts() locks what is masked or read-only in something of the host's", () => {
  const linux = {
    ...USERNS.linux,
    maskedPaths: ["/vol/key", "/sys/firmware", "/etc/key", "/proc/kcore"],
    readonlyPaths: ["/vol/sub/", "/vol"],
  };
  const mounts = [
    { destination: "/proc", type: "proc" },
    { destination: "/sys", type: "sysfs", options: ["ro"] },
    ...USERNS.mounts!,
  ];
  assertEquals(
    listCovers({ linux, mounts }, { sources: new Map([[2, "directory"]]) }),
    [
      "readonly mount.2 /sub",
      "mask mount.2 /key",
      "mask mount.1 /firmware",
      "mask root /etc/key",
    ],
  );
});

Deno.test("planMounts() takes what the stage would hide before it is there", () => {
  const mounts = ["/src", "/bundle/rootfs/src"].map((source) => ({
    destination: source,
    source,
    options: ["bind"],
  }));
  const phased = plan({ ...USERNS, mounts }, {}, {
    sources: new Map([[0, "directory"], [1, "directory"]]),
    hidden: new Set(["/bundle/rootfs/src"]),
  });
  const taken = pickSteps(phased, "sources", "stage", "root", "mounts")
    .filter((it) => /^#|^openTree mount|^(stage|moveMount).*mount/.test(it));
  assertEquals(taken, [
    "# sources",
    "openTree mount.1 - /bundle/rootfs/src 0x8001",
    "# stage",
    "openTree mount.0 - /src 0x8001",
    "stage mount.0 stage 1",
    "stage mount.1 stage 2",
    "# root",
    "# mounts",
    // Only here without what is mounted below: locked, the kernel refuses it.
    "openTree mount.0 - 1 1",
    "moveMount mount.0 target",
    "openTree mount.1 - 2 1",
    "moveMount mount.1 target",
  ]);
});

Deno.test("planMounts() takes nothing of the host's that an unbindable mount would be missing in", () => {
  const refused = (unbindable: string, spec: Partial<Spec>) =>
    assertThrows(
      () =>
        plan({ ...USERNS, ...spec }, {}, {
          ...DIRECTORY,
          unbindable: new Map([[unbindable, `${unbindable}/in`]]),
        }),
      ContainerError,
      `"${unbindable}/in" in it is an unbindable mount`,
    );
  refused("/src", {});
  refused("/bundle/rootfs", {});
  refused("/sys", {
    mounts: [{ destination: "/sys", type: "sysfs", options: ["ro"] }],
  });
});

Deno.test("inspectMounts() finds the sources that the stage would hide, links and all", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${dir}/rootfs/src`, { recursive: true });
    await Deno.mkdir(`${dir}/rootfs2`);
    await Deno.symlink("rootfs/src", `${dir}/link`);
    const sources = ["rootfs", "rootfs/src", "link", "rootfs2", "missing"]
      .map((it) => `${dir}/${it}`);
    const mounts = sources.map((source) => ({
      destination: "/v",
      source,
      options: ["bind"],
    }));
    const { hidden } = inspectMounts(
      makeConfig({ ...USERNS, mounts }, { rootfs: `${dir}/rootfs` }),
      makeFacts(),
      {
        cgroups: new Map(),
        state: "",
        root: { path: `${dir}/rootfs`, dev: 0n, ino: 0n, mount: 0 },
      },
    );
    assertEquals([...hidden], sources.slice(0, 3));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

for (
  const [mode, owner, unsure, own = 0] of [
    [0o755, 0, false],
    [0o1777, 0, false],
    [0o1777, 0, true, 8],
    [0o777, 0, true],
    [0o775, 0, true],
    [0o755, 7, false],
    [0o755, 8, true],
  ] as [number, number, boolean, number?][]
) {
  testOn(
    ["root"],
    `inspectMounts() is ${unsure ? "not " : ""}sure of what is mounted below ${
      mode.toString(8)
    } of user ${owner}, in a root of user ${own}, called by user 7`,
    async () => {
      const dir = await Deno.makeTempDir();
      try {
        await Deno.mkdir(`${dir}/rootfs`);
        await Deno.chown(`${dir}/rootfs`, own, own);
        await Deno.chmod(dir, mode);
        await Deno.chown(dir, owner, 0);
        const host = inspectMounts(
          makeConfig(USERNS, { rootfs: `${dir}/rootfs` }),
          makeFacts({ uid: 7 }),
          {
            cgroups: new Map(),
            state: "",
            root: { path: `${dir}/rootfs`, dev: 0n, ino: 0n, mount: 0 },
          },
        );
        assertEquals(host.unsure, unsure);
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    },
  );
}

Deno.test("planMounts() sets attributes of a volume where they get locked, and allows nothing there", () => {
  const steps = (...options: string[]) => {
    const mounts = [{ destination: "/v", source: "/src", options }];
    const phased = plan({ ...USERNS, mounts }, {}, DIRECTORY);
    return pickSteps(phased, "stage", "mounts").filter((it) =>
      it.startsWith("mountSetattr mount.0")
    );
  };
  const slave = "mountSetattr mount.0 - 0x8000 0 0 0x80000 -";
  assertEquals(steps("rbind", "rro", "nosuid"), [
    "mountSetattr mount.0 - 0x8000 1 0 0 -",
    "mountSetattr mount.0 - 0 2 0 0 -",
    slave,
  ]);
  assertEquals(steps("rbind", "rw", "suid", "noatime"), [
    "mountSetattr mount.0 - 0 0x10 0x70 0 -",
    slave,
    "mountSetattr mount.0 - 0 0 3 0 -",
  ]);
  assertEquals(steps("rbind", "rro", "rw"), [
    "mountSetattr mount.0 - 0x8000 1 0 0x80000 -",
    "mountSetattr mount.0 - 0 0 1 0 -",
  ]);
});

Deno.test("planMounts() leaves the host's root no moment writable under a read-only one", () => {
  const readonly = (host: Partial<MountHost>, mode: Config["mode"]) =>
    pickSteps(
      plan({ ...USERNS, root: { path: "/", readonly: true } }, {}, {
        ...DIRECTORY,
        ...host,
      }, { mode }),
      "sources",
      "root",
      "rootReadonly",
    ).filter((it) => /^(#|mountSetattr root .* [01] [01] 0 -$)/.test(it));
  assertEquals(readonly({ isHostRoot: true }, "friendly"), [
    "# sources",
    "mountSetattr root - 0x8000 1 0 0 -",
    "# root",
    "# rootReadonly",
    "mountSetattr root - 0 1 0 0 -",
  ]);
  assertEquals(readonly({ rootReadonly: true }, "friendly"), [
    "# sources",
    "mountSetattr root - 0x8000 1 0 0 -",
    "# root",
    "# rootReadonly",
    "mountSetattr root - 0 1 0 0 -",
  ]);
  assertEquals(readonly({}, "friendly"), [
    "# sources",
    "mountSetattr root - 0x8000 1 0 0 -",
    "mountSetattr root - 0 0 1 0 -",
    "# root",
    "# rootReadonly",
    "mountSetattr root - 0 1 0 0 -",
  ]);
  assertEquals(readonly({ isHostRoot: true }, "oci"), [
    "# sources",
    "mountSetattr root - 0 1 0 0 -",
    "# root",
    "# rootReadonly",
    "mountSetattr root - 0 1 0 0 -",
  ]);
});

/** What was looked at, by slot. */
const ids = (...slots: string[]) => ({
  seen: new Map(slots.map((it, at) => [it, { dev: 7n, ino: BigInt(at) }])),
});

Deno.test("planMounts() takes nothing else of the host than what was looked at", () => {
  const mounts = [{ destination: "/v", source: "/src", options: ["bind"] }];
  const pick = (phased: ReturnType<typeof plan>) =>
    pickSteps(phased, "sources", "stage", "root", "mounts").filter((it) =>
      /^(#|same)/.test(it)
    );
  const host = { ...DIRECTORY, ...ids("root", "mount.0") };
  assertEquals(pick(plan({ mounts }, {}, host)), [
    "# sources",
    "same root 7 0",
    "# root",
    "same target 7 0",
    "# mounts",
    "same mount.0 7 1",
  ]);
  assertEquals(pick(plan({ ...USERNS, mounts }, {}, host)), [
    "# sources",
    "same root 7 0",
    "# stage",
    "same target 7 0",
    "same mount.0 7 1",
    "# root",
    "# mounts",
  ]);
  assertEquals(
    pick(
      plan({}, {}, { ...ids("root", "uppers"), upper: "/changes/box" }, {
        ephemeral: { kind: "directory", dir: "/changes" },
      }),
    ),
    [
      "# sources",
      "same uppers 7 1",
      "same lower 7 0",
      "# root",
      "same target 7 0",
    ],
  );
});

Deno.test("planMounts() makes the upper layer in a private directory, in one that others may write", () => {
  const phased = plan(
    {},
    {},
    { ...ids("root", "uppers"), upper: "/changes/box" },
    { ephemeral: { kind: "directory", dir: "/changes" } },
  );
  assertEquals(
    pickSteps(phased, "sources").filter((it) =>
      /uppers|upper|private/.test(it)
    ),
    [
      "open uppers - /changes 0x210000 0 0",
      "same uppers 7 1",
      "mkdirOwn private uppers box",
      "mkdirOwn upper private box",
      "close uppers",
      "close private",
      "openTree layers upper - 0x1001",
      "close upper",
    ],
  );
});

for (
  const [facts, want] of [
    [{}, 0],
    [{ uid: 1000 }, 1000],
    [{ uid: 1000, caps: 0n }, 100000],
    [{ foreignMounts: true }, 100000],
  ] as const
) {
  Deno.test(`ownerOfUpper() with ${Object.keys(facts)} is ${want}`, () => {
    const maps = [{ containerID: 0, hostID: 100000, size: 65536 }];
    assertEquals(ownerOfUpper(makeFacts(facts), maps), want);
    assertEquals(
      ownerOfUpper(makeFacts(facts), undefined),
      "uid" in facts ? facts.uid : 0,
    );
  });
}

Deno.test("planMounts() hides in the upper layer what an overlay is not to show", () => {
  const veils = [
    { path: "/var", mode: 0o755, kind: "way" as const },
    { path: "/var/tmp", mode: 0o1777, kind: "directory" as const },
    { path: "/file", mode: 0o600, kind: "file" as const },
  ];
  const ephemeral = { kind: "memory" as const };
  const made = pickSteps(
    plan({ ...USERNS, mounts: [] }, {}, { veils }, { ephemeral }),
    "root",
  ).filter((it) => /veil/.test(it));
  assertEquals(made, [
    "open veil layers upper 0xb0000 0 0xc",
    "mkdir veil var 0x1ed",
    "open veil layers upper/var 0xb0000 0 0xc",
    "mkdir veil tmp 0x3ff",
    "open veil layers upper/var/tmp 0xb0000 0 0xc",
    "setxattr veil user.overlay.opaque y",
    "open veil layers upper 0xb0000 0 0xc",
    'file veil file 0x8180 ""',
  ]);
  const top = [{
    path: "/var",
    type: "directory" as const,
    mode: 0o755,
    mountPoint: false,
  }];
  assertEquals(
    pickSteps(
      plan({ ...USERNS, mounts: [] }, UNPRIVILEGED, { veils, top }, {
        ephemeral,
        rootfs: "/",
      }),
      "root",
    ).filter((it) => /veil/.test(it)),
    [
      "open veil layers upper/0 0xb0000 0 0xc",
      "mkdir veil tmp 0x3ff",
      "open veil layers upper/0/tmp 0xb0000 0 0xc",
      "setxattr veil user.overlay.opaque y",
    ],
  );
});

Deno.test("planMounts() refuses a mount namespace that is joined, with a user namespace", () => {
  const error = assertThrows(
    () =>
      plan({
        linux: {
          namespaces: [{ type: "user" }, {
            type: "mount",
            path: "/proc/7/ns/mnt",
          }],
        },
      }),
    ContainerError,
    "it would not be locked there",
  );
  assertEquals(error.code, "mount-namespace-joined");
});

const HIERARCHIES: CgroupMount[] = [
  {
    version: 1,
    controllers: ["cpu", "cpuacct"],
    path: "/sys/fs/cgroup/cpu,cpuacct",
    root: "/",
    own: "/user",
  },
  {
    version: 1,
    controllers: ["name=systemd"],
    path: "/sys/fs/cgroup/systemd",
    root: "/",
    own: "/",
  },
  {
    version: 2,
    controllers: ["hugetlb"],
    path: "/sys/fs/cgroup/unified",
    root: "/",
    own: "/",
  },
];
const CGROUP: Mount[] = [{
  destination: "/sys/fs/cgroup",
  type: "cgroup",
  source: "cgroup",
  options: [...QUIET, "ro"],
}];
const OWN_CGROUP = [{ type: "pid" }, { type: "mount" }, {
  type: "cgroup",
}] as const;

Deno.test("planMounts() mounts each v1 hierarchy in a cgroup namespace, with links for joint ones", () => {
  const phased = plan(
    { mounts: CGROUP, linux: { namespaces: [...OWN_CGROUP] } },
    { cgroups: HIERARCHIES },
  );
  assertEquals(pickSteps(phased, "mounts", "rootReadonly"), [
    "# mounts",
    "fsmount mount.0 tmpfs [source=tmpfs mode=0755] 0xe 0",
    "target target root /sys/fs/cgroup 1 0x1ed",
    "moveMount mount.0 target",
    "mkdir mount.0 cpu,cpuacct 0x1ed",
    "fsmount mount cgroup [source=cgroup cpu cpuacct] 0xf 0",
    "open target mount.0 cpu,cpuacct 0x230000 0 0xc",
    "moveMount mount target",
    "symlink mount.0 cpu cpu,cpuacct",
    "symlink mount.0 cpuacct cpu,cpuacct",
    "mkdir mount.0 systemd 0x1ed",
    "fsmount mount cgroup [source=cgroup none name=systemd] 0xf 0",
    "open target mount.0 systemd 0x230000 0 0xc",
    "moveMount mount target",
    "# rootReadonly",
    "mountSetattr mount.0 - 0 1 0 0 -",
  ]);
});

Deno.test("planMounts() binds the container's v1 cgroups without a cgroup namespace", () => {
  const phased = plan({ mounts: CGROUP }, { cgroups: HIERARCHIES }, {
    cgroups: new Map([[
      "/sys/fs/cgroup/systemd",
      "/sys/fs/cgroup/systemd/box",
    ]]),
  });
  assertEquals(pickSteps(phased, "mounts"), [
    "# mounts",
    "fsmount mount.0 tmpfs [source=tmpfs mode=0755] 0xe 0",
    "target target root /sys/fs/cgroup 1 0x1ed",
    "moveMount mount.0 target",
    "mkdir mount.0 cpu,cpuacct 0x1ed",
    "openTree mount - /sys/fs/cgroup/cpu,cpuacct/user 0x8001",
    "mountSetattr mount - 0x8000 0xf 0 0x40000 -",
    "open target mount.0 cpu,cpuacct 0x230000 0 0xc",
    "moveMount mount target",
    "symlink mount.0 cpu cpu,cpuacct",
    "symlink mount.0 cpuacct cpu,cpuacct",
    "mkdir mount.0 systemd 0x1ed",
    "openTree mount - /sys/fs/cgroup/systemd/box 0x8001",
    "mountSetattr mount - 0x8000 0xf 0 0x40000 -",
    "open target mount.0 systemd 0x230000 0 0xc",
    "moveMount mount target",
  ]);
});

Deno.test("planMounts() shows only the own cgroup, read-only, in a user namespace without a cgroup namespace", () => {
  const phased = plan({ mounts: CGROUP, linux: USERNS.linux });
  assertEquals(pickSteps(phased, "mounts"), [
    "# mounts",
    "openTree mount - /sys/fs/cgroup/user.slice 0x8001",
    "mountSetattr mount - 0x8000 0xf 0 0x40000 -",
    "target target root /sys/fs/cgroup 1 0x1ed",
    "moveMount mount target",
  ]);
});

Deno.test("planMounts() binds the host's sysfs, read-only, without a network namespace in a user namespace", () => {
  const phased = plan({
    mounts: [{
      destination: "/sys",
      type: "sysfs",
      options: [...QUIET, "ro"],
    }],
    linux: USERNS.linux,
  }, UNPRIVILEGED);
  assertEquals(pickSteps(phased, "mounts"), [
    "# mounts",
    "mkdir root sys 0x1ed",
    "open target root sys 0x230000 0 0xe",
    "mountSetattr mount.0 - 0x8000 1 0 0x80000 -",
    "mountSetattr mount.0 - 0 0xf 0 0 -",
    "moveMount mount.0 target",
  ]);
});

Deno.test("planMounts() fills a tmpfs before it is read-only", () => {
  const phased = plan({
    mounts: [{
      destination: "/run",
      type: "tmpfs",
      source: "tmpfs",
      options: ["ro", "nodev", "tmpcopyup", "size=1m"],
    }],
  });
  assertEquals(pickSteps(phased, "mounts", "rootReadonly"), [
    "# mounts",
    "fsmount mount tmpfs [source=tmpfs size=1m] 4 0",
    "cover mount root /run 0x3ff 7",
    "target target root /run 1 0x1ed",
    "copyUp target mount",
    "moveMount mount target",
    "# rootReadonly",
    "target target root /run 0 0",
    "mountSetattr target - 0 1 0 0 -",
  ]);
});

Deno.test("planMounts() holds a tmpfs that is read-only last only where something else comes to lie on it", () => {
  const tmpfs = (destination: string) => ({
    destination,
    type: "tmpfs",
    options: ["ro", "mode=0755"],
  });
  const mounts = [tmpfs("/a"), tmpfs("/b"), tmpfs("//a/.")];
  assertEquals(pickSteps(plan({ mounts }), "rootReadonly"), [
    "# rootReadonly",
    "mountSetattr mount.0 - 0 1 0 0 -",
    "target target root /b 0 0",
    "mountSetattr target - 0 1 0 0 -",
    "target target root /a 0 0",
    "mountSetattr target - 0 1 0 0 -",
  ]);
});

/** Where a volume is taken: in its turn, or before. */
const TAKEN: [string, boolean, Partial<Config>, string?][] = [
  ["of a bundle", true, {}],
  ["below the bundle's root", false, {}, "/bundle/rootfs/src"],
  ["of a flag", true, { mode: "friendly" }],
  [
    "of a flag, below the root",
    false,
    { mode: "friendly" },
    "/bundle/rootfs/src",
  ],
  ["over the host's root", true, { mode: "friendly", rootfs: "/" }],
  ["over the host's root without pivot_root", false, {
    mode: "friendly",
    rootfs: "/",
    noPivot: true,
  }],
  ["under a throw-away layer", false, {
    mode: "friendly",
    ephemeral: { kind: "memory" },
  }],
];
for (const [what, inTurn, config, source = "/src"] of TAKEN) {
  Deno.test(`planMounts() takes a volume ${what} ${inTurn ? "in its turn" : "before"}`, () => {
    const options = ["rbind", "rslave"];
    const phased = plan(
      { mounts: [{ destination: "/v", source, options }] },
      {},
      { ...DIRECTORY, hidden: new Set(["/bundle/rootfs/src"]) },
      config,
    );
    const where = (step: "mounts" | "sources") =>
      pickSteps(phased, step).some((it) => it.startsWith("openTree mount.0 "));
    assertEquals([where("mounts"), where("sources")], [inTurn, !inTurn]);
  });
}

/** Options of a tmpfs, and what it takes of the directory that it covers. */
const COVERS: [string[], string | undefined][] = [
  [[], "1"],
  [["size=1m", "uid=7"], "1"],
  [["mode=0755"], undefined],
  [["size=1m,mode=700"], undefined],
  [["tmpcopyup"], "7"],
  [["tmpcopyup", "gid=7"], "3"],
  [["tmpcopyup", "mode=0700"], "6"],
  [["tmpcopyup", "mode=0700", "uid=7,gid=8"], undefined],
];
for (const [options, take] of COVERS) {
  Deno.test(`planMounts() gives a tmpfs with [${options}] the mode that it covers, or the one it is given`, () => {
    const phased = plan({
      mounts: [{ destination: "/tmp", type: "tmpfs", options }],
    });
    // Before its place is made: what is missing has no mode.
    assertEquals(pickSteps(phased, "mounts").slice(2, -1), [
      ...take === undefined ? [] : [`cover mount root /tmp 0x3ff ${take}`],
      "target target root /tmp 1 0x1ed",
      ...options.includes("tmpcopyup") ? ["copyUp target mount"] : [],
    ]);
  });
}

Deno.test("inspectMounts() looks at sources", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const host = inspectMounts(
      makeConfig({
        mounts: [
          { destination: "/tmp", type: "tmpfs" },
          { destination: "/a", source: dir, options: ["bind"] },
          { destination: "/b", source: "no-such", options: ["bind"] },
        ],
      }, { rootfs: dir }),
      makeFacts(),
      {
        root: { path: dir, dev: 1n, ino: 2n, mount: 0 },
        cgroups: new Map(),
        state: "/run/rustyrun/box",
      },
    );
    assertEquals([...host.sources], [[1, "directory"], [2, "missing"]]);
    const { dev, ino } = Deno.statSync(dir);
    const seen = [...host.seen].map(([slot, it]) => [slot, it.dev, it.ino]);
    assertEquals(seen, [
      ["root", 1n, 2n],
      ["mount.1", BigInt(dev), BigInt(ino ?? 0)],
    ]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("planMounts() changes what is mounted already", () => {
  const phased = plan({
    mounts: [{
      destination: "/run",
      options: ["remount", "ro", "size=2m", "rnodev"],
    }],
  });
  assertEquals(pickSteps(phased, "mounts"), [
    "# mounts",
    "target target root /run 0 0",
    "reconfigure target [size=2m]",
    "mountSetattr target - 0x8000 4 0 0 -",
    "mountSetattr target - 0 1 0 0 -",
  ]);
});

Deno.test("planMounts() takes a host tree in its turn among the mounts", () => {
  const phased = plan(
    {
      mounts: [
        { destination: "/t", type: "tmpfs", source: "t" },
        { destination: "/b", source: "/src", options: ["bind"] },
      ],
    },
    {},
    { sources: new Map([[1, "directory"]]) },
  );
  assertEquals(pickSteps(phased, "sources", "mounts"), [
    "# sources",
    "openTree root - /bundle/rootfs 0x8001",
    "# mounts",
    "fsmount mount tmpfs [source=t] 0 0",
    "cover mount root /t 0x3ff 1",
    "target target root /t 1 0x1ed",
    "moveMount mount target",
    "openTree mount.1 - /src 1",
    "target target root /b 1 0x1ed",
    "mountSetattr mount.1 - 0x8000 0 0 0x80000 -",
    "moveMount mount.1 target",
  ]);
});

Deno.test("planMounts() maps the ids of a mount by a user namespace of the same maps", () => {
  const uidMappings = [{ containerID: 0, hostID: 5, size: 9 }];
  const mount = { source: "/src", uidMappings, gidMappings: uidMappings };
  const phased = plan(
    {
      mounts: [
        { ...mount, destination: "/a", options: ["bind", "idmap"] },
        { ...mount, destination: "/b", options: ["rbind", "ridmap"] },
      ],
    },
    {},
    { sources: new Map([[0, "directory"], [1, "file"]]) },
  );
  assertEquals(pickSteps(phased, "sources", "mounts"), [
    "# sources",
    "openTree root - /bundle/rootfs 0x8001",
    "userns idmap.0 0 5 9\n 0 5 9\n",
    "# mounts",
    "openTree mount.0 - /src 1",
    "mountSetattr mount.0 - 0 0x100000 0 0 idmap.0",
    "target target root /a 1 0x1ed",
    "mountSetattr mount.0 - 0x8000 0 0 0x80000 -",
    "moveMount mount.0 target",
    "openTree mount.1 - /src 0x8001",
    "mountSetattr mount.1 - 0x8000 0x100000 0 0 idmap.0",
    "target target root /b 2 0x1ed",
    "mountSetattr mount.1 - 0x8000 0 0 0x80000 -",
    "moveMount mount.1 target",
  ]);
});

Deno.test("planMounts() makes devices anywhere, and its own over the default ones", () => {
  const phased = plan(
    {
      linux: {
        namespaces: [{ type: "mount" }],
        devices: [
          {
            type: "c",
            path: "/dev/null",
            major: 1,
            minor: 3,
            fileMode: 0o600,
            uid: 1,
            gid: 2,
          },
          { type: "c", path: "/dev/net/tun", major: 10, minor: 200 },
          { type: "p", path: "/run/pipe", fileMode: 0o644 },
          { type: "b", path: "/dev/ptmx", major: 5, minor: 2 },
        ],
      },
    },
    {},
    {
      kcore: false,
      devices: [{
        type: "b",
        path: "/dev/disk",
        source: "/dev/vda",
        major: 254,
        minor: 300,
      }],
    },
  );
  assertEquals(pickSteps(phased, "devices"), [
    "# devices",
    "target dev root /dev 1 0x1ed",
    "mknod dev zero 0x21b6 0x105 0 0",
    "mknod dev full 0x21b6 0x107 0 0",
    "mknod dev random 0x21b6 0x108 0 0",
    "mknod dev urandom 0x21b6 0x109 0 0",
    "mknod dev tty 0x21b6 0x500 0 0",
    "mknod dev null 0x2180 0x103 1 2",
    "target parent root /dev/net 1 0x1ed",
    "mknod parent tun 0x21b6 0xac8 0 0",
    "target parent root /run 1 0x1ed",
    "mknod parent pipe 0x11a4 0 0 0",
    "mknod dev disk 0x61b6 0x10fe2c 0 0",
    "symlink dev fd /proc/self/fd",
    "symlink dev stdin /proc/self/fd/0",
    "symlink dev stdout /proc/self/fd/1",
    "symlink dev stderr /proc/self/fd/2",
    "symlink dev ptmx pts/ptmx",
  ]);
});

Deno.test("planMounts() leaves a bound /dev alone", () => {
  const phased = plan(
    {
      mounts: [{ destination: "/dev/", source: "/dev", options: ["rbind"] }],
    },
    {},
    DIRECTORY,
  );
  assertEquals(phased.devices, []);
});

Deno.test("planMounts() gives the terminal to the container's user, with its size", () => {
  const phased = plan(
    {
      process: {
        cwd: "/",
        terminal: true,
        user: { uid: 1000 },
        consoleSize: { height: 25, width: 80 },
      },
      mounts: [{ destination: "/dev", source: "/dev", options: ["rbind"] }],
    },
    {},
    DIRECTORY,
  );
  assertEquals(pickSteps(phased, "console").slice(0, 8), [
    "# console",
    "target devpts root /dev/pts 0 0",
    "verify devpts 0x4000 0 0x1cd1",
    "pty master peer devpts 0x19 0x50",
    "chown peer 0x3e8 -1",
    "openTree console peer - 0x1001",
    "target target root /dev/console 2 0x180",
    "moveMount console target",
  ]);
});

const PROPAGATION: [string, number, string[]][] = [
  ["shared", 0x80000, ["mountSetattr root - 0 0 0 0x100000 -"]],
  ["rslave", 0x80000, []],
  ["private", 0x80000, []],
  ["rprivate", 0x40000, []],
  ["unbindable", 0x80000, ["mountSetattr root - 0 0 0 0x20000 -"]],
];
for (const [word, before, after] of PROPAGATION) {
  Deno.test(`planMounts() sets rootfsPropagation ${word} once it is the root`, () => {
    const phased = plan({
      linux: { namespaces: [{ type: "mount" }], rootfsPropagation: word },
    });
    assertEquals(
      pickSteps(phased, "root")[1],
      `mountSetattr - / 0x8000 0 0 0x${before.toString(16)} -`,
    );
    assertEquals(pickSteps(phased, "pivot"), [
      "# pivot",
      "pivot root",
      ...after,
    ]);
  });
}

Deno.test("planMounts() makes mounts below a friendly read-only root read-only too", () => {
  const phased = plan({ root: { path: "r", readonly: true } }, {}, {}, {
    mode: "friendly",
  });
  assertEquals(pickSteps(phased, "root", "rootReadonly"), [
    "# root",
    "mountSetattr - / 0x8000 0 0 0x80000 -",
    "mountSetattr root - 0x8000 0 0 0x80000 -",
    "mountSetattr root - 0x8000 1 0 0 -",
    "mountSetattr root - 0 0 1 0 -",
    "open target - /bundle/rootfs 0x210000 0 0",
    "moveMount root target",
    "# rootReadonly",
    "mountSetattr root - 0 1 0 0 -",
  ]);
});

Deno.test("planMounts() leaves out a devpts group that is not mapped, when it is our own choice", () => {
  const spec = {
    mounts: [{
      destination: "/dev/pts",
      type: "devpts",
      options: ["gid=5", "mode=0620"],
    }],
    linux: {
      namespaces: [{ type: "mount" as const }, { type: "user" as const }],
      uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
    },
  };
  const options = (mode: "friendly" | "oci") =>
    pickSteps(plan(spec, {}, {}, { mode }), "mounts")[1];
  assertEquals(options("friendly"), "fsmount devpts devpts [mode=0620] 0 0");
  assertEquals(options("oci"), "fsmount devpts devpts [gid=5 mode=0620] 0 0");
});

Deno.test("planMounts() applies the propagation of a remount, in order", () => {
  const phased = plan({
    mounts: [{
      destination: "/b",
      options: ["remount", "bind", "ro", "rslave", "shared"],
    }],
  });
  assertEquals(pickSteps(phased, "mounts"), [
    "# mounts",
    "target target root /b 0 0",
    "mountSetattr target - 0x8000 0 0 0x80000 -",
    "mountSetattr target - 0 1 0 0x100000 -",
  ]);
});

Deno.test("planMounts() labels every new file system but those of the kernel's own labels", () => {
  const labelled = ["tmpfs", "mqueue", "devpts", "ext4", "overlay", "proc"]
    .filter((type) => {
      const phased = plan({
        mounts: [{ destination: type === "proc" ? "/proc" : "/t", type }],
        linux: { namespaces: [{ type: "mount" }], mountLabel: "l" },
      }, { selinux: true });
      return pickSteps(phased, "mounts")[1]?.includes("context=l");
    });
  assertEquals(labelled, ["tmpfs", "mqueue", "devpts", "ext4", "overlay"]);
});

Deno.test("planMounts() gives v1 hierarchies the attributes that are for all below a mount", () => {
  const mounts = [{
    ...CGROUP[0]!,
    options: ["nosuid", "rnoexec", "rro"],
  }];
  const phased = plan(
    { mounts, linux: { namespaces: [...OWN_CGROUP] } },
    { cgroups: HIERARCHIES },
  );
  const lines = pickSteps(phased, "mounts", "rootReadonly")
    .filter((it) => /^(fsmount|mountSetattr)/.test(it));
  assertEquals(lines, [
    "fsmount mount.0 tmpfs [source=tmpfs mode=0755] 2 0",
    "mountSetattr mount.0 - 0x8000 8 0 0 -",
    "fsmount mount cgroup [source=cgroup cpu cpuacct] 0xb 0",
    "fsmount mount cgroup [source=cgroup none name=systemd] 0xb 0",
    "mountSetattr mount.0 - 0 1 0 0 -",
  ]);
});

Deno.test("planMounts() labels new file systems where SELinux is on", () => {
  const phased = plan({
    mounts: [{ destination: "/t", type: "tmpfs" }],
    linux: { namespaces: [{ type: "mount" }], mountLabel: "u:r:t:s0:c1,c2" },
  }, { selinux: true });
  assertEquals(
    pickSteps(phased, "mounts")[1],
    "fsmount mount tmpfs [context=u:r:t:s0:c1,c2] 0 0",
  );
});

/** One option of a bind mount: what mount_setattr(2) is told. */
const OPTIONS: [string, string[]][] = [
  ["ro", ["0 1 0 0"]],
  ["rw", ["0 0 1 0"]],
  ["nosuid", ["0 2 0 0"]],
  ["suid", ["0 0 2 0"]],
  ["nodev", ["0 4 0 0"]],
  ["dev", ["0 0 4 0"]],
  ["noexec", ["0 8 0 0"]],
  ["exec", ["0 0 8 0"]],
  ["nodiratime", ["0 0x80 0 0"]],
  ["diratime", ["0 0 0x80 0"]],
  ["relatime", ["0 0 0x70 0"]],
  ["norelatime", ["0 0 0x70 0"]],
  ["noatime", ["0 0x10 0x70 0"]],
  ["atime", ["0 0 0x70 0"]],
  ["strictatime", ["0 0x20 0x70 0"]],
  ["nostrictatime", ["0 0 0x70 0"]],
  ["nosymfollow", ["0 0x200000 0 0"]],
  ["symfollow", ["0 0 0x200000 0"]],
  ["rro", ["0x8000 1 0 0x80000"]],
  ["rrw", ["0x8000 0 1 0x80000"]],
  ["rnosuid", ["0x8000 2 0 0x80000"]],
  ["rsuid", ["0x8000 0 2 0x80000"]],
  ["rnodev", ["0x8000 4 0 0x80000"]],
  ["rdev", ["0x8000 0 4 0x80000"]],
  ["rnoexec", ["0x8000 8 0 0x80000"]],
  ["rexec", ["0x8000 0 8 0x80000"]],
  ["rnodiratime", ["0x8000 0x80 0 0x80000"]],
  ["rdiratime", ["0x8000 0 0x80 0x80000"]],
  ["rrelatime", ["0x8000 0 0x70 0x80000"]],
  ["rnorelatime", ["0x8000 0 0x70 0x80000"]],
  ["rnoatime", ["0x8000 0x10 0x70 0x80000"]],
  ["ratime", ["0x8000 0 0x70 0x80000"]],
  ["rstrictatime", ["0x8000 0x20 0x70 0x80000"]],
  ["rnostrictatime", ["0x8000 0 0x70 0x80000"]],
  ["rnosymfollow", ["0x8000 0x200000 0 0x80000"]],
  ["rsymfollow", ["0x8000 0 0x200000 0x80000"]],
  ["private", ["0 0 0 0x40000"]],
  ["rprivate", ["0x8000 0 0 0x40000"]],
  ["slave", ["0 0 0 0x80000"]],
  ["rslave", ["0x8000 0 0 0x80000"]],
  ["shared", ["0 0 0 0x100000"]],
  ["rshared", ["0x8000 0 0 0x80000", "0x8000 0 0 0x100000"]],
  ["unbindable", ["0 0 0 0x20000"]],
  ["runbindable", ["0x8000 0 0 0x20000"]],
  ["defaults", []],
  ["silent", []],
  ["loud", []],
  ["sync", []],
  ["async", []],
  ["dirsync", []],
  ["lazytime", []],
  ["nolazytime", []],
  ["mand", []],
  ["nomand", []],
  ["iversion", []],
  ["noiversion", []],
];
for (const [word, expected] of OPTIONS) {
  Deno.test(`planMounts() gives "${word}" of a bind mount its meaning`, () => {
    const phased = plan(
      {
        mounts: [{
          destination: "/b",
          source: "/src",
          options: ["bind", word],
        }],
      },
      {},
      DIRECTORY,
    );
    const calls = pickSteps(phased, "mounts")
      .filter((it) => it.startsWith("mountSetattr"))
      .map((it) => it.slice("mountSetattr mount.0 - ".length, -2));
    const whole = expected.some((it) => it.startsWith("0x8000"));
    assertEquals(calls, whole ? expected : ["0x8000 0 0 0x80000", ...expected]);
  });
}

/** Words of propagation, under a word of the root's: where the volume is taken,
 * and what mount_setattr(2) is told. */
const SHARING: [string, string, string[]][] = [
  ["rshared", "rshared", ["root", "0x8000 0 0 0x100000"]],
  ["shared", "shared", ["root", "0 0 0 0x100000"]],
  ["private", "rshared", ["root", "0x8000 0 0 0x100000"]],
  ["rshared", "rslave", ["mounts", "0x8000 0 0 0x80000"]],
  ["rslave", "rshared", [
    "mounts",
    "0x8000 0 0 0x80000",
    "0x8000 0 0 0x100000",
  ]],
  ["rprivate", "shared", ["mounts", "0x8000 0 0 0x40000", "0 0 0 0x100000"]],
  ["private", "slave", ["mounts", "0x8000 0 0 0x80000", "0 0 0 0x80000"]],
  ["private", "", ["mounts", "0x8000 0 0 0x40000"]],
  ["rshared", "shared rslave", [
    "root",
    "0 0 0 0x100000",
    "0x8000 0 0 0x80000",
  ]],
  ["rslave", "rslave rshared", [
    "mounts",
    "0x8000 0 0 0x80000",
    "0x8000 0 0 0x100000",
  ]],
];
for (const [root, words, [place, ...expected]] of SHARING) {
  Deno.test(`planMounts() makes a volume "${words}" under rootfsPropagation ${root}`, () => {
    const options = ["rbind", ...words.split(" ").filter((it) => it !== "")];
    const phased = plan(
      {
        mounts: [{ destination: "/b", source: "/src", options }],
        linux: { namespaces: [{ type: "mount" }], rootfsPropagation: root },
      },
      {},
      DIRECTORY,
    );
    const calls = pickSteps(phased, "mounts")
      .filter((it) => it.startsWith("mountSetattr"))
      .map((it) => it.slice("mountSetattr mount.0 - ".length, -2));
    const taken = pickSteps(phased, "root", "mounts")
      .filter((it) => /^#|openTree mount.0|mountSetattr - /.test(it));
    const at = taken.findIndex((it) => it.startsWith("openTree"));
    assertEquals(calls, expected);
    // In the step "root" it is taken before anything leaves a peer group.
    assertEquals(at, place === "root" ? 1 : 3, taken.join("\n"));
  });
}

/** One option of a new file system: its data and its attributes. */
const NEW: [string, string][] = [
  ["sync", "[sync] 0"],
  ["async", "[async] 0"],
  ["dirsync", "[dirsync] 0"],
  ["lazytime", "[lazytime] 0"],
  ["nolazytime", "[nolazytime] 0"],
  ["mand", "[mand] 0"],
  ["nomand", "[nomand] 0"],
  ["iversion", "[iversion] 0"],
  ["noiversion", "[] 0"],
  ["defaults", "[] 0"],
  ["silent", "[] 0"],
  ["loud", "[] 0"],
  ["rw", "[] 0"],
  ["ro", "[ro] 1"],
  ["rro", "[] 0"],
  ["noatime", "[] 0x10"],
  ["errors=continue", "[errors=continue] 0"],
  ["a=1,b", "[a=1 b] 0"],
];
for (const [word, expected] of NEW) {
  Deno.test(`planMounts() gives "${word}" of a file system its meaning`, () => {
    const phased = plan({
      mounts: [{ destination: "/n", type: "ext4", options: [word] }],
    });
    assertEquals(
      pickSteps(phased, "mounts")[1],
      `fsmount mount ext4 ${expected} 0`,
    );
  });
}

Deno.test("planMounts() ignores data for a bind mount, as mount(2) does", () => {
  const withOptions = (...options: string[]) =>
    showPlan(plan(
      { mounts: [{ destination: "/b", source: "/src", options }] },
      {},
      DIRECTORY,
    ));
  const plain = withOptions("bind", "nodev");
  assertEquals(withOptions("bind", "size=1", "nodev", "mode=0700"), plain);
  assertEquals(plain.filter((it) => it.includes("size=1")), []);
  assert(plain.some((it) => it.startsWith("mountSetattr mount.0 ")));
});

Deno.test("parseMountOptions() lets the later of two words count", () => {
  const { set, clear } = parseMountOptions([
    "ro",
    "rw",
    "suid",
    "nosuid",
    "noatime",
    "atime",
  ]);
  assertEquals([set, clear], [2, 1 | 0x70]);
});

Deno.test("parseMountOptions() keeps noatime when relatime's no follows", () => {
  assertEquals(parseMountOptions(["noatime", "norelatime"]).set, 0x10);
});

Deno.test("splitData() splits at commas outside of quotes", () => {
  assertEquals(splitData(['a=1,context="u:r:c1,c2",b', "lowerdir=/a\\,b"]), [
    "a=1",
    "context=u:r:c1,c2",
    "b",
    "lowerdir=/a\\,b",
  ]);
});

Deno.test("joinPath(), absolutePath() and splitPath() work on text alone", () => {
  assertEquals(joinPath("/", "a/../b//./c/"), "/b/c");
  assertEquals(joinPath("/x", "../../.."), "/");
  assertEquals(absolutePath("/b", "../c"), "/b/../c");
  assertEquals(absolutePath("/", "c"), "/c");
  assertEquals(splitPath("/dev"), { parent: "/", name: "dev" });
});

const REFUSED: [string, Partial<Spec>, string][] = [
  [
    "a mount over the root",
    {
      mounts: [{ destination: "/a/..", type: "tmpfs", source: "t" }],
    },
    'Cannot mount "t" on "/a/..": it would lie over the whole root file system (mounts[0])',
  ],
  [
    "the type bind alone",
    {
      mounts: [{ destination: "/a", type: "bind", source: "/s" }],
    },
    'Cannot mount "/s" on "/a": the type "bind" alone makes no bind mount (mounts[0])',
  ],
  ["no type", {
    mounts: [{ destination: "/a", source: "/s" }],
  }, 'Cannot mount "/s" on "/a": it has no type (mounts[0])'],
  [
    "a tmpfs on /proc",
    {
      mounts: [{ destination: "proc", type: "tmpfs" }],
    },
    'Cannot mount "tmpfs" on "proc": only a file system of the type "proc" may be on /proc (mounts[0])',
  ],
  [
    "a mount inside /proc",
    {
      mounts: [{ destination: "/proc/self/attr", type: "tmpfs" }],
    },
    'Cannot mount "tmpfs" on "/proc/self/attr": it would lie inside /proc (mounts[0])',
  ],
  ["a missing source", {
    mounts: [{ destination: "/a", source: "s", options: ["bind"] }],
  }, 'Cannot mount "s" on "/a": no such file or directory (mounts[0])'],
  [
    "one id mapping of two",
    {
      mounts: [{
        destination: "/a",
        source: "/s",
        options: ["bind"],
        uidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
      }],
    },
    'Cannot mount "/s" on "/a": only one of uidMappings and gidMappings is given (mounts[0])',
  ],
  ["idmap without a mapping", {
    mounts: [{ destination: "/a", type: "ext4", options: ["idmap"] }],
  }, 'Cannot mount "ext4" on "/a": "idmap" has no mapping to use (mounts[0])'],
  ["tmpcopyup of another type", {
    mounts: [{ destination: "/a", type: "ext4", options: ["tmpcopyup"] }],
  }, 'Cannot mount "ext4" on "/a": tmpcopyup is for a tmpfs only (mounts[0])'],
  ...["bind", "remount"].map((word): [string, Partial<Spec>, string] => [
    `tmpcopyup with ${word}`,
    {
      mounts: [{
        destination: "/a",
        type: "tmpfs",
        options: [word, "tmpcopyup"],
      }],
    },
    'Cannot mount "tmpfs" on "/a": tmpcopyup is for a tmpfs only (mounts[0])',
  ]),
  [
    "a remount that maps ids",
    {
      mounts: [{
        destination: "/a",
        type: "none",
        options: ["remount", "idmap"],
      }],
    },
    'Cannot mount "none" on "/a": the ids of what is mounted already cannot be mapped (mounts[0])',
  ],
  [
    "cgroups whose ids are mapped",
    {
      mounts: [{ destination: "/a", type: "cgroup2", options: ["idmap"] }],
    },
    'Cannot mount "cgroup2" on "/a": the ids of cgroups cannot be mapped (mounts[0])',
  ],
  [
    "a sysfs of the host's that could be written",
    { ...USERNS, mounts: [{ destination: "/sys", type: "sysfs" }] },
    'Cannot mount "sysfs" on "/sys": with a user namespace and the host\'s network there is only the host\'s own sysfs, read-only (mounts[0])',
  ],
  [
    "another mode of a device of the host's",
    {
      linux: {
        ...USERNS.linux,
        devices: [
          { type: "c", path: "/dev/x", major: 1, minor: 1, fileMode: 0o600 },
        ],
      },
    },
    'Cannot make the device "/dev/x" with the mode 0600: with a user namespace it is the host\'s own, whose mode is 0666 (linux.devices[0])',
  ],
  [
    "a propagation that is none",
    {
      linux: { namespaces: [{ type: "mount" }], rootfsPropagation: "wild" },
    },
    'Cannot set the propagation of the root to "wild": it must be shared, slave, private or unbindable (linux.rootfsPropagation)',
  ],
  [
    "a relative masked path",
    {
      linux: { namespaces: [{ type: "mount" }], maskedPaths: ["proc/kcore"] },
    },
    'Cannot restrict "proc/kcore": the path must be absolute (linux.maskedPaths[0])',
  ],
  [
    "a mount label without SELinux",
    {
      linux: { namespaces: [{ type: "mount" }], mountLabel: "l" },
    },
    'Cannot label the mounts "l": SELinux is off on this host (linux.mountLabel)',
  ],
  [
    "a device of no type",
    {
      linux: {
        namespaces: [{ type: "mount" }],
        devices: [{ type: "x", path: "/dev/x", major: 1, minor: 1 }],
      },
    },
    'Cannot make the device "/dev/x": the type "x" is none of c, b, u and p (linux.devices[0])',
  ],
  [
    "a device without numbers",
    {
      linux: {
        namespaces: [{ type: "mount" }],
        devices: [{ type: "c", path: "/dev/x" }],
      },
    },
    'Cannot make the device "/dev/x": it has no major and minor number (linux.devices[0])',
  ],
  [
    "a terminal without a devpts",
    {
      process: { cwd: "/", terminal: true },
    },
    "Cannot give the process a terminal: no devpts is mounted on /dev/pts (process.terminal)",
  ],
];
for (const [name, spec, message] of REFUSED) {
  Deno.test(`planMounts() refuses ${name}`, () => {
    const host = {
      sources: new Map([[0, "missing" as const]]),
      modes: new Map([["/dev/x", 0o666]]),
    };
    const error = assertThrows(() => plan(spec, {}, host), ContainerError);
    assertEquals(error.message, message);
  });
}

Deno.test("planMounts() refuses a layer in memory in a user namespace before 6.6", () => {
  const error = assertThrows(
    () =>
      plan(
        USERNS,
        { kernel: { release: "6.1.0-9", major: 6, minor: 1 } },
        DIRECTORY,
        {
          ephemeral: { kind: "memory" },
        },
      ),
    ContainerError,
  );
  assertEquals(
    error.message,
    "Cannot put a throw-away layer in memory in a user namespace: tmpfs has no user attributes before kernel 6.6 (this is 6.1.0-9)",
  );
});

Deno.test("planMounts() uses the flags of the architecture", () => {
  const phased = plan({}, { arch: "aarch64" });
  assertEquals(
    pickSteps(phased, "root")[3],
    "open target - /bundle/rootfs 0x204000 0 0",
  );
});

Deno.test("planMounts() holds a procfs where something is written into it, and else none", () => {
  const wants = [
    { linux: { ...USERNS.linux, sysctl: { "net.ipv4.ip_forward": "1" } } },
    { process: { cwd: "/", selinuxLabel: "a:b:c" } },
    { process: { cwd: "/", apparmorProfile: "box" } },
  ];
  for (const [at, spec] of wants.entries()) {
    const ops = showPlan(plan(spec));
    assertEquals(
      ops.filter((it) => / proc( |$)/.test(it)),
      at === 0
        ? ["open proc - /proc 0x210000 0 0", "verify proc 0x4000 0 0x9fa0"]
        : ["fsmount proc proc [] 0xe 0"],
    );
  }
  for (const spec of [{}, USERNS]) {
    assertEquals(
      showPlan(plan(spec)).filter((it) => / proc( |$)/.test(it)),
      [],
    );
  }
});

Deno.test("planMounts() opens host trees in the new mount namespace when the caller's is not its user namespace's", () => {
  const phased = plan({}, { inUserns: true, foreignMounts: true });
  assertEquals(phased.sources, []);
  assertEquals(
    pickSteps(phased, "root").filter((it) => it.startsWith("openTree root")),
    ["openTree root - /bundle/rootfs 0x8001"],
  );
});
