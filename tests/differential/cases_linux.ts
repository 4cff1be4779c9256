/**
 * Bundles for config-linux.md: namespaces, devices, sysctl, paths.
 *
 * @module
 */

import {
  type Case,
  inLinux,
  type JsonObject,
  makeCase,
  merge,
  namespacesBut,
  USERNS,
  withWords,
} from "./case.ts";

const CLONE = {
  mount: 0x20000,
  cgroup: 0x2000000,
  uts: 0x4000000,
  ipc: 0x8000000,
  network: 0x40000000,
};
const FILE: Record<string, string> = {
  mount: "mnt",
  cgroup: "cgroup",
  uts: "uts",
  ipc: "ipc",
  network: "net",
};

/** The namespaces with some joined from the held process. */
function joined(...types: (keyof typeof CLONE)[]): JsonObject {
  return inLinux({
    namespaces: namespacesBut(
      types,
      ...types.map((type) => ({ type, path: `@NS@/${FILE[type]}` })),
    ),
  });
}

function userns(patch: JsonObject = {}): JsonObject {
  return merge(USERNS, patch);
}

const NAMESPACES: Case[] = [
  ...["pid", "network", "ipc", "cgroup"].map((type) =>
    makeCase(
      `namespaces/without-${type}`,
      inLinux({ namespaces: namespacesBut([type]) }),
    )
  ),
  makeCase("namespaces/without-uts", {
    hostname: null,
    linux: { namespaces: namespacesBut(["uts"]) },
  }),
  makeCase("namespaces/without-mount", {
    root: { readonly: true },
    linux: {
      namespaces: namespacesBut(["mount"]),
      maskedPaths: null,
      readonlyPaths: null,
    },
  }, { hold: CLONE.mount, inside: true }),
  makeCase("namespaces/without-mount-masked", {
    linux: {
      namespaces: namespacesBut(["mount"]),
      maskedPaths: ["/proc/keys"],
      readonlyPaths: ["/proc/sys"],
    },
  }, { hold: CLONE.mount, inside: true }),
  makeCase("namespaces/none", {
    hostname: null,
    linux: { namespaces: [], maskedPaths: null, readonlyPaths: null },
  }, { hold: CLONE.mount, inside: true }),
  makeCase("namespaces/mount-only", {
    hostname: null,
    linux: { namespaces: [{ type: "mount" }] },
  }),
  makeCase("namespaces/mount-pid", {
    hostname: null,
    linux: { namespaces: [{ type: "mount" }, { type: "pid" }] },
  }),
  makeCase("namespaces/order-reversed", {
    linux: { namespaces: namespacesBut([]).reverse() },
  }),
  ...(["uts", "ipc", "network", "cgroup"] as const).map((type) =>
    makeCase(
      `namespaces/join-${type}`,
      merge(joined(type), type === "uts" ? { hostname: null } : {}),
      { hold: CLONE[type] },
    )
  ),
  makeCase("namespaces/join-three", {
    ...joined("uts", "ipc", "network"),
    hostname: null,
  }, { hold: CLONE.uts | CLONE.ipc | CLONE.network }),
  makeCase("namespaces/join-uts-hostname", joined("uts"), {
    hold: CLONE.uts,
  }),
  makeCase("namespaces/time", {
    linux: {
      namespaces: namespacesBut([], { type: "time" }),
      timeOffsets: {
        monotonic: { secs: 172800, nanosecs: 500 },
        boottime: { secs: 86400, nanosecs: 0 },
      },
    },
  }),
  makeCase("namespaces/time-no-offsets", {
    linux: { namespaces: namespacesBut([], { type: "time" }) },
  }),
  makeCase("userns/base", userns()),
  makeCase(
    "userns/user-1000",
    userns({ process: { user: { uid: 1000, gid: 1000 } } }),
  ),
  makeCase(
    "userns/ranges",
    userns({
      linux: {
        uidMappings: [
          { containerID: 0, hostID: 200000, size: 1 },
          { containerID: 1, hostID: 300000, size: 1000 },
        ],
        gidMappings: [
          { containerID: 0, hostID: 200000, size: 1 },
          { containerID: 1, hostID: 300000, size: 1000 },
        ],
      },
    }),
  ),
  makeCase(
    "userns/unmapped-user",
    userns({ process: { user: { uid: 70000, gid: 0 } } }),
  ),
  makeCase(
    "userns/groups",
    userns({ process: { user: { additionalGids: [5, 6] } } }),
  ),
  makeCase("userns/readonly", userns({ root: { readonly: true } })),
  makeCase(
    "userns/terminal",
    userns({ process: { terminal: true } }),
    { terminal: true },
  ),
  makeCase(
    "userns/caps",
    userns({
      process: {
        capabilities: {
          bounding: ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"],
          effective: ["CAP_SYS_ADMIN"],
          permitted: ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"],
        },
      },
    }),
  ),
  makeCase(
    "userns/device",
    userns({
      linux: {
        devices: [{ path: "/dev/kmsg2", type: "c", major: 1, minor: 11 }],
      },
    }),
  ),
  makeCase(
    "userns/sysctl",
    userns({ linux: { sysctl: { "net.ipv4.ip_forward": "1" } } }),
  ),
  makeCase(
    "userns/masked",
    withWords(
      userns({
        linux: {
          maskedPaths: ["/proc/kcore", "/sys/firmware"],
          readonlyPaths: ["/proc/sys"],
        },
      }),
      "probe=/proc/kcore",
      "probe=/sys/firmware",
    ),
  ),
  makeCase("userns/host-network", {
    ...userns({
      linux: { namespaces: namespacesBut(["network"], { type: "user" }) },
    }),
  }),
];

