/**
 * The table of what fails for one reason: by operation and errno, a code and
 * what to do about it.
 *
 * @module
 */

import { errnoName, errnoText } from "../../ffi/errno.ts";
import { isLink } from "../../ffi/files.ts";
import { isLinkInRoot } from "../../ffi/rootfs.ts";
import type { Config } from "../config/config.ts";
import { sayLink } from "../errors.ts";
import type { OpName } from "../plan.ts";
import { type Failure, kernelWords, quote, sourceOf } from "./wanted.ts";

/** How a failure is worded. */
export interface Row {
  /** A stable word for scripts. */
  code: string;
  /** The whole message, where "what was wanted: what the kernel said" would
   * mislead. */
  message?: string | undefined;
  hint?: string | undefined;
  exitCode?: number | undefined;
}

/** Rows of one operation: the code, and hints by errno. "else" is for the rest. */
type Rows = { code: string } & Record<string, string>;

const CAPABILITIES =
  "More capabilities were asked for than rustyrun itself has: grep Cap /proc/self/status";
const UNMAPPED =
  "The id is not mapped in the user namespace: /etc/subuid and /etc/subgid say what is, or choose another --user";
const NEEDS_ROOT =
  "Root, or a user namespace that maps the id, is needed for it";
const NICE = "A higher priority than the caller's needs CAP_SYS_NICE";
const ROOM =
  "The memory for the files that rustyrun writes is used up: the kernel's log (dmesg) may say more";

