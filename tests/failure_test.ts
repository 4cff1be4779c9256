/**
 * What a failure means to the person who asked: for every row of (operation,
 * errno) the whole message, its hint, its code and its exit code.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { CLONE } from "../ffi/constants.ts";
import { errnoNumber } from "../ffi/errno.ts";
import type { Config } from "../mod/config/config.ts";
import { ContainerError } from "../mod/errors.ts";
import { wordFailure, wordPlanError } from "../mod/failure.ts";
import type { Facts } from "../mod/host.ts";
import type { Op, OpName } from "../mod/plan.ts";
import { HelperDied, OperationError } from "../mod/process.ts";
import { makeConfig, makeFacts, UNPRIVILEGED } from "./manager_fixtures.ts";

/** One failure, and what is said of it. */
interface Row {
  op: Op;
  /** By name, or a number that has none. */
  errno: string;
  /** What the child stage says beside the errno. */
  text?: string;
  detail?: number;
  /** The caller is unprivileged. */
  user?: true;
  facts?: Partial<Facts>;
  /** The container has a user namespace of its own. */
  userns?: true;
  /** Keys that a flag has set. */
  flags?: Record<string, string>;
  /** Files below /proc/sys. */
  sysctls?: Record<string, string>;
  /** "Cannot ..." */
  message: string;
  code: string;
  hint?: string;
  /** 125 unless told. */
  exitCode?: number;
}

const NOTHING = new Uint8Array();

/** An operation; its fields are those of the plan's table. */
const op = <K extends OpName>(
  name: K,
  fields: Omit<Extract<Op, { do: K }>, "do">,
): Op => ({ do: name, ...fields } as unknown as Op);

/** The command of the configuration is the operation's. */
const findExec = (command: string): Op =>
  op("findExec", {
    candidates: [command],
    why: `find "${command}"`,
    from: "process.args",
  });
const exec = (command: string): Op =>
  op("exec", {
    argv: [command],
    env: [],
    why: "run the command",
    from: "process.args",
  });
const unshare = (flags: number): Op =>
  op("unshare", { flags, why: "make it", from: "linux.namespaces[0]" });
const fork = (cgroup = ""): Op =>
  op("fork", {
    flags: CLONE.NEWPID + CLONE.NEWNS,
    cgroup,
    why: "start the container's first process",
    from: "linux.namespaces",
  });
const openNamespace = (): Op =>
  op("open", {
    into: "ns.network",
    at: "",
    path: "/proc/9/ns/net",
    flags: 0,
    mode: 0,
    resolve: 0,
    why: "open the network namespace to join",
    from: "linux.namespaces[1]",
  });
const verifyNamespace = (): Op =>
  op("verify", {
    slot: "ns.network",
    type: 0,
    rdev: 0,
    magic: 0,
    why: "make sure that it is a namespace",
    from: "linux.namespaces[1]",
  });
const setns = (slot: string, type: number): Op =>
  op("setns", { slot, type, why: "join it", from: "linux.namespaces[1]" });
const joinCgroup = (): Op =>
  op("writeFd", {
    slot: "tasks0",
    data: NOTHING,
    why: "join the cgroup /sys/fs/cgroup/pids/box",
    from: "linux.cgroupsPath",
  });
const keyring = (): Op =>
  op("keyring", { name: "_ses.box", why: "keep the caller's keys out" });
const netlink = (): Op =>
  op("netlink", {
    name: "eth0",
    message: NOTHING,
    why: "give eth0 an address that it had on the host",
    from: "linux.netDevices",
  });
const fsmount = (fstype: string): Op =>
  op("fsmount", {
    into: "mount",
    fstype,
    options: [],
    attr: 0,
    flags: 0,
    why: `make a file system of the type "${fstype}"`,
    from: "mounts[0]",
  });
const overlay = (): Op =>
  op("fsmount", {
    into: "root",
    fstype: "overlay",
    options: [],
    attr: 0,
    flags: 0,
    why: "lay a throw-away layer over the root file system",
    from: "ephemeral",
  });
const mkdirOwn = (): Op =>
  op("mkdirOwn", {
    into: "private",
    at: "uppers",
    name: "rustyrun-box-1",
    why: "make a directory for what the container writes",
    from: "ephemeral",
  });
const openTree = (): Op =>
  op("openTree", {
    into: "mount",
    at: "",
    path: "/data",
    flags: 1,
    why: 'take "/data" of the host',
    from: "mounts[1]",
  });
