/** Tests of the rules: one row for each, with the whole of its message. */

import { assertEquals } from "@std/assert";
import { checkSpec } from "../mod/config/check.ts";
import {
  type Problem,
  processProblems,
  resourcesProblems,
  seccompProblems,
  specProblems,
} from "../mod/config/rules.ts";
import type { Spec } from "../mod/config/schema.ts";
import { findSysctlNamespace, readSysctlPath } from "../mod/config/sysctl.ts";

/** A configuration in which every namespace is new. */
const BASE: Spec = {
  ociVersion: "1.3.0",
  root: { path: "rootfs" },
  process: { cwd: "/", args: ["sh"] },
  linux: {
    namespaces: [
      { type: "pid" },
      { type: "network" },
      { type: "mount" },
      { type: "ipc" },
      { type: "uts" },
      { type: "cgroup" },
      { type: "time" },
    ],
  },
};

/** Lays one object over another, deep; lists are replaced. */
function overlay(base: unknown, change: unknown): unknown {
  if (
    typeof base !== "object" || base === null || Array.isArray(base) ||
    typeof change !== "object" || change === null || Array.isArray(change)
  ) {
    return change;
  }
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(change)) {
    result[key] = overlay(result[key], value);
  }
  return result;
}

/** Makes a configuration of the right shape. */
function makeSpec(change: unknown): Spec {
  const spec = overlay(BASE, change);
  assertEquals(checkSpec(spec), []);
  return spec as Spec;
}

/** Problems as one text each: "path message (clause; instead)". */
function show(problems: Problem[]): string[] {
  return problems.map(({ path, message, clause, instead }) =>
    `${path} ${message} (${clause}; ${instead})`
  );
}

const process = (change: unknown) => ({ process: change });
const linux = (change: unknown) => ({ linux: change });
const resources = (change: unknown) => linux({ resources: change });
const mounts = (...list: unknown[]) => ({ mounts: list });
const MAP = { containerID: 0, hostID: 1000, size: 10 };
const proc = { destination: "/data", type: "tmpfs" };
const fuse = { type: "c", path: "/dev/fuse", major: 10, minor: 229 };
const deadline = {
  policy: "SCHED_DEADLINE",
  runtime: 1,
  deadline: 2,
  period: 3,
};
const user = { namespaces: [{ type: "user" }] };
const maps = { uidMappings: [MAP], gidMappings: [MAP] };

