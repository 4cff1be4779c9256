/**
 * What a failed operation means to the person who asked for it: the one table
 * from (operation, errno) to message, hint and exit code.
 *
 * @module
 */

import { errnoName, errnoText } from "../ffi/errno.ts";
import type { Config } from "./config/config.ts";
import { namespaceUse } from "./config/namespaces.ts";
import { ContainerError } from "./errors.ts";
import type { Facts } from "./host.ts";
import type { Op } from "./plan.ts";
import { HelperDied, OperationError } from "./process.ts";

/** A failure as the child stage reports it. */
export interface Failure {
  op: Op;
  errno: number;
  detail: number;
  text: string;
}

const quote = (text: string): string => `"${text}"`;

/** The flag as typed, else the config key, in brackets; "" for neither. */
function source(op: Op, config: Config): string {
  // The files that rustyrun itself writes: nobody asked for them by a key.
  if (op.from === undefined || op.from.startsWith("files")) return "";
  const flag = config.flags.get(op.from);
  return ` (${flag ?? op.from})`;
}

/** Destination of the mount that an operation belongs to. */
function destination(op: Op, config: Config): string | undefined {
  const index = /^mounts\[(\d+)\]/.exec(op.from ?? "")?.[1];
  return index === undefined
    ? undefined
    : config.spec.mounts?.[Number(index)]?.destination;
}

/** What was wanted: "mount proc on "/proc"". */
function wanted(op: Op, config: Config): string {
  const on = destination(op, config);
  switch (op.do) {
    case "fsmount":
      return on === undefined
        ? `mount ${op.fstype} to ${op.why}`
        : `mount ${op.fstype} on ${quote(on)}`;
    case "openTree":
      return on === undefined || op.path === ""
        ? op.why
        : `mount ${quote(op.path)} on ${quote(on)}`;
    case "target":
      return `use ${quote(op.path)} as a mount point`;
    case "mountSetattr":
    case "moveMount":
    case "reconfigure":
      return on === undefined ? op.why : `mount ${quote(on)}`;
    case "mask":
      return `hide ${quote(op.path)}`;
    case "readonly":
      return `make ${quote(op.path)} read-only`;
    case "pivot":
      return "make the root file system the container's root";
    case "chroot":
      return "change the root to the root file system";
    case "chdir":
      return `use ${quote(op.path)} as the working directory`;
    case "write":
      return op.path.startsWith("sys/")
        ? `set the sysctl ${quote(op.path.slice(4).replaceAll("/", "."))} to ${
          quote(new TextDecoder().decode(op.data))
        }`
        : op.why;
    case "findExec":
    case "exec":
      return "run the command";
    case "spawn":
      return `run the hook ${quote(op.path)}`;
    case "seccomp":
      return "load the seccomp filter";
    default:
      return op.why;
  }
}

/** The kernel's side of it: "move_mount: EPERM (operation not permitted)". */
function kernelWords(failure: Failure): string {
  const { op, errno, text } = failure;
  const name = errnoName(errno);
  const words = errnoText(errno);
  // The first line of the kernel's own log, as fsopen(2) contexts keep it.
  const said = /^[ewi] (.*)$/.exec(text)?.[1];
  if (said !== undefined) return `${said}: ${name} (${words})`;
  const call = CALLS[op.do] ?? (/^\w+$/.test(text) ? text : op.do);
  return `${call}: ${name} (${words})`;
}

const CALLS: Partial<Record<Op["do"], string>> = {
  fsmount: "fsopen",
  openTree: "open_tree",
  mountSetattr: "mount_setattr",
  moveMount: "move_mount",
  fork: "clone3",
  warden: "clone3",
  unshare: "unshare",
  setns: "setns",
  hostname: "sethostname",
  domainname: "setdomainname",
  target: "openat2",
  mask: "move_mount",
  readonly: "mount_setattr",
  mknod: "mknod",
  chdir: "chdir",
  setuid: "setresuid",
  setgid: "setresgid",
  setgroups: "setgroups",
  capSet: "capset",
  seccomp: "seccomp",
  sched: "sched_setattr",
  ioprio: "ioprio_set",
  write: "write",
  open: "openat2",
};

interface Wording {
  code: string;
  message?: string;
  hint?: string | undefined;
  exitCode?: number;
}

const NAMESPACE_SYSCTLS: Record<string, string> = {
  user: "max_user_namespaces",
  pid: "max_pid_namespaces",
  net: "max_net_namespaces",
};

function readSysctl(path: string): string {
  try {
    return Deno.readTextFileSync(`/proc/sys/${path}`).trim();
  } catch {
    // A sysctl that this kernel does not have refuses nothing.
    return "";
  }
}

const USERNS_LIMIT = "user/max_user_namespaces";