const ROWS: Partial<Record<OpName, Rows>> = {
  affinity: {
    code: "cpu-affinity",
    EINVAL:
      "None of these CPUs is online and in the container's cpuset: see /sys/devices/system/cpu/online",
  },
  capAmbient: { code: "capabilities", else: CAPABILITIES },
  capDrop: {
    code: "capabilities",
    EPERM: "Dropping from the bounding set needs CAP_SETPCAP",
    else: CAPABILITIES,
  },
  capSet: { code: "capabilities", else: CAPABILITIES },
  chown: {
    code: "ownership",
    EINVAL: UNMAPPED,
    EPERM: NEEDS_ROOT,
  },
  copyUp: {
    code: "copy-up",
    ENOSPC:
      "What the image has there is larger than the tmpfs: give it more, size=",
    EACCES: "The container's root user may not read all of it",
    EPERM: "The container's root user may not give a copy its owner",
    ELOOP: "Directories may be 64 deep: leave tmpcopyup out",
  },
  ctty: {
    code: "terminal",
    EPERM: "The terminal belongs to another session already",
  },
  file: { code: "file", ENOSPC: ROOM, ENOMEM: ROOM },
  hostname: {
    code: "hostname",
    EINVAL: "A host name has at most 64 bytes",
    EPERM: "It needs CAP_SYS_ADMIN in the user namespace of the uts namespace",
  },
  domainname: {
    code: "domainname",
    EINVAL: "A domain name has at most 64 bytes",
    EPERM: "It needs CAP_SYS_ADMIN in the user namespace of the uts namespace",
  },
  ioprio: {
    code: "io-priority",
    EPERM: "The class IOPRIO_CLASS_RT needs CAP_SYS_ADMIN or CAP_SYS_NICE",
  },
  keyring: {
    code: "keyring",
    EDQUOT:
      "The user has as many keys as it may: see /proc/key-users and the sysctl kernel.keys.maxkeys",
    ENOSYS:
      "A seccomp filter forbids it (a container?), or the kernel has no keys: --no-new-keyring does without",
    EPERM:
      "A seccomp filter forbids it (a container?): --no-new-keyring does without",
    EACCES: "A security module forbids it: --no-new-keyring does without",
  },
  linkUp: {
    code: "network",
    EPERM: "It needs CAP_NET_ADMIN in the network namespace",
  },
  mempolicy: {
    code: "memory-policy",
    EINVAL: "One of the nodes does not exist: see /sys/devices/system/node",
    EPERM: "The nodes are not in the container's cpuset",
    ENOSYS: "This kernel has no NUMA policies",
  },
  mknod: {
    code: "device",
    EPERM: "Making device nodes needs CAP_MKNOD outside a user namespace",
    EEXIST: "A file of that name is there already and is no such device",
    EROFS: "/dev is read-only: mount a tmpfs on it",
    ENOSPC: "/dev is full: give its tmpfs more",
    ENOENT: "A directory above it is missing",
  },
  netlink: {
    code: "net-device",
    EPERM: "It needs CAP_NET_ADMIN in the network namespace",
    ENODEV: "The device went meanwhile",
    EEXIST: "Another device of the container has that address",
    EACCES: "IPv6 is switched off there: net.ipv6.conf.all.disable_ipv6",
  },
  personality: {
    code: "personality",
    EINVAL: "This kernel has no such execution domain",
  },
  pivot: {
    code: "pivot",
    EINVAL:
      "The host's own root cannot be pivoted away from (an initramfs?): --no-pivot uses chroot instead",
    else: "rustyrun doctor shows what is missing here",
  },
  chroot: {
    code: "chroot",
    EPERM: "It needs CAP_SYS_CHROOT: run as root, or leave --no-pivot out",
    else: "rustyrun doctor shows what is missing here",
  },
  enter: {
    code: "chroot",
    EPERM: "It needs CAP_SYS_CHROOT: run as root",
    else: "rustyrun doctor shows what is missing here",
  },
  prctl: {
    code: "process",
    EINVAL: "This kernel, or a seccomp filter, does not take it",
    EPERM:
      "A seccomp filter forbids it (a container?); or, for what root means, CAP_SETPCAP is missing or the caller's securebits are locked: setpriv --dump shows them",
  },
  pty: {
    code: "terminal",
    ENOSPC:
      "There are as many terminals as there may be: see the sysctl kernel.pty.max",
    EACCES: "The container's /dev/pts does not let it: check the mode ptmxmode",
    ENOENT: "The container has no devpts on /dev/pts",
  },
  sched: {
    code: "scheduler",
    EPERM: NICE,
    EINVAL:
      "The policy does not take these values, or the cgroup has no real-time budget: cpu.rt_runtime_us",
    EBUSY: "The CPUs have no room for another SCHED_DEADLINE of that budget",
  },
  setgid: { code: "credentials", EINVAL: UNMAPPED, else: NEEDS_ROOT },
  setgroups: {
    code: "credentials",
    EINVAL: UNMAPPED,
    EPERM:
      "In a user namespace with a single group nobody may change the groups: a range in /etc/subgid gives more, or leave the groups out",
    else: NEEDS_ROOT,
  },
  setuid: {
    code: "credentials",
    EINVAL: UNMAPPED,
    EAGAIN: "The user has as many processes as it may: --ulimit nproc",
    else: NEEDS_ROOT,
  },
  same: {
    code: "replaced",
    ESTALE: "Something put another file in its place meanwhile: try again",
  },
  seccomp: {
    code: "seccomp",
    EACCES: "A filter without no-new-privileges needs CAP_SYS_ADMIN",
    EINVAL:
      "This kernel does not take one of the filter's flags or actions: rustyrun features shows those it takes",
    EBUSY:
      "A filter with a listener is in force already: there can be one such",
    ENOMEM:
      "The filter is too large together with those that rustyrun runs under",
    else: "rustyrun doctor says what this kernel's seccomp takes",
  },
  symlink: {
    code: "device",
    EEXIST: "Something of that name is there already",
    EROFS: "The directory is read-only",
    ENOSPC: "The file system is full",
  },
  writeFd: {
    code: "cgroup-join",
    EACCES:
      "This user may not move a process there: it takes write access to the cgroup and to the first above both",
    EPERM:
      "This user may not move a process there: it takes write access to the cgroup and to the first above both",
    EBUSY:
      "The cgroup hands controllers on to cgroups below it, and then holds no processes",
    ENOSPC: "The cpuset of the cgroup has no CPUs or no memory nodes",
    EINVAL:
      "A real-time process needs a cgroup with a real-time budget: cpu.rt_runtime_us",
    EAGAIN: "The cgroup has as many processes as it may: pids.max",
    ENODEV: "Somebody removed the cgroup meanwhile: try again",
    EOPNOTSUPP: "The cgroup lies below a threaded one: name another",
  },
};

/** Entering a class of service: rdtgroup_tasks_write() in the kernel. */
const CLASS: Rows = {
  code: "resctrl-join",
  ENOENT: "Somebody removed the class meanwhile: its processes are in no class",
  EACCES: "Only root may change resctrl",
  EPERM: "Only root may change resctrl",
  EINVAL:
    "The class locks a part of a cache (pseudo-locked): no process may be in it",
};

/** Offsets of a time namespace: timens_offsets_write() in the kernel. */
const CLOCKS: Rows = {
  code: "time-offsets",
  ERANGE:
    "With these offsets a clock would be negative, or more than 146 years",
  else:
    "Offsets can be set only by who made the time namespace, and before anything runs in it",
};

/** The row of a failure in the table; where there is none, a code made of the
 * operation's name: "plan-umask". */
