/**
 * File systems, layers and volumes that cannot be taken.
 *
 * @module
 */

import { fsmount, mkdirOwn, op, openTree, overlay, type Row } from "./row.ts";

/** By what has failed. */
export const MOUNTS: Record<string, Row> = {
  "a volume that is one descriptor too many": {
    op: op("openTree", {
      into: "mount.9",
      at: "",
      path: "/data",
      flags: 1,
      why: 'take "/data" of the host',
      from: "mounts[1]",
    }),
    errno: "EMFILE",
    message:
      'Cannot mount "/data" on "/mnt" (mounts[1]): open_tree: EMFILE (too many open files)',
    code: "mount",
    hint: "The caller's limit of open files is reached: ulimit -n raises it",
  },
  "/proc that is masked": {
    op: fsmount("proc"),
    errno: "EPERM",
    text: "e VFS: Mount too revealing",
    message:
      'Cannot mount proc on "/proc" (mounts[0]): VFS: Mount too revealing: EPERM (operation not permitted)',
    code: "masked-proc",
    hint:
      "/proc is partly masked here (a container?): rustyrun doctor shows what to change",
  },
  "/sys that is masked": {
    op: fsmount("sysfs"),
    errno: "EPERM",
    text: "sysfs",
    message:
      'Cannot mount sysfs on "/proc" (mounts[0]): fsopen: EPERM (operation not permitted)',
    code: "masked-proc",
    hint:
      "/sys is partly masked here (a container?): rustyrun doctor shows what to change",
  },
  "a file system that may not be mounted in a user namespace": {
    op: fsmount("ext4"),
    errno: "EPERM",
    user: true,
    text: "ext4",
    message:
      'Cannot mount ext4 on "/proc" (mounts[0]): fsopen: EPERM (operation not permitted)',
    code: "mount-denied",
    hint:
      "In a user namespace the kernel allows only some file systems, and locks what the host has mounted",
  },
  "a file system that a module forbids": {
    op: fsmount("tmpfs"),
    errno: "EPERM",
    text: "tmpfs",
    message:
      'Cannot mount tmpfs on "/proc" (mounts[0]): fsopen: EPERM (operation not permitted)',
    code: "mount-denied",
    hint:
      "CAP_SYS_ADMIN or a security module forbids it: rustyrun doctor shows what",
  },
  "a file system that the kernel does not have": {
    op: fsmount("nfs"),
    errno: "ENODEV",
    text: "nfs",
    message:
      'Cannot mount nfs on "/proc" (mounts[0]): fsopen: ENODEV (no such device)',
    code: "filesystem-unknown",
    hint: "This kernel does not know that file system: see /proc/filesystems",
  },
  "an option that a file system does not have": {
    op: fsmount("tmpfs"),
    errno: "EINVAL",
    text: "e tmpfs: Unknown parameter 'nope'",
    message:
      "Cannot mount tmpfs on \"/proc\" (mounts[0]): tmpfs: Unknown parameter 'nope': EINVAL (invalid argument)",
    code: "mount-options",
    hint:
      "The file system tmpfs does not take one of the options, or not that value",
  },
  "a v1 controller that is in use": {
    op: fsmount("cgroup"),
    errno: "EBUSY",
    text: "cgroup",
    message:
      'Cannot mount cgroup on "/proc" (mounts[0]): fsopen: EBUSY (device or resource busy)',
    code: "cgroup-hierarchy",
    hint:
      "The controller is in use in another hierarchy: /proc/self/cgroup shows which there are",
  },
  "more mounts than there may be": {
    op: fsmount("tmpfs"),
    errno: "ENOSPC",
    text: "tmpfs",
    message:
      'Cannot mount tmpfs on "/proc" (mounts[0]): there may be no more mounts',
    code: "mount-limit",
    hint: "The sysctls fs.mount-max and user.max_mnt_namespaces are the limits",
  },
  "the mount API that a filter hides": {
    op: fsmount("tmpfs"),
    errno: "ENOSYS",
    text: "tmpfs",
    message:
      'Cannot mount tmpfs on "/proc" (mounts[0]): fsopen: ENOSYS (function not implemented)',
    code: "mount-api",
    hint:
      "The kernel is older than 5.15, or a seccomp filter forbids it (a container?): rustyrun doctor shows which",
  },
  "an option that is too long": {
    op: fsmount("tmpfs"),
    errno: "ENAMETOOLONG",
    text: "tmpfs",
    message:
      'Cannot mount tmpfs on "/proc" (mounts[0]): fsopen: ENAMETOOLONG (file name too long)',
    code: "path-too-long",
    hint: "A name has at most 255 bytes, an option 4095, and a path 4095",
  },
  "a file system of rustyrun's own": {
    op: op("fsmount", {
      into: "files",
      fstype: "tmpfs",
      options: [],
      attr: 0,
      flags: 0,
      why: "hold the files that rustyrun writes for the container",
      from: "files",
    }),
    errno: "EPERM",
    message:
      "Cannot mount tmpfs to hold the files that rustyrun writes for the container: fsopen: EPERM (operation not permitted)",
    code: "mount-denied",
    hint:
      "CAP_SYS_ADMIN or a security module forbids it: rustyrun doctor shows what",
  },
  "a layer's directory that was replaced": {
    op: mkdirOwn(),
    errno: "ESTALE",
    text: "rustyrun-box-1",
    flags: { ephemeral: "--ephemeral=/up" },
    message:
      'Cannot make a directory for what the container writes (--ephemeral=/up): "rustyrun-box-1" has not stayed what was made',
    code: "replaced",
    hint:
      "Who else may write that directory has put something in its place: give one that is yours alone",
  },
  "a layer's directory that cannot be made": {
    op: mkdirOwn(),
    errno: "EACCES",
    text: "rustyrun-box-1",
    flags: { ephemeral: "--ephemeral=/up" },
    message:
      "Cannot make a directory for what the container writes (--ephemeral=/up): mkdirat: EACCES (permission denied)",
    code: "ephemeral-unusable",
    hint:
      "Give a directory that you may write, or --ephemeral alone to keep the changes in memory",
  },
  "a full disk for a layer": {
    op: mkdirOwn(),
    errno: "ENOSPC",
    text: "rustyrun-box-1",
    message:
      "Cannot make a directory for what the container writes (ephemeral): mkdirat: ENOSPC (no space left on device)",
    code: "mount-point-space",
    hint: "There is no room left where it would be made: df shows where",
  },
  "an overlay on an overlay": {
    op: overlay(),
    errno: "EINVAL",
    text: "e overlay: filesystem on /upper not supported as upperdir",
    flags: { ephemeral: "--ephemeral" },
    message:
      "Cannot mount overlay to lay a throw-away layer over the root file system (--ephemeral): overlay: filesystem on /upper not supported as upperdir: EINVAL (invalid argument)",
    code: "overlay",
    hint:
      "The root file system is itself an overlay (inside Docker?): --ephemeral=DIR with a DIR on another file system, or a volume",
  },
  "no overlay in the kernel": {
    op: overlay(),
    errno: "ENODEV",
    text: "overlay",
    message:
      "Cannot mount overlay to lay a throw-away layer over the root file system (ephemeral): fsopen: ENODEV (no such device)",
    code: "overlay",
    hint:
      "This kernel has no overlay: modprobe overlay, or leave --ephemeral out",
  },
  "an overlay in a user namespace": {
    op: overlay(),
    errno: "EPERM",
    user: true,
    text: "overlay",
    message:
      "Cannot mount overlay to lay a throw-away layer over the root file system (ephemeral): fsopen: EPERM (operation not permitted)",
    code: "overlay",
    hint:
      "A user namespace's overlay needs a kernel >= 5.11, and >= 6.6 for an upper layer in memory: --ephemeral=DIR names a directory for it",
  },
  "a volume whose source is missing": {
    op: openTree(),
    errno: "ENOENT",
    flags: { "mounts[1]": "-v /data:/mnt" },
    message:
      'Cannot mount "/data" on "/mnt" (-v /data:/mnt): the source does not exist: no such file or directory',
    code: "mount-source",
    hint: "Create it first, or correct the path",
  },
  "a volume whose source may not be reached": {
    op: openTree(),
    errno: "EACCES",
    message:
      'Cannot mount "/data" on "/mnt" (mounts[1]): open_tree: EACCES (permission denied)',
    code: "mount-source",
    hint: "A directory above it does not let this user in",
  },
  "a volume without what the host has mounted in it": {
    op: op("openTree", {
      into: "mount.1",
      at: "",
      path: "1",
      flags: 1,
      why: 'mount "/data" without what is mounted below it',
      from: "mounts[1]",
    }),
    errno: "EINVAL",
    userns: true,
    message:
      'Cannot mount "/data" without what is mounted below it (mounts[1]): the host has mounted something in it, and a container with a user namespace is not to see what that covers',
    code: "mount-uncovers",
    hint:
      'Take it along: "rbind" in place of "bind", and no bind-recursive=disabled',
  },
  "a volume on an unbindable mount": {
    op: openTree(),
    errno: "EINVAL",
    message:
      'Cannot mount "/data" on "/mnt" (mounts[1]): open_tree: EINVAL (invalid argument)',
    code: "mount-unbindable",
    hint:
      "The mount that it lies on is unbindable: findmnt -o TARGET,PROPAGATION shows it, mount --make-private changes it",
  },
  "a root file system that may not be taken": {
    op: op("openTree", {
      into: "root",
      at: "",
      path: "/bundle/rootfs",
      flags: 1,
      why: "take the root file system",
      from: "root.path",
    }),
    errno: "EPERM",
    user: true,
    message:
      "Cannot take the root file system (root.path): open_tree: EPERM (operation not permitted)",
    code: "mount-denied",
    hint:
      "In a user namespace the kernel allows only some file systems, and locks what the host has mounted",
  },
};
