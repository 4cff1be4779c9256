/**
 * Shape of config.json: runtime-spec 1.3, the part for Linux, as a zod schema.
 *
 * This is the one source of the shape. scripts/generate_config_table.ts makes
 * ./table.ts from it, and ./check.ts decides by that table, so that nothing at
 * run time pays for zod: import types from here with `import type`, never a
 * value. Only shape is said here; what two properties have to do with each
 * other, or a value with the kernel, is in ./rules.ts. Properties that are not
 * named here are ignored, as the specification wants (config.md#extensibility).
 *
 * @module
 */

import { z } from "zod";

/** Text without NUL: all of it goes to the kernel one day. */
const text = z.string().regex(/^[^\0]*$/);
const flag = z.boolean();
const texts = z.array(text);
const dictionary = z.record(z.string(), text);
const uint16 = z.int().min(0).max(65535);
const uint32 = z.int().min(0).max(4294967295);
const int32 = z.int().min(-2147483648).max(2147483647);
/** Beyond 2^53 a bigint, else a number. */
const uint64 = z.union([
  z.int().min(0),
  z.bigint().min(0n).max(18446744073709551615n),
]);
const int64 = z.union([
  z.int(),
  z.bigint().min(-9223372036854775808n).max(9223372036854775807n),
]);

const idMapping = z.object({
  containerID: uint32,
  hostID: uint32,
  size: uint32,
});

const mount = z.object({
  destination: text,
  type: text.optional(),
  source: text.optional(),
  options: texts.optional(),
  uidMappings: z.array(idMapping).optional(),
  gidMappings: z.array(idMapping).optional(),
});

const hook = z.object({
  path: text,
  args: texts.optional(),
  env: texts.optional(),
  timeout: int32.optional(),
});

const hooks = z.object({
  prestart: z.array(hook).optional(),
  createRuntime: z.array(hook).optional(),
  createContainer: z.array(hook).optional(),
  startContainer: z.array(hook).optional(),
  poststart: z.array(hook).optional(),
  poststop: z.array(hook).optional(),
});

/** `process`: config.md#process. Also what `exec --process FILE` reads. */
export const processSchema = z.object({
  terminal: flag.optional(),
  consoleSize: z.object({ height: uint32, width: uint32 }).optional(),
  user: z.object({
    uid: uint32.optional(),
    gid: uint32.optional(),
    umask: uint32.optional(),
    additionalGids: z.array(uint32).optional(),
  }).optional(),
  args: texts.optional(),
  env: texts.optional(),
  cwd: text,
  capabilities: z.object({
    bounding: texts.optional(),
    effective: texts.optional(),
    inheritable: texts.optional(),
    permitted: texts.optional(),
    ambient: texts.optional(),
  }).optional(),
  rlimits: z.array(z.object({ type: text, hard: uint64, soft: uint64 }))
    .optional(),
  noNewPrivileges: flag.optional(),
  apparmorProfile: text.optional(),
  oomScoreAdj: int32.optional(),
  selinuxLabel: text.optional(),
  scheduler: z.object({
    policy: z.enum([
      "SCHED_OTHER",
      "SCHED_FIFO",
      "SCHED_RR",
      "SCHED_BATCH",
      "SCHED_ISO",
      "SCHED_IDLE",
      "SCHED_DEADLINE",
    ]),
    nice: int32.optional(),
    priority: int32.optional(),
    flags: z.array(z.enum([
      "SCHED_FLAG_RESET_ON_FORK",
      "SCHED_FLAG_RECLAIM",
      "SCHED_FLAG_DL_OVERRUN",
      "SCHED_FLAG_KEEP_POLICY",
      "SCHED_FLAG_KEEP_PARAMS",
      "SCHED_FLAG_UTIL_CLAMP_MIN",
      "SCHED_FLAG_UTIL_CLAMP_MAX",
    ])).optional(),
    runtime: uint64.optional(),
    deadline: uint64.optional(),
    period: uint64.optional(),
  }).optional(),
  ioPriority: z.object({
    class: z.enum(["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"]),
    priority: int32.optional(),
  }).optional(),
  execCPUAffinity: z.object({
    initial: text.optional(),
    final: text.optional(),
  }).optional(),
});

