/**
 * The mounts manager: what of the host's is hidden, locked or refused below a user
 * namespace.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import type { Spec } from "../mod/config/schema.ts";
import type { Config } from "../mod/config/config.ts";
import { inspectMounts, type MountHost } from "../mod/mounts.ts";
import {
  findBadNotes,
  makeConfig,
  makeFacts,
  pickSteps,
} from "./manager_fixtures.ts";
import { testOn } from "./needs.ts";
import { DIRECTORY, ids, plan, USERNS } from "./mounts_fixtures.ts";

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
      "mask mount.1 /fs/cgroup",
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
          unbindable: new Map([[
            unbindable,
            { path: `${unbindable}/in`, unsure: false },
          ]]),
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

Deno.test("inspectMounts() finds the sources that lie below the root or hold it, links and all", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${dir}/rootfs/src`, { recursive: true });
    await Deno.mkdir(`${dir}/rootfs2`);
    await Deno.symlink("rootfs/src", `${dir}/link`);
    await Deno.symlink("../../rootfs2", `${dir}/rootfs/src/link`);
    const sources = [
      ...["rootfs", "rootfs/src", "link", "rootfs/src/link", "."],
      ...["rootfs2", "missing"],
    ].map((it) => `${dir}/${it}`);
    const mounts = sources.map((source) => ({
      destination: "/v",
      source,
      options: ["bind"],
    }));
    for (const spec of [{ ...USERNS, mounts }, { mounts }]) {
      const { hidden } = inspectMounts(
        makeConfig(spec, { rootfs: `${dir}/rootfs` }),
        makeFacts(),
        {
          cgroups: new Map(),
          state: "",
          root: { path: `${dir}/rootfs`, dev: 0n, ino: 0n, mount: 0 },
        },
      );
      assertEquals([...hidden], sources.slice(0, 5));
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("inspectMounts() finds the sources that are hidden while the host's root becomes the container's", () => {
  const mounts = ["/proc/sys", "/", "/tmp"].map((source) => ({
    destination: "/v",
    source,
    options: ["bind"],
  }));
  const { hidden } = inspectMounts(
    makeConfig({ mounts }, { rootfs: "/" }),
    makeFacts(),
    {
      cgroups: new Map(),
      state: "",
      root: { path: "/", dev: 0n, ino: 0n, mount: 0 },
    },
  );
  assertEquals([...hidden], ["/proc/sys", "/"]);
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