function devices(...list: JsonObject[]): JsonObject {
  return inLinux({ devices: list });
}

const DEVICES: Case[] = ([
  ["char", [{ path: "/dev/my", type: "c", major: 1, minor: 3 }]],
  ["mode", [{
    path: "/dev/my",
    type: "c",
    major: 1,
    minor: 5,
    fileMode: 384,
    uid: 5,
    gid: 6,
  }]],
  ["unbuffered", [{ path: "/dev/my", type: "u", major: 1, minor: 3 }]],
  ["block", [{ path: "/dev/blk", type: "b", major: 7, minor: 0 }]],
  ["fifo", [{ path: "/dev/pipe", type: "p", fileMode: 438 }]],
  ["elsewhere", [{ path: "/tmp/dev/my", type: "c", major: 1, minor: 3 }]],
  ["subdirectory", [{
    path: "/dev/net/tun",
    type: "c",
    major: 10,
    minor: 200,
    fileMode: 438,
  }]],
  ["default-again", [{
    path: "/dev/null",
    type: "c",
    major: 1,
    minor: 3,
    fileMode: 438,
    uid: 0,
    gid: 0,
  }]],
  ["default-changed", [{
    path: "/dev/null",
    type: "c",
    major: 1,
    minor: 3,
    fileMode: 384,
    uid: 1,
    gid: 2,
  }]],
  ["default-other", [{ path: "/dev/null", type: "c", major: 1, minor: 5 }]],
  ["exists-other", [{ path: "/etc/passwd", type: "c", major: 1, minor: 3 }]],
] as [string, JsonObject[]][]).map(([name, list]) =>
  makeCase(`devices/${name}`, withWords(devices(...list), "probe=/dev/null"))
);

const SYSCTL: Case[] = ([
  ["ipc", { "kernel.msgmax": "4096", "kernel.shm_rmid_forced": "1" }],
  ["sem", { "kernel.sem": "100 200 10 20" }],
  ["mqueue", { "fs.mqueue.msg_max": "20" }],
  ["net", { "net.ipv4.ip_forward": "1", "net.core.somaxconn": "99" }],
  ["slash", { "net/ipv4/ip_unprivileged_port_start": "80" }],
  ["range", { "net.ipv4.ping_group_range": "0 2147483647" }],
  ["domainname", { "kernel.domainname": "example" }],
  ["hostname", { "kernel.hostname": "other" }],
  ["not-namespaced", { "vm.swappiness": "10" }],
  ["missing", { "net.ipv4.nosuch": "1" }],
  ["bad-value", { "net.ipv4.ip_forward": "many" }],
  ["user", { "user.max_user_namespaces": "5" }],
] as [string, JsonObject][]).map(([name, sysctl]) =>
  makeCase(`sysctl/${name}`, inLinux({ sysctl }))
);
SYSCTL.push(
  makeCase(
    "sysctl/net-of-host",
    inLinux({
      namespaces: namespacesBut(["network"]),
      sysctl: { "net.ipv4.ip_unprivileged_port_start": "1024" },
    }),
  ),
  makeCase(
    "sysctl/ipc-of-host",
    inLinux({
      namespaces: namespacesBut(["ipc"]),
      sysctl: { "kernel.msgmax": "8192" },
    }),
  ),
);