const blockIoWeight = z.object({
  major: int64,
  minor: int64,
  weight: uint16.optional(),
  leafWeight: uint16.optional(),
});

const throttles = z.array(
  z.object({ major: int64, minor: int64, rate: uint64 }),
);

/** `linux.resources`: config-linux.md#control-groups. Also what
 * `update --resources FILE` reads. */
export const resourcesSchema = z.object({
  devices: z.array(z.object({
    allow: flag,
    type: text.optional(),
    major: int64.optional(),
    minor: int64.optional(),
    access: text.optional(),
  })).optional(),
  memory: z.object({
    limit: int64.optional(),
    reservation: int64.optional(),
    swap: int64.optional(),
    kernel: int64.optional(),
    kernelTCP: int64.optional(),
    swappiness: uint64.optional(),
    disableOOMKiller: flag.optional(),
    useHierarchy: flag.optional(),
    checkBeforeUpdate: flag.optional(),
  }).optional(),
  cpu: z.object({
    shares: uint64.optional(),
    quota: int64.optional(),
    burst: uint64.optional(),
    period: uint64.optional(),
    realtimeRuntime: int64.optional(),
    realtimePeriod: uint64.optional(),
    cpus: text.optional(),
    mems: text.optional(),
    idle: int64.optional(),
  }).optional(),
  pids: z.object({ limit: int64.optional() }).optional(),
  blockIO: z.object({
    weight: uint16.optional(),
    leafWeight: uint16.optional(),
    weightDevice: z.array(blockIoWeight).optional(),
    throttleReadBpsDevice: throttles.optional(),
    throttleWriteBpsDevice: throttles.optional(),
    throttleReadIOPSDevice: throttles.optional(),
    throttleWriteIOPSDevice: throttles.optional(),
  }).optional(),
  hugepageLimits: z.array(z.object({ pageSize: text, limit: uint64 }))
    .optional(),
  network: z.object({
    classID: uint32.optional(),
    priorities: z.array(z.object({ name: text, priority: uint32 })).optional(),
  }).optional(),
  rdma: z.record(
    z.string(),
    z.object({ hcaHandles: uint32.optional(), hcaObjects: uint32.optional() }),
  ).optional(),
  unified: dictionary.optional(),
});

const seccompAction = z.enum([
  "SCMP_ACT_KILL",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_TRACE",
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_LOG",
  "SCMP_ACT_NOTIFY",
]);

/** `linux.seccomp`: config-linux.md#seccomp. Also what
 * `--security-opt seccomp=FILE` comes down to. */
export const seccompSchema = z.object({
  defaultAction: seccompAction,
  defaultErrnoRet: uint32.optional(),
  architectures: z.array(z.enum([
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
  ])).optional(),
  flags: z.array(z.enum([
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
  ])).optional(),
  listenerPath: text.optional(),
  listenerMetadata: text.optional(),
  syscalls: z.array(z.object({
    names: texts,
    action: seccompAction,
    errnoRet: uint32.optional(),
    args: z.array(z.object({
      index: uint32,
      value: uint64,
      valueTwo: uint64.optional(),
      op: z.enum([
        "SCMP_CMP_NE",
        "SCMP_CMP_LT",
        "SCMP_CMP_LE",
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ",
      ]),
    })).optional(),
  })).optional(),
});

