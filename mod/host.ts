/**
 * Facts about this machine as the caller has it, gathered once and lazily; the managers decide
 * from them, so that tests can hand in any machine.
 *
 * @module
 */

import { readTextFileSync } from "../ffi/files.ts";
import type { Caller } from "./caller.ts";
import { type Inherited, isMountsForeign } from "./caller/status.ts";
import { type Buses, findBuses } from "./host/buses.ts";
import { readKernel } from "./host/kernel.ts";

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
  /** The caller's own cgroup in this hierarchy (PROC/cgroup): "/user". */
  own: string;
  /** v2: what the whole hierarchy was mounted with ("nsdelegate",
   * "memory_recursiveprot"; cgroup-v2.rst, "Mounting"); absent: nothing. */
  options?: readonly string[];
}

/** The resctrl file system, which holds classes of service. */
export interface Resctrl {
  /** The kernel has it (/proc/filesystems). */
  known: boolean;
  /** Where it is mounted. */
  path?: string;
  /** Directories in info/: what it can allocate ("L3", "MB") and monitor
   * ("L3_MON"). */
  resources: readonly string[];
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
  /** Its mount namespace belongs to another user namespace than it is in, as
   * under `unshare -Ur`: its capabilities are none over those mounts. */
  foreignMounts?: boolean;
  /** Mounted hierarchies. v1 and v2 both: hybrid. */
  cgroups: CgroupMount[];
  /** Security modules that are on. */
  selinux: boolean;
  apparmor: boolean;
  /** Where the systemd that is for the caller's containers is spoken to. */
  buses?: Buses;
  /** Where /proc shows the caller. */
  proc: string;
  /** What the caller would hand on. */
  inherited?: Inherited;
  /** Looked for only where linux.intelRdt asks for it. */
  resctrl?: Resctrl;
}

const CAP_SYS_ADMIN = 1n << 21n;

/** Whether the host's trees are opened before any namespace is entered: without
 * CAP_SYS_ADMIN over them the kernel clones a tree only in a mount namespace of
 * the caller's own. */
export function takesEarly(
  facts: Pick<Facts, "caps" | "foreignMounts">,
): boolean {
  return (facts.caps & CAP_SYS_ADMIN) !== 0n && !facts.foreignMounts;
}

/** Layout of the machine's cgroups: hybrid has v1 controllers and a v2
 * hierarchy beside them; none has no mounted hierarchy at all. */
export function cgroupLayout(
  facts: Pick<Facts, "cgroups">,
): "v1" | "hybrid" | "v2" | "none" {
  const v1 = facts.cgroups.some((c) =>
    c.version === 1 && !c.controllers.every((x) => x.startsWith("name="))
  );
  const v2 = facts.cgroups.some((c) => c.version === 2);
  return v1 ? (v2 ? "hybrid" : "v1") : v2 ? "v2" : "none";
}

const read = (path: string): string => readTextFileSync(path);

const readOr = (path: string, other: string): string => {
  try {
    return read(path);
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.PermissionDenied
    ) return other;
    throw error;
  }
};

/** mountinfo writes blanks and backslashes as octal; proc_pid_mountinfo(5). */
export function unescapeMountinfo(field: string): string {
  return !field.includes("\\") ? field : field.replace(
    /\\([0-7]{3})/g,
    (_, octal) => String.fromCharCode(parseInt(octal, 8)),
  );
}

/** Mount options that are every file system's, or a security module's. */
const COMMON = ["rw", "ro", "sync", "dirsync", "mand", "lazytime", "seclabel"];

/** The options of a cgroup2 that are its own. */
function ownOptions(options: string): { options?: readonly string[] } {
  const own = options.split(",").filter((it) =>
    it !== "" && !it.includes("=") && !COMMON.includes(it)
  );
  return own.length > 0 ? { options: own } : {};
}

/**
 * Finds the mounted cgroup hierarchies and the caller's place in each.
 *
 * @param mountinfo text of the caller's mountinfo, proc_pid_mountinfo(5)
 * @param own text of its list of cgroups, cgroups(7)
 * @param controllers reads cgroup.controllers of a v2 mount
 */
export function parseCgroups(
  mountinfo: string,
  own: string,
  controllers: (path: string) => string,
): CgroupMount[] {
  const places = new Map<string, string>();
  for (const line of own.split("\n")) {
    const [, names, ...path] = line.split(":");
    if (names !== undefined) places.set(names, path.join(":"));
  }
  const found: CgroupMount[] = [];
  const seen = new Set<string>();
  for (const line of mountinfo.split("\n")) {
    const dash = line.indexOf(" - cgroup");
    if (dash < 0) continue;
    const [, , , root = "/", path = ""] = line.split(" ");
    const [type, , options = ""] = line.slice(dash + 3).split(" ");
    if (type === "cgroup2") {
      if (seen.has("")) continue;
      seen.add("");
      const at = unescapeMountinfo(path);
      found.push({
        version: 2,
        controllers: controllers(at).split(/\s+/).filter((it) => it !== ""),
        path: at,
        root: unescapeMountinfo(root),
        own: places.get("") ?? "/",
        ...ownOptions(options),
      });
      continue;
    }
    // The hierarchy's names are those of `own` that the mount's options hold.
    const words = options.split(",");
    for (const [names, place] of places) {
      if (names === "" || seen.has(names)) continue;
      const list = names.split(",");
      if (!list.every((it) => words.includes(it))) continue;
      seen.add(names);
      found.push({
        version: 1,
        controllers: list,
        path: unescapeMountinfo(path),
        root: unescapeMountinfo(root),
        own: place,
      });
    }
  }
  return found;
}

/** Whether a process is in a user namespace: root there is not root. */
export function isInUserns(proc: string): boolean {
  return !/^\s*0\s+0\s+4294967295\s*$/.test(read(`${proc}/uid_map`));
}

/** Who root of a process's user namespace is outside: 0 where there is none. */
export function outerRoot(proc: string): number {
  const map = read(`${proc}/uid_map`);
  return Number(/^\s*0\s+(\d+)\s/m.exec(map)?.[1] ?? 0);
}

/**
 * Gathers the facts of this machine for a caller; each is read when it is first
 * asked for.
 *
 * @throws {ContainerError} when /proc is not mounted
 */
export function gatherFacts(caller: Caller): Facts {
  const release = readKernel("osrelease");
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  const { proc } = caller;
  let cgroups: CgroupMount[] | undefined;
  let inUserns: boolean | undefined;
  let foreignMounts: boolean | undefined;
  return {
    arch: Deno.build.arch,
    kernel: { release, major, minor },
    proc,
    get uid() {
      return caller.uid;
    },
    get gid() {
      return caller.gid;
    },
    get caps() {
      return caller.caps;
    },
    get inherited() {
      return caller.inherited;
    },
    get inUserns() {
      return inUserns ??= isInUserns(proc);
    },
    get foreignMounts() {
      return foreignMounts ??= this.inUserns && isMountsForeign(proc);
    },
    get cgroups() {
      return cgroups ??= parseCgroups(
        read(`${proc}/mountinfo`),
        read(`${proc}/cgroup`),
        (path) => readOr(`${path}/cgroup.controllers`, ""),
      );
    },
    get buses() {
      return findBuses(
        caller.environment,
        caller.uid !== 0 || this.inUserns,
      );
    },
    get selinux() {
      return readOr("/sys/fs/selinux/enforce", "") !== "";
    },
    get apparmor() {
      return readOr("/sys/module/apparmor/parameters/enabled", "N")
        .startsWith("Y");
    },
  };
}