export function findRow({ op, errno }: Failure): Row {
  if (op.from === "linux.intelRdt") {
    return { code: CLASS.code, hint: CLASS[errnoName(errno)] };
  }
  const rows = op.do === "writeFd" && op.from === "linux.timeOffsets"
    ? CLOCKS
    : ROWS[op.do];
  if (rows === undefined) return { code: `plan-${op.do.toLowerCase()}` };
  return { code: rows.code, hint: rows[errnoName(errno)] ?? rows.else };
}

/** Words a write: a sysctl, the OOM score, labels. */
export function wordWrite({ op, errno }: Failure): Row {
  const path = op.do === "write" ? op.path : "";
  const name = errnoName(errno);
  if (path.startsWith("sys/")) {
    return {
      code: "sysctl",
      hint: name === "ENOENT"
        ? "This kernel has no such sysctl in the container's namespaces"
        : name === "EXDEV" || name === "EROFS"
        ? "Something is mounted over it in the caller's /proc (a container?): findmnt -R /proc shows what"
        : name === "EACCES" || name === "EPERM"
        ? "It cannot be changed here: in a user namespace some sysctls stay the host's"
        : "The kernel does not take that value",
    };
  }
  if (path.endsWith("oom_score_adj")) {
    return {
      code: "oom-score",
      hint: "Lowering it below the caller's own needs CAP_SYS_RESOURCE",
    };
  }
  if (path === "self/attr/apparmor/exec") {
    return {
      code: "apparmor",
      hint: name === "ENOENT"
        ? "The profile is not loaded: apparmor_parser -r FILE loads it, aa-status lists the loaded ones"
        : "The caller's own profile does not let it change to that one",
    };
  }
  if (path === "self/attr/exec") {
    return {
      code: "selinux",
      hint: name === "EINVAL"
        ? "The policy has no such label: seinfo shows what it has"
        : "The policy does not let rustyrun give that label",
    };
  }
  return { code: "write" };
}

/** Words a file that is not what it should be. */
export function wordVerify(failure: Failure, config: Config): Row {
  const { op, text } = failure;
  const [, what = "", kind = ""] =
    /^make sure that (\S+) is (.*)$/.exec(op.why) ?? [];
  const it = what === "it" ? `what should be ${kind}` : what || op.do;
  // What C found instead: "another type of file".
  const why = text.startsWith("another")
    ? `it is ${text}`
    : kernelWords(failure);
  return {
    code: "device-fake",
    message: `Cannot use ${it}${sourceOf(op, config)}: ${why}`,
    hint: "Something is mounted over the host's own file: findmnt shows what",
  };
}

/** Words a hook that the container's first process ran: `detail` is its exit
 * status, or what a shell makes of a signal and of a failed execve(2). */
export function wordHook(
  { op, errno, detail }: Failure,
  { rootfs }: Config,
): Row {
  const code = "hook";
  const said = "The hook's own output above may say more";
  const { path, timeout } = op.do === "spawn" ? op : { path: "", timeout: 0 };
  const kind = /^hooks\.(\w+)/.exec(op.from ?? "")?.[1] ?? "";
  const it = `Cannot run the ${kind} hook ${quote(path)}`;
  if (errnoName(errno) === "ETIMEDOUT") {
    return {
      code,
      message: `${it}: it took longer than its timeout of ${timeout} s`,
      hint: said,
    };
  }
  const inside = kind === "startContainer";
  const where = inside ? "inside the root file system" : "of the host";
  if (["ENOENT", "ELOOP", "EACCES"].includes(errnoName(errno))) {
    const isLost = errnoName(errno) !== "EACCES" &&
      (inside ? isLinkInRoot(rootfs, path) : isLink(path));
    return {
      code,
      message: `${it}: ${errnoText(errno)}`,
      hint: isLost
        ? sayLink(path)
        : `Its path is one ${where}, and it must be executable`,
    };
  }
  if (detail > 128) {
    return {
      code,
      message: `${it}: signal ${detail - 128} killed it`,
      hint: said,
    };
  }
  if (detail === 127 || detail === 126) {
    return {
      code,
      message: `${it}: exit status ${detail}`,
      hint: detail === 126
        ? "It could not be executed, or says so itself: check its mode (chmod +x), and noexec on its mount"
        : `It was not found, or says so itself: its path is one ${where}, and a script needs its #! program there too`,
    };
  }
  if (detail === 0 && errnoName(errno) !== "ECANCELED") {
    return { code, hint: said };
  }
  return {
    code,
    // Worded beforehand, nobody knows yet with what it will end.
    message: detail > 0 ? `${it}: exit status ${detail}` : `${it}: it failed`,
    hint: said,
  };
}
