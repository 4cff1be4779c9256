/**
 * The mounts manager: /sys, cgroups, and file systems in memory.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Config } from "../mod/config/config.ts";
import type { Mount } from "../mod/config/schema.ts";
import { ContainerError } from "../mod/errors.ts";
import type { CgroupMount, Facts } from "../mod/host.ts";
import { pickSteps, UNPRIVILEGED } from "./manager_fixtures.ts";
import {
  CGROUP,
  DIRECTORY,
  HIERARCHIES,
  OWN_CGROUP,
  plan,
  QUIET,
  USERNS,
} from "./mounts_fixtures.ts";

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
    "openTree mount.0 - /sys/fs/cgroup/user.slice 0x8001",
    "mountSetattr mount.0 - 0x8000 0xf 0 0x40000 -",
    "target target root /sys/fs/cgroup 1 0x1ed",
    "moveMount mount.0 target",
  ]);
});

Deno.test("planMounts() leaves the v2 hierarchy the options that the host mounted it with", () => {
  const cgroup: CgroupMount = {
    version: 2,
    controllers: ["memory"],
    path: "/sys/fs/cgroup",
    root: "/",
    own: "/user.slice",
  };
  const options = ["nsdelegate", "memory_recursiveprot"];
  const step = (cgroups: CgroupMount[]) =>
    pickSteps(plan({ mounts: CGROUP }, { cgroups }), "mounts")
      .find((it) => it.startsWith("fsmount"));
  assertEquals(
    step([{ ...cgroup, options }]),
    "fsmount mount.0 cgroup2 [source=cgroup nsdelegate memory_recursiveprot] 0xf 0",
  );
  assertEquals(
    step([cgroup]),
    "fsmount mount.0 cgroup2 [source=cgroup] 0xf 0",
  );
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

Deno.test("planMounts() gives no CAP_SYS_ADMIN to who could bare the host's cgroups in the host's sysfs", () => {
  const sysfs = { destination: "/sys", type: "sysfs", options: ["ro"] };
  const bind = { destination: "/sys", source: "/sys", options: ["rbind"] };
  const codeOf = (
    mount: Mount,
    facts: Partial<Facts>,
    config: Partial<Config> = {},
    linux = USERNS.linux,
  ) => {
    const process = { cwd: "/", capabilities: { bounding: ["CAP_SYS_ADMIN"] } };
    try {
      plan({ mounts: [mount], linux, process }, facts, DIRECTORY, config);
      return "";
    } catch (error) {
      return error instanceof ContainerError ? error.code : error;
    }
  };
  const user = UNPRIVILEGED;
  const friendly = { mode: "friendly" as const };
  const none = { namespaces: [{ type: "mount" as const }] };
  for (
    const args of [
      [sysfs, user],
      [sysfs, { inUserns: true }, {}, none],
      [bind, user, friendly],
    ] as Parameters<typeof codeOf>[]
  ) assertEquals(codeOf(...args), "sysfs-sys-admin");
  const namespaces = [...USERNS.linux!.namespaces!, {
    type: "network" as const,
  }];
  const flags = new Map([["mounts[0]", "-v /sys:/sys"]]);
  for (
    const args of [
      [sysfs, {}],
      [sysfs, {}, {}, none],
      [sysfs, user, {}, { ...USERNS.linux, namespaces }],
      // Asked for as it is, like under runc.
      [bind, user],
      [bind, user, { ...friendly, flags }],
    ] as Parameters<typeof codeOf>[]
  ) assertEquals(codeOf(...args), "");
});

Deno.test("planMounts() locks the host's cgroups away in the host's sysfs", () => {
  const masks = (mount: Mount, mode: Config["mode"]) =>
    pickSteps(
      plan({ mounts: [mount], linux: USERNS.linux }, {}, DIRECTORY, { mode }),
      "stage",
    ).filter((it) => it.startsWith("mask"));
  const sysfs = { destination: "/sys", type: "sysfs", options: ["ro"] };
  const bind = { destination: "/sys", source: "/sys", options: ["rbind"] };
  const locked = ["mask mount.0 /fs/cgroup null cover"];
  assertEquals(masks(sysfs, "oci"), locked);
  assertEquals(masks(bind, "friendly"), locked);
  assertEquals(masks(bind, "oci"), []);
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
    "fsmount mount.0 tmpfs [source=tmpfs size=1m] 4 0",
    "cover mount.0 root /run 0x3ff 7",
    "target target root /run 1 0x1ed",
    "copyUp target mount.0",
    "moveMount mount.0 target",
    "mountSetattr mount.0 - 0 1 0 0 -",
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
  ["over the host's root without pivot_root", true, {
    mode: "friendly",
    rootfs: "/",
    noPivot: true,
  }],
  ["with a throw-away layer", true, {
    mode: "friendly",
    ephemeral: { kind: "memory" },
  }],
  ["with a throw-away layer, below the root", false, {
    mode: "friendly",
    ephemeral: { kind: "memory" },
  }, "/bundle/rootfs/src"],
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
      ...take === undefined ? [] : [`cover mount.0 root /tmp 0x3ff ${take}`],
      "target target root /tmp 1 0x1ed",
      ...options.includes("tmpcopyup") ? ["copyUp target mount.0"] : [],
    ]);
  });
}
