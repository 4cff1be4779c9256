/**
 * Limits as writes to the files of cgroups.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { convertWeight } from "../../mod/cgroups/block_io.ts";
import { convertShares } from "../../mod/cgroups/cpu.ts";
import type { Resources } from "../../mod/config/schema.ts";
import { ContainerError } from "../../mod/errors.ts";
import { MACHINES } from "./machines.ts";
import { show } from "./limits_room.ts";

const TABLE: {
  name: string;
  resources: Resources;
  v1: string[];
  v2: string[];
}[] = [
  {
    name: "memory.limit",
    resources: { memory: { limit: 67108864 } },
    v1: ["memory/c/memory.limit_in_bytes=67108864"],
    v2: ["c/memory.max=67108864"],
  },
  {
    name: "memory.limit beyond 2^53, exactly",
    resources: { memory: { limit: 9223372036854775807n } },
    v1: ["memory/c/memory.limit_in_bytes=9223372036854775807"],
    v2: ["c/memory.max=9223372036854775807"],
  },
  {
    name: "memory.limit -1: memory and swap without limit",
    resources: { memory: { limit: -1 } },
    v1: [
      "memory/c/memory.memsw.limit_in_bytes=-1?ENOENT",
      "memory/c/memory.limit_in_bytes=-1",
    ],
    v2: ["c/memory.swap.max=max?ENOENT", "c/memory.max=max"],
  },
  {
    name: "memory.limit 0: unset",
    resources: { memory: { limit: 0, swap: 0, reservation: 0 } },
    v1: [],
    v2: [],
  },
  {
    name: "memory.swap: v2 counts it alone",
    resources: { memory: { limit: 100, swap: 300 } },
    v1: [
      "memory/c/memory.limit_in_bytes=100",
      "memory/c/memory.memsw.limit_in_bytes=300",
    ],
    v2: ["c/memory.swap.max=200", "c/memory.max=100"],
  },
  {
    name: "memory.swap equal to the limit: no swap",
    resources: { memory: { limit: 100, swap: 100 } },
    v1: [
      "memory/c/memory.limit_in_bytes=100",
      "memory/c/memory.memsw.limit_in_bytes=100",
    ],
    v2: ["c/memory.swap.max=0?ENOENT", "c/memory.max=100"],
  },
  {
    name: "memory.swap -1",
    resources: { memory: { limit: 100, swap: -1 } },
    v1: [
      "memory/c/memory.memsw.limit_in_bytes=-1?ENOENT",
      "memory/c/memory.limit_in_bytes=100",
    ],
    v2: ["c/memory.swap.max=max?ENOENT", "c/memory.max=100"],
  },
  {
    name: "memory.reservation",
    resources: { memory: { reservation: 4096 } },
    v1: ["memory/c/memory.soft_limit_in_bytes=4096"],
    v2: ["c/memory.low=4096"],
  },
  {
    name: "memory.disableOOMKiller and useHierarchy, as engines send them",
    resources: { memory: { disableOOMKiller: false, useHierarchy: true } },
    v1: ["memory/c/memory.use_hierarchy=1?ENOENT"],
    v2: [],
  },
  {
    name: "cpu.shares",
    resources: { cpu: { shares: 1024 } },
    v1: ["cpu,cpuacct/c/cpu.shares=1024"],
    v2: ["c/cpu.weight=100"],
  },
  {
    name: "cpu.quota, period and burst, in the order the kernel can take",
    resources: { cpu: { quota: 50000, period: 200000, burst: 10000 } },
    v1: [
      "cpu,cpuacct/c/cpu.cfs_period_us=200000",
      "cpu,cpuacct/c/cpu.cfs_quota_us=50000",
      "cpu,cpuacct/c/cpu.cfs_burst_us=10000",
    ],
    v2: ["c/cpu.max=50000 200000", "c/cpu.max.burst=10000"],
  },
  {
    name: "cpu.quota alone",
    resources: { cpu: { quota: 50000 } },
    v1: ["cpu,cpuacct/c/cpu.cfs_quota_us=50000"],
    v2: ["c/cpu.max=50000 100000"],
  },
  {
    name: "cpu.quota -1",
    resources: { cpu: { quota: -1 } },
    v1: ["cpu,cpuacct/c/cpu.cfs_quota_us=-1"],
    v2: ["c/cpu.max=max 100000"],
  },
  {
    name: "cpu.idle",
    resources: { cpu: { idle: 1, shares: 2 } },
    v1: ["cpu,cpuacct/c/cpu.idle=1"],
    v2: ["c/cpu.idle=1"],
  },
  {
    name: "cpu.cpus and mems",
    resources: { cpu: { cpus: "0-1", mems: "0" } },
    v1: ["cpuset/c/cpuset.cpus=0-1", "cpuset/c/cpuset.mems=0"],
    v2: ["c/cpuset.cpus=0-1", "c/cpuset.mems=0"],
  },
  {
    name: "pids.limit",
    resources: { pids: { limit: 20 } },
    v1: ["pids/c/pids.max=20"],
    v2: ["c/pids.max=20"],
  },
  {
    name: "pids.limit 0: a valid value since 1.3",
    resources: { pids: { limit: 0 } },
    v1: ["pids/c/pids.max=1"],
    v2: ["c/pids.max=1"],
  },
  {
    name: "pids.limit -1",
    resources: { pids: { limit: -1 } },
    v1: ["pids/c/pids.max=max"],
    v2: ["c/pids.max=max"],
  },
  {
    name: "blockIO.weight",
    resources: { blockIO: { weight: 500 } },
    v1: ["blkio/c/blkio.weight=500|blkio.bfq.weight=500"],
    v2: ["c/io.bfq.weight=500|io.weight=4950"],
  },
  {
    name: "blockIO.weightDevice",
    resources: {
      blockIO: { weightDevice: [{ major: 8, minor: 0, weight: 10 }] },
    },
    v1: ["blkio/c/blkio.weight_device=8:0 10|blkio.bfq.weight_device=8:0 10"],
    v2: ["c/io.bfq.weight=8:0 10|io.weight=8:0 1"],
  },
  {
    name: "blockIO throttles; 0 is no limit",
    resources: {
      blockIO: {
        throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1000 }],
        throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 0 }],
        throttleReadIOPSDevice: [{ major: 8, minor: 16, rate: 30 }],
        throttleWriteIOPSDevice: [
          { major: 8, minor: 16, rate: 18446744073709551615n },
        ],
      },
    },
    v1: [
      "blkio/c/blkio.throttle.read_bps_device=8:0 1000",
      "blkio/c/blkio.throttle.write_bps_device=8:0 0",
      "blkio/c/blkio.throttle.read_iops_device=8:16 30",
      "blkio/c/blkio.throttle.write_iops_device=8:16 18446744073709551615",
    ],
    v2: [
      "c/io.max=8:0 rbps=1000",
      "c/io.max=8:0 wbps=max",
      "c/io.max=8:16 riops=30",
      "c/io.max=8:16 wiops=18446744073709551615",
    ],
  },
  {
    name: "hugepageLimits, in use and reserved",
    resources: { hugepageLimits: [{ pageSize: "2MB", limit: 4194304 }] },
    v1: [
      "hugetlb/c/hugetlb.2MB.limit_in_bytes=4194304",
      "hugetlb/c/hugetlb.2MB.rsvd.limit_in_bytes=4194304?ENOENT",
    ],
    v2: [
      "c/hugetlb.2MB.max=4194304",
      "c/hugetlb.2MB.rsvd.max=4194304?ENOENT",
    ],
  },
  {
    name: "rdma",
    resources: {
      rdma: {
        mlx5_1: { hcaHandles: 3, hcaObjects: 10000 },
        mlx4_0: { hcaHandles: 1 },
      },
    },
    v1: [
      "rdma/c/rdma.max=mlx5_1 hca_handle=3 hca_object=10000",
      "rdma/c/rdma.max=mlx4_0 hca_handle=1",
    ],
    v2: [
      "c/rdma.max=mlx5_1 hca_handle=3 hca_object=10000",
      "c/rdma.max=mlx4_0 hca_handle=1",
    ],
  },
  {
    name: "nothing",
    resources: { blockIO: { weight: 0 }, network: {}, cpu: {}, unified: {} },
    v1: [],
    v2: [],
  },
];

for (const { name, resources, v1, v2 } of TABLE) {
  Deno.test(`addResources() on v1: ${name}`, () => {
    assertEquals(show(resources), v1);
  });
  Deno.test(`addResources() on v2: ${name}`, () => {
    assertEquals(show(resources, MACHINES.v2), v2);
  });
}

const V1_ONLY: { name: string; resources: Resources; v1: string[] }[] = [
  {
    name: "memory.kernel and kernelTCP",
    resources: { memory: { kernel: 1, kernelTCP: 2 } },
    v1: [
      "memory/c/memory.kmem.limit_in_bytes=1?EOPNOTSUPP,ENOENT",
      "memory/c/memory.kmem.tcp.limit_in_bytes=2?EOPNOTSUPP,ENOENT",
    ],
  },
  {
    name: "memory.swappiness 0 and disableOOMKiller",
    resources: { memory: { swappiness: 0, disableOOMKiller: true } },
    v1: ["memory/c/memory.swappiness=0", "memory/c/memory.oom_control=1"],
  },
  {
    name: "cpu.realtimeRuntime and realtimePeriod",
    resources: { cpu: { realtimeRuntime: 950, realtimePeriod: 1000 } },
    v1: [
      "cpu,cpuacct/c/cpu.rt_period_us=1000",
      "cpu,cpuacct/c/cpu.rt_runtime_us=950",
    ],
  },
  {
    name: "blockIO.leafWeight",
    resources: { blockIO: { leafWeight: 300 } },
    v1: ["blkio/c/blkio.leaf_weight=300"],
  },
  {
    name: "network",
    resources: {
      network: {
        classID: 1048577,
        priorities: [{ name: "eth0", priority: 500 }],
      },
    },
    v1: [
      "net_cls/c/net_cls.classid=1048577",
      "net_prio/c/net_prio.ifpriomap=eth0 500",
    ],
  },
];

for (const { name, resources, v1 } of V1_ONLY) {
  Deno.test(`addResources() on v1 alone: ${name}`, () => {
    assertEquals(show(resources), v1);
    const error = assertThrows(
      () => show(resources, MACHINES.v2),
      ContainerError,
    );
    assertEquals(error.code, "limit-needs-v1");
  });
}

Deno.test("addResources() writes unified last, so that it overrides", () => {
  const resources = {
    unified: {
      "memory.max": "50",
      "misc.unknown": "",
      "cgroup.max.depth": "3",
    },
    memory: { limit: 100 },
    pids: { limit: 5 },
  };
  const facts = {
    ...MACHINES.v2,
    cgroups: [{
      ...MACHINES.v2.cgroups[0]!,
      controllers: ["memory", "pids", "misc"],
    }],
  };
  assertEquals(show(resources, facts), [
    "c/pids.max=5",
    "c/memory.max=100",
    "c/memory.max=50",
    "c/misc.unknown=",
    "c/cgroup.max.depth=3",
  ]);
});

Deno.test("convertShares() keeps the three points of the curve", () => {
  assertEquals(
    [0, 1, 2, 512, 1024, 4096, 262144, 1000000].map(convertShares),
    [1, 1, 1, 59, 100, 303, 10000, 10000],
  );
});

Deno.test("convertWeight() maps 10..1000 to 1..10000", () => {
  assertEquals([10, 100, 500, 1000].map(convertWeight), [1, 910, 4950, 10000]);
});
