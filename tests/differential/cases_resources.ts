/**
 * Bundles for config-linux.md: `resources`, and for the hooks of config.md.
 *
 * @module
 */

import {
  type Case,
  inLinux,
  type JsonObject,
  makeCase,
  merge,
  USERNS,
} from "./case.ts";

const DENY: JsonObject = { allow: false, access: "rwm" };

/** linux.resources, by what the patch is. */
const RESOURCES: [string, JsonObject][] = [
  ["none", {}],
  ["memory-limit", { memory: { limit: 67108864 } }],
  ["memory-unlimited", { memory: { limit: -1 } }],
  ["memory-reservation", {
    memory: { limit: 67108864, reservation: 33554432 },
  }],
  ["memory-swap", { memory: { limit: 67108864, swap: 134217728 } }],
  ["memory-swap-equal", { memory: { limit: 67108864, swap: 67108864 } }],
  ["memory-swap-unlimited", { memory: { limit: 67108864, swap: -1 } }],
  ["memory-swap-alone", { memory: { swap: 67108864 } }],
  ["memory-swappiness", { memory: { swappiness: 20 } }],
  ["memory-oom-off", { memory: { limit: 67108864, disableOOMKiller: true } }],
  ["memory-hierarchy", { memory: { limit: 67108864, useHierarchy: true } }],
  ["memory-kernel", { memory: { kernel: 33554432 } }],
  ["memory-too-small", { memory: { limit: 4096 } }],
  ["memory-unaligned", { memory: { limit: 67108865 } }],
  ["cpu-shares", { cpu: { shares: 512 } }],
  ["cpu-shares-low", { cpu: { shares: 1 } }],
  ["cpu-shares-high", { cpu: { shares: 1000000 } }],
  ["cpu-quota", { cpu: { quota: 50000, period: 100000 } }],
  ["cpu-quota-alone", { cpu: { quota: 20000 } }],
  ["cpu-period-alone", { cpu: { period: 50000 } }],
  ["cpu-quota-none", { cpu: { quota: -1, period: 50000 } }],
  ["cpu-quota-short-period", { cpu: { quota: 2000, period: 4000 } }],
  ["cpu-burst", { cpu: { quota: 50000, period: 100000, burst: 10000 } }],
  ["cpu-idle", { cpu: { idle: 1 } }],
  ["cpu-realtime", { cpu: { realtimePeriod: 1000000, realtimeRuntime: 0 } }],
  ["cpu-set", { cpu: { cpus: "0", mems: "0" } }],
  ["cpu-set-list", { cpu: { cpus: "0-1", mems: "0" } }],
  ["cpu-set-missing", { cpu: { cpus: "99" } }],
  ["pids-limit", { pids: { limit: 50 } }],
  ["pids-unlimited", { pids: { limit: -1 } }],
  ["pids-zero", { pids: { limit: 0 } }],
  ["blkio-throttle", {
    blockIO: {
      throttleReadBpsDevice: [{ major: 7, minor: 0, rate: 1048576 }],
      throttleWriteIOPSDevice: [{ major: 7, minor: 0, rate: 100 }],
    },
  }],
  ["blkio-weight", { blockIO: { weight: 300 } }],
  ["hugepages", { hugepageLimits: [{ pageSize: "2MB", limit: 4194304 }] }],
  ["hugepages-bad-size", {
    hugepageLimits: [{ pageSize: "3MB", limit: 4194304 }],
  }],
  ["network-class", { network: { classID: 1048577 } }],
  ["rdma", { rdma: { mlx5_0: { hcaHandles: 3 } } }],
  ["unified-on-v1", { unified: { "memory.high": "67108864" } }],
  ["unified-bad-name", { unified: { "../memory.high": "1" } }],
  ["devices-allow", {
    devices: [
      DENY,
      { allow: true, type: "c", major: 10, minor: 229, access: "rwm" },
      { allow: true, type: "b", major: 7, minor: 0, access: "r" },
    ],
  }],
  ["devices-wildcards", {
    devices: [
      DENY,
      { allow: true, type: "c", major: 10, access: "rw" },
      { allow: true, type: "b", minor: 3, access: "m" },
    ],
  }],
  ["devices-deny-after", {
    devices: [
      DENY,
      { allow: true, type: "c", major: 10, access: "rwm" },
      { allow: false, type: "c", major: 10, minor: 200, access: "rwm" },
    ],
  }],
  ["devices-allow-all", { devices: [{ allow: true, access: "rwm" }] }],
  ["devices-none", { devices: [] }],
  ["devices-deny-null", {
    devices: [
      DENY,
      { allow: false, type: "c", major: 1, minor: 3, access: "rwm" },
    ],
  }],
  ["everything", {
    memory: { limit: 134217728, swap: 134217728, reservation: 67108864 },
    cpu: { shares: 256, quota: 80000, period: 100000, cpus: "0", mems: "0" },
    pids: { limit: 64 },
  }],
];