const DOCKER_MASKED = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
];
const DOCKER_READONLY = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

const PATHS: Case[] = [
  makeCase(
    "paths/docker",
    withWords(
      inLinux({ maskedPaths: DOCKER_MASKED, readonlyPaths: DOCKER_READONLY }),
      ...[...DOCKER_MASKED, ...DOCKER_READONLY].filter((path) =>
        !["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/scsi"]
          .includes(path)
      ).map((path) => `probe=${path}`),
    ),
  ),
  makeCase(
    "paths/masked-file",
    withWords(inLinux({ maskedPaths: ["/etc/passwd"] }), "probe=/etc/passwd"),
  ),
  makeCase(
    "paths/masked-dir",
    withWords(inLinux({ maskedPaths: ["/etc"] }), "probe=/etc"),
  ),
  makeCase("paths/masked-missing", inLinux({ maskedPaths: ["/no/such"] })),
  makeCase(
    "paths/masked-symlink",
    withWords(
      inLinux({ maskedPaths: ["/link-to-etc"] }),
      "probe=/etc",
    ),
  ),
  makeCase(
    "paths/masked-device",
    withWords(inLinux({ maskedPaths: ["/dev/zero"] }), "probe=/dev/zero"),
  ),
  makeCase(
    "paths/readonly-dir",
    withWords(inLinux({ readonlyPaths: ["/etc"] }), "probe=/etc"),
  ),
  makeCase(
    "paths/readonly-file",
    withWords(
      inLinux({ readonlyPaths: ["/etc/passwd"] }),
      "probe=/etc/passwd",
    ),
  ),
  makeCase("paths/readonly-missing", inLinux({ readonlyPaths: ["/no/such"] })),
  makeCase(
    "paths/readonly-symlink",
    withWords(inLinux({ readonlyPaths: ["/link-to-etc"] }), "probe=/etc"),
  ),
  makeCase(
    "paths/both",
    withWords(
      inLinux({ maskedPaths: ["/etc/passwd"], readonlyPaths: ["/etc"] }),
      "probe=/etc",
      "probe=/etc/passwd",
    ),
  ),
  ...["shared", "slave", "private", "unbindable", "rslave", "rprivate"].map((
    rootfsPropagation,
  ) =>
    makeCase(
      `propagation/${rootfsPropagation}`,
      inLinux({ rootfsPropagation }),
    )
  ),
  makeCase("linux/personality", inLinux({ personality: { domain: "LINUX" } })),
  makeCase(
    "linux/personality-32",
    inLinux({ personality: { domain: "LINUX32" } }),
  ),
  makeCase(
    "linux/mount-label-off",
    inLinux({ mountLabel: "system_u:object_r:some_t:s0" }),
  ),
  makeCase("linux/no-cgroup-path-devices", inLinux({ resources: null })),
  makeCase("linux/intel-rdt-none", inLinux({ intelRdt: { closID: "guest" } })),
  makeCase(
    "linux/memory-policy",
    inLinux({ memoryPolicy: { mode: "MPOL_INTERLEAVE", nodes: "0" } }),
  ),
  makeCase(
    "linux/net-device-missing",
    inLinux({ netDevices: { nosuch0: { name: "eth7" } } }),
  ),
];

/** All of this file. */
export const LINUX_CASES: Case[] = [
  ...NAMESPACES,
  ...DEVICES,
  ...SYSCTL,
  ...PATHS,
];
