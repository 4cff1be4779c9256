/**
 * The mounts manager: what later entries, masks and read-only paths make of the
 * host's mounts is set where the kernel locks it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Mount } from "../mod/config/schema.ts";
import { inspectMounts, type MountHost } from "../mod/mounts.ts";
import { makeConfig, makeFacts, pickSteps } from "./manager_fixtures.ts";
import { plan, USERNS } from "./mounts_fixtures.ts";
import { testOn } from "./needs.ts";

const volume = (destination: string, ...options: string[]): Mount => ({
  destination,
  type: "bind",
  source: `/src${destination}`,
  options: ["rbind", ...options],
});

const remount = (destination: string, ...options: string[]): Mount => ({
  destination,
  options: ["remount", "bind", ...options],
});

/** What is done to the trees on the stage. */
function listStage(
  mounts: Mount[],
  linux: { maskedPaths?: string[]; readonlyPaths?: string[] } = {},
  host: Partial<MountHost> = {},
): string[] {
  const phased = plan({ mounts, linux: { ...USERNS.linux, ...linux } }, {}, {
    sources: new Map(mounts.map((_, at) => [at, "directory"])),
    ...host,
  });
  return pickSteps(phased, "stage").filter((it) =>
    /^(mask|readonly|target (target )?mount|mountSetattr (mount|target))/
      .test(it) || /^target target root \/in/.test(it)
  );
}

Deno.test("planMounts() locks a mask in a volume that a later entry remounts", () => {
  assertEquals(
    listStage(
      [volume("/v"), volume("/v/sub"), remount("/v"), remount("/v/sub/.")],
      { maskedPaths: ["/v/f", "/v/sub/f"], readonlyPaths: ["/v/d"] },
    ),
    [
      "readonly mount.0 /d",
      "mask mount.0 /f null cover",
      "mask mount.1 /f null cover",
    ],
  );
});

Deno.test("planMounts() locks what entries make of the host's mounts in a volume and in the root", () => {
  const mounts = [
    volume("/v"),
    remount("/v/in", "ro"),
    remount("/v/in", "nosuid"),
    remount("/v/again", "ro"),
    remount("/v/again", "rw"),
    remount("/v/plain", "ro"),
    remount("/in", "rro"),
  ];
  const present = new Set([1, 2, 3, 4, 6]);
  assertEquals(listStage(mounts, {}, { present }), [
    "target target mount.0 /in 0 0",
    "mountSetattr target - 0 3 0 0 -",
    "target target root /in 0 0",
    "mountSetattr target - 0x8000 1 0 0 -",
  ]);
  // A mount point has to be made in it first.
  assertEquals(
    listStage([...mounts.slice(0, 1), volume("/v/in/new"), mounts[1]!], {}, {
      present: new Set([2]),
    }),
    [],
  );
});

Deno.test("planMounts() locks a volume read-only where no mount point has to be made in it", () => {
  const locked = "mountSetattr mount.0 - 0x8000 1 0 0 -";
  const readonlyPaths = ["/v"];
  const list = (mount: Mount, ...present: number[]) =>
    listStage([volume("/v"), mount], { readonlyPaths }, {
      present: new Set(present),
    }).includes(locked);
  assertEquals(
    [
      list(volume("/v/sub"), 1),
      list(remount("/v/sub", "nosuid")),
      list(volume("/v/sub")),
    ],
    [true, true, false],
  );
});

Deno.test("planMounts() locks no directory in which a mount point has to be made", () => {
  const linux = {
    maskedPaths: ["/m", "/v/m"],
    readonlyPaths: ["/r", "/v/r", "/v"],
  };
  const inner = ["/m/in", "/r/in", "/v/m/in", "/v/r/in"].map((it) => ({
    destination: it,
    type: "tmpfs",
  }));
  const list = (...present: number[]) =>
    listStage([volume("/v"), ...inner], linux, { present: new Set(present) })
      .filter((it) => /^(mask|readonly)/.test(it));
  const readonly = { root: "readonly root /r", volume: "readonly mount.0 /r" };
  const mask = {
    root: "mask root /m null cover",
    volume: "mask mount.0 /m null cover",
  };
  assertEquals([list(1, 2, 3, 4), list(1, 4), list()], [
    [readonly.root, readonly.volume, mask.root, mask.volume],
    [readonly.volume, mask.root],
    [],
  ]);
});

testOn(
  ["root"],
  "inspectMounts() finds which mounts have their place in a volume or in the root file system",
  async () => {
    const dir = await Deno.makeTempDir();
    try {
      await Deno.mkdir(`${dir}/rootfs/sub`, { recursive: true });
      await Deno.mkdir(`${dir}/v/sub`, { recursive: true });
      await Deno.symlink("sub", `${dir}/v/link`);
      const mounts = [
        { ...volume("/v"), source: `${dir}/v` },
        ...["/v/sub", "/v/link", "/v/none", "/sub", "/none"]
          .map((it) => volume(it)),
        remount("/sub"),
        { destination: "/dev", type: "tmpfs" },
        ...["/dev/sub", "/v/sub/in"].map((it) => volume(it)),
      ];
      const { present } = inspectMounts(
        makeConfig({ ...USERNS, mounts }, { rootfs: `${dir}/rootfs` }),
        makeFacts(),
        {
          cgroups: new Map(),
          state: "",
          root: { path: `${dir}/rootfs`, dev: 0n, ino: 0n, mount: 0 },
        },
      );
      assertEquals([...present ?? []], [1, 4]);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);

testOn(
  ["root"],
  "inspectMounts() finds which remounts are of something that the host has mounted in a volume",
  () => {
    const list = (option: string) => {
      const mounts = [
        { destination: "/rrtest-none", source: "/", options: [option] },
        ...["/proc", "/proc/self/fd", "/usr"].map((it) =>
          remount(`/rrtest-none${it}`)
        ),
        volume("/rrtest-none/proc/self"),
      ];
      const { present } = inspectMounts(
        makeConfig({ ...USERNS, mounts }, { rootfs: "/" }),
        makeFacts(),
        {
          cgroups: new Map(),
          state: "",
          root: { path: "/", dev: 0n, ino: 0n, mount: 0 },
        },
      );
      return [...present ?? []];
    };
    assertEquals([list("rbind"), list("bind")], [[1], []]);
  },
);