/** Each row breaks one rule. */
const REFUSED: [change: unknown, ...problems: string[]][] = [
  // config.md
  [
    { ociVersion: "invalid" },
    'ociVersion must be a version of SemVer 2.0.0: found "invalid" (config.md#specification-version; write "1.3.0")',
  ],
  [
    { ociVersion: "1.0" },
    'ociVersion must be a version of SemVer 2.0.0: found "1.0" (config.md#specification-version; write "1.3.0")',
  ],
  [
    { ociVersion: "01.0.0" },
    'ociVersion must be a version of SemVer 2.0.0: found "01.0.0" (config.md#specification-version; write "1.3.0")',
  ],
  [
    { ociVersion: "0.2.0" },
    'ociVersion must be a version 1.x: found "0.2.0" (config.md#specification-version; write "1.3.0", and what that version has)',
  ],
  [
    { ociVersion: "2.0.0" },
    'ociVersion must be a version 1.x: found "2.0.0" (config.md#specification-version; write "1.3.0", and what that version has)',
  ],
  [
    { root: { path: "" } },
    "root.path must not be empty (config.md#root; write the directory of the root file system)",
  ],
  [
    { annotations: { "": "a" } },
    'annotations must not have an empty key: found "" (config.md#annotations; write a key like com.example.key)',
  ],
  [
    { hostname: "box", linux: { namespaces: [] } },
    'hostname must not be set without a UTS namespace: found "box" (config.md#hostname; add {"type": "uts"} to linux.namespaces)',
  ],
  [
    { domainname: "example", linux: { namespaces: [] } },
    'domainname must not be set without a UTS namespace: found "example" (config.md#domainname; add {"type": "uts"} to linux.namespaces)',
  ],
  [
    { hostname: "é".repeat(33) },
    `hostname must have at most 64 bytes: found "${
      "é".repeat(33)
    }" (config.md#hostname; write a shorter name)`,
  ],
  ...[
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
  ].map((kind): [unknown, string] => [
    { hooks: { [kind]: [{ path: "/ok" }, { path: "bin/hook" }] } },
    `hooks.${kind}[1].path must be an absolute path: found "bin/hook" (config.md#posix-platform-hooks; start the path with "/")`,
  ]),
  [
    { hooks: { poststop: [{ path: "/hook", timeout: 0 }] } },
    "hooks.poststop[0].timeout must be greater than 0: found 0 (config.md#posix-platform-hooks; write the seconds after which the hook is killed, or leave it out)",
  ],
  // config.md#mounts
  ...["/", "//", "/.", "/a/..", ".", ""].map((path): [unknown, string] => [
    mounts({ destination: path, type: "tmpfs" }),
    `mounts[0].destination must not be the root of the container: found "${path}" (config.md#mounts; write a directory below it, or make root.path what you want there)`,
  ]),
  [
    mounts({ destination: "/proc", type: "tmpfs" }),
    'mounts[0].type must be "proc" on /proc: found "tmpfs" (config.md#mounts; write the type "proc", or bind a procfs there)',
  ],
  ...["/proc/1", "/a/../proc//sys/net", "proc/self"].map(
    (path): [unknown, string] => [
      mounts({ destination: path, type: "tmpfs" }),
      `mounts[0].destination must not be inside of /proc: found "${path}" (config.md#mounts; mount it elsewhere; allowed are /proc/ and one of: cpuinfo diskstats loadavg meminfo slabinfo stat swaps uptime sys/kernel/ns_last_pid sys/crypto/fips_enabled)`,
    ],
  ),
  [
    mounts({ destination: "/data", options: ["ro", "rbind"] }),
    "mounts[0].source must be set for a bind mount: found nothing (config.md#mounts; write the path on the host, absolute or relative to the bundle)",
  ],
  [
    mounts({ destination: "/data", options: ["rslave"] }),
    "mounts[0].type must be set unless the options hold bind or rbind: found nothing (config.md#mounts; write the type of the file system, or the option rbind)",
  ],
  [
    mounts({ destination: "/data", source: "/data", type: "bind" }),
    'mounts[0].type must not be "bind" alone: the option bind or rbind makes a bind mount (config.md#mounts; write the type of the file system, or the option rbind)',
  ],
  [
    linux({
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        listenerPath: "/run/agent",
        syscalls: [{ names: ["read", "write"], action: "SCMP_ACT_NOTIFY" }],
      },
    }),
    'linux.seccomp.syscalls[0].names[1] must not be "write" for SCMP_ACT_NOTIFY: it is needed before the agent has the listener (config-linux.md#seccomp; allow it, and ask the agent about other calls)',
  ],
  [
    mounts({ destination: "/data", source: "/data", options: ["ro"] }),
    "mounts[0].type must be set unless the options hold bind or rbind: found nothing (config.md#mounts; write the type of the file system, or the option rbind)",
  ],
  [
    mounts({ ...proc, uidMappings: [MAP] }),
    "mounts[0].gidMappings must be set when the other mapping is: found nothing (config.md#mounts; write uidMappings and gidMappings together)",
  ],
  [
    mounts({ ...proc, gidMappings: [MAP] }),
    "mounts[0].uidMappings must be set when the other mapping is: found nothing (config.md#mounts; write uidMappings and gidMappings together)",
  ],
  ...["idmap", "ridmap"].map((word): [unknown, string] => [
    mounts({ ...proc, options: [word] }),
    `mounts[0].options must not hold "${word}" without mappings and without a user namespace (config.md#mounts; write uidMappings and gidMappings for the mount)`,
  ]),
  [
    mounts({ ...proc, uidMappings: [{ ...MAP, size: 0 }], gidMappings: [MAP] }),
    "mounts[0].uidMappings[0].size must be greater than 0: found 0 (config.md#mounts; write how many ids are mapped)",
  ],
  // config.md#process
  [
    process({ cwd: "tmp" }),
    'process.cwd must be an absolute path: found "tmp" (config.md#process; start the path with "/")',
  ],
  [
    process({ args: [] }),
    'process.args must have at least one entry: found none (config.md#process; write the program and its arguments: ["sh", "-c", "..."])',
  ],
  [
    process({ args: undefined }),
    'process.args must have at least one entry: found none (config.md#process; write the program and its arguments: ["sh", "-c", "..."])',
  ],
  [
    process({ env: ["A=", "HOME"] }),
    'process.env[1] must be NAME=VALUE: found "HOME" (config.md#process; write "HOME=")',
  ],
  [
    process({ env: ["=x"] }),
    'process.env[0] must be NAME=VALUE: found "=x" (config.md#process; write "x=")',
  ],
  [
    process({ terminal: true, consoleSize: { height: 65536, width: 1 } }),
    "process.consoleSize.height must be at most 65535: found 65536 (config.md#process; write the terminal's size in characters)",
  ],
  [
    process({ user: { uid: 4294967295 } }),
    "process.user.uid must be an id from 0 to 4294967294: found 4294967295 (config.md#posix-platform-user; write another id: this one means no id to the kernel)",
  ],
  [
    process({ user: { gid: 4294967295 } }),
    "process.user.gid must be an id from 0 to 4294967294: found 4294967295 (config.md#posix-platform-user; write another id: this one means no id to the kernel)",
  ],
  [
    process({ user: { additionalGids: [1, 4294967295] } }),
    "process.user.additionalGids[1] must be an id from 0 to 4294967294: found 4294967295 (config.md#posix-platform-user; write another id: this one means no id to the kernel)",
  ],
  [
    process({ user: { umask: 512 } }),
    "process.user.umask must be from 0 to 511 (octal 777): found 512 (config.md#posix-platform-user; write the octal umask as a decimal number: 022 is 18)",
  ],
  ...["NOFILE", "RLIMIT_FILES", "RLIMIT_", "RLIMIT_AS CORE"].map(
    (type): [unknown, string] => [
      process({ rlimits: [{ type, soft: 1, hard: 1 }] }),
      `process.rlimits[0].type must be a resource of getrlimit(2): found "${type}" (config.md#posix-process; write a name like "RLIMIT_NOFILE")`,
    ],
  ),
  [
    process({
      rlimits: [
        { type: "RLIMIT_CORE", soft: 1, hard: 1 },
        { type: "RLIMIT_CORE", soft: 2, hard: 2 },
      ],
    }),
    'process.rlimits[1].type must not come twice: found "RLIMIT_CORE" again (config.md#posix-process; remove one of the entries)',
  ],
  [
    process({
      rlimits: [{ type: "RLIMIT_AS", soft: 18446744073709551615n, hard: 1 }],
    }),
    "process.rlimits[0].soft must not be above the hard limit 1: found 18446744073709551615 (config.md#posix-process; lower soft or raise hard)",
  ],
  ...[-1001, 1001].map((score): [unknown, string] => [
    process({ oomScoreAdj: score }),
    `process.oomScoreAdj must be from -1000 to 1000: found ${score} (config.md#linux-process; write a number of that range: proc_pid_oom_score_adj(5))`,
  ]),
  [
    process({ scheduler: { policy: "SCHED_ISO" } }),
    'process.scheduler.policy must be a policy of this kernel: found "SCHED_ISO" (config.md#linux-process; write another policy: Linux has reserved this one and never made it)',
  ],
  ...[-21, 20].map((nice): [unknown, string] => [
    process({ scheduler: { policy: "SCHED_OTHER", nice } }),
    `process.scheduler.nice must be from -20 to 19: found ${nice} (config.md#linux-process; write a nice value of that range)`,
  ]),
  ...[0, 100].map((priority): [unknown, string] => [
    process({ scheduler: { policy: "SCHED_RR", priority } }),
    `process.scheduler.priority must be from 1 to 99 for SCHED_RR: found ${priority} (config.md#linux-process; write a real-time priority)`,
  ]),
  [
    process({ scheduler: { policy: "SCHED_BATCH", priority: 1 } }),
    "process.scheduler.priority must be 0 for SCHED_BATCH: found 1 (config.md#linux-process; remove it, or write the policy SCHED_FIFO or SCHED_RR)",
  ],
  ...["runtime", "deadline", "period"].map((key): [unknown, string] => [
    process({ scheduler: { policy: "SCHED_FIFO", priority: 1, [key]: 5 } }),
    `process.scheduler.${key} must be 0 for SCHED_FIFO: found 5 (config.md#linux-process; remove it, or write the policy SCHED_DEADLINE)`,
  ]),
  [
    process({ scheduler: { ...deadline, runtime: 0 } }),
    "process.scheduler.runtime must be greater than 0 for SCHED_DEADLINE: found 0 (config.md#linux-process; write the nanoseconds of work in each period)",
  ],
  [
    process({ scheduler: { ...deadline, runtime: 3 } }),
    "process.scheduler.runtime must not be above the deadline 2: found 3 (config.md#linux-process; write runtime <= deadline <= period)",
  ],
  [
    process({ scheduler: { ...deadline, deadline: 4 } }),
    "process.scheduler.deadline must not be above the period 3: found 4 (config.md#linux-process; write runtime <= deadline <= period)",
  ],
  ...[-1, 8].map((priority): [unknown, string] => [
    process({ ioPriority: { class: "IOPRIO_CLASS_BE", priority } }),
    `process.ioPriority.priority must be from 0 to 7: found ${priority} (config.md#linux-process; write 0 for the highest priority, 7 for the lowest)`,
  ]),
  ...["initial", "final"].map((key): [unknown, string] => [
    process({ execCPUAffinity: { [key]: "3-1" } }),
    `process.execCPUAffinity.${key} must be a list of numbers and ranges: found "3-1" (config.md#linux-process; write it like "0-3,7")`,
  ]),
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
  ...["/", "/dev/", "/dev/.", "/dev/.."].map((path): [unknown, string] => [
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

/** What is at the edge of a rule, or looks as if it broke one. */
const ACCEPTED: [what: string, change: unknown][] = [
  ["no process", { process: undefined }],
  ["no linux", { linux: undefined }],
  ["a pre-release", { ociVersion: "1.0.0-rc.5+build.1" }],
  ["a later minor version", { ociVersion: "1.99.0" }],
  ["an unknown property", { "x-vendor": 5, linux: { "x-vendor": {} } }],
  ["empty names", { hostname: "", domainname: "", linux: { namespaces: [] } }],
  ["a name of 64 bytes", { hostname: "a".repeat(64) }],
  ["a relative destination", mounts({ destination: "data", type: "tmpfs" })],
  ["proc", mounts({ destination: "/proc", type: "proc" })],
  [
    "a bind on /proc",
    mounts({ destination: "/proc/", source: "/proc", options: ["rbind"] }),
  ],
  ["/processes", mounts({ destination: "/processes", type: "tmpfs" })],
  [
    "lxcfs",
    mounts({
      destination: "/proc/uptime",
      source: "/var/lib/lxcfs/proc/uptime",
      options: ["bind"],
    }),
  ],
  [
    "an id-mapped mount",
    mounts({
      destination: "/data",
      source: "/data",
      options: ["rbind", "ridmap"],
      ...maps,
    }),
  ],
  [
    "idmap with a user namespace",
    {
      ...mounts({ ...proc, options: ["idmap"] }),
      ...linux({ ...user, ...maps }),
    },
  ],
  [
    "a large console without a terminal",
    process({ consoleSize: { height: 70000, width: 1 } }),
  ],
  ["an unknown capability", process({ capabilities: { bounding: ["CAP_X"] } })],
  [
    "limits at the edge",
    process({
      rlimits: [{
        type: "RLIMIT_AS",
        soft: 18446744073709551615n,
        hard: 18446744073709551615n,
      }],
      oomScoreAdj: -1000,
      scheduler: deadline,
      ioPriority: { class: "IOPRIO_CLASS_IDLE" },
      execCPUAffinity: { initial: "", final: "0-3, 7" },
      user: { uid: 4294967294, umask: 511 },
    }),
  ],
  [
    "dummy mappings beside a joined user namespace",
    linux({ namespaces: [{ type: "user", path: "/proc/1/ns/user" }], ...maps }),
  ],
  [
    "a joined user namespace",
    linux({ namespaces: [{ type: "user", path: "/proc/1/ns/user" }] }),
  ],
  [
    "hostname in a joined UTS namespace",
    { hostname: "a", ...linux({ namespaces: [{ type: "uts", path: "/a" }] }) },
  ],
  [
    "an empty namespace path",
    linux({ namespaces: [{ type: "pid", path: "" }] }),
  ],
  ["no time offset", linux({ namespaces: [], timeOffsets: {} })],
  ["a pipe", linux({ devices: [{ type: "p", path: "/dev/pipe" }] })],
  [
    "a file type in fileMode",
    linux({ devices: [{ ...fuse, fileMode: 8630 }] }),
  ],
  [
    "a template",
    linux({ netDevices: { a: { name: "eth%d" }, b: { name: "eth%d" } } }),
  ],
  [
    "an interface of 15 bytes",
    linux({ netDevices: { "123456789012345": {} } }),
  ],
  ["a systemd path", linux({ cgroupsPath: "a-b.slice:pre:name" })],
  ...["shared", "rslave", "rprivate", "runbindable", ""].map((
    word,
  ): [string, unknown] => [
    `propagation "${word}"`,
    linux({ rootfsPropagation: word }),
  ]),
  [
    "parameters of the namespaces",
    linux({
      sysctl: {
        "net.ipv4.ip_forward": "1",
        "net/ipv4/conf/eth0.1/rp_filter": "0",
        "net.ipv4.conf.eth0/1.rp_filter": "0",
        "kernel.sem": "1",
        "kernel/domainname": "a",
        "fs.mqueue.msg_max": "1",
      },
    }),
  ],
  ["the root class", linux({ intelRdt: { closID: "/" } })],
  [
    "a cache schema for code",
    linux({ intelRdt: { closID: "a", l3CacheSchema: "L3CODE:0=f" } }),
  ],
  ["preferred, no node", linux({ memoryPolicy: { mode: "MPOL_PREFERRED" } })],
  ["LINUX32", linux({ personality: { domain: "LINUX32", flags: [] } })],
  [
    "what engines write for unset",
    resources({
      memory: { limit: -1, swap: -1, swappiness: 18446744073709551615n },
      cpu: { quota: -1, period: 0, burst: 0 },
      pids: { limit: 0 },
      blockIO: { weight: 0 },
      devices: [{ allow: false, type: "", major: -1, access: "" }],
    }),
  ],
  ...[
    [{ memory: { swappiness: 100 } }],
    [{ memory: { swappiness: 0 } }],
    [{ memory: { limit: 0, swap: 0 } }],
    [{ cpu: { quota: 1000, period: 1000, burst: 1000 } }],
    [{ cpu: { burst: 5, period: 1000000 } }],
    [{ cpu: { quota: 0, burst: 5, idle: 1, cpus: "0", mems: "" } }],
    [{ pids: { limit: -1 } }],
    [{ blockIO: { weight: 10, leafWeight: 1000 } }],
    [{ blockIO: { weightDevice: [{ major: 0, minor: 0, leafWeight: 10 }] } }],
    [{ devices: [{ allow: true, major: 4095, minor: 1048575 }] }],
    [{ rdma: { a: { hcaHandles: 0 }, b: { hcaObjects: 0 } } }],
  ].map(([change]): [string, unknown] => [
    `the edge ${JSON.stringify(change)}`,
    resources(change),
  ]),
  ...[
    { ioPriority: { class: "IOPRIO_CLASS_RT", priority: 7 } },
    { ioPriority: { class: "IOPRIO_CLASS_RT", priority: 0 } },
    { scheduler: { policy: "SCHED_OTHER", nice: 19 } },
    { scheduler: { policy: "SCHED_IDLE", nice: -20, priority: 0 } },
    { scheduler: { policy: "SCHED_FIFO", priority: 1 } },
    { scheduler: { policy: "SCHED_RR", priority: 99, runtime: 0 } },
    { scheduler: { ...deadline, runtime: 3, deadline: 3, period: 3 } },
    { scheduler: { ...deadline, period: 0 } },
    { terminal: true, consoleSize: { height: 65535, width: 0 } },
    { oomScoreAdj: 1000 },
  ].map((change): [string, unknown] => [
    `the edge ${JSON.stringify(change)}`,
    process(change),
  ]),
  ["a hook's second", { hooks: { poststop: [{ path: "/a", timeout: 1 }] } }],
  [
    "neighbouring mappings up to the last id",
    linux({
      ...user,
      ...maps,
      uidMappings: [
        { containerID: 10, hostID: 4294967285, size: 10 },
        { containerID: 0, hostID: 4294967275, size: 10 },
      ],
      gidMappings: Array.from({ length: 340 }, (_, i) => ({
        containerID: i,
        hostID: i,
        size: 1,
      })),
    }),
  ],
  [
    "the last argument of a system call",
    linux({
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{
          names: ["read"],
          action: "SCMP_ACT_ERRNO",
          args: [{ index: 5, value: 0, op: "SCMP_CMP_EQ" }],
        }],
      },
    }),
  ],
  [
    "the last nanosecond",
    linux({ timeOffsets: { boottime: { nanosecs: 999999999 } } }),
  ],
  ["swap without end", resources({ memory: { limit: 5, swap: -1 } })],
  ["swap equal to the limit", resources({ memory: { limit: 5, swap: 5 } })],
  [
    "unknown files",
    resources({ unified: { "cgroup.max.depth": "1", "hugetlb.2MB.max": "1" } }),
  ],
  [
    "errno where it goes",
    linux({
      seccomp: {
        defaultAction: "SCMP_ACT_TRACE",
        defaultErrnoRet: 65535,
        listenerPath: "/run/agent.sock",
        listenerMetadata: "a",
        syscalls: [
          { names: ["a"], action: "SCMP_ACT_ERRNO", errnoRet: 4095 },
          { names: ["b"], action: "SCMP_ACT_NOTIFY" },
        ],
      },
    }),
  ],
];

