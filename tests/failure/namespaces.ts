/**
 * Namespaces and cgroups that cannot be made or joined.
 *
 * @module
 */

import { CLONE } from "../../ffi/constants.ts";
import { UNPRIVILEGED } from "../manager_fixtures.ts";
import {
  closedNamespace,
  fork,
  joinCgroup,
  NOTHING,
  op,
  openNamespace,
  type Row,
  setns,
  unshare,
  verifyNamespace,
} from "./row.ts";

/** By what has failed. */
export const NAMESPACES: Record<string, Row> = {
  "user namespaces off by Debian's sysctl": {
    op: unshare(CLONE.NEWUSER),
    errno: "EPERM",
    user: true,
    sysctls: { "kernel/unprivileged_userns_clone": "0" },
    message:
      "Cannot make a user namespace (linux.namespaces[0]): unshare: EPERM (operation not permitted)",
    code: "userns-blocked",
    hint:
      "The sysctl kernel.unprivileged_userns_clone=0 forbids user namespaces: set it to 1, or run as root",
  },
  "user namespaces off by their number": {
    op: unshare(CLONE.NEWUSER),
    errno: "ENOSPC",
    user: true,
    sysctls: { "user/max_user_namespaces": "0" },
    message:
      "Cannot make a user namespace (linux.namespaces[0]): unshare: ENOSPC (no space left on device)",
    code: "userns-blocked",
    hint:
      "The sysctl user.max_user_namespaces=0 forbids user namespaces: raise it, or run as root",
  },
  "user namespaces that AppArmor restricts": {
    op: unshare(CLONE.NEWUSER),
    errno: "EACCES",
    user: true,
    sysctls: { "kernel/apparmor_restrict_unprivileged_userns": "1" },
    message:
      "Cannot make a user namespace (linux.namespaces[0]): unshare: EACCES (permission denied)",
    code: "userns-blocked",
    hint:
      "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns=1): rustyrun doctor shows the profile to install",
  },
  "the first act in a user namespace that AppArmor restricts": {
    op: op("setgid", {
      gid: 0,
      why: "become group 0 of the user namespace",
      from: "linux.namespaces[0]",
    }),
    errno: "EPERM",
    user: true,
    sysctls: { "kernel/apparmor_restrict_unprivileged_userns": "1" },
    message:
      "Cannot become group 0 of the user namespace (linux.namespaces[0]): setresgid: EPERM (operation not permitted)",
    code: "userns-blocked",
    hint:
      "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns=1): rustyrun doctor shows the profile to install",
  },
  "user namespaces inside a container": {
    op: unshare(CLONE.NEWUSER),
    errno: "EPERM",
    facts: { ...UNPRIVILEGED, inUserns: true },
    message:
      "Cannot make a user namespace (linux.namespaces[0]): unshare: EPERM (operation not permitted)",
    code: "userns-blocked",
    hint:
      "This seems to be a container that forbids user namespaces: rustyrun doctor shows what to change",
  },
  "user namespaces for no known reason": {
    op: unshare(CLONE.NEWUSER),
    errno: "EPERM",
    user: true,
    message:
      "Cannot make a user namespace (linux.namespaces[0]): unshare: EPERM (operation not permitted)",
    code: "userns-blocked",
    hint: "Something forbids user namespaces here: rustyrun doctor shows what",
  },
  "too many user namespaces": {
    op: unshare(CLONE.NEWUSER),
    errno: "ENOSPC",
    user: true,
    message:
      "Cannot make a user namespace (linux.namespaces[0]): unshare: ENOSPC (no space left on device)",
    code: "namespace-limit",
    hint:
      "The limit of namespaces is reached: see the sysctls user.max_user_namespaces, user.max_pid_namespaces, user.max_net_namespaces",
  },
  "user namespaces that are nested too deep": {
    op: unshare(CLONE.NEWUSER),
    errno: "EUSERS",
    user: true,
    message:
      "Cannot make a user namespace (linux.namespaces[0]): unshare: EUSERS (too many users)",
    code: "namespace-limit",
    hint:
      "The limit of namespaces is reached: see the sysctls user.max_user_namespaces, user.max_pid_namespaces, user.max_net_namespaces",
  },
  "a time namespace that the kernel does not have": {
    op: unshare(CLONE.NEWTIME),
    errno: "EINVAL",
    message:
      "Cannot make a time namespace (linux.namespaces[0]): unshare: EINVAL (invalid argument)",
    code: "namespace-unsupported",
    hint:
      "This kernel has no such namespace: rustyrun doctor shows which it has",
  },
  "a cgroup namespace without CAP_SYS_ADMIN": {
    op: unshare(CLONE.NEWCGROUP),
    errno: "EPERM",
    message:
      "Cannot make a cgroup namespace (linux.namespaces[0]): unshare: EPERM (operation not permitted)",
    code: "namespace-denied",
    hint:
      "CAP_SYS_ADMIN is missing here (a container?): rustyrun doctor shows what to change",
  },
  "new namespaces as root without CAP_SYS_ADMIN": {
    op: fork(),
    errno: "EPERM",
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: EPERM (operation not permitted)",
    code: "namespace-denied",
    hint:
      "CAP_SYS_ADMIN is missing here (a container?): rustyrun doctor shows what to change",
  },
  "new namespaces as a user": {
    op: fork(),
    errno: "EPERM",
    user: true,
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: EPERM (operation not permitted)",
    code: "namespace-denied",
    hint: "Without root it needs a user namespace",
  },
  "more namespaces than there may be": {
    op: fork(),
    errno: "ENOSPC",
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: ENOSPC (no space left on device)",
    code: "namespace-limit",
    hint:
      "The limit of namespaces is reached: see the sysctls user.max_user_namespaces, user.max_pid_namespaces, user.max_net_namespaces",
  },
  "more processes than there may be": {
    op: fork(),
    errno: "EAGAIN",
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: EAGAIN (resource temporarily unavailable)",
    code: "fork",
    hint:
      "The limit of processes (ulimit -u, or pids.max of this cgroup) or of memory is reached",
  },
  "no memory for a process": {
    op: fork(),
    errno: "ENOMEM",
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: ENOMEM (cannot allocate memory)",
    code: "fork",
    hint:
      "The limit of processes (ulimit -u, or pids.max of this cgroup) or of memory is reached",
  },
  "a namespace that the kernel does not have": {
    op: fork(),
    errno: "EINVAL",
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: EINVAL (invalid argument)",
    code: "namespace-unsupported",
    hint:
      "This kernel has no such namespace: rustyrun doctor shows which it has",
  },
  "clone3 that a seccomp filter hides": {
    op: op("warden", {
      control: "control",
      config: NOTHING,
      why: "leave a process that cleans up if this one is killed",
    }),
    errno: "ENOSYS",
    message:
      "Cannot leave a process that cleans up if this one is killed: clone3: ENOSYS (function not implemented)",
    code: "namespace-denied",
    hint:
      "A seccomp filter forbids it (a container?): start that one with --security-opt seccomp=unconfined",
  },
  "a fork for an unknown reason": {
    op: fork(),
    errno: "EIO",
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: EIO (input/output error)",
    code: "namespace",
  },
  "a v2 cgroup that another user owns": {
    op: fork("cgroup"),
    errno: "EACCES",
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: EACCES (permission denied)",
    code: "cgroup-denied",
    hint:
      "This user may not move a process into the container's cgroup: it takes write access to cgroup.procs there and in the first cgroup above both, as systemd-run --user --scope -p Delegate=yes gives it",
  },
  "a v2 cgroup above the delegated one": {
    op: fork("cgroup"),
    errno: "EPERM",
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: EPERM (operation not permitted)",
    code: "cgroup-denied",
    hint:
      "This user may not move a process into the container's cgroup: it takes write access to cgroup.procs there and in the first cgroup above both, as systemd-run --user --scope -p Delegate=yes gives it",
  },
  "no rights over namespaces, with a v2 cgroup": {
    op: fork("cgroup"),
    errno: "EPERM",
    user: true,
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: EPERM (operation not permitted)",
    code: "namespace-denied",
    hint: "Without root it needs a user namespace",
  },
  "a v2 cgroup with controllers for those below": {
    op: fork("cgroup"),
    errno: "EBUSY",
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: EBUSY (device or resource busy)",
    code: "cgroup-busy",
    hint:
      "The cgroup hands controllers on to cgroups below it (cgroup.subtree_control), and then holds no processes: name another in linux.cgroupsPath",
  },
  "a v2 cgroup below a threaded one": {
    op: fork("cgroup"),
    errno: "EOPNOTSUPP",
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: EOPNOTSUPP (operation not supported)",
    code: "cgroup-threaded",
    hint:
      "The cgroup is of the type domain invalid: it lies below a threaded one; name another in linux.cgroupsPath",
  },
  "a v2 cgroup that is gone": {
    op: fork("cgroup"),
    errno: "ENODEV",
    message:
      "Cannot start the container's first process (linux.namespaces): clone3: ENODEV (no such device)",
    code: "cgroup-gone",
    hint: "Somebody removed the cgroup meanwhile: try again",
  },
  "a namespace whose process is gone": {
    op: openNamespace(),
    errno: "ENOENT",
    message:
      'Cannot join the network namespace "/proc/9/ns/net" (linux.namespaces[1]): openat2: ENOENT (no such file or directory)',
    code: "namespace-join",
    hint: "The process or the file that held the namespace is gone",
  },
  "a namespace of another user's process": {
    ...closedNamespace(
      "The namespace belongs to a process of another user: run rustyrun as root, or as that user",
    ),
    user: true,
  },
  "a namespace that is closed to root": closedNamespace(
    "It takes CAP_SYS_PTRACE over the process that the namespace belongs to, and a file system on the way may refuse root, too (FUSE, NFS)",
  ),
  "a namespace that is closed to root of a user namespace": {
    ...closedNamespace(
      "The namespace belongs to a process outside of this root's user namespace: run rustyrun as root of the machine",
    ),
    facts: { inUserns: true },
  },
  "a path that is no namespace": {
    op: verifyNamespace(),
    errno: "ENODEV",
    text: "another file system",
    message:
      'Cannot join the network namespace "/proc/9/ns/net" (linux.namespaces[1]): it is not a namespace',
    code: "namespace-join",
    hint: 'Write a path such as "/proc/PID/ns/net"',
  },
  "a namespace that was put there after the look": {
    op: op("same", { slot: "ns.network", dev: 4, ino: 9, why: "enter it" }),
    errno: "ESTALE",
    message:
      'Cannot join the network namespace "/proc/9/ns/net": it is another one than when it was looked at',
    code: "namespace-join",
    hint: "Something put it there meanwhile: try again",
  },
  "a file that was put there after the look": {
    op: op("same", { slot: "x", dev: 4, ino: 9, why: "use what was judged" }),
    errno: "ESTALE",
    text: "another file than before",
    message: "Cannot use what was judged: fstat: ESTALE (stale file handle)",
    code: "replaced",
    hint: "Something put another file in its place meanwhile: try again",
  },
  "a namespace of another kind": {
    op: setns("ns.network", CLONE.NEWNET),
    errno: "EINVAL",
    message:
      'Cannot join the network namespace "/proc/9/ns/net" (linux.namespaces[1]): setns: EINVAL (invalid argument): it is a namespace of another kind',
    code: "namespace-join",
    hint: "The kind is what ls -l shows: net:[4026531840]",
  },
  "the user namespace that it is in": {
    op: setns("ns.user", CLONE.NEWUSER),
    errno: "EINVAL",
    message:
      "Cannot join the user namespace (linux.namespaces[1]): setns: EINVAL (invalid argument): it is not a user namespace, or the one that rustyrun runs in",
    code: "namespace-join",
    hint: "The kind is what ls -l shows: net:[4026531840]",
  },
  "a namespace without rights over it": {
    op: setns("ns.network", CLONE.NEWNET),
    errno: "EPERM",
    message:
      'Cannot join the network namespace "/proc/9/ns/net" (linux.namespaces[1]): setns: EPERM (operation not permitted)',
    code: "namespace-join",
    hint: "Joining needs CAP_SYS_ADMIN in the user namespace that owns it",
  },
  "a list of tasks that another user owns": {
    op: joinCgroup(),
    errno: "EACCES",
    message:
      "Cannot join the cgroup /sys/fs/cgroup/pids/box (linux.cgroupsPath): write: EACCES (permission denied)",
    code: "cgroup-join",
    hint:
      "This user may not move a process there: it takes write access to the cgroup and to the first above both",
  },
  "a cgroup that may not be left": {
    op: joinCgroup(),
    errno: "EPERM",
    message:
      "Cannot join the cgroup /sys/fs/cgroup/pids/box (linux.cgroupsPath): write: EPERM (operation not permitted)",
    code: "cgroup-join",
    hint:
      "This user may not move a process there: it takes write access to the cgroup and to the first above both",
  },
  "a cgroup with controllers for those below": {
    op: joinCgroup(),
    errno: "EBUSY",
    message:
      "Cannot join the cgroup /sys/fs/cgroup/pids/box (linux.cgroupsPath): write: EBUSY (device or resource busy)",
    code: "cgroup-join",
    hint:
      "The cgroup hands controllers on to cgroups below it, and then holds no processes",
  },
  "a cpuset without CPUs": {
    op: joinCgroup(),
    errno: "ENOSPC",
    message:
      "Cannot join the cgroup /sys/fs/cgroup/pids/box (linux.cgroupsPath): write: ENOSPC (no space left on device)",
    code: "cgroup-join",
    hint: "The cpuset of the cgroup has no CPUs or no memory nodes",
  },
  "a cgroup without a real-time budget": {
    op: joinCgroup(),
    errno: "EINVAL",
    message:
      "Cannot join the cgroup /sys/fs/cgroup/pids/box (linux.cgroupsPath): write: EINVAL (invalid argument)",
    code: "cgroup-join",
    hint:
      "A real-time process needs a cgroup with a real-time budget: cpu.rt_runtime_us",
  },
  "a cgroup that is full": {
    op: joinCgroup(),
    errno: "EAGAIN",
    message:
      "Cannot join the cgroup /sys/fs/cgroup/pids/box (linux.cgroupsPath): write: EAGAIN (resource temporarily unavailable)",
    code: "cgroup-join",
    hint: "The cgroup has as many processes as it may: pids.max",
  },
  "a cgroup that is gone": {
    op: joinCgroup(),
    errno: "ENODEV",
    message:
      "Cannot join the cgroup /sys/fs/cgroup/pids/box (linux.cgroupsPath): write: ENODEV (no such device)",
    code: "cgroup-join",
    hint: "Somebody removed the cgroup meanwhile: try again",
  },
  "a cgroup below a threaded one": {
    op: joinCgroup(),
    errno: "EOPNOTSUPP",
    message:
      "Cannot join the cgroup /sys/fs/cgroup/pids/box (linux.cgroupsPath): write: EOPNOTSUPP (operation not supported)",
    code: "cgroup-join",
    hint: "The cgroup lies below a threaded one: name another",
  },
};
