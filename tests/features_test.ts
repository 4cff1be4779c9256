/**
 * What `features` says, whole, and against the runtime-spec's features schema.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { CAPS } from "../ffi/names.ts";
import { describeFeatures } from "../mod/features.ts";
import { knownMountOptions } from "../mod/mounts.ts";
import { SPEC_VERSION, VERSION } from "../mod/version.ts";
import { makeFacts } from "./manager_fixtures.ts";

const V1 = makeFacts().cgroups.map((it) => ({
  ...it,
  version: 1 as const,
  controllers: ["memory"],
}));

Deno.test("describeFeatures() on x86_64, kernel 6.12, cgroup v2", () => {
  assertEquals(describeFeatures(makeFacts()), {
    ociVersionMin: "1.0.0",
    ociVersionMax: SPEC_VERSION,
    hooks: [
      "prestart",
      "createRuntime",
      "createContainer",
      "startContainer",
      "poststart",
      "poststop",
    ],
    mountOptions: knownMountOptions(),
    linux: {
      namespaces: [
        "cgroup",
        "ipc",
        "mount",
        "network",
        "pid",
        "time",
        "user",
        "uts",
      ],
      capabilities: [...CAPS.keys()],
      cgroup: {
        v1: false,
        v2: true,
        systemd: true,
        systemdUser: true,
        rdma: true,
      },
      seccomp: {
        enabled: true,
        actions: [
          "SCMP_ACT_ALLOW",
          "SCMP_ACT_ERRNO",
          "SCMP_ACT_KILL",
          "SCMP_ACT_KILL_PROCESS",
          "SCMP_ACT_KILL_THREAD",
          "SCMP_ACT_LOG",
          "SCMP_ACT_NOTIFY",
          "SCMP_ACT_TRACE",
          "SCMP_ACT_TRAP",
        ],
        operators: [
          "SCMP_CMP_EQ",
          "SCMP_CMP_GE",
          "SCMP_CMP_GT",
          "SCMP_CMP_LE",
          "SCMP_CMP_LT",
          "SCMP_CMP_MASKED_EQ",
          "SCMP_CMP_NE",
        ],
        archs: ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32"],
        knownFlags: [
          "SECCOMP_FILTER_FLAG_TSYNC",
          "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
          "SECCOMP_FILTER_FLAG_LOG",
          "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        ],
        supportedFlags: [
          "SECCOMP_FILTER_FLAG_TSYNC",
          "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
          "SECCOMP_FILTER_FLAG_LOG",
          "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        ],
      },
      apparmor: { enabled: true },
      selinux: { enabled: true },
      intelRdt: { enabled: true, schemata: true, monitoring: true },
      memoryPolicy: {
        modes: [
          "MPOL_DEFAULT",
          "MPOL_PREFERRED",
          "MPOL_BIND",
          "MPOL_INTERLEAVE",
          "MPOL_LOCAL",
          "MPOL_PREFERRED_MANY",
          "MPOL_WEIGHTED_INTERLEAVE",
        ],
        flags: [
          "MPOL_F_NUMA_BALANCING",
          "MPOL_F_RELATIVE_NODES",
          "MPOL_F_STATIC_NODES",
        ],
      },
      mountExtensions: { idmap: { enabled: true } },
      netDevices: { enabled: true },
    },
    annotations: {
      "run.rustyrun.version": VERSION,
      "run.rustyrun.checkpoint.enabled": "true",
    },
    potentiallyUnsafeConfigAnnotations: ["org.systemd.property."],
  });
});

/** Parts of it that depend on the machine. */
interface Linux {
  cgroup: { v1: boolean; v2: boolean };
  seccomp: { archs: string[]; supportedFlags: string[] };
}
const linux = (changes: Parameters<typeof makeFacts>[0]) =>
  describeFeatures(makeFacts(changes))["linux"] as Linux;

for (
  const [name, cgroups, v1, v2] of [
    ["v1", V1, true, false],
    ["hybrid", [...V1, ...makeFacts().cgroups], true, true],
    ["v2", makeFacts().cgroups, false, true],
    ["no cgroups", [], false, false],
  ] as const
) {
  Deno.test(`describeFeatures() on ${name}`, () => {
    const { cgroup } = linux({ cgroups: [...cgroups] });
    assertEquals([cgroup.v1, cgroup.v2], [v1, v2]);
  });
}

for (const [major, minor, count] of [[5, 15, 3], [5, 19, 4], [6, 0, 4]]) {
  Deno.test(`describeFeatures() knows the filter flags of kernel ${major}.${minor}`, () => {
    const kernel = { release: "x", major: major!, minor: minor! };
    assertEquals(linux({ kernel }).seccomp.supportedFlags.length, count);
  });
}

Deno.test("describeFeatures() on aarch64", () => {
  assertEquals(linux({ arch: "aarch64" }).seccomp.archs, [
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
  ]);
});

/** runtime-spec schema/features-schema.json and features-linux.json, 1.3: what
 * each property may be. "[]" is a list of strings, "{}" has properties. */
const SCHEMA = {
  ociVersionMin: "string",
  ociVersionMax: "string",
  hooks: "[]",
  mountOptions: "[]",
  annotations: "{}",
  potentiallyUnsafeConfigAnnotations: "[]",
  linux: {
    namespaces: "[]",
    capabilities: "[]",
    cgroup: {
      v1: "boolean",
      v2: "boolean",
      systemd: "boolean",
      systemdUser: "boolean",
      rdma: "boolean",
    },
    seccomp: {
      enabled: "boolean",
      actions: "[]",
      operators: "[]",
      archs: "[]",
      knownFlags: "[]",
      supportedFlags: "[]",
    },
    apparmor: { enabled: "boolean" },
    selinux: { enabled: "boolean" },
    intelRdt: {
      enabled: "boolean",
      schemata: "boolean",
      monitoring: "boolean",
    },
    memoryPolicy: { modes: "[]", flags: "[]" },
    mountExtensions: { idmap: { enabled: "boolean" } },
    netDevices: { enabled: "boolean" },
  },
};

const kindOf = (value: unknown): string => typeof value;

/** What does not fit the schema, by path. */
function misfits(value: unknown, schema: unknown, path: string): string[] {
  if (typeof schema === "string") {
    const fits = schema === "[]"
      ? Array.isArray(value) && value.every((it) => typeof it === "string") &&
        new Set(value).size === value.length
      : schema === "{}"
      ? typeof value === "object"
      : kindOf(value) === schema;
    return fits ? [] : [path];
  }
  const [have, want] = [value, schema] as Record<string, unknown>[];
  return [...new Set([...Object.keys(have!), ...Object.keys(want!)])].flatMap(
    (key) =>
      key in have! && key in want!
        ? misfits(have![key], want![key], `${path}.${key}`)
        : [`${path}.${key}`],
  );
}

Deno.test("describeFeatures() has every property of the schema, and no other", () => {
  const features = JSON.parse(JSON.stringify(describeFeatures(makeFacts())));
  assertEquals(misfits(features, SCHEMA, "features"), []);
});

Deno.test("describeFeatures() lists mount options once each, all in use", () => {
  const options = knownMountOptions();
  assertEquals(new Set(options).size, options.length);
  for (
    const it of ["bind", "rbind", "ro", "rro", "idmap", "ridmap", "tmpcopyup"]
  ) {
    assert(options.includes(it), it);
  }
});