const target = (): Op =>
  op("target", {
    into: "target",
    root: "root",
    path: "/mnt",
    kind: 1,
    mode: 0o755,
    why: 'find the place of "/mnt"',
    from: "mounts[1]",
  });
const moveMount = (from: string): Op =>
  op("moveMount", { tree: "mount", onto: "target", why: "mount it", from });
const setAttr = (from: string, userns = ""): Op =>
  op("mountSetattr", {
    slot: "mount",
    path: "",
    flags: 0,
    set: 1,
    clear: 0,
    propagation: 0,
    userns,
    why: "set the attributes of the mount",
    from,
  });
const copyUp = (): Op =>
  op("copyUp", {
    source: "a",
    onto: "b",
    why: 'copy what "/mnt" holds into it',
    from: "mounts[1]",
  });
const mknod = (): Op =>
  op("mknod", {
    at: "dev",
    name: "null",
    mode: 0o20666,
    rdev: 0x103,
    uid: 0,
    gid: 0,
    why: 'make the device "/dev/null"',
  });
const write = (path: string, why: string, from: string): Op =>
  op("write", { at: "proc", path, data: NOTHING, flags: 0, why, from });
const sysctl = (path: string, value: string): Op =>
  op("write", {
    at: "proc",
    path: `sys/${path}`,
    data: new TextEncoder().encode(value),
    flags: 0,
    why: "set it",
    from: 'linux.sysctl["x"]',
  });
const chdir = (): Op =>
  op("chdir", {
    path: "/srv",
    create: 0,
    why: 'be in "/srv"',
    from: "process.cwd",
  });
const seccomp = (): Op =>
  op("seccomp", {
    filter: NOTHING,
    flags: 0,
    into: "",
    why: "allow only the listed system calls",
    from: "linux.seccomp",
  });
const hook = (kind: string): Op =>
  op("spawn", {
    path: "/hook",
    argv: ["/hook"],
    env: [],
    stdin: NOTHING,
    timeout: 5,
    cwd: "",
    why: `run the ${kind} hook "/hook"`,
    from: `hooks.${kind}[0]`,
  });

/** A configuration that has all that the operations above come from. */
function configFor(row: Pick<Row, "op" | "userns" | "flags">): Config {
  const { op } = row;
  const command = op.do === "findExec"
    ? op.candidates[0]
    : op.do === "exec"
    ? op.argv[0]
    : "sh";
  return makeConfig({
    process: {
      args: [command ?? ""],
      cwd: "/",
      env: ["PATH=/usr/bin:/bin"],
      scheduler: { policy: "SCHED_FIFO" },
      apparmorProfile: "box-profile",
      selinuxLabel: "system_u:box",
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/mnt", source: "/data" },
    ],
    linux: {
      namespaces: [
        { type: row.userns || op.do === "setgid" ? "user" : "time" },
        { type: "network", path: "/proc/9/ns/net" },
      ],
      personality: { domain: "LINUX32" },
      memoryPolicy: { mode: "MPOL_BIND" },
    },
  }, {
    files: [{ path: "/etc/hosts", data: "", mode: 0o644 }],
    flags: new Map(Object.entries(row.flags ?? {})),
  });
}

function wordRow(row: Omit<Row, "message" | "code">): ContainerError {
  return wordFailure(
    {
      op: row.op,
      errno: errnoNumber(row.errno) || Number(row.errno),
      detail: row.detail ?? 0,
      text: row.text ?? "",
    },
    configFor(row),
    makeFacts(row.facts ?? (row.user ? UNPRIVILEGED : {})),
    undefined,
    (path) => row.sysctls?.[path] ?? "",
  );
}

