/**
 * A failure with what is said of it, and operations that fail.
 *
 * @module
 */

import { CLONE } from "../../ffi/constants.ts";
import type { Facts } from "../../mod/host.ts";
import type { Op, OpName } from "../../mod/plan.ts";

/** One failure, and what is said of it. */
export interface Row {
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

export const NOTHING = new Uint8Array();

/** An operation; its fields are those of the plan's table. */
export const op = <K extends OpName>(
  name: K,
  fields: Omit<Extract<Op, { do: K }>, "do">,
): Op => ({ do: name, ...fields } as unknown as Op);

/** The command of the configuration is the operation's. */
export const findExec = (command: string): Op =>
  op("findExec", {
    candidates: [command],
    why: `find "${command}"`,
    from: "process.args",
  });

export const exec = (command: string): Op =>
  op("exec", {
    argv: [command],
    env: [],
    why: "run the command",
    from: "process.args",
  });

export const unshare = (flags: number): Op =>
  op("unshare", { flags, why: "make it", from: "linux.namespaces[0]" });

export const fork = (cgroup = ""): Op =>
  op("fork", {
    flags: CLONE.NEWPID + CLONE.NEWNS,
    cgroup,
    why: "start the container's first process",
    from: "linux.namespaces",
  });

export const openNamespace = (): Op =>
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

/** It may not be opened. */
export const closedNamespace = (hint: string): Row => ({
  op: openNamespace(),
  errno: "EACCES",
  message:
    'Cannot join the network namespace "/proc/9/ns/net" (linux.namespaces[1]): openat2: EACCES (permission denied)',
  code: "namespace-join",
  hint,
});

export const verifyNamespace = (): Op =>
  op("verify", {
    slot: "ns.network",
    type: 0,
    rdev: 0,
    magic: 0,
    why: "make sure that it is a namespace",
    from: "linux.namespaces[1]",
  });

export const setns = (slot: string, type: number): Op =>
  op("setns", { slot, type, why: "join it", from: "linux.namespaces[1]" });

export const joinCgroup = (): Op =>
  op("writeFd", {
    slot: "tasks0",
    data: NOTHING,
    why: "join the cgroup /sys/fs/cgroup/pids/box",
    from: "linux.cgroupsPath",
  });

export const keyring = (): Op =>
  op("keyring", { name: "_ses.box", why: "keep the caller's keys out" });

export const netlink = (): Op =>
  op("netlink", {
    name: "eth0",
    message: NOTHING,
    why: "give eth0 an address that it had on the host",
    from: "linux.netDevices",
  });

export const fsmount = (fstype: string): Op =>
  op("fsmount", {
    into: "mount",
    fstype,
    options: [],
    attr: 0,
    flags: 0,
    why: `make a file system of the type "${fstype}"`,
    from: "mounts[0]",
  });

export const overlay = (): Op =>
  op("fsmount", {
    into: "root",
    fstype: "overlay",
    options: [],
    attr: 0,
    flags: 0,
    why: "lay a throw-away layer over the root file system",
    from: "ephemeral",
  });

export const mkdirOwn = (): Op =>
  op("mkdirOwn", {
    into: "private",
    at: "uppers",
    name: "rustyrun-box-1",
    why: "make a directory for what the container writes",
    from: "ephemeral",
  });

export const openTree = (): Op =>
  op("openTree", {
    into: "mount",
    at: "",
    path: "/data",
    flags: 1,
    why: 'take "/data" of the host',
    from: "mounts[1]",
  });

export const target = (): Op =>
  op("target", {
    into: "target",
    at: "",
    below: "",
    root: "root",
    path: "/mnt",
    kind: 1,
    mode: 0o755,
    why: 'find the place of "/mnt"',
    from: "mounts[1]",
  });

export const moveMount = (from: string): Op =>
  op("moveMount", { tree: "mount", onto: "target", why: "mount it", from });

export const setAttr = (from: string, userns = ""): Op =>
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

export const copyUp = (): Op =>
  op("copyUp", {
    source: "a",
    onto: "b",
    why: 'copy what "/mnt" holds into it',
    from: "mounts[1]",
  });

export const mknod = (): Op =>
  op("mknod", {
    at: "dev",
    name: "null",
    mode: 0o20666,
    rdev: 0x103,
    uid: 0,
    gid: 0,
    why: 'make the device "/dev/null"',
  });

export const write = (path: string, why: string, from: string): Op =>
  op("write", { at: "proc", path, data: NOTHING, flags: 0, why, from });

export const sysctl = (path: string, value: string): Op =>
  op("write", {
    at: "proc",
    path: `sys/${path}`,
    data: new TextEncoder().encode(value),
    flags: 0,
    why: "set it",
    from: 'linux.sysctl["x"]',
  });

export const chdir = (): Op =>
  op("chdir", {
    path: "/srv",
    create: 0,
    why: 'be in "/srv"',
    from: "process.cwd",
  });

export const seccomp = (): Op =>
  op("seccomp", {
    filter: NOTHING,
    flags: 0,
    into: "",
    why: "allow only the listed system calls",
    from: "linux.seccomp",
  });

export const hook = (kind: string): Op =>
  op("spawn", {
    path: "/hook",
    argv: ["/hook"],
    env: [],
    stdin: NOTHING,
    timeout: 5,
    dir: "",
    why: `run the ${kind} hook "/hook"`,
    from: `hooks.${kind}[0]`,
  });
