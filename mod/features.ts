/**
 * What `rustyrun features` says: runtime-spec features.md.
 *
 * @module
 */

import { MPOL, MPOL_F } from "../ffi/constants.ts";
import { CAPS } from "../ffi/names.ts";
import { knownMountOptions } from "./mounts.ts";
import { cgroupLayout, type Facts } from "./host.ts";
import { SPEC_VERSION, VERSION } from "./version.ts";

const SECCOMP_ACTIONS = [
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_KILL",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_LOG",
  "SCMP_ACT_NOTIFY",
  "SCMP_ACT_TRACE",
  "SCMP_ACT_TRAP",
];

const SECCOMP_FLAGS = [
  "SECCOMP_FILTER_FLAG_TSYNC",
  "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
  "SECCOMP_FILTER_FLAG_LOG",
  "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/** Flags that this kernel takes: WAIT_KILLABLE_RECV came with 5.19, the others
 * are older than the floor. */
function supportedFlags(facts: Facts): string[] {
  const { major, minor } = facts.kernel;
  const since519 = major > 5 || (major === 5 && minor >= 19);
  return since519 ? SECCOMP_FLAGS : SECCOMP_FLAGS.slice(0, 3);
}

/** What this rustyrun can do here, as features.md wants it. */
export function describeFeatures(facts: Facts): Record<string, unknown> {
  const layout = cgroupLayout(facts);
  return {
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
        v1: layout === "v1" || layout === "hybrid",
        v2: layout === "v2" || layout === "hybrid",
        systemd: true,
        systemdUser: true,
        rdma: true,
      },
      seccomp: {
        enabled: true,
        actions: SECCOMP_ACTIONS,
        operators: [
          "SCMP_CMP_EQ",
          "SCMP_CMP_GE",
          "SCMP_CMP_GT",
          "SCMP_CMP_LE",
          "SCMP_CMP_LT",
          "SCMP_CMP_MASKED_EQ",
          "SCMP_CMP_NE",
        ],
        archs: facts.arch === "x86_64"
          ? ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32"]
          : ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        knownFlags: SECCOMP_FLAGS,
        supportedFlags: supportedFlags(facts),
      },
      apparmor: { enabled: true },
      selinux: { enabled: true },
      intelRdt: { enabled: true, schemata: true, monitoring: true },
      memoryPolicy: {
        modes: Object.keys(MPOL),
        flags: Object.keys(MPOL_F),
      },
      mountExtensions: { idmap: { enabled: true } },
      netDevices: { enabled: true },
    },
    annotations: {
      "run.rustyrun.version": VERSION,
      "run.rustyrun.checkpoint.enabled": "true",
    },
    potentiallyUnsafeConfigAnnotations: ["org.systemd.property."],
  };
}
