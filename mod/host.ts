/**
 * Facts about this machine, gathered once and lazily; the managers decide
 * from them, so that tests can hand in any machine.
 *
 * @module
 */

/** One mounted cgroup hierarchy. */
export interface CgroupMount {
  /** 1 or 2. */
  version: 1 | 2;
  /** v1: the controllers of the hierarchy ("cpu", "cpuacct", "name=systemd");
   * v2: the controllers in cgroup.controllers at the mount's root. */
  controllers: string[];
  /** Where it is mounted: "/sys/fs/cgroup/memory". */
  path: string;
  /** Root of the mount inside the hierarchy (mountinfo's 4th field); "/" on a
   * plain host. */
  root: string;
  /** The caller's own cgroup in this hierarchy (/proc/self/cgroup): "/user". */
  own: string;
}

/** What the managers know about the machine. */
export interface Facts {
  arch: "x86_64" | "aarch64";
  /** uname -r, and its first two numbers. */
  kernel: { release: string; major: number; minor: number };
  /** Effective ids of the caller. */
  uid: number;
  gid: number;
  /** CapEff of the caller. */
  caps: bigint;
  /** The caller is in a user namespace that is not the initial one. */
  inUserns: boolean;
  /** Mounted hierarchies. v1 and v2 both: hybrid. */
  cgroups: CgroupMount[];
  /** Security modules that are on. */
  selinux: boolean;
  apparmor: boolean;
  /** The caller's own pid and its soft/hard RLIMIT_NOFILE of the parent. */
  pid: number;
}

/** Layout of the machine's cgroups: hybrid has v1 controllers and a v2
 * hierarchy beside them; none has no mounted hierarchy at all. */
export function cgroupLayout(facts: Facts): "v1" | "hybrid" | "v2" | "none" {
  const v1 = facts.cgroups.some((c) =>
    c.version === 1 && !c.controllers.every((x) => x.startsWith("name="))
  );
  const v2 = facts.cgroups.some((c) => c.version === 2);
  return v1 ? (v2 ? "hybrid" : "v1") : v2 ? "v2" : "none";
}
