/**
 * The first half of an error: what an operation was to do, in the words of who
 * asked for it, and what the kernel said.
 *
 * @module
 */

import { CLONE, PR } from "../../ffi/constants.ts";
import { describeErrno } from "../../ffi/errno.ts";
import type { Config } from "../config/config.ts";
import { findOrigin } from "../config/flags/use.ts";
import type { Op, OpName } from "../plan.ts";

/** A failure as the child stage reports it. */
export interface Failure {
  op: Op;
  errno: number;
  detail: number;
  /** The path that failed, a call, or the kernel's own words. */
  text: string;
  /** Where the command is searched, for one that has not failed yet. */
  candidates?: readonly string[];
}

/** In double quotes. */
export const quote = (text: string): string => `"${text}"`;

/** The flag as typed, else the config key, in brackets; "" for neither. */
export function sourceOf(op: Op, config: Config): string {
  // The files that rustyrun itself writes: nobody asked for them by a key.
  if (op.from === undefined || op.from.startsWith("files")) return "";
  return ` (${findOrigin(config.flags, op.from) ?? op.from})`;
}

/** Destination of the mount, or of the file of ours, that an operation is for. */
function destinationOf(op: Op, config: Config): string | undefined {
  const [, list, index] = /^(mounts|files)\[(\d+)\]/.exec(op.from ?? "") ?? [];
  if (index === undefined) return undefined;
  return list === "mounts"
    ? config.spec.mounts?.[Number(index)]?.destination
    : config.files[Number(index)]?.path;
}

/** Kinds of namespaces in a mask of CLONE_NEW* flags. */
function namespacesOf(flags: number | bigint): string {
  const names: [number, string][] = [
    [CLONE.NEWUSER, "user"],
    [CLONE.NEWTIME, "time"],
    [CLONE.NEWCGROUP, "cgroup"],
    [CLONE.NEWNS, "mount"],
    [CLONE.NEWPID, "pid"],
    [CLONE.NEWNET, "network"],
    [CLONE.NEWIPC, "ipc"],
    [CLONE.NEWUTS, "uts"],
  ];
  return names.filter(([bit]) => (Number(flags) & bit) !== 0)
    .map(([, name]) => name).join(" and ");
}

/** The path of a namespace that is joined, from the slot that it is held in:
 * "ns.network". */
function namespaceAt(slot: string, config: Config): string {
  const type = slot.slice(3);
  const path = config.spec.linux?.namespaces?.find((it) => it.type === type)
    ?.path;
  return `join the ${type} namespace${path ? ` ${quote(path)}` : ""}`;
}

/** What an operation on the file system was to do. */
function wantedMount(op: Op, config: Config): string | undefined {
  const on = destinationOf(op, config);
  switch (op.do) {
    case "fsmount":
      return on === undefined
        ? `mount ${op.fstype} to ${op.why}`
        : `mount ${op.fstype} on ${quote(on)}`;
    case "openTree":
      return on === undefined || !op.path.startsWith("/") ||
          op.from?.startsWith("files")
        ? op.why
        : `mount ${quote(op.path)} on ${quote(on)}`;
    case "target":
      return `use ${quote(op.path)} as a mount point`;
    case "moveMount":
      return on !== undefined
        ? `mount ${quote(on)}`
        : op.from === "root.path" || op.from === "ephemeral"
        ? `put the root file system ${quote(config.rootfs)} in its place`
        : op.why;
    case "mountSetattr":
    case "reconfigure":
      return on === undefined ? op.why : `mount ${quote(on)}`;
    case "open":
    case "mkdir":
      return on === undefined ? undefined : `use ${quote(on)} as a mount point`;
    case "copyUp":
      return `copy what the image has in ${
        quote(on ?? "/")
      } into the new mount`;
    case "cover":
      return `give the new mount on ${
        quote(op.path)
      } the mode of what it covers`;
    case "mask":
      return `hide ${quote(op.path)}`;
    case "readonly":
      return `make ${quote(op.path)} read-only`;
    case "pivot":
      return "make the root file system the container's root";
    case "chroot":
    case "enter":
      return "change the root to the root file system";
    default:
      return undefined;
  }
}

