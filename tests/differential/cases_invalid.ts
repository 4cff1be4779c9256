/**
 * Configurations that a runtime must refuse: each breaks one clause of the
 * specification. Create must fail and leave nothing.
 *
 * @module
 */

import {
  BASE,
  type Case,
  type JsonObject,
  makeCase,
  MOUNTS,
  NAMESPACES,
  namespacesBut,
} from "./case.ts";

const MAP = [{ containerID: 0, hostID: 100000, size: 65536 }];

function resources(patch: JsonObject): JsonObject {
  return { linux: { resources: patch } };
}

function seccomp(patch: JsonObject): JsonObject {
  return {
    linux: { seccomp: { defaultAction: "SCMP_ACT_ALLOW", ...patch } },
  };
}

function mount(patch: JsonObject): JsonObject {
  return {
    mounts: [...MOUNTS, {
      destination: "/mnt",
      type: "tmpfs",
      source: "tmpfs",
      ...patch,
    }],
  };
}

const INVALID: [string, JsonObject][] = [
  ["version-missing", { ociVersion: null }],
  ["version-not-semver", { ociVersion: "one" }],
  ["version-2", { ociVersion: "2.0.0" }],
  ["root-missing", { root: null }],
  ["root-no-directory", { root: { path: "nosuch" } }],
  ["root-is-file", { root: { path: "config.json" } }],
  ["root-path-empty", { root: { path: "" } }],
  ["cwd-relative", { process: { cwd: "tmp" } }],
  ["cwd-empty", { process: { cwd: "" } }],
  ["cwd-missing-key", { process: { cwd: null } }],
  ["args-empty", { process: { args: [] } }],
  ["args-missing-key", { process: { args: null } }],
  ["args-wrong-type", { process: { args: "sh" } }],
  ["uid-negative", { process: { user: { uid: -1 } } }],
  ["uid-too-large", { process: { user: { uid: 4294967296 } } }],
  ["uid-string", { process: { user: { uid: "root" } } }],
  ["rlimit-twice", {
    process: {
      rlimits: [
        { type: "RLIMIT_CORE", soft: 0, hard: 0 },
        { type: "RLIMIT_CORE", soft: 1, hard: 1 },
      ],
    },
  }],
  ["rlimit-unknown", {
    process: { rlimits: [{ type: "RLIMIT_BOGUS", soft: 0, hard: 0 }] },
  }],
  ["rlimit-soft-over-hard", {
    process: { rlimits: [{ type: "RLIMIT_NOFILE", soft: 20, hard: 10 }] },
  }],
  ["oom-out-of-range", { process: { oomScoreAdj: 2000 } }],
  ["scheduler-unknown", { process: { scheduler: { policy: "SCHED_NEW" } } }],
  ["scheduler-bad-nice", {
    process: { scheduler: { policy: "SCHED_OTHER", nice: 40 } },
  }],
  ["scheduler-priority-for-other", {
    process: { scheduler: { policy: "SCHED_OTHER", priority: 5 } },
  }],
  ["ioprio-class", {
    process: { ioPriority: { class: "IOPRIO_CLASS_NEW", priority: 1 } },
  }],
  ["ioprio-priority", {
    process: { ioPriority: { class: "IOPRIO_CLASS_BE", priority: 9 } },
  }],
  ["hostname-without-uts", {
    linux: { namespaces: namespacesBut(["uts"]) },
  }],
  ["domainname-without-uts", {
    hostname: null,
    domainname: "x",
    linux: { namespaces: namespacesBut(["uts"]) },
  }],
  ["hostname-too-long", { hostname: "h".repeat(65) }],
  ["namespace-twice", {
    linux: { namespaces: [...NAMESPACES, { type: "ipc" }] },
  }],
  ["namespace-unknown", {
    linux: { namespaces: [...NAMESPACES, { type: "moon" }] },
  }],
  ["namespace-wrong-type", {
    linux: {
      namespaces: namespacesBut(["ipc"], {
        type: "ipc",
        path: "/proc/self/ns/uts",
      }),
    },
  }],
  ["namespace-relative-path", {
    linux: {
      namespaces: namespacesBut(["ipc"], { type: "ipc", path: "ns/ipc" }),
    },
  }],
  ["namespace-path-missing", {
    linux: {
      namespaces: namespacesBut(["ipc"], { type: "ipc", path: "/no/such/ns" }),
    },
  }],
  ["userns-without-maps", {
    linux: { namespaces: namespacesBut([], { type: "user" }) },
  }],
  ["userns-maps-without-namespace", {
    linux: { uidMappings: MAP, gidMappings: MAP },
  }],
  ["userns-size-zero", {
    linux: {
      namespaces: namespacesBut([], { type: "user" }),
      uidMappings: [{ containerID: 0, hostID: 100000, size: 0 }],
      gidMappings: MAP,
    },
  }],
  ["userns-overlap", {
    linux: {
      namespaces: namespacesBut([], { type: "user" }),
      uidMappings: [...MAP, { containerID: 10, hostID: 300000, size: 10 }],
      gidMappings: MAP,
    },
  }],
  ["time-offsets-without-namespace", {
    linux: { timeOffsets: { monotonic: { secs: 10, nanosecs: 0 } } },
  }],
  ["time-offsets-nanosecs", {
    linux: {
      namespaces: namespacesBut([], { type: "time" }),
      timeOffsets: { monotonic: { secs: 10, nanosecs: 1000000000 } },
    },
  }],
  ["device-type", {
    linux: { devices: [{ path: "/dev/x", type: "q", major: 1, minor: 3 }] },
  }],
  ["device-relative", {
    linux: { devices: [{ path: "dev/x", type: "c", major: 1, minor: 3 }] },
  }],
  ["device-path-missing", {
    linux: { devices: [{ type: "c", major: 1, minor: 3 }] },
  }],
  ["propagation-unknown", { linux: { rootfsPropagation: "sometimes" } }],
  ["masked-relative", { linux: { maskedPaths: ["proc/kcore"] } }],
  ["readonly-relative", { linux: { readonlyPaths: ["proc/sys"] } }],
  ["personality-unknown", { linux: { personality: { domain: "BSD" } } }],
  ["sysctl-number", { linux: { sysctl: { "net.ipv4.ip_forward": 1 } } }],
  ["seccomp-action", seccomp({ defaultAction: "SCMP_ACT_DANCE" })],
  ["seccomp-no-default", {
    linux: { seccomp: { syscalls: [] } },
  }],
  ["seccomp-architecture", seccomp({ architectures: ["SCMP_ARCH_PDP11"] })],
  [
    "seccomp-operator",
    seccomp({
      syscalls: [{
        names: ["mkdir"],
        action: "SCMP_ACT_ERRNO",
        args: [{ index: 0, value: 0, op: "SCMP_CMP_LIKE" }],
      }],
    }),
  ],
  [
    "seccomp-arg-index",
    seccomp({
      syscalls: [{
        names: ["mkdir"],
        action: "SCMP_ACT_ERRNO",
        args: [{ index: 6, value: 0, op: "SCMP_CMP_EQ" }],
      }],
    }),
  ],
  ["seccomp-flag", seccomp({ flags: ["SECCOMP_FILTER_FLAG_NEW"] })],
  [
    "seccomp-names-empty",
    seccomp({ syscalls: [{ names: [], action: "SCMP_ACT_ERRNO" }] }),
  ],
  [
    "seccomp-errno-for-allow",
    seccomp({ defaultErrnoRet: 5 }),
  ],
  [
    "seccomp-errno-for-kill",
    seccomp({
      syscalls: [{
        names: ["mkdir"],
        action: "SCMP_ACT_KILL",
        errnoRet: 5,
      }],
    }),
  ],
  [
    "seccomp-metadata-without-path",
    seccomp({ listenerMetadata: "x" }),
  ],
  [
    "seccomp-notify-without-path",
    seccomp({ syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }] }),
  ],
  [
    "resources-memory-swap-below",
    resources({
      memory: { limit: 67108864, swap: 33554432 },
    }),
  ],
  ["resources-pids-string", resources({ pids: { limit: "many" } })],
  ["resources-quota-too-small", resources({ cpu: { quota: 10 } })],
  ["resources-period-too-large", resources({ cpu: { period: 2000000 } })],
  [
    "resources-burst-over-quota",
    resources({
      cpu: { quota: 10000, period: 100000, burst: 20000 },
    }),
  ],
  [
    "resources-device-type",
    resources({
      devices: [{ allow: true, type: "z", access: "r" }],
    }),
  ],
  [
    "resources-device-access",
    resources({
      devices: [{ allow: true, type: "c", access: "q" }],
    }),
  ],
  ["resources-swappiness", resources({ memory: { swappiness: 300 } })],
  ["mount-no-destination", { mounts: [...MOUNTS, { type: "tmpfs" }] }],
  ["mount-options-string", mount({ options: "ro" })],
  [
    "mount-uid-map-alone",
    mount({
      type: "none",
      source: "@BUNDLE@/source",
      options: ["bind"],
      uidMappings: MAP,
    }),
  ],
  [
    "mount-bind-no-source",
    mount({
      type: "none",
      source: null,
      options: ["bind"],
    }),
  ],
  ["hook-relative", {
    hooks: { createRuntime: [{ path: "bin/true" }] },
  }],
  ["hook-timeout-zero", {
    hooks: { createRuntime: [{ path: "/bin/true", timeout: 0 }] },
  }],
  ["hook-timeout-negative", {
    hooks: { createRuntime: [{ path: "/bin/true", timeout: -1 }] },
  }],
  ["hook-no-path", { hooks: { createRuntime: [{ args: ["x"] }] } }],
  ["annotation-number", { annotations: { a: 1 } }],
  ["annotation-empty-key", { annotations: { "": "x" } }],
  ["cgroups-path-dots", { linux: { cgroupsPath: "/../../@CGROUP@" } }],
];

/** All of this file. */
export const INVALID_CASES: Case[] = [
  ...INVALID.map(([name, patch]) =>
    makeCase(`invalid/${name}`, patch, { mode: "invalid" })
  ),
  {
    name: "invalid/not-an-object",
    mode: "invalid",
    config: { ...BASE, process: [] },
  },
];