/** A hook of the host that writes down what it sees. */
function hook(name: string, more: JsonObject = {}): JsonObject {
  return {
    path: "@PAYLOAD@",
    args: ["hook-of-host", "hook", `@OUT@/${name}`],
    env: ["HOOK=1"],
    ...more,
  };
}

/** A hook that runs with the container's files. */
function insideHook(name: string, more: JsonObject = {}): JsonObject {
  return {
    path: "/payload",
    args: ["hook-inside", "hook", `/tmp/${name}`],
    env: ["HOOK=2"],
    ...more,
  };
}

const KINDS = [
  "prestart",
  "createRuntime",
  "createContainer",
  "poststart",
  "poststop",
];

const FAIL = (kind: string): JsonObject => ({
  path: "@PAYLOAD@",
  args: ["hook", "hook", `@OUT@/${kind}`, "exit=3"],
});

const HOOKS: Case[] = [
  ...KINDS.map((kind) =>
    makeCase(`hooks/${kind}`, { hooks: { [kind]: [hook(kind)] } })
  ),
  makeCase("hooks/startContainer", {
    hooks: { startContainer: [insideHook("startContainer")] },
  }),
  makeCase("hooks/all", {
    hooks: Object.fromEntries([
      ...KINDS.map((kind) => [kind, [hook("all"), hook("all")]]),
      ["startContainer", [insideHook("all")]],
    ]),
    annotations: { "org.example": "seen" },
  }),
  ...KINDS.map((kind) =>
    makeCase(`hooks/fail-${kind}`, {
      hooks: { [kind]: [FAIL(kind), hook(`${kind}-after`)] },
    })
  ),
  makeCase("hooks/fail-startContainer", {
    hooks: {
      startContainer: [
        insideHook("startContainer", {
          args: ["hook", "hook", "/tmp/startContainer", "exit=3"],
        }),
      ],
    },
  }),
  makeCase("hooks/timeout", {
    hooks: {
      createRuntime: [{
        path: "@PAYLOAD@",
        args: ["hook", "hook", "@OUT@/timeout", "sleep=20"],
        timeout: 1,
      }],
    },
  }),
  makeCase("hooks/no-env", {
    hooks: { createRuntime: [hook("none", { env: [] })] },
  }),
  makeCase("hooks/no-args", {
    hooks: { createContainer: [{ path: "/bin/true" }] },
  }),
  makeCase("hooks/missing", {
    hooks: { createRuntime: [{ path: "/no/such/hook" }] },
  }),
  makeCase("hooks/empty", { hooks: { createRuntime: [], poststop: [] } }),
  makeCase(
    "hooks/userns",
    merge(
      {
        hooks: {
          createRuntime: [hook("createRuntime")],
          startContainer: [insideHook("startContainer")],
        },
      },
      USERNS,
    ),
  ),
];

/** All of this file. */
export const RESOURCE_CASES: Case[] = [
  ...RESOURCES.map(([name, patch]) =>
    makeCase(
      `resources/${name}`,
      inLinux({ resources: merge({ devices: [DENY] }, patch) }),
    )
  ),
  ...HOOKS,
];
