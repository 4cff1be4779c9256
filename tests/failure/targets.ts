/**
 * Mount points that cannot be used.
 *
 * @module
 */

import { moveMount, op, type Row, target } from "./row.ts";

/** By what has failed. */
export const TARGETS: Record<string, Row> = {
  "what a tmpfs covers cannot be looked at": {
    op: op("cover", {
      tree: "mount",
      at: "",
      below: "",
      root: "root",
      path: "/mnt",
      mode: 0o1777,
      take: 1,
      why: 'give it the mode of "/mnt"',
      from: "mounts[1]",
    }),
    errno: "ELOOP",
    message:
      'Cannot give the new mount on "/mnt" the mode of what it covers (mounts[1]): fchmodat: ELOOP (too many levels of symbolic links)',
    code: "mount-point",
    hint:
      "A symbolic link is in the way: none is followed for /proc and /sys, in a circle, or out of procfs",
  },
  "a mount point of another kind": {
    op: target(),
    errno: "ENOTDIR",
    message:
      'Cannot use "/mnt" as a mount point (mounts[1]): openat2: ENOTDIR (not a directory)',
    code: "mount-point",
    hint:
      "The mount point in the root file system is of another kind than what is mounted on it",
  },
  "a mount point that is a directory": {
    op: target(),
    errno: "EISDIR",
    message:
      'Cannot use "/mnt" as a mount point (mounts[1]): openat2: EISDIR (is a directory)',
    code: "mount-point",
    hint:
      "The mount point in the root file system is of another kind than what is mounted on it",
  },
  "a mount point whose links are a circle": {
    op: target(),
    errno: "ELOOP",
    message:
      'Cannot use "/mnt" as a mount point (mounts[1]): openat2: ELOOP (too many levels of symbolic links)',
    code: "mount-point",
    hint:
      "A symbolic link is in the way: none is followed for /proc and /sys, in a circle, or out of procfs",
  },
  "a mount point on a read-only root": {
    op: target(),
    errno: "EROFS",
    message:
      'Cannot use "/mnt" as a mount point (mounts[1]): openat2: EROFS (read-only file system)',
    code: "mount-readonly",
    hint:
      "The mount point does not exist and the root file system is read-only: make it there, or use --ephemeral",
  },
  "a mount point in a root of another id": {
    op: target(),
    errno: "EACCES",
    user: true,
    userns: true,
    message:
      'Cannot use "/mnt" as a mount point (mounts[1]): openat2: EACCES (permission denied)',
    code: "mount-point-denied",
    hint:
      "It is missing, and what it belongs in is not of an id that the user namespace maps: make it first, or chown the root file system",
  },
  "a mount point that may not be made": {
    op: target(),
    errno: "EACCES",
    message:
      'Cannot use "/mnt" as a mount point (mounts[1]): openat2: EACCES (permission denied)',
    code: "mount-point-denied",
    hint: "Make the mount point first, as who owns the root file system",
  },
  "a mount point on a full disk": {
    op: target(),
    errno: "ENOSPC",
    message:
      'Cannot use "/mnt" as a mount point (mounts[1]): openat2: ENOSPC (no space left on device)',
    code: "mount-point-space",
    hint: "There is no room left where it would be made: df shows where",
  },
  "a mount point over the quota": {
    op: target(),
    errno: "EDQUOT",
    message:
      'Cannot use "/mnt" as a mount point (mounts[1]): openat2: EDQUOT (disk quota exceeded)',
    code: "mount-point-space",
    hint: "There is no room left where it would be made: df shows where",
  },
  "a mount point of rustyrun's files": {
    op: op("target", {
      into: "target",
      at: "",
      below: "",
      root: "root",
      path: "/etc/hosts",
      kind: 2,
      mode: 0o644,
      why: 'find the place of "/etc/hosts"',
      from: "files[0]",
    }),
    errno: "EACCES",
    user: true,
    userns: true,
    message:
      'Cannot use "/etc/hosts" as a mount point: openat2: EACCES (permission denied)',
    code: "mount-point-denied",
    hint:
      "It is missing, and what it belongs in is not of an id that the user namespace maps: make it first, or chown the root file system",
  },
  "a symbolic link for /proc": {
    op: op("open", {
      into: "target",
      at: "root",
      path: "proc",
      flags: 0,
      mode: 0,
      resolve: 0,
      why: 'find the place of "/proc"',
      from: "mounts[0]",
    }),
    errno: "ELOOP",
    message:
      'Cannot use "/proc" as a mount point (mounts[0]): openat2: ELOOP (too many levels of symbolic links)',
    code: "mount-point",
    hint:
      "A symbolic link is in the way: none is followed for /proc and /sys, in a circle, or out of procfs",
  },
  "a file for /proc": {
    op: op("mkdir", {
      at: "root",
      name: "proc",
      mode: 0o755,
      why: 'make "/proc" where it is missing',
      from: "mounts[0]",
    }),
    errno: "EEXIST",
    message:
      'Cannot use "/proc" as a mount point (mounts[0]): mkdirat: EEXIST (file exists)',
    code: "mount-point",
    hint:
      "The mount point in the root file system is of another kind than what is mounted on it",
  },
  "a root in which nothing can be made": {
    op: op("mkdir", {
      at: "root",
      name: "sys",
      mode: 0o755,
      why: 'make "/sys" where it is missing',
      from: "mounts[0]",
    }),
    errno: "ENOENT",
    message:
      'Cannot use "/proc" as a mount point (mounts[0]): mkdirat: ENOENT (no such file or directory)',
    code: "mount-point",
    hint:
      "It is missing, and the root file system is one in which no directory can be made: name another one",
  },
  "a read-only root without /proc": {
    op: op("mkdir", {
      at: "root",
      name: "proc",
      mode: 0o755,
      why: 'make "/proc" where it is missing',
      from: "mounts[0]",
    }),
    errno: "EROFS",
    message:
      'Cannot use "/proc" as a mount point (mounts[0]): mkdirat: EROFS (read-only file system)',
    code: "mount-readonly",
    hint:
      "The mount point does not exist and the root file system is read-only: make it there, or use --ephemeral",
  },
  "a layer on a read-only file system": {
    op: op("mkdir", {
      at: "uppers",
      name: "box",
      mode: 0o700,
      why: "make a directory for what the container writes",
      from: "ephemeral",
    }),
    errno: "EROFS",
    message:
      "Cannot make a directory for what the container writes (ephemeral): mkdirat: EROFS (read-only file system)",
    code: "ephemeral-readonly",
    hint:
      "Its file system is mounted read-only: name another directory, or leave =DIR out",
  },
  "a full layer": {
    op: op("mkdir", {
      at: "layers",
      name: "upper",
      mode: 0o755,
      why: "make the overlay's upper directory",
      from: "ephemeral",
    }),
    errno: "ENOSPC",
    message:
      "Cannot make the overlay's upper directory (ephemeral): mkdirat: ENOSPC (no space left on device)",
    code: "mount-point-space",
    hint: "There is no room left where it would be made: df shows where",
  },
  "a mount that the kernel refuses": {
    op: moveMount("mounts[1]"),
    errno: "EINVAL",
    message:
      'Cannot mount "/mnt" (mounts[1]): move_mount: EINVAL (invalid argument)',
    code: "mount-invalid",
    hint:
      "The kernel cannot mount that there: a namespace in itself, or below a mount that is shared with the host",
  },
  "a root that the kernel refuses": {
    op: moveMount("root.path"),
    errno: "EINVAL",
    flags: { "root.path": "--rootfs DIR" },
    message:
      'Cannot put the root file system "/bundle/rootfs" in its place (--rootfs DIR): move_mount: EINVAL (invalid argument)',
    code: "mount-invalid",
    hint:
      "The kernel cannot mount that there: a namespace in itself, or below a mount that is shared with the host",
  },
  "a file of rustyrun's own that cannot be mounted": {
    op: moveMount("files[0]"),
    errno: "EPERM",
    message:
      'Cannot mount "/etc/hosts": move_mount: EPERM (operation not permitted)',
    code: "mount-denied",
    hint:
      "CAP_SYS_ADMIN or a security module forbids it: rustyrun doctor shows what",
  },
};