/** Where user namespaces are refused: which switch does it. */
function userNamespaceHint(facts: Facts): string {
  if (readSysctl("kernel/unprivileged_userns_clone") === "0") {
    return "The sysctl kernel.unprivileged_userns_clone=0 forbids user namespaces: set it to 1, or run as root";
  }
  if (readSysctl(USERNS_LIMIT) === "0") {
    return "The sysctl user.max_user_namespaces=0 forbids user namespaces: raise it, or run as root";
  }
  if (
    readSysctl("kernel/apparmor_restrict_unprivileged_userns") === "1"
  ) {
    return "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns=1): rustyrun doctor shows the profile to install";
  }
  return facts.inUserns
    ? "This seems to be a container that forbids user namespaces: rustyrun doctor shows what to change"
    : "Something forbids user namespaces here: rustyrun doctor shows what";
}

/** The command itself: 127 and 126 as a shell and docker have them. */
function wordCommand(failure: Failure, config: Config): Wording {
  const { op, errno, text } = failure;
  const command = config.spec.process?.args?.[0] ?? "";
  const shown = JSON.stringify(command);
  switch (errnoName(errno)) {
    case "ENOENT":
      if (op.do === "exec") {
        return {
          code: "interpreter-missing",
          message:
            `Cannot run the command: exec: "${text}": no such file or directory: its interpreter is missing`,
          hint:
            "A script needs the program of its #! line, a dynamic program its ld.so, inside the root file system",
          exitCode: 127,
        };
      }
      return {
        code: "command-not-found",
        message: command.includes("/")
          ? `Cannot run the command: exec: ${shown}: stat ${command}: no such file or directory`
          : `Cannot run the command: exec: ${shown}: executable file not found in $PATH`,
        hint: command.includes("/")
          ? "The path is one inside the root file system"
          : `Searched in PATH=${pathOf(config)} inside the root file system`,
        exitCode: 127,
      };
    case "ENOTDIR":
      return {
        code: "command-not-found",
        message:
          `Cannot run the command: exec: ${shown}: stat ${command}: not a directory`,
        hint: "A part of the path is a file, inside the root file system",
        exitCode: 127,
      };
    case "EACCES":
    case "EPERM":
      return {
        code: "command-not-executable",
        message:
          `Cannot run the command: exec: ${shown}: permission denied: "${text}" is not an executable file for this user`,
        hint: "Check its mode (chmod +x), its owner, and noexec on its mount",
        exitCode: 126,
      };
    case "EISDIR":
      return {
        code: "command-is-directory",
        message:
          `Cannot run the command: exec: ${shown}: is a directory: permission denied`,
        hint: "Name a program in it",
        exitCode: 126,
      };
    case "ENOEXEC":
      return {
        code: "command-format",
        message:
          `Cannot run the command: exec: "${text}": exec format error: permission denied`,
        hint:
          "It is built for another architecture, or a script without a #! line",
        exitCode: 126,
      };
    case "ETXTBSY":
      return {
        code: "command-busy",
        message:
          `Cannot run the command: exec: "${text}": text file busy: permission denied`,
        hint: "Somebody has it open for writing",
        exitCode: 126,
      };
    default:
      return {
        code: "command",
        message: `Cannot run the command: exec: "${text}": ${
          errnoName(errno)
        } (${errnoText(errno)})`,
        exitCode: 126,
      };
  }
}

function pathOf(config: Config): string {
  const entry = config.spec.process?.env?.findLast((it) =>
    it.startsWith("PATH=")
  );
  return entry?.slice(5) ?? "";
}

/** AppArmor lets a user make a user namespace (Ubuntu 24.04) and takes every
 * right in it: the first use of one fails. */
function isConfined(
  op: Op,
  name: string,
  config: Config,
  facts: Facts,
): boolean {
  return ["setuid", "setgid", "fork", "unshare", "mountSetattr", "fsmount"]
    .includes(op.do) &&
    (name === "EPERM" || name === "EACCES") && facts.uid !== 0 &&
    namespaceUse(config, "user") === "new" &&
    readSysctl("kernel/apparmor_restrict_unprivileged_userns") === "1";
}

/** Rows by operation: code, hint and, where the kernel's words mislead, the
 * message. */