const ROWS: Record<string, Row> = {
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
    op: openNamespace(),
    errno: "EACCES",
    message:
      'Cannot join the network namespace "/proc/9/ns/net" (linux.namespaces[1]): openat2: EACCES (permission denied)',
    code: "namespace-join",
    hint:
      "The namespace belongs to a process of another user: run rustyrun as root, or as that user",
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
      'Cannot mount tmpfs on "/proc" (mounts[0]): this mount namespace has as many mounts as it may',
    code: "mount-limit",
    hint: "The sysctl fs.mount-max is the limit",
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
  "what a tmpfs covers cannot be looked at": {
    op: op("cover", {
      tree: "mount",
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
      "The mount point in the root file system is of another kind than what is mounted on it",
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
      "The mount point in the root file system is of another kind than what is mounted on it",
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
      "The mount point in the root file system is of another kind than what is mounted on it",
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
  "a hook whose directory is gone": {
    op: { ...hook("createContainer"), cwd: "/bundle" } as Op,
    errno: "ENOENT",
    text: "cwd",
    message:
      'Cannot run the createContainer hook "/hook": its working directory "/bundle": no such file or directory',
    code: "hook",
    hint: "It is the bundle: something removed that",
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

for (const [name, row] of Object.entries(ROWS)) {
  Deno.test(`wordFailure() ${row.op.do} ${row.errno}: ${name}`, () => {
    assertEquals(wordRow(row).toJSON(), {
      error: row.message,
      code: row.code,
      ...(row.hint === undefined ? {} : { hint: row.hint }),
      exitCode: row.exitCode ?? 125,
    });
  });
}

Deno.test("wordFailure() keeps to the house's style in every row", () => {
  for (const [name, { message, hint, code }] of Object.entries(ROWS)) {
    assertMatch(message, /^Cannot [^ ]/, name);
    assert(!/[.!]$/.test(message) && !/[.!]$/.test(hint ?? ""), name);
    assert(!/n't\b|'re\b|'ll\b/.test(`${message} ${hint}`), name);
    assertMatch(hint ?? "It", /^([A-Z/]|rustyrun )/, name);
    assertMatch(code, /^[a-z0-9]+(-[a-z0-9]+)*$/, name);
  }
});

Deno.test("wordFailure() has words for every operation and every errno", () => {
  const ops = Object.values(ROWS).map((row) => row.op);
  for (const it of ops) {
    for (let errno = 1; errno < 134; errno++) {
      for (const facts of [makeFacts(), makeFacts(UNPRIVILEGED)]) {
        const failure = { op: it, errno, detail: 0, text: "" };
        const { message, hint } = wordFailure(
          failure,
          configFor({ op: it }),
          facts,
        );
        assert(!/undefined|NaN|\[object/.test(`${message} ${hint ?? ""}`));
      }
    }
  }
});

Deno.test("wordFailure() keeps the cause", () => {
  const cause = new Error("below");
  const failure = { op: chdir(), errno: 2, detail: 0, text: "" };
  const error = wordFailure(
    failure,
    configFor({ op: chdir() }),
    makeFacts(),
    cause,
  );
  assert(error.cause === cause);
});

const config = makeConfig();

Deno.test("wordPlanError() words an operation that failed", () => {
  const cause = new OperationError(chdir(), {
    kind: 1,
    index: 3,
    errno: 13,
    detail: 0,
    text: "/srv",
  });
  const error = wordPlanError(cause, config, makeFacts());
  assert(error instanceof ContainerError && error.cause === cause);
  assertEquals(
    error.message,
    'Cannot use "/srv" as the working directory (process.cwd): chdir: EACCES (permission denied)',
  );
});

for (
  const [name, signal, oom, message, code, hint] of [
    [
      "that a signal killed",
      11,
      false,
      "Cannot start the container: signal 11 killed the helper",
      "helper-died",
      "The kernel's log (dmesg) may say more",
    ],
    [
      "that ended by itself",
      0,
      false,
      "Cannot start the container: the helper ended without a reason",
      "helper-died",
      "The kernel's log (dmesg) may say more",
    ],
    [
      "that its memory limit killed",
      9,
      true,
      "Cannot start the container: its memory limit killed it before the command ran",
      "memory-limit",
      "Give it more: --memory",
    ],
  ] as const
) {
  Deno.test(`wordPlanError() words a helper ${name}`, () => {
    const error = wordPlanError(
      new HelperDied(signal),
      config,
      makeFacts(),
      oom,
    );
    assert(error instanceof ContainerError);
    assertEquals(error.toJSON(), { error: message, code, hint, exitCode: 125 });
  });
}

Deno.test("wordPlanError() names the limit that leaves a helper no time", () => {
  const limited = makeConfig({
    process: {
      cwd: "/",
      rlimits: [{ type: "RLIMIT_CPU", soft: 0, hard: 0 }],
    },
  });
  const error = wordPlanError(new HelperDied(9), limited, makeFacts());
  assert(error instanceof ContainerError);
  assertEquals(
    error.hint,
    "The limit process.rlimits[0]: RLIMIT_CPU 0 is in seconds of processor time, and may leave too little to start a program",
  );
});

Deno.test("wordPlanError() lets other errors pass", () => {
  for (const it of [new TypeError("x"), "text", undefined]) {
    assertEquals(wordPlanError(it, config, makeFacts()), it);
  }
});
