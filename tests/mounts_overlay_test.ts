/**
 * The mounts manager: throw-away layers.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import { type MountHost, ownerOfUpper } from "../mod/mounts.ts";
import type { HostEntry } from "../mod/mounts/model.ts";
import { makeFacts, pickSteps, UNPRIVILEGED } from "./manager_fixtures.ts";
import { DIRECTORY, ids, plan, USERNS } from "./mounts_fixtures.ts";

const ROOT_STEPS = ["sources", "root", "pivot"] as const;

Deno.test("planMounts() lays an overlay in memory over the root file system", () => {
  const phased = plan({}, {}, {}, { ephemeral: { kind: "memory" } });
  assertEquals(pickSteps(phased, ...ROOT_STEPS), [
    "# sources",
    "open root.dir - /bundle/rootfs 0x210000 0 6",
    "openTree lower root.dir - 0x1001",
    "close root.dir",
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
  const phased = plan({}, {}, { rootPath: "/" }, {
    rootfs: "/",
    ephemeral: { kind: "directory", dir: "/var/tmp/up" },
    files: [{ path: "/etc/hosts", data: "h", mode: 0o644 }],
  });
  assertEquals(pickSteps(phased, ...ROOT_STEPS, "mounts"), [
    "# sources",
    "openTree layers - /var/tmp/up 1",
    "open root.dir - / 0x210000 0 6",
    "openTree lower root.dir - 0x1001",
    "close root.dir",
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

Deno.test("planMounts() forbids in a throw-away layer what the root file system's mount forbids", () => {
  const attributes = (host: Partial<MountHost>, rootfs = "/bundle/rootfs") =>
    pickSteps(
      plan({}, {}, { ...host, forbidden: 0xe }, {
        rootfs,
        ephemeral: { kind: "memory" },
      }),
      "root",
    ).flatMap((it) =>
      /^fsmount (\S+) overlay .* (\S+) 0$/.exec(it)?.slice(1) ?? []
    );
  assertEquals(attributes({}), ["root", "0xe"]);
  const usr: HostEntry = {
    path: "/usr",
    type: "directory",
    mode: 0o755,
    mountPoint: false,
  };
  assertEquals(attributes({ top: [usr] }, "/"), ["overlay.0", "0xe"]);
});