const linux = z.object({
  namespaces: z.array(z.object({
    type: z.enum([
      "pid",
      "network",
      "mount",
      "ipc",
      "uts",
      "user",
      "cgroup",
      "time",
    ]),
    path: text.optional(),
  })).optional(),
  uidMappings: z.array(idMapping).optional(),
  gidMappings: z.array(idMapping).optional(),
  timeOffsets: z.record(
    z.string(),
    z.object({ secs: int64.optional(), nanosecs: uint32.optional() }),
  ).optional(),
  devices: z.array(z.object({
    type: text,
    path: text,
    major: int64.optional(),
    minor: int64.optional(),
    fileMode: uint32.optional(),
    uid: uint32.optional(),
    gid: uint32.optional(),
  })).optional(),
  netDevices: z.record(z.string(), z.object({ name: text.optional() }))
    .optional(),
  cgroupsPath: text.optional(),
  resources: resourcesSchema.optional(),
  rootfsPropagation: text.optional(),
  maskedPaths: texts.optional(),
  readonlyPaths: texts.optional(),
  mountLabel: text.optional(),
  sysctl: dictionary.optional(),
  seccomp: seccompSchema.optional(),
  intelRdt: z.object({
    closID: text.optional(),
    schemata: texts.optional(),
    l3CacheSchema: text.optional(),
    memBwSchema: text.optional(),
    enableMonitoring: flag.optional(),
  }).optional(),
  memoryPolicy: z.object({
    mode: z.enum([
      "MPOL_DEFAULT",
      "MPOL_BIND",
      "MPOL_INTERLEAVE",
      "MPOL_WEIGHTED_INTERLEAVE",
      "MPOL_PREFERRED",
      "MPOL_PREFERRED_MANY",
      "MPOL_LOCAL",
    ]),
    nodes: text.optional(),
    flags: z.array(z.enum([
      "MPOL_F_NUMA_BALANCING",
      "MPOL_F_RELATIVE_NODES",
      "MPOL_F_STATIC_NODES",
    ])).optional(),
  }).optional(),
  personality: z.object({
    domain: z.enum(["LINUX", "LINUX32"]),
    flags: texts.optional(),
  }).optional(),
});

/** The whole config.json. */
export const specSchema = z.object({
  ociVersion: text,
  root: z.object({ path: text, readonly: flag.optional() }),
  process: processSchema.optional(),
  hostname: text.optional(),
  domainname: text.optional(),
  mounts: z.array(mount).optional(),
  hooks: hooks.optional(),
  annotations: dictionary.optional(),
  linux: linux.optional(),
});

/** A config.json. `process` may be missing: the specification wants it at
 * `start`, not at `create`. */
export type Spec = z.infer<typeof specSchema>;
/** `root`. */
export type Root = Spec["root"];
/** `process`. */
export type Process = z.infer<typeof processSchema>;
/** `process.user`. A missing id is 0. */
export type User = NonNullable<Process["user"]>;
/** `process.rlimits[]`. */
export type Rlimit = NonNullable<Process["rlimits"]>[number];
/** `process.scheduler`. */
export type Scheduler = NonNullable<Process["scheduler"]>;
/** `process.ioPriority`. */
export type IoPriority = NonNullable<Process["ioPriority"]>;
/** `mounts[]`. */
export type Mount = z.infer<typeof mount>;
/** An entry of `linux.uidMappings` and its like. */
export type IdMapping = z.infer<typeof idMapping>;
/** An entry of one of the lists in `hooks`. */
export type Hook = z.infer<typeof hook>;
/** `hooks`. */
export type Hooks = z.infer<typeof hooks>;
/** `linux`. */
export type Linux = z.infer<typeof linux>;
/** `linux.namespaces[]`. An empty `path` is no path. */
export type Namespace = NonNullable<Linux["namespaces"]>[number];
/** "pid", "network", "mount", "ipc", "uts", "user", "cgroup" or "time". */
export type NamespaceType = Namespace["type"];
/** `linux.devices[]`. */
export type Device = NonNullable<Linux["devices"]>[number];
/** `linux.netDevices[name]`. */
export type NetDevice = NonNullable<Linux["netDevices"]>[string];
/** `linux.resources`. */
export type Resources = z.infer<typeof resourcesSchema>;
/** `linux.resources.devices[]`. */
export type DeviceRule = NonNullable<Resources["devices"]>[number];
/** `linux.resources.memory`. */
export type Memory = NonNullable<Resources["memory"]>;
/** `linux.resources.cpu`. */
export type Cpu = NonNullable<Resources["cpu"]>;
/** `linux.resources.blockIO`. */
export type BlockIo = NonNullable<Resources["blockIO"]>;
/** `linux.seccomp`. */
export type Seccomp = z.infer<typeof seccompSchema>;
/** `linux.seccomp.syscalls[]`. */
export type SeccompSyscall = NonNullable<Seccomp["syscalls"]>[number];
/** `linux.seccomp.syscalls[].args[]`. */
export type SeccompArg = NonNullable<SeccompSyscall["args"]>[number];
/** "SCMP_ACT_ALLOW" and so on. */
export type SeccompAction = z.infer<typeof seccompAction>;
/** `linux.intelRdt`. */
export type IntelRdt = NonNullable<Linux["intelRdt"]>;
