/**
 * What no rule of a config.json refuses.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { specProblems } from "../mod/config/rules.ts";
import {
  deadline,
  fuse,
  linux,
  makeSpec,
  maps,
  mounts,
  proc,
  process,
  resources,
  show,
  user,
} from "./config_rules_room.ts";

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
