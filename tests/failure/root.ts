/**
 * Attributes of mounts, the root, devices and terminals that cannot be had.
 *
 * @module
 */

import { copyUp, mknod, NOTHING, op, type Row, setAttr } from "./row.ts";

/** By what has failed. */
export const ROOT: Record<string, Row> = {
  "a locked mount": {
    op: setAttr("mounts[1]"),
    errno: "EPERM",
    user: true,
    message:
      'Cannot mount "/mnt" (mounts[1]): mount_setattr: EPERM (operation not permitted)',
    code: "mount-locked",
    hint:
      "In a user namespace what the host has mounted read-only, nosuid, nodev or noexec must stay so",
  },
  "an attribute that the kernel does not know": {
    op: setAttr("mounts[1]"),
    errno: "EINVAL",
    message:
      'Cannot mount "/mnt" (mounts[1]): mount_setattr: EINVAL (invalid argument)',
    code: "mount-invalid",
    hint:
      "The kernel does not take these options together: see mount_setattr(2)",
  },
  "ids that a file system does not map": {
    op: setAttr("mounts[1]", "idmap"),
    errno: "EINVAL",
    message:
      'Cannot mount "/mnt" (mounts[1]): mount_setattr: EINVAL (invalid argument)',
    code: "mount-idmap",
    hint:
      "This kernel cannot map the ids of that file system, or they are mapped already: leave idmap out, or use another file system",
  },
  "ids that the caller may not map": {
    op: setAttr("mounts[1]", "idmap"),
    errno: "EPERM",
    message:
      'Cannot mount "/mnt" (mounts[1]): mount_setattr: EPERM (operation not permitted)',
    code: "mount-idmap",
    hint:
      "This kernel cannot map the ids of that file system, or they are mapped already: leave idmap out, or use another file system",
  },
  "the propagation of the host's mounts": {
    op: op("mountSetattr", {
      slot: "",
      path: "/",
      flags: 0,
      set: 0,
      clear: 0,
      propagation: 1,
      userns: "",
      why: "keep the container's mounts from the host",
      from: "linux.rootfsPropagation",
    }),
    errno: "EINVAL",
    message:
      "Cannot keep the container's mounts from the host (linux.rootfsPropagation): mount_setattr: EINVAL (invalid argument)",
    code: "mount-invalid",
    hint:
      "The kernel does not take these options together: see mount_setattr(2)",
  },
  "an option that cannot be changed": {
    op: op("reconfigure", {
      slot: "target",
      options: ["size=1"],
      why: "change the options of the file system",
      from: "mounts[1]",
    }),
    errno: "EINVAL",
    message:
      'Cannot mount "/mnt" (mounts[1]): fsconfig: EINVAL (invalid argument)',
    code: "mount-invalid",
    hint:
      "The kernel does not take these options together: see mount_setattr(2)",
  },
  "a path that cannot be hidden": {
    op: op("mask", {
      at: "",
      below: "",
      root: "root",
      path: "/proc/kcore",
      file: "null",
      dir: "empty",
      why: 'hide "/proc/kcore"',
      from: "linux.maskedPaths[0]",
    }),
    errno: "EACCES",
    user: true,
    text: "/proc/kcore",
    message:
      'Cannot hide "/proc/kcore" (linux.maskedPaths[0]): move_mount: EACCES (permission denied)',
    code: "mount-denied",
    hint:
      "In a user namespace the kernel allows only some file systems, and locks what the host has mounted",
  },
  "a path that cannot be made read-only": {
    op: op("readonly", {
      at: "",
      below: "",
      root: "root",
      path: "/proc/sys",
      why: 'make "/proc/sys" read-only',
      from: "linux.readonlyPaths[0]",
    }),
    errno: "EPERM",
    text: "/proc/sys",
    message:
      'Cannot make "/proc/sys" read-only (linux.readonlyPaths[0]): mount_setattr: EPERM (operation not permitted)',
    code: "mount-denied",
    hint:
      "CAP_SYS_ADMIN or a security module forbids it: rustyrun doctor shows what",
  },
  "a tmpfs that is too small for a copy": {
    op: copyUp(),
    errno: "ENOSPC",
    message:
      'Cannot copy what the image has in "/mnt" into the new mount (mounts[1]): copy: ENOSPC (no space left on device)',
    code: "copy-up",
    hint:
      "What the image has there is larger than the tmpfs: give it more, size=",
  },
  "a directory to copy that may not be read": {
    op: copyUp(),
    errno: "EACCES",
    message:
      'Cannot copy what the image has in "/mnt" into the new mount (mounts[1]): copy: EACCES (permission denied)',
    code: "copy-up",
    hint: "The container's root user may not read all of it",
  },
  "a copy that may not have its owner": {
    op: copyUp(),
    errno: "EPERM",
    message:
      'Cannot copy what the image has in "/mnt" into the new mount (mounts[1]): copy: EPERM (operation not permitted)',
    code: "copy-up",
    hint: "The container's root user may not give a copy its owner",
  },
  "a directory to copy that is too deep": {
    op: copyUp(),
    errno: "ELOOP",
    text: "the directory to copy is too deep",
    message:
      'Cannot copy what the image has in "/mnt" into the new mount (mounts[1]): copy: the directory to copy is too deep',
    code: "copy-up",
    hint: "Directories may be 64 deep: leave tmpcopyup out",
  },
  "an initramfs as the root": {
    op: op("pivot", {
      root: "root",
      why: "make it the root, and let go of the host's",
      from: "root.path",
    }),
    errno: "EINVAL",
    text: "pivot_root",
    message:
      "Cannot make the root file system the container's root (root.path): pivot_root: EINVAL (invalid argument)",
    code: "pivot",
    hint:
      "The host's own root cannot be pivoted away from (an initramfs?): --no-pivot uses chroot instead",
  },
  "the host's root that stays": {
    op: op("pivot", {
      root: "root",
      why: "make it the root, and let go of the host's",
      from: "root.path",
    }),
    errno: "EBUSY",
    text: "the host's root is still there",
    message:
      "Cannot make the root file system the container's root (root.path): pivot_root: the host's root is still there",
    code: "pivot",
    hint: "rustyrun doctor shows what is missing here",
  },
  "chroot without CAP_SYS_CHROOT": {
    op: op("chroot", {
      root: "root",
      why: "make it the root by chroot",
      from: "noPivot",
    }),
    errno: "EPERM",
    text: "chroot",
    flags: { noPivot: "--no-pivot" },
    message:
      "Cannot change the root to the root file system (--no-pivot): chroot: EPERM (operation not permitted)",
    code: "chroot",
    hint: "It needs CAP_SYS_CHROOT: run as root, or leave --no-pivot out",
  },
  "a root in the caller's mount namespace": {
    op: op("enter", {
      root: "root",
      why: "make it the root of this process, and of no other",
      from: "linux.namespaces",
    }),
    errno: "EPERM",
    text: "chroot",
    message:
      "Cannot change the root to the root file system (linux.namespaces): chroot: EPERM (operation not permitted)",
    code: "chroot",
    hint: "It needs CAP_SYS_CHROOT: run as root",
  },
  "a root that cannot be moved": {
    op: op("chroot", {
      root: "root",
      why: "make it the root by chroot",
      from: "noPivot",
    }),
    errno: "EINVAL",
    text: "move_mount",
    message:
      "Cannot change the root to the root file system (noPivot): move_mount: EINVAL (invalid argument)",
    code: "chroot",
    hint: "rustyrun doctor shows what is missing here",
  },
  "a device in a user namespace": {
    op: mknod(),
    errno: "EPERM",
    message:
      'Cannot make the device "/dev/null": mknodat: EPERM (operation not permitted)',
    code: "device",
    hint: "Making device nodes needs CAP_MKNOD outside a user namespace",
  },
  "a file where a device goes": {
    op: mknod(),
    errno: "EEXIST",
    message:
      'Cannot make the device "/dev/null": mknodat: EEXIST (file exists)',
    code: "device",
    hint: "A file of that name is there already and is no such device",
  },
  "a read-only /dev": {
    op: mknod(),
    errno: "EROFS",
    message:
      'Cannot make the device "/dev/null": mknodat: EROFS (read-only file system)',
    code: "device",
    hint: "/dev is read-only: mount a tmpfs on it",
  },
  "a full /dev": {
    op: mknod(),
    errno: "ENOSPC",
    message:
      'Cannot make the device "/dev/null": mknodat: ENOSPC (no space left on device)',
    code: "device",
    hint: "/dev is full: give its tmpfs more",
  },
  "a device in a missing directory": {
    op: mknod(),
    errno: "ENOENT",
    message:
      'Cannot make the device "/dev/null": mknodat: ENOENT (no such file or directory)',
    code: "device",
    hint: "A directory above it is missing",
  },
  "a link in /dev that is there": {
    op: op("symlink", {
      at: "dev",
      name: "fd",
      target: "/proc/self/fd",
      why: 'make "/dev/fd" lead to "/proc/self/fd"',
    }),
    errno: "EEXIST",
    text: "fd",
    message:
      'Cannot make "/dev/fd" lead to "/proc/self/fd": symlinkat: EEXIST (file exists)',
    code: "device",
    hint: "Something of that name is there already",
  },
  "a link in a read-only /dev": {
    op: op("symlink", {
      at: "dev",
      name: "fd",
      target: "/proc/self/fd",
      why: 'make "/dev/fd" lead to "/proc/self/fd"',
    }),
    errno: "EROFS",
    text: "fd",
    message:
      'Cannot make "/dev/fd" lead to "/proc/self/fd": symlinkat: EROFS (read-only file system)',
    code: "device",
    hint: "The directory is read-only",
  },
  "a link in a full /dev": {
    op: op("symlink", {
      at: "dev",
      name: "fd",
      target: "/proc/self/fd",
      why: 'make "/dev/fd" lead to "/proc/self/fd"',
    }),
    errno: "ENOSPC",
    text: "fd",
    message:
      'Cannot make "/dev/fd" lead to "/proc/self/fd": symlinkat: ENOSPC (no space left on device)',
    code: "device",
    hint: "The file system is full",
  },
  "a null device that is another": {
    op: op("verify", {
      slot: "stdin",
      type: 0o20000,
      rdev: 0x103,
      magic: 0,
      why: "make sure that it is the null device",
    }),
    errno: "ENODEV",
    text: "another device",
    message: "Cannot use what should be the null device: it is another device",
    code: "device-fake",
    hint: "Something is mounted over the host's own file: findmnt shows what",
  },
  "a file of rustyrun's own without memory": {
    op: op("file", {
      at: "files",
      name: "0",
      mode: 0o644,
      data: NOTHING,
      why: 'write "/etc/hosts"',
      from: "files[0]",
    }),
    errno: "ENOSPC",
    message:
      'Cannot write "/etc/hosts": openat: ENOSPC (no space left on device)',
    code: "file",
    hint:
      "The memory for the files that rustyrun writes is used up: the kernel's log (dmesg) may say more",
  },
  "too many terminals": {
    op: op("pty", {
      master: "m",
      peer: "p",
      devpts: "d",
      rows: 0,
      cols: 0,
      why: "open a terminal of the container's own",
      from: "process.terminal",
    }),
    errno: "ENOSPC",
    message:
      "Cannot open a terminal of the container's own (process.terminal): open ptmx: ENOSPC (no space left on device)",
    code: "terminal",
    hint:
      "There are as many terminals as there may be: see the sysctl kernel.pty.max",
  },
  "terminals that the mode forbids": {
    op: op("pty", {
      master: "m",
      peer: "p",
      devpts: "d",
      rows: 0,
      cols: 0,
      why: "open a terminal of the container's own",
      from: "process.terminal",
    }),
    errno: "EACCES",
    message:
      "Cannot open a terminal of the container's own (process.terminal): open ptmx: EACCES (permission denied)",
    code: "terminal",
    hint: "The container's /dev/pts does not let it: check the mode ptmxmode",
  },
  "no devpts": {
    op: op("pty", {
      master: "m",
      peer: "p",
      devpts: "d",
      rows: 0,
      cols: 0,
      why: "open a terminal of the container's own",
      from: "process.terminal",
    }),
    errno: "ENOENT",
    message:
      "Cannot open a terminal of the container's own (process.terminal): open ptmx: ENOENT (no such file or directory)",
    code: "terminal",
    hint: "The container has no devpts on /dev/pts",
  },
  "a terminal of another session": {
    op: op("ctty", {
      slot: "p",
      why: "make it the controlling terminal",
      from: "process.terminal",
    }),
    errno: "EPERM",
    message:
      "Cannot connect the command to its terminal (process.terminal): ioctl TIOCSCTTY: EPERM (operation not permitted)",
    code: "terminal",
    hint: "The terminal belongs to another session already",
  },
};
