/**
 * The mounts manager: where it looks for a place, and what is made in a mount
 * later.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Config, Spec } from "../mod/config/config.ts";
import { pickSteps } from "./manager_fixtures.ts";
import { plan } from "./mounts_fixtures.ts";

/** What is made in a tmpfs that is read-only, once it is mounted on /a. */
const FILLINGS: [string, Partial<Spec>, Partial<Config>?][] = [
  ["a mount", { mounts: [{ destination: "//a/./b/c", type: "tmpfs" }] }],
  [
    "a device",
    {
      linux: {
        namespaces: [{ type: "mount" }],
        devices: [{ path: "/a/fuse", type: "c", major: 10, minor: 229 }],
      },
    },
  ],
  ["a file", {}, { files: [{ path: "/a/hosts", mode: 0o644, data: "" }] }],
  ["what a hook mounts", { hooks: { createRuntime: [{ path: "/bin/x" }] } }],
  ["nothing", {}],
];
for (const [what, spec, config] of FILLINGS) {
  Deno.test(`planMounts() makes a tmpfs read-only once ${what} is in it`, () => {
    const mounts = [
      { destination: "/a", type: "tmpfs", options: ["ro", "mode=0755"] },
      ...spec.mounts ?? [],
    ];
    const phased = plan({ ...spec, mounts }, {}, {}, config);
    const line = "mountSetattr mount.0 - 0 1 0 0 -";
    const at = what === "nothing" ? "mounts" : "rootReadonly";
    for (const step of ["mounts", "rootReadonly"] as const) {
      assertEquals(pickSteps(phased, step).includes(line), step === at, step);
    }
  });
}

Deno.test("planMounts() looks for a place in the mount that it lies in, and for none in what is hidden", () => {
  const tmpfs = (destination: string) => ({
    destination,
    type: "tmpfs",
    options: ["mode=0755"],
  });
  const phased = plan({
    mounts: [
      ...["/a/b", "/a/b/c", "/a", "/a/b/d", "/ab", "/a"].map(tmpfs),
      { destination: "/a/./b/d/", options: ["remount", "ro"] },
      { destination: "/a/e", options: ["remount", "ro"] },
      { destination: "/a/s/y", type: "sysfs" },
      { destination: "/a/s", type: "sysfs" },
    ],
    linux: {
      namespaces: [{ type: "mount" }],
      maskedPaths: ["/a/b/c", "/ab", "/abc"],
      readonlyPaths: ["/a/s/fs"],
    },
  });
  const steps = ["mounts", "readonly", "masked"] as const;
  assertEquals(
    pickSteps(phased, ...steps).filter((it) => !/^(fsmount|#)/.test(it)),
    [
      "target target root /a/b 1 0x1ed",
      "moveMount mount.0 target",
      "target target mount.0 c root /a/b/c 1 0x1ed",
      "moveMount mount.1 target",
      "target target root /a 1 0x1ed",
      "moveMount mount.2 target",
      "target target mount.2 b/d root /a/b/d 1 0x1ed",
      "moveMount mount.3 target",
      "target target root /ab 1 0x1ed",
      "moveMount mount.4 target",
      "target target mount.2 - root /a 1 0x1ed",
      "moveMount mount.5 target",
      "target target mount.5 b/d root /a/b/d 0 0",
      "mountSetattr target - 0 1 0 0 -",
      "target target mount.5 e root /a/e 0 0",
      "mountSetattr target - 0 1 0 0 -",
      "target target mount.5 s/y root /a/s/y 1 0x1ed",
      "open target mount.5 s/y 0x230000 0 0xe",
      "moveMount mount.8 target",
      "mkdir mount.5 s 0x1ed",
      "open target mount.5 s 0x230000 0 0xe",
      "moveMount mount.9 target",
      "readonly mount.9 fs root /a/s/fs",
      "mask mount.5 b/c root /a/b/c null empty",
      "mask mount.4 - root /ab null empty",
      "mask root /abc null empty",
    ],
  );
});

Deno.test("planMounts() lays something empty over what the host has mounted of the kernel's own, which nothing else lies over", () => {
  const at = (path: string, magic = 0x9fa0) => ({ path, magic });
  const phased = plan(
    {
      mounts: [
        { destination: "/sys", type: "sysfs" },
        { destination: "/run/./x/", type: "tmpfs" },
        { destination: "/opt/p", options: ["remount", "ro"] },
      ],
    },
    {},
    {
      kernelOwn: [
        ...[at("/sys"), at("/sys/fs/cgroup"), at("/run/x/p"), at("/run/xp")],
        ...[at("/opt/p", 0x1cd1), at("/opt/p/q")],
      ],
    },
  );
  assertEquals(
    pickSteps(phased, "root").filter((it) => /target|mask/.test(it)).slice(-6),
    [
      "target target root /run/xp 0 0",
      "verify target 0 0 0x9fa0",
      "mask target / null empty",
      "target target root /opt/p 0 0",
      "verify target 0 0 0x1cd1",
      "mask target / null empty",
    ],
  );
});
