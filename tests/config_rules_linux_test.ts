/**
 * The rules of linux: one row for each, with the whole of its message.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { specProblems } from "../mod/config/rules.ts";
import { findSysctlNamespace, readSysctlPath } from "../mod/config/sysctl.ts";
import {
  fuse,
  linux,
  makeSpec,
  MAP,
  maps,
  show,
  user,
} from "./config_rules_room.ts";

/** Each row breaks one rule. */
const REFUSED: [change: unknown, ...problems: string[]][] = [
  // config-linux.md
  [
    linux({ namespaces: [{ type: "pid" }, { type: "pid", path: "/a" }] }),
    'linux.namespaces[1].type must not come twice: found "pid" again (config-linux.md#namespaces; remove one of the entries)',
  ],
  [
    linux({ namespaces: [{ type: "network", path: "run/netns/a" }] }),
    'linux.namespaces[0].path must be an absolute path: found "run/netns/a" (config-linux.md#namespaces; start the path with "/")',
  ],
  [
    linux({ uidMappings: [MAP] }),
    'linux.uidMappings must not be set without a user namespace (config-linux.md#user-namespace-mappings; add {"type": "user"} to linux.namespaces, or remove the mappings)',
  ],
  [
    linux({ gidMappings: [MAP] }),
    'linux.gidMappings must not be set without a user namespace (config-linux.md#user-namespace-mappings; add {"type": "user"} to linux.namespaces, or remove the mappings)',
  ],
  [
    linux({ ...user, uidMappings: [MAP] }),
    'linux.gidMappings must be set for a new user namespace: found nothing (config-linux.md#user-namespace-mappings; write {"containerID": 0, "hostID": ..., "size": ...})',
  ],
  [
    linux({ ...user, gidMappings: [MAP] }),
    'linux.uidMappings must be set for a new user namespace: found nothing (config-linux.md#user-namespace-mappings; write {"containerID": 0, "hostID": ..., "size": ...})',
  ],
  [
    linux({ ...user, ...maps, uidMappings: [{ ...MAP, size: 0 }] }),
    "linux.uidMappings[0].size must be greater than 0: found 0 (config-linux.md#user-namespace-mappings; write how many ids are mapped)",
  ],
  [
    linux({ ...user, ...maps, gidMappings: [{ ...MAP, hostID: 4294967290 }] }),
    "linux.gidMappings[0] must end below 4294967295: hostID 4294967290 plus size 10 does not (config-linux.md#user-namespace-mappings; write a smaller size)",
  ],
  [
    linux({
      ...user,
      ...maps,
      uidMappings: [MAP, { containerID: 9, hostID: 5000, size: 1 }],
    }),
    "linux.uidMappings[1].containerID must not overlap with linux.uidMappings[0]: found 9 (config-linux.md#user-namespace-mappings; give each id to one mapping only)",
  ],
  [
    linux({
      ...user,
      ...maps,
      gidMappings: Array.from({ length: 341 }, (_, i) => ({
        containerID: i,
        hostID: i,
        size: 1,
      })),
    }),
    "linux.gidMappings must have at most 340 entries: found 341 (config-linux.md#user-namespace-mappings; join neighbouring ranges)",
  ],
  [
    linux({ namespaces: [], timeOffsets: { monotonic: { secs: 1 } } }),
    'linux.timeOffsets must not be set without a new time namespace: found none (config-linux.md#offset-for-time-namespace; add {"type": "time"} without a path to linux.namespaces)',
  ],
  [
    linux({
      namespaces: [{ type: "time", path: "/run/time" }],
      timeOffsets: { boottime: { secs: 1 } },
    }),
    'linux.timeOffsets must not be set without a new time namespace: found one that is joined by path (config-linux.md#offset-for-time-namespace; add {"type": "time"} without a path to linux.namespaces)',
  ],
  [
    linux({ timeOffsets: { realtime: {} } }),
    'linux.timeOffsets.realtime must be named "monotonic" or "boottime": found "realtime" (config-linux.md#offset-for-time-namespace; write one of the two clocks that a time namespace has)',
  ],
  [
    linux({ timeOffsets: { boottime: { nanosecs: 1000000000 } } }),
    "linux.timeOffsets.boottime.nanosecs must be from 0 to 999999999: found 1000000000 (config-linux.md#offset-for-time-namespace; write whole seconds in secs)",
  ],
  [
    linux({ devices: [{ ...fuse, path: "dev/fuse" }] }),
    'linux.devices[0].path must be an absolute path: found "dev/fuse" (config-linux.md#devices; start the path with "/")',
  ],
  ...["/", "//", "/dev/.", "/dev/../"].map((path): [unknown, string] => [
    linux({ devices: [{ ...fuse, path }] }),
    `linux.devices[0].path must end in the name of the device: found "${path}" (config-linux.md#devices; write it like "/dev/fuse")`,
  ]),
  [
    linux({ devices: [{ ...fuse, type: "a" }] }),
    'linux.devices[0].type must be "c", "b", "u" or "p": found "a" (config-linux.md#devices; write c for character, b for block, u for unbuffered, p for a pipe)',
  ],
  [
    linux({ devices: [{ type: "c", path: "/dev/x", minor: 1 }] }),
    'linux.devices[0].major must be set unless the type is "p": found nothing (config-linux.md#devices; write the device\'s number as ls -l shows it)',
  ],
  [
    linux({ devices: [{ type: "b", path: "/dev/x", major: 1 }] }),
    'linux.devices[0].minor must be set unless the type is "p": found nothing (config-linux.md#devices; write the device\'s number as ls -l shows it)',
  ],
  [
    linux({ devices: [{ ...fuse, major: 4096 }] }),
    "linux.devices[0].major must be a major number from 0 to 4095: found 4096 (config-linux.md#devices; write the device's number as ls -l shows it)",
  ],
  [
    linux({ devices: [{ ...fuse, minor: -1 }] }),
    "linux.devices[0].minor must be a minor number from 0 to 1048575: found -1 (config-linux.md#devices; write the device's number as ls -l shows it)",
  ],
  [
    linux({ devices: [{ ...fuse, uid: 4294967295 }] }),
    "linux.devices[0].uid must be an id from 0 to 4294967294: found 4294967295 (config-linux.md#devices; write another id: this one means no id to the kernel)",
  ],
  [
    linux({ namespaces: [], netDevices: { eth0: {} } }),
    'linux.netDevices must not be set without a network namespace (config-linux.md#network-devices; add {"type": "network"} to linux.namespaces)',
  ],
  ...["", ".", "..", "a/b", "a b", "a:b", "é23456789012345"].map(
    (name): [unknown, string] => [
      linux({ netDevices: { [name]: { name: "eth0" } } }),
      `linux.netDevices["${name}"] must be named after an interface: found "${name}" (config-linux.md#network-devices; write 1 to 15 bytes without space, slash and colon)`,
    ],
  ),
  ...["a/b", "1234567890123456", "%dx", "a%", "a%d%d"].map(
    (name): [unknown, string] => [
      linux({ netDevices: { eth0: { name } } }),
      `linux.netDevices.eth0.name must be the name of an interface: found "${name}" (config-linux.md#network-devices; write 1 to 15 bytes without space, slash and colon, "%d" only at its end)`,
    ],
  ),
  [
    linux({ netDevices: { a: { name: "b" }, b: {} } }),
    'linux.netDevices.b.name must not come twice: found "b" again (config-linux.md#network-devices; write another name, or a template like "eth%d")',
  ],
  [
    linux({ cgroupsPath: "/a/../../b" }),
    'linux.cgroupsPath must not hold "..": found "/a/../../b" (config-linux.md#cgroups-path; write the path of the cgroup from its mount point)',
  ],
  ...["public", "shared slave", " "].map((word): [unknown, string] => [
    linux({ rootfsPropagation: word }),
    `linux.rootfsPropagation must be "shared", "slave", "private" or "unbindable": found "${word}" (config-linux.md#rootfs-mount-propagation; write one of these words; with an r before it is taken too)`,
  ]),
  [
    linux({ maskedPaths: ["/proc/kcore", "proc/keys"] }),
    'linux.maskedPaths[1] must be an absolute path: found "proc/keys" (config-linux.md#masked-paths; start the path with "/")',
  ],
  [
    linux({ readonlyPaths: [""] }),
    'linux.readonlyPaths[0] must be an absolute path: found "" (config-linux.md#readonly-paths; start the path with "/")',
  ],
  ...[
    "kernel.core_pattern",
    "vm.swappiness",
    "fs.file-max",
    "kernel.msgmax.x",
  ].map((key): [unknown, string] => [
    linux({ sysctl: { [key]: "1" } }),
    `linux.sysctl["${key}"] must belong to a namespace of the container: this one is the host's (config-linux.md#sysctl; set it on the host)`,
  ]),
  ...[
    "net",
    "net..x",
    "net/../kernel/x",
    "net.ipv4.//.x",
    "kernel.sem kernel",
    "",
  ]
    .map((key): [unknown, string] => [
      linux({ sysctl: { [key]: "1" } }),
      `linux.sysctl${
        key === "net" ? ".net" : `["${key}"]`
      } must be the name of a kernel parameter: found "${key}" (config-linux.md#sysctl; write it like "net.ipv4.ip_forward")`,
    ]),
  [
    linux({ sysctl: { "kernel.hostname": "a" } }),
    'linux.sysctl["kernel.hostname"] must not be set: the property hostname is there for it (config-linux.md#sysctl; write hostname instead)',
  ],
  ...([
    ["kernel.domainname", "uts"],
    ["kernel.shm_rmid_forced", "ipc"],
    ["fs.mqueue.msg_max", "ipc"],
    ["net/ipv4/conf/eth0.1/mtu", "network"],
    ["user.max_user_namespaces", "user"],
  ] as const).map(([key, type]): [unknown, string] => [
    linux({ namespaces: [], sysctl: { [key]: "1" } }),
    `linux.sysctl["${key}"] must not be set without a namespace of type "${type}": it would change the host (config-linux.md#sysctl; add {"type": "${type}"} to linux.namespaces)`,
  ]),
  ...[".", "..", "a/b", "/a", "a b"].map((closID): [unknown, string] => [
    linux({ intelRdt: { closID } }),
    `linux.intelRdt.closID must be the name of one directory, or "/": found "${closID}" (config-linux.md#intelrdt; write the name of a directory of /sys/fs/resctrl)`,
  ]),
  [
    linux({ intelRdt: { memBwSchema: "L3:0=f" } }),
    'linux.intelRdt.memBwSchema must start with "MB:": found "L3:0=f" (config-linux.md#intelrdt; write it like "MB:0=20;1=70")',
  ],
  ...[
    [{ memBwSchema: "MB:0=1\nL3:0=f" }, "memBwSchema", "MB:0=1\\nL3:0=f"],
    [{ l3CacheSchema: "L3:0=f\n" }, "l3CacheSchema", "L3:0=f\\n"],
    [{ schemata: ["L3:0=f", "\n"] }, "schemata[1]", "\\n"],
  ].map(([intelRdt, key, found]): [unknown, string] => [
    linux({ intelRdt }),
    `linux.intelRdt.${key} must be one line: found "${found}" (config-linux.md#intelrdt; write each line as an entry of linux.intelRdt.schemata)`,
  ]),
  [
    linux({ memoryPolicy: { mode: "MPOL_BIND", nodes: "0-" } }),
    'linux.memoryPolicy.nodes must be a list of numbers and ranges: found "0-" (config-linux.md#memory-policy; write it like "0-3,7")',
  ],
  ...["MPOL_DEFAULT", "MPOL_LOCAL"].map((mode): [unknown, string] => [
    linux({ memoryPolicy: { mode, nodes: "0" } }),
    `linux.memoryPolicy.nodes must be empty for ${mode}: found "0" (config-linux.md#memory-policy; remove it, or write the mode MPOL_BIND)`,
  ]),
  ...[
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_WEIGHTED_INTERLEAVE",
    "MPOL_PREFERRED_MANY",
  ].map((mode): [unknown, string] => [
    linux({ memoryPolicy: { mode } }),
    `linux.memoryPolicy.nodes must be set for ${mode}: found nothing (config-linux.md#memory-policy; write the memory nodes like "0-3,7")`,
  ]),
  [
    linux({
      memoryPolicy: {
        mode: "MPOL_BIND",
        nodes: "0",
        flags: ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"],
      },
    }),
    "linux.memoryPolicy.flags must not hold both MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES (config-linux.md#memory-policy; remove one of the two)",
  ],
  [
    linux({
      memoryPolicy: {
        mode: "MPOL_INTERLEAVE",
        nodes: "0",
        flags: ["MPOL_F_NUMA_BALANCING"],
      },
    }),
    "linux.memoryPolicy.flags must not hold MPOL_F_NUMA_BALANCING for MPOL_INTERLEAVE (config-linux.md#memory-policy; remove it, or write the mode MPOL_BIND)",
  ],
  [
    linux({ personality: { domain: "LINUX", flags: ["ADDR_NO_RANDOMIZE"] } }),
    'linux.personality.flags must be empty: found "ADDR_NO_RANDOMIZE" (config-linux.md#personality; remove it: the specification has no flag yet)',
  ],
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

for (
  const [key, path, owner] of [
    ["net.ipv4.conf.eth0/1.mtu", "net/ipv4/conf/eth0.1/mtu", "network"],
    ["net/ipv4/conf/eth0.1/mtu", "net/ipv4/conf/eth0.1/mtu", "network"],
    ["kernel.shmmax", "kernel/shmmax", "ipc"],
    ["kernel.pid_max", "kernel/pid_max", undefined],
    ["network.x", "network/x", undefined],
  ] as const
) {
  Deno.test(`readSysctlPath() and findSysctlNamespace() know ${key}`, () => {
    assertEquals(readSysctlPath(key), path);
    assertEquals(findSysctlNamespace(path), owner);
  });
}