function word(failure: Failure, config: Config, facts: Facts): Wording {
  const { op } = failure;
  const name = errnoName(failure.errno);
  if (isConfined(op, name, config, facts)) {
    return { code: "userns-blocked", hint: userNamespaceHint(facts) };
  }
  switch (op.do) {
    case "findExec":
    case "exec":
      return wordCommand(failure, config);
    case "unshare":
    case "fork":
    case "warden":
      return wordNamespace(op, name, facts);
    case "fsmount":
    case "moveMount":
    case "openTree":
    case "target":
      return wordMount(failure, config, facts);
    case "write":
      return wordWrite(failure);
    case "pivot":
      return {
        code: "pivot",
        hint: name === "EINVAL"
          ? "The host's own root cannot be pivoted away from (an initramfs?): --no-pivot uses chroot instead"
          : "rustyrun doctor shows what is missing here",
      };
    case "chdir":
      return name === "ENOENT" && failure.text.startsWith("the directory")
        ? {
          code: "cwd-outside",
          message: `Cannot use ${
            quote(op.path)
          } as the working directory: it is outside the root file system`,
          hint: "Name a directory inside the root file system",
        }
        : {
          code: "cwd",
          hint: name === "EACCES"
            ? "The container's user may not enter it"
            : "Name a directory inside the root file system",
        };
    case "mknod":
      return {
        code: "device",
        hint: name === "EPERM"
          ? "Making device nodes needs CAP_MKNOD outside a user namespace"
          : "A file of that name is there already and is no such device",
      };
    case "setuid":
    case "setgid":
    case "setgroups":
      return {
        code: "credentials",
        hint: name === "EINVAL"
          ? "The id is not mapped in the user namespace: /etc/subuid and /etc/subgid say what is, or choose another --user"
          : "Root, or a user namespace that maps the id, is needed for it",
      };
    case "seccomp":
      return {
        code: "seccomp",
        hint: name === "EACCES"
          ? "A filter without no-new-privileges needs CAP_SYS_ADMIN"
          : "rustyrun doctor says what this kernel's seccomp takes",
      };
    case "verify":
      return {
        code: "device-fake",
        hint: "The host's own device is not what it should be",
      };
    case "spawn":
      return wordHook(failure);
    case "linkUp":
      return {
        code: "network",
        hint: name === "EPERM"
          ? "CAP_NET_ADMIN is missing here (a container?): --network host does without"
          : undefined,
      };
    case "setns":
      return {
        code: "namespace-join",
        hint: name === "EINVAL"
          ? "The path is a namespace of another type"
          : "Joining needs CAP_SYS_ADMIN in the user namespace that owns it",
      };
    case "capDrop":
    case "capSet":
    case "capAmbient":
      return {
        code: "capabilities",
        hint:
          "More capabilities were asked for than rustyrun itself has: grep Cap /proc/self/status",
      };
    default:
      return { code: `plan-${op.do.toLowerCase()}` };
  }
}

function wordHook(failure: Failure): Wording {
  const op = failure.op as Op & { do: "spawn" };
  const it = `Cannot run the hook ${quote(op.path)}`;
  if (errnoName(failure.errno) === "ETIMEDOUT") {
    return {
      code: "hook",
      message: `${it}: it took longer than ${Number(op.timeout)} s`,
    };
  }
  return failure.detail > 0
    ? { code: "hook", message: `${it}: it exited with ${failure.detail}` }
    : { code: "hook" };
}

function wordNamespace(op: Op, name: string, facts: Facts): Wording {
  const flags = op.do === "unshare" || op.do === "fork" ? Number(op.flags) : 0;
  const isUser = (flags & 0x10000000) !== 0;
  if (isUser && name === "ENOSPC" && readSysctl(USERNS_LIMIT) === "0") {
    return { code: "userns-blocked", hint: userNamespaceHint(facts) };
  }
  if (name === "ENOSPC" || name === "EUSERS") {
    const names = Object.values(NAMESPACE_SYSCTLS).join(", user.");
    return {
      code: "namespace-limit",
      hint: `The limit of namespaces is reached: see the sysctls user.${names}`,
    };
  }
  if (name === "EPERM" || name === "EACCES") {
    return {
      code: isUser ? "userns-blocked" : "namespace-denied",
      hint: isUser
        ? userNamespaceHint(facts)
        : facts.uid === 0
        ? "CAP_SYS_ADMIN is missing here (a container?): rustyrun doctor shows what to change"
        : "Without root it needs a user namespace",
    };
  }
  if (name === "ENOSYS") {
    return {
      code: "namespace-denied",
      hint:
        "A seccomp filter forbids it (a container?): start that one with --security-opt seccomp=unconfined",
    };
  }
  if (name === "EINVAL") {
    return {
      code: "namespace-unsupported",
      hint:
        "This kernel has no such namespace: rustyrun doctor shows which it has",
    };
  }
  if (name === "EAGAIN" || name === "ENOMEM") {
    return {
      code: "fork",
      hint:
        "The limit of processes (ulimit -u, or pids.max of this cgroup) or of memory is reached",
    };
  }
  return { code: "namespace" };
}

