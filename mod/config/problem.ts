/**
 * One problem of a config.json: where it is, what is wrong, which clause of
 * the specification says so and what to write instead.
 *
 * @module
 */

/** What is wrong with one value of a configuration. */
export interface Problem {
  /** Where: "mounts[0].destination"; "" for the whole document. */
  path: string;
  /** What, to be read after the path: `must be a string: found 5`. */
  message: string;
  /** File and heading of the specification: "config.md#mounts". */
  clause: string;
  /** What to write, one sentence without a full stop. */
  instead: string;
}

/** Headings by the beginnings of paths, the longer ones first. */
const CLAUSES: readonly (readonly [string, string])[] = [
  ["ociVersion", "config.md#specification-version"],
  ["root", "config.md#root"],
  ["mounts", "config.md#mounts"],
  ["hostname", "config.md#hostname"],
  ["domainname", "config.md#domainname"],
  ["hooks", "config.md#posix-platform-hooks"],
  ["annotations", "config.md#annotations"],
  ["process.user", "config.md#posix-platform-user"],
  ["process.rlimits", "config.md#posix-process"],
  ["process.capabilities", "config.md#linux-process"],
  ["process.noNewPrivileges", "config.md#linux-process"],
  ["process.apparmorProfile", "config.md#linux-process"],
  ["process.oomScoreAdj", "config.md#linux-process"],
  ["process.selinuxLabel", "config.md#linux-process"],
  ["process.scheduler", "config.md#linux-process"],
  ["process.ioPriority", "config.md#linux-process"],
  ["process.execCPUAffinity", "config.md#linux-process"],
  ["process", "config.md#process"],
  ["linux.namespaces", "config-linux.md#namespaces"],
  ["linux.uidMappings", "config-linux.md#user-namespace-mappings"],
  ["linux.gidMappings", "config-linux.md#user-namespace-mappings"],
  ["linux.timeOffsets", "config-linux.md#offset-for-time-namespace"],
  ["linux.devices", "config-linux.md#devices"],
  ["linux.netDevices", "config-linux.md#network-devices"],
  ["linux.cgroupsPath", "config-linux.md#cgroups-path"],
  ["linux.resources.devices", "config-linux.md#allowed-device-list"],
  ["linux.resources.memory", "config-linux.md#memory"],
  ["linux.resources.cpu", "config-linux.md#cpu"],
  ["linux.resources.blockIO", "config-linux.md#block-io"],
  ["linux.resources.hugepageLimits", "config-linux.md#huge-page-limits"],
  ["linux.resources.network", "config-linux.md#network"],
  ["linux.resources.pids", "config-linux.md#pids"],
  ["linux.resources.rdma", "config-linux.md#rdma"],
  ["linux.resources.unified", "config-linux.md#unified"],
  ["linux.resources", "config-linux.md#control-groups"],
  ["linux.intelRdt", "config-linux.md#intelrdt"],
  ["linux.memoryPolicy", "config-linux.md#memory-policy"],
  ["linux.sysctl", "config-linux.md#sysctl"],
  ["linux.seccomp", "config-linux.md#seccomp"],
  ["linux.rootfsPropagation", "config-linux.md#rootfs-mount-propagation"],
  ["linux.maskedPaths", "config-linux.md#masked-paths"],
  ["linux.readonlyPaths", "config-linux.md#readonly-paths"],
  ["linux.mountLabel", "config-linux.md#mount-label"],
  ["linux.personality", "config-linux.md#personality"],
  ["linux", "config.md#platform-specific-configuration"],
];

/** Finds the clause that speaks of what is at `path`. */
function findClause(path: string): string {
  for (const [start, clause] of CLAUSES) {
    const next = path[start.length];
    if (
      path.startsWith(start) &&
      (next === undefined || next === "." || next === "[")
    ) {
      return clause;
    }
  }
  return "config.md#valid-values";
}

/** Makes a {@linkcode Problem}; its clause follows from the path. */
export function makeProblem(
  path: string,
  message: string,
  instead: string,
): Problem {
  return { path, message, clause: findClause(path), instead };
}

/** Returns the path of a property of what is at `path`: "linux.sysctl",
 * `linux.sysctl["kernel.sem"]`. */
export function joinPath(path: string, key: string | number): string {
  if (typeof key === "number") return `${path}[${key}]`;
  if (!/^[A-Za-z_]\w*$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}

/** Longest text of a value that a message shows. */
const SHOWN = 80;

/** Returns a value as a message shows it: short and on one line. */
export function showValue(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(
        value.length > SHOWN ? `${value.slice(0, SHOWN)}...` : value,
      );
    case "number":
    case "boolean":
    case "bigint":
      return String(value);
    case "undefined":
      return "nothing";
    case "object":
      if (value === null) return "null";
      return Array.isArray(value) ? "a list" : "an object";
    default:
      return `a ${typeof value}`;
  }
}
