/**
 * Why a namespace, or the process in it, cannot be had.
 *
 * @module
 */

import { readTextFileSync } from "../../ffi/files.ts";
import { CLONE } from "../../ffi/constants.ts";
import { errnoName } from "../../ffi/errno.ts";
import type { Config } from "../config/config.ts";
import { namespaceUse } from "../config/namespaces.ts";
import type { Facts } from "../host.ts";
import type { Row } from "./rows.ts";
import {
  type Failure,
  kernelWords,
  quote,
  sourceOf,
  wantedOf,
} from "./wanted.ts";

/** Reads a file below /proc/sys; "" for one that this kernel does not have. */
export type Sysctls = (path: string) => string;

/** This machine's. */
export const readSysctl: Sysctls = (path) => {
  try {
    return readTextFileSync(`/proc/sys/${path}`).trim();
  } catch {
    // A sysctl that this kernel does not have refuses nothing.
    return "";
  }
};

const USERNS_LIMIT = "user/max_user_namespaces";
const APPARMOR = "kernel/apparmor_restrict_unprivileged_userns";

/** Where user namespaces are refused: which switch does it. */
function blockedUserNamespace(facts: Facts, sysctl: Sysctls): Row {
  const code = "userns-blocked";
  if (sysctl("kernel/unprivileged_userns_clone") === "0") {
    return {
      code,
      hint:
        "The sysctl kernel.unprivileged_userns_clone=0 forbids user namespaces: set it to 1, or run as root",
    };
  }
  if (sysctl(USERNS_LIMIT) === "0") {
    return {
      code,
      hint:
        "The sysctl user.max_user_namespaces=0 forbids user namespaces: raise it, or run as root",
    };
  }
  if (sysctl(APPARMOR) === "1") {
    return {
      code,
      hint:
        "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns=1): rustyrun doctor shows the profile to install",
    };
  }
  return {
    code,
    hint: facts.inUserns
      ? "This seems to be a container that forbids user namespaces: rustyrun doctor shows what to change"
      : "Something forbids user namespaces here: rustyrun doctor shows what",
  };
}

/** AppArmor lets a user make a user namespace (Ubuntu 24.04) and takes every
 * right in it: the first use of one fails. */
export function wordConfined(
  { op, errno }: Failure,
  config: Config,
  facts: Facts,
  sysctl: Sysctls,
): Row | undefined {
  const first = ["setuid", "setgid", "fork", "unshare", "mountSetattr"];
  const name = errnoName(errno);
  return (first.includes(op.do) || op.do === "fsmount") &&
      (name === "EPERM" || name === "EACCES") && facts.uid !== 0 &&
      namespaceUse(config, "user") === "new" && sysctl(APPARMOR) === "1"
    ? blockedUserNamespace(facts, sysctl)
    : undefined;
}

/** clone3(2) with CLONE_INTO_CGROUP: what its errnos mean beside the others. */
function wordCgroupEntry(name: string): Row | undefined {
  switch (name) {
    case "EACCES":
    case "EPERM":
      return {
        code: "cgroup-denied",
        hint:
          "This user may not move a process into the container's cgroup: it takes write access to cgroup.procs there and in the first cgroup above both, as systemd-run --user --scope -p Delegate=yes gives it",
      };
    case "EBUSY":
      return {
        code: "cgroup-busy",
        hint:
          "The cgroup hands controllers on to cgroups below it (cgroup.subtree_control), and then holds no processes: name another in linux.cgroupsPath",
      };
    case "EOPNOTSUPP":
      return {
        code: "cgroup-threaded",
        hint:
          "The cgroup is of the type domain invalid: it lies below a threaded one; name another in linux.cgroupsPath",
      };
    case "ENODEV":
    case "ENOENT":
      return {
        code: "cgroup-gone",
        hint: "Somebody removed the cgroup meanwhile: try again",
      };
    default:
      return undefined;
  }
}

/** Words a fork or an unshare. */
export function wordNamespace(
  { op, errno }: Failure,
  facts: Facts,
  sysctl: Sysctls,
): Row {
  const name = errnoName(errno);
  if (op.do === "fork" && op.cgroup !== "") {
    const row = wordCgroupEntry(name);
    // Without rights over namespaces it fails before it looks at the cgroup.
    if (row !== undefined && (name !== "EPERM" || facts.uid === 0)) return row;
  }
  const flags = op.do === "unshare" || op.do === "fork" ? Number(op.flags) : 0;
  const isUser = (flags & CLONE.NEWUSER) !== 0;
  switch (name) {
    case "ENOSPC":
    case "EUSERS":
      return isUser && sysctl(USERNS_LIMIT) === "0"
        ? blockedUserNamespace(facts, sysctl)
        : {
          code: "namespace-limit",
          hint:
            "The limit of namespaces is reached: see the sysctls user.max_user_namespaces, user.max_pid_namespaces, user.max_net_namespaces",
        };
    case "EPERM":
    case "EACCES":
      return isUser ? blockedUserNamespace(facts, sysctl) : {
        code: "namespace-denied",
        hint: facts.uid === 0
          ? "CAP_SYS_ADMIN is missing here (a container?): rustyrun doctor shows what to change"
          : "Without root it needs a user namespace",
      };
    case "ENOSYS":
      return {
        code: "namespace-denied",
        hint:
          "A seccomp filter forbids it (a container?): start that one with --security-opt seccomp=unconfined",
      };
    case "EINVAL":
      return {
        code: "namespace-unsupported",
        hint:
          "This kernel has no such namespace: rustyrun doctor shows which it has",
      };
    case "EAGAIN":
    case "ENOMEM":
      return {
        code: "fork",
        hint:
          "The limit of processes (ulimit -u, or pids.max of this cgroup) or of memory is reached",
      };
    default:
      return { code: "namespace" };
  }
}

/** Words the opening, the check and the joining of a namespace by its path. */
export function wordJoin(
  failure: Failure,
  config: Config,
  facts: Facts,
): Row {
  const { op, errno } = failure;
  const name = errnoName(errno);
  const it = `Cannot ${wantedOf(op, config)}${sourceOf(op, config)}`;
  const code = "namespace-join";
  if (op.do === "verify") {
    return {
      code,
      message: `${it}: it is not a namespace`,
      hint: `Write a path such as ${quote("/proc/PID/ns/net")}`,
    };
  }
  if (op.do === "same") {
    return {
      code,
      message: `${it}: it is another one than when it was looked at`,
      hint: "Something put it there meanwhile: try again",
    };
  }
  switch (name) {
    case "ENOENT":
      return {
        code,
        hint: "The process or the file that held the namespace is gone",
      };
    case "EACCES":
      return {
        code,
        hint: facts.uid !== 0
          ? "The namespace belongs to a process of another user: run rustyrun as root, or as that user"
          : facts.inUserns
          ? "The namespace belongs to a process outside of this root's user namespace: run rustyrun as root of the machine"
          : "It takes CAP_SYS_PTRACE over the process that the namespace belongs to, and a file system on the way may refuse root, too (FUSE, NFS)",
      };
    case "EINVAL":
      return {
        code,
        message: `${it}: ${kernelWords(failure)}: it is ${
          op.do === "setns" && Number(op.type) === CLONE.NEWUSER
            ? "not a user namespace, or the one that rustyrun runs in"
            : "a namespace of another kind"
        }`,
        hint: "The kind is what ls -l shows: net:[4026531840]",
      };
    default:
      return {
        code,
        hint: "Joining needs CAP_SYS_ADMIN in the user namespace that owns it",
      };
  }
}