for (const [what, change] of ACCEPTED) {
  Deno.test(`specProblems() accepts ${what}`, () => {
    assertEquals(show(specProblems(makeSpec(change))), []);
  });
}

Deno.test("specProblems() lets both mappings come later, not one", () => {
  const later = { mapsLater: true };
  assertEquals(show(specProblems(makeSpec(linux(user)), later)), []);
  assertEquals(
    specProblems(makeSpec(linux({ ...user, uidMappings: [MAP] })), later)
      .map(({ path }) => path),
    ["linux.gidMappings"],
  );
});

Deno.test("specProblems() finds all problems at once", () => {
  const spec = makeSpec({
    ociVersion: "3.0.0",
    process: { cwd: "a", args: [] },
    linux: {
      maskedPaths: ["a"],
      resources: { pids: { limit: -5 } },
      seccomp: { defaultAction: "SCMP_ACT_NOTIFY" },
    },
  });
  assertEquals(specProblems(spec).map(({ path }) => path), [
    "ociVersion",
    "process.cwd",
    "process.args",
    "linux.maskedPaths[0]",
    "linux.resources.pids.limit",
    "linux.seccomp.defaultAction",
  ]);
});

Deno.test("processProblems() takes another base", () => {
  assertEquals(
    processProblems({ cwd: "a", args: ["sh"] }, "exec").map((p) => p.path),
    ["exec.cwd"],
  );
});

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