/** What an operation was to do: "mount proc on "/proc"". */
export function wantedOf(op: Op, config: Config): string {
  const mount = wantedMount(op, config);
  if (mount !== undefined) return mount;
  switch (op.do) {
    case "unshare":
      return `make a ${namespacesOf(op.flags)} namespace`;
    case "setns":
      return namespaceAt(op.slot, config);
    case "open":
    case "verify":
    case "same": {
      const slot = op.do === "open" ? op.into : op.slot;
      return slot.startsWith("ns.") ? namespaceAt(slot, config) : op.why;
    }
    case "hostname":
      return `set the host name to ${quote(op.name)}`;
    case "domainname":
      return `set the domain name to ${quote(op.name)}`;
    case "keyring":
      return "make a session keyring of the container's own";
    case "chdir":
      return `use ${quote(op.path)} as the working directory`;
    case "write":
      return op.path.startsWith("sys/")
        ? `set the sysctl ${quote(op.path.slice(4).replaceAll("/", "."))} to ${
          quote(new TextDecoder().decode(op.data))
        }`
        : op.path === "self/attr/apparmor/exec"
        ? `apply the AppArmor profile ${
          quote(config.spec.process?.apparmorProfile ?? "")
        }`
        : op.path === "self/attr/exec"
        ? `apply the SELinux label ${
          quote(config.spec.process?.selinuxLabel ?? "")
        }`
        : op.why;
    case "prctl":
      return Number(op.option) === PR.SET_NO_NEW_PRIVS
        ? "set no_new_privs"
        : op.why;
    case "ctty":
    case "dup":
      return op.from === undefined
        ? "give the command its standard streams"
        : "connect the command to its terminal";
    case "capDrop":
      return "limit the capabilities to the bounding set";
    case "capSet":
      return "give the command its capabilities";
    case "setgroups":
      return op.gids.length === 0
        ? "leave the caller's groups"
        : `join the groups ${
          [...new Uint32Array(op.gids.slice().buffer)].join(", ")
        }`;
    case "sched":
      return `use the scheduler ${config.spec.process?.scheduler?.policy}`;
    case "ioprio":
      return "set the I/O priority";
    case "personality":
      return `use the execution domain ${config.spec.linux?.personality?.domain}`;
    case "mempolicy":
      return `use the memory policy ${config.spec.linux?.memoryPolicy?.mode}`;
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

/** Operations whose text names the call that failed. */
const NAMING: readonly OpName[] = [
  "pivot",
  "chroot",
  "enter",
  "keyring",
  "fork",
  "spawn",
];

/** The kernel's side of it: "move_mount: EPERM (operation not permitted)". */
export function kernelWords({ op, errno, text }: Failure): string {
  const name = describeErrno(errno);
  // The first line of the kernel's own log, as fsopen(2) contexts keep it.
  const said = /^[ewi] (.*)$/.exec(text)?.[1];
  if (said !== undefined) return `${said}: ${name}`;
  const call = CALLS[op.do] ?? op.do;
  // What the child stage found out by itself: "the host's root is still there".
  if (text.startsWith("the ")) return `${call}: ${text}`;
  const named = NAMING.includes(op.do) && /^[A-Z_a-z]\w+$/.test(text);
  return `${named ? text : call}: ${name}`;
}

const CALLS: Partial<Record<OpName, string>> = {
  affinity: "sched_setaffinity",
  capAmbient: "prctl",
  capDrop: "prctl",
  capSet: "capset",
  chown: "fchown",
  closeFds: "close_range",
  cover: "fchmodat",
  copyUp: "copy",
  ctty: "ioctl TIOCSCTTY",
  domainname: "setdomainname",
  dup: "dup3",
  exec: "execve",
  file: "openat",
  findExec: "execve",
  fork: "clone3",
  fsmount: "fsopen",
  hostname: "sethostname",
  ioprio: "ioprio_set",
  keyring: "keyctl",
  linkUp: "ioctl SIOCSIFFLAGS",
  mask: "move_mount",
  mempolicy: "set_mempolicy",
  mkdir: "mkdirat",
  mkdirOwn: "mkdirat",
  mknod: "mknodat",
  mountSetattr: "mount_setattr",
  moveMount: "move_mount",
  netlink: "rtnetlink",
  open: "openat2",
  openTree: "open_tree",
  pivot: "pivot_root",
  pty: "open ptmx",
  readonly: "mount_setattr",
  reconfigure: "fsconfig",
  rest: "recvmsg",
  sched: "sched_setattr",
  sendFd: "sendmsg",
  setgid: "setresgid",
  setuid: "setresuid",
  spawn: "execve",
  symlink: "symlinkat",
  target: "openat2",
  unmount: "umount2",
  userns: "clone3",
  verify: "fstat",
  same: "fstat",
  waitStart: "write exec.fifo",
  warden: "clone3",
  writeFd: "write",
};
