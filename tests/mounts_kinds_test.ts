/**
 * The mounts manager: volumes, devices, terminals, propagation and labels.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { inspectMounts } from "../mod/mounts.ts";
import { makeConfig, makeFacts, pickSteps } from "./manager_fixtures.ts";
import {
  CGROUP,
  DIRECTORY,
  HIERARCHIES,
  OWN_CGROUP,
  plan,
} from "./mounts_fixtures.ts";

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
    "open root.dir - /bundle/rootfs 0x210000 0 6",
    "openTree root root.dir - 0x9001",
    "close root.dir",
    "# mounts",
    "fsmount mount.0 tmpfs [source=t] 0 0",
    "cover mount.0 root /t 0x3ff 1",
    "target target root /t 1 0x1ed",
    "moveMount mount.0 target",
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
    "open root.dir - /bundle/rootfs 0x210000 0 6",
    "openTree root root.dir - 0x9001",
    "close root.dir",
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
    "target devpts mount.0 pts root /dev/pts 0 0",
    "verify devpts 0x4000 0 0x1cd1",
    "pty master peer devpts 0x19 0x50",
    "chown peer 0x3e8 -1",
    "openTree console peer - 0x1001",
    "target target mount.0 console root /dev/console 2 0x180",
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
    "fsmount mount.0 tmpfs [context=u:r:t:s0:c1,c2] 0 0",
  );
});
