/**
 * Names, keys, networks, sysctls, clocks, labels and schedulers that cannot be set.
 *
 * @module
 */

import {
  keyring,
  netlink,
  NOTHING,
  op,
  type Row,
  sysctl,
  write,
} from "./row.ts";

/** By what has failed. */
export const SETTINGS: Record<string, Row> = {
  "a host name that is too long": {
    op: op("hostname", {
      name: "box",
      why: "set the host name",
      from: "hostname",
    }),
    errno: "EINVAL",
    flags: { hostname: "--hostname box" },
    message:
      'Cannot set the host name to "box" (--hostname box): sethostname: EINVAL (invalid argument)',
    code: "hostname",
    hint: "A host name has at most 64 bytes",
  },
  "a host name without CAP_SYS_ADMIN": {
    op: op("hostname", {
      name: "box",
      why: "set the host name",
      from: "hostname",
    }),
    errno: "EPERM",
    message:
      'Cannot set the host name to "box" (hostname): sethostname: EPERM (operation not permitted)',
    code: "hostname",
    hint: "It needs CAP_SYS_ADMIN in the user namespace of the uts namespace",
  },
  "a domain name that is too long": {
    op: op("domainname", {
      name: "nis",
      why: "set the NIS domain name",
      from: "domainname",
    }),
    errno: "EINVAL",
    message:
      'Cannot set the domain name to "nis" (domainname): setdomainname: EINVAL (invalid argument)',
    code: "domainname",
    hint: "A domain name has at most 64 bytes",
  },
  "a domain name without CAP_SYS_ADMIN": {
    op: op("domainname", {
      name: "nis",
      why: "set the NIS domain name",
      from: "domainname",
    }),
    errno: "EPERM",
    message:
      'Cannot set the domain name to "nis" (domainname): setdomainname: EPERM (operation not permitted)',
    code: "domainname",
    hint: "It needs CAP_SYS_ADMIN in the user namespace of the uts namespace",
  },
  "too many keys": {
    op: keyring(),
    errno: "EDQUOT",
    text: "KEYCTL_JOIN_SESSION_KEYRING",
    message:
      "Cannot make a session keyring of the container's own: KEYCTL_JOIN_SESSION_KEYRING: EDQUOT (disk quota exceeded)",
    code: "keyring",
    hint:
      "The user has as many keys as it may: see /proc/key-users and the sysctl kernel.keys.maxkeys",
  },
  "keys that a filter hides": {
    op: keyring(),
    errno: "ENOSYS",
    text: "KEYCTL_JOIN_SESSION_KEYRING",
    message:
      "Cannot make a session keyring of the container's own: KEYCTL_JOIN_SESSION_KEYRING: ENOSYS (function not implemented)",
    code: "keyring",
    hint:
      "A seccomp filter forbids it (a container?), or the kernel has no keys: --no-new-keyring does without",
  },
  "keys that a filter forbids": {
    op: keyring(),
    errno: "EPERM",
    text: "KEYCTL_JOIN_SESSION_KEYRING",
    message:
      "Cannot make a session keyring of the container's own: KEYCTL_JOIN_SESSION_KEYRING: EPERM (operation not permitted)",
    code: "keyring",
    hint:
      "A seccomp filter forbids it (a container?): --no-new-keyring does without",
  },
  "keys that a module forbids": {
    op: keyring(),
    errno: "EACCES",
    text: "KEYCTL_SETPERM",
    message:
      "Cannot make a session keyring of the container's own: KEYCTL_SETPERM: EACCES (permission denied)",
    code: "keyring",
    hint: "A security module forbids it: --no-new-keyring does without",
  },
  "a loopback without CAP_NET_ADMIN": {
    op: op("linkUp", {
      name: "lo",
      why: "bring the loopback interface up",
      from: "linux.namespaces[5]",
    }),
    errno: "EPERM",
    text: "lo",
    message:
      "Cannot bring the loopback interface up (linux.namespaces[5]): ioctl SIOCSIFFLAGS: EPERM (operation not permitted)",
    code: "network",
    hint: "It needs CAP_NET_ADMIN in the network namespace",
  },
  "a network device that went": {
    op: netlink(),
    errno: "ENODEV",
    message:
      "Cannot give eth0 an address that it had on the host (linux.netDevices): rtnetlink: ENODEV (no such device)",
    code: "net-device",
    hint: "The device went meanwhile",
  },
  "an address that is taken": {
    op: netlink(),
    errno: "EEXIST",
    message:
      "Cannot give eth0 an address that it had on the host (linux.netDevices): rtnetlink: EEXIST (file exists)",
    code: "net-device",
    hint: "Another device of the container has that address",
  },
  "an address without CAP_NET_ADMIN": {
    op: netlink(),
    errno: "EPERM",
    message:
      "Cannot give eth0 an address that it had on the host (linux.netDevices): rtnetlink: EPERM (operation not permitted)",
    code: "net-device",
    hint: "It needs CAP_NET_ADMIN in the network namespace",
  },
  "an IPv6 address where there is no IPv6": {
    op: netlink(),
    errno: "EACCES",
    message:
      "Cannot give eth0 an address that it had on the host (linux.netDevices): rtnetlink: EACCES (permission denied)",
    code: "net-device",
    hint: "IPv6 is switched off there: net.ipv6.conf.all.disable_ipv6",
  },
  "a sysctl that is not there": {
    op: sysctl("net/ipv4/nope", "1"),
    errno: "ENOENT",
    flags: { 'linux.sysctl["x"]': "--sysctl x=1" },
    message:
      'Cannot set the sysctl "net.ipv4.nope" to "1" (--sysctl x=1): write: ENOENT (no such file or directory)',
    code: "sysctl",
    hint: "This kernel has no such sysctl in the container's namespaces",
  },
  "a sysctl that does not take the value": {
    op: sysctl("net/ipv4/ip_forward", "x"),
    errno: "EINVAL",
    message:
      'Cannot set the sysctl "net.ipv4.ip_forward" to "x" (linux.sysctl["x"]): write: EINVAL (invalid argument)',
    code: "sysctl",
    hint: "The kernel does not take that value",
  },
  "a sysctl that stays the host's": {
    op: sysctl("kernel/shmmax", "1"),
    errno: "EACCES",
    message:
      'Cannot set the sysctl "kernel.shmmax" to "1" (linux.sysctl["x"]): write: EACCES (permission denied)',
    code: "sysctl",
    hint:
      "It cannot be changed here: in a user namespace some sysctls stay the host's",
  },
  "a sysctl that a mount hides": {
    op: sysctl("net/ipv4/ip_forward", "1"),
    errno: "EXDEV",
    message:
      'Cannot set the sysctl "net.ipv4.ip_forward" to "1" (linux.sysctl["x"]): write: EXDEV (invalid cross-device link)',
    code: "sysctl",
    hint:
      "Something is mounted over it in the caller's /proc (a container?): findmnt -R /proc shows what",
  },
  "a sysctl that may not be set": {
    op: sysctl("kernel/shmmax", "1"),
    errno: "EPERM",
    message:
      'Cannot set the sysctl "kernel.shmmax" to "1" (linux.sysctl["x"]): write: EPERM (operation not permitted)',
    code: "sysctl",
    hint:
      "It cannot be changed here: in a user namespace some sysctls stay the host's",
  },
  "an OOM score below the caller's": {
    op: write(
      "self/oom_score_adj",
      "set the OOM score to -500",
      "process.oomScoreAdj",
    ),
    errno: "EACCES",
    message:
      "Cannot set the OOM score to -500 (process.oomScoreAdj): write: EACCES (permission denied)",
    code: "oom-score",
    hint: "Lowering it below the caller's own needs CAP_SYS_RESOURCE",
  },
  "a clock that would be negative": {
    op: op("writeFd", {
      slot: "clocks",
      data: NOTHING,
      why: "set the offsets of the clocks",
      from: "linux.timeOffsets",
    }),
    errno: "ERANGE",
    message:
      "Cannot set the offsets of the clocks (linux.timeOffsets): write: ERANGE (numerical result out of range)",
    code: "time-offsets",
    hint:
      "With these offsets a clock would be negative, or more than 146 years",
  },
  "clocks that may not be set": {
    op: op("writeFd", {
      slot: "clocks",
      data: NOTHING,
      why: "set the offsets of the clocks",
      from: "linux.timeOffsets",
    }),
    errno: "EACCES",
    message:
      "Cannot set the offsets of the clocks (linux.timeOffsets): write: EACCES (permission denied)",
    code: "time-offsets",
    hint:
      "Offsets can be set only by who made the time namespace, and before anything runs in it",
  },
  "an AppArmor profile that is not loaded": {
    op: write("self/attr/apparmor/exec", "x", "process.apparmorProfile"),
    errno: "ENOENT",
    message:
      'Cannot apply the AppArmor profile "box-profile" (process.apparmorProfile): write: ENOENT (no such file or directory)',
    code: "apparmor",
    hint:
      "The profile is not loaded: apparmor_parser -r FILE loads it, aa-status lists the loaded ones",
  },
  "an AppArmor profile that may not be entered": {
    op: write("self/attr/apparmor/exec", "x", "process.apparmorProfile"),
    errno: "EACCES",
    message:
      'Cannot apply the AppArmor profile "box-profile" (process.apparmorProfile): write: EACCES (permission denied)',
    code: "apparmor",
    hint: "The caller's own profile does not let it change to that one",
  },
  "an SELinux label that is none": {
    op: write("self/attr/exec", "x", "process.selinuxLabel"),
    errno: "EINVAL",
    message:
      'Cannot apply the SELinux label "system_u:box" (process.selinuxLabel): write: EINVAL (invalid argument)',
    code: "selinux",
    hint: "The policy has no such label: seinfo shows what it has",
  },
  "an SELinux label that may not be given": {
    op: write("self/attr/exec", "x", "process.selinuxLabel"),
    errno: "EACCES",
    message:
      'Cannot apply the SELinux label "system_u:box" (process.selinuxLabel): write: EACCES (permission denied)',
    code: "selinux",
    hint: "The policy does not let rustyrun give that label",
  },
  "another file": {
    op: write("self/setgroups", "keep the groups", "x"),
    errno: "EIO",
    message: "Cannot keep the groups (x): write: EIO (input/output error)",
    code: "write",
  },
  "a priority above the caller's": {
    op: op("sched", { attr: NOTHING, why: "x", from: "process.scheduler" }),
    errno: "EPERM",
    message:
      "Cannot use the scheduler SCHED_FIFO (process.scheduler): sched_setattr: EPERM (operation not permitted)",
    code: "scheduler",
    hint: "A higher priority than the caller's needs CAP_SYS_NICE",
  },
  "a scheduler without a budget": {
    op: op("sched", { attr: NOTHING, why: "x", from: "process.scheduler" }),
    errno: "EINVAL",
    message:
      "Cannot use the scheduler SCHED_FIFO (process.scheduler): sched_setattr: EINVAL (invalid argument)",
    code: "scheduler",
    hint:
      "The policy does not take these values, or the cgroup has no real-time budget: cpu.rt_runtime_us",
  },
  "a deadline that does not fit": {
    op: op("sched", { attr: NOTHING, why: "x", from: "process.scheduler" }),
    errno: "EBUSY",
    message:
      "Cannot use the scheduler SCHED_FIFO (process.scheduler): sched_setattr: EBUSY (device or resource busy)",
    code: "scheduler",
    hint: "The CPUs have no room for another SCHED_DEADLINE of that budget",
  },
  "an I/O class that needs rights": {
    op: op("ioprio", { value: 1, why: "x", from: "process.ioPriority" }),
    errno: "EPERM",
    message:
      "Cannot set the I/O priority (process.ioPriority): ioprio_set: EPERM (operation not permitted)",
    code: "io-priority",
    hint: "The class IOPRIO_CLASS_RT needs CAP_SYS_ADMIN or CAP_SYS_NICE",
  },
  "an unknown execution domain": {
    op: op("personality", { value: 8, why: "x", from: "linux.personality" }),
    errno: "EINVAL",
    message:
      "Cannot use the execution domain LINUX32 (linux.personality): personality: EINVAL (invalid argument)",
    code: "personality",
    hint: "This kernel has no such execution domain",
  },
  "memory nodes that are not there": {
    op: op("mempolicy", {
      mode: 2,
      nodes: NOTHING,
      why: "x",
      from: "linux.memoryPolicy",
    }),
    errno: "EINVAL",
    message:
      "Cannot use the memory policy MPOL_BIND (linux.memoryPolicy): set_mempolicy: EINVAL (invalid argument)",
    code: "memory-policy",
    hint: "One of the nodes does not exist: see /sys/devices/system/node",
  },
  "memory nodes outside the cpuset": {
    op: op("mempolicy", {
      mode: 2,
      nodes: NOTHING,
      why: "x",
      from: "linux.memoryPolicy",
    }),
    errno: "EPERM",
    message:
      "Cannot use the memory policy MPOL_BIND (linux.memoryPolicy): set_mempolicy: EPERM (operation not permitted)",
    code: "memory-policy",
    hint: "The nodes are not in the container's cpuset",
  },
  "a kernel without NUMA": {
    op: op("mempolicy", {
      mode: 2,
      nodes: NOTHING,
      why: "x",
      from: "linux.memoryPolicy",
    }),
    errno: "ENOSYS",
    message:
      "Cannot use the memory policy MPOL_BIND (linux.memoryPolicy): set_mempolicy: ENOSYS (function not implemented)",
    code: "memory-policy",
    hint: "This kernel has no NUMA policies",
  },
  "CPUs that are not there": {
    op: op("affinity", {
      cpus: NOTHING,
      why: "run on the CPUs 64-65",
      from: "process.execCPUAffinity.initial",
    }),
    errno: "EINVAL",
    message:
      "Cannot run on the CPUs 64-65 (process.execCPUAffinity.initial): sched_setaffinity: EINVAL (invalid argument)",
    code: "cpu-affinity",
    hint:
      "None of these CPUs is online and in the container's cpuset: see /sys/devices/system/cpu/online",
  },
};
