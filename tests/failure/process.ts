/**
 * Directories, ids, rights and filters of a process that cannot be had.
 *
 * @module
 */

import { chdir, fork, NOTHING, op, type Row, seccomp } from "./row.ts";

/** By what has failed. */
export const PROCESS: Record<string, Row> = {
  "a first process that nobody can be told of": {
    op: fork(),
    errno: "ETOOMANYREFS",
    text: "sendmsg",
    message:
      "Cannot start the container's first process (linux.namespaces): sendmsg: ETOOMANYREFS (too many references: cannot splice)",
    code: "helper-start",
    hint:
      "Processes of this user have too many descriptors on their way in sockets: end the container that sends them, or raise the limit of open files (ulimit -n)",
  },
  "no_new_privs that a filter forbids": {
    op: op("prctl", {
      option: 38,
      a: 1,
      b: 0,
      c: 0,
      d: 0,
      why: "let no program it runs gain privileges",
      from: "process.noNewPrivileges",
    }),
    errno: "EPERM",
    message:
      "Cannot set no_new_privs (process.noNewPrivileges): prctl: EPERM (operation not permitted)",
    code: "process",
    hint:
      "A seccomp filter forbids it (a container?); or, for what root means, CAP_SETPCAP is missing or the caller's securebits are locked: setpriv --dump shows them",
  },
  "a prctl that the kernel does not know": {
    op: op("prctl", {
      option: 38,
      a: 1,
      b: 0,
      c: 0,
      d: 0,
      why: "let no program it runs gain privileges",
      from: "process.noNewPrivileges",
    }),
    errno: "EINVAL",
    message:
      "Cannot set no_new_privs (process.noNewPrivileges): prctl: EINVAL (invalid argument)",
    code: "process",
    hint: "This kernel, or a seccomp filter, does not take it",
  },
  "a working directory outside the root": {
    op: chdir(),
    errno: "ENOENT",
    text: "the directory is outside the root",
    message:
      'Cannot use "/srv" as the working directory: it is outside the root file system',
    code: "cwd-outside",
    hint: "Name a directory inside the root file system",
  },
  "a working directory that is missing": {
    op: chdir(),
    errno: "ENOENT",
    text: "/srv",
    message:
      'Cannot use "/srv" as the working directory (process.cwd): chdir: ENOENT (no such file or directory)',
    code: "cwd",
    hint: "Name a directory inside the root file system",
  },
  "a working directory that may not be entered": {
    op: chdir(),
    errno: "EACCES",
    message:
      'Cannot use "/srv" as the working directory (process.cwd): chdir: EACCES (permission denied)',
    code: "cwd",
    hint: "The container's user may not enter it",
  },
  "a working directory that is a file": {
    op: chdir(),
    errno: "ENOTDIR",
    flags: { "process.cwd": "-w /srv" },
    message:
      'Cannot use "/srv" as the working directory (-w /srv): chdir: ENOTDIR (not a directory)',
    code: "cwd",
    hint: "Name a directory inside the root file system",
  },
  "a working directory on a read-only root": {
    op: chdir(),
    errno: "EROFS",
    message:
      'Cannot use "/srv" as the working directory (process.cwd): chdir: EROFS (read-only file system)',
    code: "cwd",
    hint:
      "It is missing and the root file system is read-only: name one that is there",
  },
  "the bounding set without CAP_SETPCAP": {
    op: op("capDrop", {
      keep: 0,
      why: "x",
      from: "process.capabilities.bounding",
    }),
    errno: "EPERM",
    message:
      "Cannot limit the capabilities to the bounding set (process.capabilities.bounding): prctl: EPERM (operation not permitted)",
    code: "capabilities",
    hint: "Dropping from the bounding set needs CAP_SETPCAP",
  },
  "capabilities that rustyrun does not have": {
    op: op("capSet", {
      effective: 1,
      permitted: 1,
      inheritable: 0,
      why: "x",
      from: "process.capabilities",
    }),
    errno: "EPERM",
    message:
      "Cannot give the command its capabilities (process.capabilities): capset: EPERM (operation not permitted)",
    code: "capabilities",
    hint:
      "More capabilities were asked for than rustyrun itself has: grep Cap /proc/self/status",
  },
  "ambient capabilities that are not permitted": {
    op: op("capAmbient", {
      set: 1,
      why: "set the ambient capabilities",
      from: "process.capabilities.ambient",
    }),
    errno: "EPERM",
    message:
      "Cannot set the ambient capabilities (process.capabilities.ambient): prctl: EPERM (operation not permitted)",
    code: "capabilities",
    hint:
      "More capabilities were asked for than rustyrun itself has: grep Cap /proc/self/status",
  },
  "a user that is not mapped": {
    op: op("setuid", {
      uid: 1000,
      why: "become user 1000",
      from: "process.user.uid",
    }),
    errno: "EINVAL",
    flags: { "process.user.uid": "-u 1000" },
    message:
      "Cannot become user 1000 (-u 1000): setresuid: EINVAL (invalid argument)",
    code: "credentials",
    hint:
      "The id is not mapped in the user namespace: /etc/subuid and /etc/subgid say what is, or choose another --user",
  },
  "another user without rights": {
    op: op("setuid", {
      uid: 1000,
      why: "become user 1000",
      from: "process.user.uid",
    }),
    errno: "EPERM",
    message:
      "Cannot become user 1000 (process.user.uid): setresuid: EPERM (operation not permitted)",
    code: "credentials",
    hint: "Root, or a user namespace that maps the id, is needed for it",
  },
  "a user with too many processes": {
    op: op("setuid", {
      uid: 1000,
      why: "become user 1000",
      from: "process.user.uid",
    }),
    errno: "EAGAIN",
    message:
      "Cannot become user 1000 (process.user.uid): setresuid: EAGAIN (resource temporarily unavailable)",
    code: "credentials",
    hint: "The user has as many processes as it may: --ulimit nproc",
  },
  "a group that is not mapped": {
    op: op("setgid", {
      gid: 1000,
      why: "become group 1000",
      from: "process.user.gid",
    }),
    errno: "EINVAL",
    message:
      "Cannot become group 1000 (process.user.gid): setresgid: EINVAL (invalid argument)",
    code: "credentials",
    hint:
      "The id is not mapped in the user namespace: /etc/subuid and /etc/subgid say what is, or choose another --user",
  },
  "another group without rights": {
    op: op("setgid", {
      gid: 1000,
      why: "become group 1000",
      from: "process.user.gid",
    }),
    errno: "EPERM",
    message:
      "Cannot become group 1000 (process.user.gid): setresgid: EPERM (operation not permitted)",
    code: "credentials",
    hint: "Root, or a user namespace that maps the id, is needed for it",
  },
  "groups in a namespace with a single one": {
    op: op("setgroups", {
      gids: new Uint8Array([5, 0, 0, 0, 0, 1, 0, 0]),
      why: "be in the groups 5, 256",
      from: "process.user.additionalGids",
    }),
    errno: "EPERM",
    message:
      "Cannot join the groups 5, 256 (process.user.additionalGids): setgroups: EPERM (operation not permitted)",
    code: "credentials",
    hint:
      "In a user namespace with a single group nobody may change the groups: a range in /etc/subgid gives more, or leave the groups out",
  },
  "groups that are not mapped": {
    op: op("setgroups", {
      gids: new Uint8Array([5, 0, 0, 0]),
      why: "be in the groups 5",
      from: "process.user.additionalGids",
    }),
    errno: "EINVAL",
    message:
      "Cannot join the groups 5 (process.user.additionalGids): setgroups: EINVAL (invalid argument)",
    code: "credentials",
    hint:
      "The id is not mapped in the user namespace: /etc/subuid and /etc/subgid say what is, or choose another --user",
  },
  "groups that cannot be left": {
    op: op("setgroups", {
      gids: NOTHING,
      why: "be in no other group",
      from: "process.user.additionalGids",
    }),
    errno: "EPERM",
    message:
      "Cannot leave the caller's groups (process.user.additionalGids): setgroups: EPERM (operation not permitted)",
    code: "credentials",
    hint:
      "In a user namespace with a single group nobody may change the groups: a range in /etc/subgid gives more, or leave the groups out",
  },
  "a filter without no_new_privs and without rights": {
    op: seccomp(),
    errno: "EACCES",
    message:
      "Cannot load the seccomp filter (linux.seccomp): seccomp: EACCES (permission denied)",
    code: "seccomp",
    hint: "A filter without no-new-privileges needs CAP_SYS_ADMIN",
  },
  "a filter with a flag that the kernel does not know": {
    op: seccomp(),
    errno: "EINVAL",
    message:
      "Cannot load the seccomp filter (linux.seccomp): seccomp: EINVAL (invalid argument)",
    code: "seccomp",
    hint:
      "This kernel does not take one of the filter's flags or actions: rustyrun features shows those it takes",
  },
  "a second listener": {
    op: seccomp(),
    errno: "EBUSY",
    message:
      "Cannot load the seccomp filter (linux.seccomp): seccomp: EBUSY (device or resource busy)",
    code: "seccomp",
    hint: "A filter with a listener is in force already: there can be one such",
  },
  "a filter that is too large": {
    op: seccomp(),
    errno: "ENOMEM",
    message:
      "Cannot load the seccomp filter (linux.seccomp): seccomp: ENOMEM (cannot allocate memory)",
    code: "seccomp",
    hint:
      "The filter is too large together with those that rustyrun runs under",
  },
  "a kernel without filters": {
    op: seccomp(),
    errno: "ENOSYS",
    message:
      "Cannot load the seccomp filter (linux.seccomp): seccomp: ENOSYS (function not implemented)",
    code: "seccomp",
    hint: "rustyrun doctor says what this kernel's seccomp takes",
  },
  "an operation without a row": {
    op: op("umask", {
      mask: 18,
      why: "set the umask",
      from: "process.user.umask",
    }),
    errno: "EPERM",
    message:
      "Cannot set the umask (process.user.umask): umask: EPERM (operation not permitted)",
    code: "plan-umask",
  },
  "an errno without words": {
    op: op("umask", { mask: 18, why: "set the umask" }),
    errno: "4711",
    message: "Cannot set the umask: umask: errno 4711",
    code: "plan-umask",
  },
  "a layer that cannot be given away": {
    op: op("chown", {
      slot: "layers",
      uid: 5,
      gid: 5,
      why: "give the layer to the container's root user",
      from: "ephemeral",
    }),
    errno: "EINVAL",
    message:
      "Cannot give the layer to the container's root user (ephemeral): fchown: EINVAL (invalid argument)",
    code: "ownership",
    hint:
      "The id is not mapped in the user namespace: /etc/subuid and /etc/subgid say what is, or choose another --user",
  },
  "a layer of another user": {
    op: op("chown", {
      slot: "layers",
      uid: 5,
      gid: 5,
      why: "give the layer to the container's root user",
      from: "ephemeral",
    }),
    errno: "EPERM",
    message:
      "Cannot give the layer to the container's root user (ephemeral): fchown: EPERM (operation not permitted)",
    code: "ownership",
    hint: "Root, or a user namespace that maps the id, is needed for it",
  },
};
