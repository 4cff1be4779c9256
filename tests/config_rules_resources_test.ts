/**
 * The rules of linux.resources and of seccomp filters: one row for each, with the
 * whole of its message.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  resourcesProblems,
  seccompProblems,
  specProblems,
} from "../mod/config/rules.ts";
import { linux, makeSpec, resources, show } from "./config_rules_room.ts";

/** Each row breaks one rule. */
const REFUSED: [change: unknown, ...problems: string[]][] = [
  // config-linux.md#control-groups
  [
    resources({ devices: [{ allow: true, type: "p" }] }),
    'linux.resources.devices[0].type must be "a", "b" or "c": found "p" (config-linux.md#allowed-device-list; write b for block, c for character, a for all devices)',
  ],
  [
    resources({ devices: [{ allow: true, access: "rx" }] }),
    'linux.resources.devices[0].access must be made of r, w and m: found "rx" (config-linux.md#allowed-device-list; write "rwm" for all access)',
  ],
  [
    resources({ devices: [{ allow: true, type: "c", major: -2 }] }),
    "linux.resources.devices[0].major must be a major number from 0 to 4095: found -2 (config-linux.md#allowed-device-list; write the device's number, or leave it out for any)",
  ],
  [
    resources({ devices: [{ allow: true, type: "c", minor: 1048576 }] }),
    "linux.resources.devices[0].minor must be a minor number from 0 to 1048575: found 1048576 (config-linux.md#allowed-device-list; write the device's number, or leave it out for any)",
  ],
  ...["limit", "reservation", "swap", "kernel", "kernelTCP"].map(
    (key): [unknown, string] => [
      resources({ memory: { [key]: -2 } }),
      `linux.resources.memory.${key} must be -1 or more: found -2 (config-linux.md#memory; write -1 for no limit)`,
    ],
  ),
  ...[undefined, 0, -1].map((limit): [unknown, string] => [
    resources({ memory: { limit, swap: 5 } }),
    "linux.resources.memory.swap must not be set without a memory limit: found 5 (config-linux.md#memory; write linux.resources.memory.limit too: swap is the sum of both)",
  ]),
  [
    resources({ memory: { limit: 9223372036854775807n, swap: 5 } }),
    "linux.resources.memory.swap must not be below the memory limit 9223372036854775807: found 5 (config-linux.md#memory; write memory and swap together: swap is the sum of both)",
  ],
  ...[101, 18446744073709551614n].map((swappiness): [unknown, string] => [
    resources({ memory: { swappiness } }),
    `linux.resources.memory.swappiness must be from 0 to 100: found ${swappiness} (config-linux.md#memory; write a number of that range, or leave it out)`,
  ]),
  ...[999, 1000001].map((period): [unknown, string] => [
    resources({ cpu: { period } }),
    `linux.resources.cpu.period must be from 1000 to 1000000 microseconds: found ${period} (config-linux.md#cpu; write 100000, the kernel's default, and change the quota instead)`,
  ]),
  [
    resources({ cpu: { quota: 999 } }),
    "linux.resources.cpu.quota must be at least 1000 microseconds: found 999 (config-linux.md#cpu; write quota and period ten times as large)",
  ],
  [
    resources({ cpu: { quota: 1000, burst: 1001 } }),
    "linux.resources.cpu.burst must not be above the quota 1000: found 1001 (config-linux.md#cpu; lower burst or raise quota)",
  ],
  ...[-1, 2].map((idle): [unknown, string] => [
    resources({ cpu: { idle } }),
    `linux.resources.cpu.idle must be 0 or 1: found ${idle} (config-linux.md#cpu; write 1 for SCHED_IDLE, 0 for the normal weight)`,
  ]),
  ...["cpus", "mems"].map((key): [unknown, string] => [
    resources({ cpu: { [key]: "0,a" } }),
    `linux.resources.cpu.${key} must be a list of numbers and ranges: found "0,a" (config-linux.md#cpu; write it like "0-3,7")`,
  ]),
  [
    resources({ pids: { limit: -2 } }),
    "linux.resources.pids.limit must be -1 or more: found -2 (config-linux.md#pids; write -1 for no limit)",
  ],
  ...["weight", "leafWeight"].flatMap((key) =>
    [9, 1001].map((weight): [unknown, string] => [
      resources({ blockIO: { [key]: weight } }),
      `linux.resources.blockIO.${key} must be from 10 to 1000: found ${weight} (config-linux.md#block-io; write a weight of that range: 500 is the usual one)`,
    ])
  ),
  [
    resources({ blockIO: { weightDevice: [{ major: 8, minor: 0 }] } }),
    "linux.resources.blockIO.weightDevice[0] must have weight or leafWeight: found neither (config-linux.md#block-io; write at least one of the two weights)",
  ],
  [
    resources({
      blockIO: { weightDevice: [{ major: -1, minor: 0, weight: 10 }] },
    }),
    "linux.resources.blockIO.weightDevice[0].major must be a major number from 0 to 4095: found -1 (config-linux.md#block-io; write the device's number as ls -l shows it)",
  ],
  ...[
    "throttleReadBpsDevice",
    "throttleWriteBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteIOPSDevice",
  ].map((key): [unknown, string] => [
    resources({ blockIO: { [key]: [{ major: 8, minor: -1, rate: 1 }] } }),
    `linux.resources.blockIO.${key}[0].minor must be a minor number from 0 to 1048575: found -1 (config-linux.md#block-io; write the device's number as ls -l shows it)`,
  ]),
  ...["2 MB", "2M", "0MB", "2mB", "2MB\n"].map((size): [unknown, string] => [
    resources({ hugepageLimits: [{ pageSize: size, limit: 1 }] }),
    `linux.resources.hugepageLimits[0].pageSize must be a size like 64KB, 2MB or 1GB: found ${
      JSON.stringify(size)
    } (config-linux.md#huge-page-limits; write a page size of /sys/kernel/mm/hugepages in that form)`,
  ]),
  [
    resources({ network: { priorities: [{ name: "a b", priority: 1 }] } }),
    'linux.resources.network.priorities[0].name must be the name of a network interface: found "a b" (config-linux.md#network; write 1 to 15 bytes without space, slash and colon)',
  ],
  [
    resources({ rdma: { mlx5_1: {} } }),
    "linux.resources.rdma.mlx5_1 must have hcaHandles or hcaObjects: found neither (config-linux.md#rdma; write at least one of the two limits)",
  ],
  [
    resources({ rdma: { "a b": { hcaObjects: 1 } } }),
    'linux.resources.rdma["a b"] must be named after a device: found "a b" (config-linux.md#rdma; write a name of /sys/class/infiniband)',
  ],
  ...["memory", "../memory.max", "memory/x.max", "..", ".x", "memory.a\nb"].map(
    (name): [unknown, string] => [
      resources({ unified: { [name]: "1" } }),
      `linux.resources.unified${
        name === "memory" ? ".memory" : `[${JSON.stringify(name)}]`
      } must be named CONTROLLER.PARAMETER: found ${
        JSON.stringify(name)
      } (config-linux.md#unified; write the name of a file of the cgroup: "memory.high")`,
    ],
  ),
  ...["cgroup.procs", "cgroup.threads", "cgroup.kill"].map(
    (name): [unknown, string] => [
      resources({ unified: { [name]: "1" } }),
      `linux.resources.unified["${name}"] must be named after a setting: found "${name}" (config-linux.md#unified; remove it: the file acts on processes and limits nothing)`,
    ],
  ),
  // config-linux.md#seccomp
  ...[
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_LOG",
  ].flatMap((action): [unknown, string][] => [
    [
      linux({ seccomp: { defaultAction: action, defaultErrnoRet: 1 } }),
      `linux.seccomp.defaultErrnoRet must not be set: "${action}" takes no errno (config-linux.md#seccomp; remove it, or write the action SCMP_ACT_ERRNO)`,
    ],
    [
      linux({
        seccomp: {
          defaultAction: "SCMP_ACT_ERRNO",
          syscalls: [{ names: ["read"], action, errnoRet: 0 }],
        },
      }),
      `linux.seccomp.syscalls[0].errnoRet must not be set: "${action}" takes no errno (config-linux.md#seccomp; remove it, or write the action SCMP_ACT_ERRNO)`,
    ],
  ]),
  ...([["SCMP_ACT_ERRNO", 4095], ["SCMP_ACT_TRACE", 65535]] as const).map((
    [action, most],
  ): [unknown, string] => [
    linux({ seccomp: { defaultAction: action, defaultErrnoRet: most + 1 } }),
    `linux.seccomp.defaultErrnoRet must be from 0 to ${most} for ${action}: found ${
      most + 1
    } (config-linux.md#seccomp; write a number of errno(3))`,
  ]),
  [
    linux({ seccomp: { defaultAction: "SCMP_ACT_NOTIFY" } }),
    'linux.seccomp.defaultAction must not be "SCMP_ACT_NOTIFY": the agent would have to answer for the runtime itself (config-linux.md#seccomp; write the action in syscalls, for the calls that the agent handles)',
  ],
  [
    linux({
      seccomp: { defaultAction: "SCMP_ACT_ALLOW", listenerMetadata: "a" },
    }),
    'linux.seccomp.listenerMetadata must not be set without listenerPath: found "a" (config-linux.md#seccomp; write listenerPath too, or remove it)',
  ],
  ...([
    [
      { names: [] },
      "names must have at least one entry: found none",
      "write the names of the system calls, or remove the rule",
    ],
    [
      { names: ["read", ""] },
      'names[1] must be the name of a system call: found ""',
      "write a name like those in syscalls(2)",
    ],
    [
      { action: "SCMP_ACT_NOTIFY" },
      'action must not be "SCMP_ACT_NOTIFY" without listenerPath',
      "write listenerPath: the socket of the agent that answers",
    ],
    [
      { args: [{ index: 6, value: 0, op: "SCMP_CMP_EQ" }] },
      "args[0].index must be from 0 to 5: found 6",
      "count the arguments of the system call from 0",
    ],
  ] as const).map(([rule, message, instead]): [unknown, string] => [
    linux({
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["read"], action: "SCMP_ACT_LOG", ...rule }],
      },
    }),
    `linux.seccomp.syscalls[0].${message} (config-linux.md#seccomp; ${instead})`,
  ]),
];

for (const [change, ...problems] of REFUSED) {
  const title = JSON.stringify(
    change,
    (_, v) => typeof v === "bigint" ? `${v}` : v,
  ).slice(0, 120);
  Deno.test(`specProblems() refuses ${title}`, () => {
    assertEquals(show(specProblems(makeSpec(change))), problems);
  });
}

Deno.test("resourcesProblems() lets an update rest on the old limit", () => {
  const memory = { swap: 5 };
  assertEquals(resourcesProblems({ memory }, { update: true }), []);
  assertEquals(
    resourcesProblems({ memory: { ...memory, limit: -1 } }, { update: true })
      .map(({ path }) => path),
    ["linux.resources.memory.swap"],
  );
});

Deno.test("seccompProblems() takes another base", () => {
  assertEquals(
    seccompProblems({ defaultAction: "SCMP_ACT_NOTIFY" }, "profile")
      .map(({ path }) => path),
    ["profile.defaultAction"],
  );
});
