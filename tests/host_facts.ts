/**
 * What of the host no container may change: its device nodes, its mounts with
 * their propagation, the cgroup hierarchies' options, sysctls.
 *
 * @module
 */

import { readCgroup2 } from "../mod/container/checkpoint/cgroup2.ts";

/** Nodes that containers have, too, or that are bound into them. */
const DEVICES = [
  "console",
  "full",
  "fuse",
  "kmsg",
  "net/tun",
  "null",
  "ptmx",
  "pts/ptmx",
  "random",
  "tty",
  "urandom",
  "zero",
];

/** Those that a namespace of the container has a value of its own for, and some
 * that belong to the whole machine. */
const SYSCTLS = [
  "fs/mqueue/msg_max",
  "fs/mqueue/msgsize_max",
  "fs/mqueue/queues_max",
  "fs/suid_dumpable",
  "kernel/core_pattern",
  "kernel/domainname",
  "kernel/hostname",
  "kernel/msgmax",
  "kernel/msgmnb",
  "kernel/msgmni",
  "kernel/sem",
  "kernel/shm_rmid_forced",
  "kernel/shmall",
  "kernel/shmmax",
  "kernel/shmmni",
  "kernel/yama/ptrace_scope",
  "net/core/somaxconn",
  "net/ipv4/ip_forward",
  "net/ipv4/ip_unprivileged_port_start",
  "net/ipv4/ping_group_range",
  "vm/memfd_noexec",
  "vm/overcommit_memory",
];

/** Where tests have mounts of their own, each its own business. */
const BUSY = /^\/(tmp|run|var\/tmp|dev\/shm|work)(\/|$)/;

function readNode(path: string): string {
  try {
    const { mode, uid, gid, rdev } = Deno.lstatSync(path);
    return `${uid}:${gid} ${mode?.toString(8)} ${rdev}`;
  } catch {
    return "missing";
  }
}

function readSysctl(path: string): string {
  try {
    return Deno.readTextFileSync(path).trim();
  } catch {
    return "unreadable";
  }
}

/** The lines of mountinfo. While criu is called, cgroup2 has lost its options, and
 * its directory is locked: mod/container/checkpoint/cgroup2.ts. */
function readMounts(): string[] {
  const read = () =>
    Deno.readTextFileSync("/proc/self/mountinfo").trim().split("\n");
  const path = readCgroup2(read().join("\n"))?.path;
  if (path === undefined) return read();
  using dir = Deno.openSync(path);
  dir.lockSync(false);
  return read();
}

/** Every fact by its name. Of a mount, which comes and goes, the name has its id
 * and its place. */
export function readHost(): Map<string, string> {
  const facts = new Map<string, string>();
  for (const it of DEVICES) facts.set(`/dev/${it}`, readNode(`/dev/${it}`));
  for (const it of SYSCTLS) {
    facts.set(`sysctl ${it}`, readSysctl(`/proc/sys/${it}`));
  }
  const lines = readMounts();
  for (const line of lines) {
    const [first = "", second = ""] = line.split(" - ");
    const [id, , device, root, place = "", options, ...groups] = first.split(
      " ",
    );
    if (BUSY.test(place)) continue;
    facts.set(
      `mount ${id} of ${device} ${root} on ${place}`,
      `${options} ${groups.join(" ")} ${second}`,
    );
  }
  return facts;
}

/**
 * What has another value than before. A mount that is gone, or new, is found
 * elsewhere, or is somebody else's.
 */
export function findChanged(
  before: ReadonlyMap<string, string>,
  now: ReadonlyMap<string, string>,
): string[] {
  return [...before].flatMap(([name, value]) => {
    const other = now.get(name);
    // A module may be loaded meanwhile that makes its node.
    return other === undefined || other === value || value === "missing"
      ? []
      : [`${name} was "${value}" and is "${other}"`];
  });
}