function wordMount(failure: Failure, config: Config, facts: Facts): Wording {
  const { op } = failure;
  const name = errnoName(failure.errno);
  if (op.do === "openTree" && name === "ENOENT") {
    return {
      code: "mount-source",
      message: `Cannot ${wanted(op, config)}${
        source(op, config)
      }: the source does not exist: no such file or directory`,
      hint: "Create it first, or correct the path",
    };
  }
  if (op.do === "openTree" && name === "EACCES") {
    return {
      code: "mount-source",
      hint: "A directory above it does not let this user in",
    };
  }
  if (name === "ENOSPC") {
    return {
      code: "mount-limit",
      message: `Cannot ${wanted(op, config)}${
        source(op, config)
      }: this mount namespace has as many mounts as it may`,
      hint: "The sysctl fs.mount-max is the limit",
    };
  }
  if (op.do === "fsmount" && op.fstype === "overlay") {
    return {
      code: "overlay",
      hint: facts.uid !== 0
        ? "A user namespace's overlay needs a kernel >= 5.11, and >= 6.6 for an upper layer in memory: --ephemeral=DIR names a directory for it"
        : "The root file system is itself an overlay (inside Docker?): --ephemeral=DIR with a DIR on another file system, or a volume",
    };
  }
  if (
    op.do === "fsmount" && (op.fstype === "proc" || op.fstype === "sysfs") &&
    name === "EPERM"
  ) {
    return {
      code: "masked-proc",
      hint: `/${
        op.fstype === "proc" ? "proc" : "sys"
      } is partly masked here (a container?): rustyrun doctor shows what to change`,
    };
  }
  if (
    op.do === "target" && name === "EACCES" &&
    namespaceUse(config, "user") !== "inherit"
  ) {
    return {
      code: "mount-point-denied",
      hint:
        "It is missing, and what it belongs in is not of an id that the user namespace maps: make it first, or chown the root file system",
    };
  }
  if (name === "EPERM" || name === "EACCES") {
    return {
      code: "mount-denied",
      hint: facts.uid === 0 && !facts.inUserns
        ? "CAP_SYS_ADMIN or a security module forbids it: rustyrun doctor shows what"
        : "In a user namespace the kernel allows only some file systems, and locks what the host has mounted",
    };
  }
  if (name === "EROFS") {
    return {
      code: "mount-readonly",
      hint:
        "The mount point does not exist and the root file system is read-only: make it there, or use --ephemeral",
    };
  }
  if (name === "ENODEV") {
    return {
      code: "filesystem-unknown",
      hint: "This kernel does not know that file system: see /proc/filesystems",
    };
  }
  if (name === "ELOOP" || name === "ENOTDIR" || name === "EISDIR") {
    return {
      code: "mount-point",
      hint:
        "The mount point in the root file system is of another kind than what is mounted on it",
    };
  }
  return { code: "mount" };
}

function wordWrite(failure: Failure): Wording {
  const op = failure.op as Op & { do: "write" };
  const name = errnoName(failure.errno);
  if (op.path.startsWith("sys/")) {
    return {
      code: "sysctl",
      hint: name === "ENOENT"
        ? "This kernel has no such sysctl in the container's namespaces"
        : "The kernel does not take that value",
    };
  }
  if (op.path.endsWith("oom_score_adj")) {
    return {
      code: "oom-score",
      hint: "Lowering it below the caller's own needs CAP_SYS_RESOURCE",
    };
  }
  if (/timens_offsets$/.test(op.path)) return { code: "time-offsets" };
  return { code: "write" };
}

/** Words a failed operation. */
export function wordFailure(
  failure: Failure,
  config: Config,
  facts: Facts,
  cause?: unknown,
): ContainerError {
  const it = word(failure, config, facts);
  const message = it.message ??
    `Cannot ${wanted(failure.op, config)}${source(failure.op, config)}: ${
      kernelWords(failure)
    }`;
  return new ContainerError(message, {
    code: it.code,
    hint: it.hint,
    exitCode: it.exitCode,
    cause,
  });
}

/** Words whatever running a plan has thrown; other errors pass through. */
export function wordPlanError(
  error: unknown,
  config: Config,
  facts: Facts,
  oomKilled = false,
): unknown {
  if (error instanceof OperationError) {
    return wordFailure(error, config, facts, error);
  }
  if (error instanceof HelperDied) {
    return new ContainerError(
      oomKilled
        ? "Cannot start the container: its memory limit killed it before the command ran"
        : error.signal === 0
        ? "Cannot start the container: the helper ended without a reason"
        : `Cannot start the container: signal ${error.signal} killed the helper`,
      {
        code: oomKilled ? "memory-limit" : "helper-died",
        hint: oomKilled
          ? "Give it more: --memory"
          : "The kernel's log (dmesg) may say more",
        cause: error,
      },
    );
  }
  return error;
}
