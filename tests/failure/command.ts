/**
 * Commands and hooks that cannot be run.
 *
 * @module
 */

import { exec, findExec, hook, type Row } from "./row.ts";

/** By what has failed. */
export const COMMAND: Record<string, Row> = {
  "a command that is nowhere in PATH": {
    op: findExec("sh"),
    errno: "ENOENT",
    message:
      'Cannot run the command: exec: "sh": executable file not found in $PATH',
    code: "command-not-found",
    hint: "Searched in PATH=/usr/bin:/bin inside the root file system",
    exitCode: 127,
  },
  "a command that is missing": {
    op: findExec("/bin/nope"),
    errno: "ENOENT",
    message:
      'Cannot run the command: exec: "/bin/nope": stat /bin/nope: no such file or directory',
    code: "command-not-found",
    hint: "The path is one inside the root file system",
    exitCode: 127,
  },
  "a command below a file": {
    op: findExec("/etc/passwd/x"),
    errno: "ENOTDIR",
    message:
      'Cannot run the command: exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory',
    code: "command-not-found",
    hint: "A part of the path is a file, inside the root file system",
    exitCode: 127,
  },
  "a command without the x bit": {
    op: findExec("/bin/text"),
    errno: "EACCES",
    text: "/bin/text",
    message:
      'Cannot run the command: exec: "/bin/text": permission denied: "/bin/text" is not an executable file for this user',
    code: "command-not-executable",
    hint: "Check its mode (chmod +x), its owner, and noexec on its mount",
    exitCode: 126,
  },
  "a command that a module forbids": {
    op: findExec("/bin/text"),
    errno: "EPERM",
    text: "/bin/text",
    message:
      'Cannot run the command: exec: "/bin/text": permission denied: "/bin/text" is not an executable file for this user',
    code: "command-not-executable",
    hint: "Check its mode (chmod +x), its owner, and noexec on its mount",
    exitCode: 126,
  },
  "a command that is a directory": {
    op: findExec("/bin"),
    errno: "EISDIR",
    message:
      'Cannot run the command: exec: "/bin": is a directory: permission denied',
    code: "command-is-directory",
    hint: "Name a program in it",
    exitCode: 126,
  },
  "a command whose links are a circle": {
    op: findExec("/bin/loop"),
    errno: "ELOOP",
    text: "/bin/loop",
    message:
      'Cannot run the command: exec: "/bin/loop": ELOOP (too many levels of symbolic links)',
    code: "command",
    hint: "Its symbolic links lead in a circle, or its #! lines",
    exitCode: 126,
  },
  "a command with a name that is too long": {
    op: findExec("/bin/xxx"),
    errno: "ENAMETOOLONG",
    text: "/bin/xxx",
    message:
      'Cannot run the command: exec: "/bin/xxx": ENAMETOOLONG (file name too long)',
    code: "command",
    hint: "A name has at most 255 bytes, a path 4095",
    exitCode: 126,
  },
  "a missing interpreter": {
    op: exec("/bin/script"),
    errno: "ENOENT",
    text: "/bin/script",
    message:
      'Cannot run the command: exec: "/bin/script": no such file or directory: its interpreter is missing',
    code: "interpreter-missing",
    hint:
      "A script needs the program of its #! line, a dynamic program its ld.so, inside the root file system",
    exitCode: 127,
  },
  "another architecture": {
    op: exec("/bin/arm"),
    errno: "ENOEXEC",
    text: "/bin/arm",
    message:
      'Cannot run the command: exec: "/bin/arm": exec format error: permission denied',
    code: "command-format",
    hint: "It is built for another architecture, or a script without a #! line",
    exitCode: 126,
  },
  "a program that is being written": {
    op: exec("/bin/busy"),
    errno: "ETXTBSY",
    text: "/bin/busy",
    message:
      'Cannot run the command: exec: "/bin/busy": text file busy: permission denied',
    code: "command-busy",
    hint: "Somebody has it open for writing",
    exitCode: 126,
  },
  "a program that execve refuses": {
    op: exec("/bin/x"),
    errno: "EACCES",
    text: "/bin/x",
    message:
      'Cannot run the command: exec: "/bin/x": permission denied: "/bin/x" is not an executable file for this user',
    code: "command-not-executable",
    hint: "Check its mode (chmod +x), its owner, and noexec on its mount",
    exitCode: 126,
  },
  "a broken interpreter": {
    op: exec("/bin/x"),
    errno: "ELIBBAD",
    text: "/bin/x",
    message:
      'Cannot run the command: exec: "/bin/x": ELIBBAD (accessing a corrupted shared library)',
    code: "command",
    hint: "The interpreter that the program names is not a program",
    exitCode: 126,
  },
  "too many arguments": {
    op: exec("/bin/x"),
    errno: "E2BIG",
    text: "/bin/x",
    message:
      'Cannot run the command: exec: "/bin/x": E2BIG (argument list too long)',
    code: "command",
    hint:
      "The arguments and the environment are larger than the kernel takes: a quarter of the stack limit (ulimit -s), and 128 KiB for one",
    exitCode: 126,
  },
  "no memory for the program": {
    op: exec("/bin/x"),
    errno: "ENOMEM",
    text: "/bin/x",
    message:
      'Cannot run the command: exec: "/bin/x": ENOMEM (cannot allocate memory)',
    code: "command",
    hint: "The memory limit leaves no room for the program: --memory",
    exitCode: 126,
  },
  "two interpreters": {
    op: exec("/bin/x"),
    errno: "EINVAL",
    text: "/bin/x",
    message:
      'Cannot run the command: exec: "/bin/x": EINVAL (invalid argument)',
    code: "command",
    hint: "The program names more than one interpreter",
    exitCode: 126,
  },
  "a program on a bad disk": {
    op: exec("/bin/x"),
    errno: "EIO",
    text: "/bin/x",
    message: 'Cannot run the command: exec: "/bin/x": EIO (input/output error)',
    code: "command",
    hint: "The program cannot be read: the kernel's log (dmesg) may say more",
    exitCode: 126,
  },
  "a command for an unknown reason": {
    op: exec("/bin/x"),
    errno: "ESTALE",
    text: "/bin/x",
    message:
      'Cannot run the command: exec: "/bin/x": ESTALE (stale file handle)',
    code: "command",
    exitCode: 126,
  },
  "a hook that takes too long": {
    op: hook("createContainer"),
    errno: "ETIMEDOUT",
    text: "/hook",
    message:
      'Cannot run the createContainer hook "/hook": it took longer than its timeout of 5 s',
    code: "hook",
    hint: "The hook's own output above may say more",
  },
  "a hook that fails": {
    op: hook("createContainer"),
    errno: "ECANCELED",
    text: "/hook",
    detail: 3,
    message: 'Cannot run the createContainer hook "/hook": exit status 3',
    code: "hook",
    hint: "The hook's own output above may say more",
  },
  "a hook that is killed": {
    op: hook("createContainer"),
    errno: "ECANCELED",
    text: "/hook",
    detail: 137,
    message: 'Cannot run the createContainer hook "/hook": signal 9 killed it',
    code: "hook",
    hint: "The hook's own output above may say more",
  },
  "a host's hook that is not there": {
    op: hook("createContainer"),
    errno: "ENOENT",
    text: "/hook",
    message:
      'Cannot run the createContainer hook "/hook": no such file or directory',
    code: "hook",
    hint: "Its path is one of the host, and it must be executable",
  },
  "a hook whose end is worded beforehand": {
    op: hook("startContainer"),
    errno: "ECANCELED",
    message: 'Cannot run the startContainer hook "/hook": it failed',
    code: "hook",
    hint: "The hook's own output above may say more",
  },
  "a container's hook that is no program": {
    op: hook("startContainer"),
    errno: "EACCES",
    text: "/hook",
    message: 'Cannot run the startContainer hook "/hook": permission denied',
    code: "hook",
    hint:
      "Its path is one inside the root file system, and it must be executable",
  },
  "a host's hook whose interpreter is missing": {
    op: hook("createContainer"),
    errno: "ECANCELED",
    text: "/hook",
    detail: 127,
    message: 'Cannot run the createContainer hook "/hook": exit status 127',
    code: "hook",
    hint:
      "It was not found, or says so itself: its path is one of the host, and a script needs its #! program there too",
  },
  "a container's hook whose interpreter is missing": {
    op: hook("startContainer"),
    errno: "ECANCELED",
    text: "/hook",
    detail: 127,
    message: 'Cannot run the startContainer hook "/hook": exit status 127',
    code: "hook",
    hint:
      "It was not found, or says so itself: its path is one inside the root file system, and a script needs its #! program there too",
  },
  "a hook without the x bit": {
    op: hook("startContainer"),
    errno: "ECANCELED",
    text: "/hook",
    detail: 126,
    message: 'Cannot run the startContainer hook "/hook": exit status 126',
    code: "hook",
    hint:
      "It could not be executed, or says so itself: check its mode (chmod +x), and noexec on its mount",
  },
  "a hook that cannot be forked": {
    op: hook("startContainer"),
    errno: "EAGAIN",
    text: "clone3",
    message:
      'Cannot run the hook "/hook" (hooks.startContainer[0]): clone3: EAGAIN (resource temporarily unavailable)',
    code: "hook",
    hint: "The hook's own output above may say more",
  },
};
