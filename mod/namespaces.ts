/**
 * The namespaces manager: which namespaces are joined, which are made, and in
 * which order, as operations.
 *
 * Order of what is joined: a caller with CAP_SYS_ADMIN joins everything else
 * before the user namespace, while it still has its rights over namespaces of
 * both owners; any other caller joins the user namespace first, for it has no
 * rights before. The mount namespace is the last of them. A cgroup namespace
 * bounds where a process may be put (cgroup2's mount option `nsdelegate`, which
 * systemd sets): it is joined by who is in its cgroup already.
 *
 * @module
 */

import { CLONE, MAGIC, O, PR, S_IF } from "../ffi/constants.ts";
import type { Config } from "./config/config.ts";
import { isMapped, namespaceUse } from "./config/namespaces.ts";
import type { NamespaceType } from "./config/schema.ts";
import { ContainerError } from "./errors.ts";
import type { Facts } from "./host.ts";
import { checkNamespaces, checkNetDevices } from "./namespaces/check.ts";
import { type Op, type Phased, SYNC } from "./plan.ts";

export {
  type IdMaps,
  parseSubordinateIds,
  resolveIdMaps,
  type SubordinateIds,
} from "./namespaces/idmaps.ts";

/** Flag of each type, in the order in which namespaces are joined. */
const TYPES = [
  ["network", CLONE.NEWNET],
  ["ipc", CLONE.NEWIPC],
  ["uts", CLONE.NEWUTS],
  ["cgroup", CLONE.NEWCGROUP],
  ["time", CLONE.NEWTIME],
  ["pid", CLONE.NEWPID],
  ["mount", CLONE.NEWNS],
] as const satisfies readonly (readonly [NamespaceType, number])[];

/** Made by the helper's process, which the fork copies. It makes as much in the
 * same cgroup, and later: the host is through with the cgroups by then. A user
 * namespace has to be there first, to own them. */
const AHEAD: readonly NamespaceType[] = ["uts", "ipc", "network"];

/** Made by the fork itself, where they are not made ahead. The others have a step
 * of their own: user and time before it, cgroup after the container's cgroup is
 * joined. */
const FORKED: readonly NamespaceType[] = [
  "pid",
  "mount",
  "uts",
  "ipc",
  "network",
];

const CAP_SYS_ADMIN = 1n << 21n;

/** What tells one file from another, stat(2). */
export interface FileId {
  dev: number;
  ino: number;
}

/** What the namespaces manager gets from other managers. */
export interface NamespaceOptions {
  /** Slot of the cgroup2 directory for CLONE_INTO_CGROUP; absent for none. */
  cgroup?: string;
  /** Which namespaces the paths of those that are joined led to when they were
   * judged. */
  judged?: ReadonlyMap<NamespaceType, FileId>;
}

/**
 * Plans the container's namespaces: clone(2), setns(2), user_namespaces(7),
 * time_namespaces(7).
 *
 * `linux.uidMappings` and `gidMappings` are read as they stand:
 * {@linkcode resolveIdMaps} finds those that the caller left to us.
 *
 * @throws {ContainerError} when a namespace is named twice, a path is not
 * absolute, or something is asked for that needs a namespace which is not there
 */
export function planNamespaces(
  config: Config,
  facts: Facts,
  options: NamespaceOptions = {},
): Phased {
  const linux = config.spec.linux ?? {};
  checkNamespaces(config);
  const privileged = (facts.caps & CAP_SYS_ADMIN) !== 0n;
  const sources: Op[] = [];
  const joins: Op[] = [];
  const late: Op[] = [];
  for (const [type, flag] of TYPES) {
    const join = planJoin(config, type, flag, sources, options);
    if (join === undefined) continue;
    (isLate(config, type) ? late : joins).push(join);
  }
  const userJoin = planJoin(config, "user", CLONE.NEWUSER, sources, options);
  const ahead = namespaceUse(config, "user") === "inherit"
    ? newFlags(config, AHEAD)
    : 0;
  const phased: Phased = {
    sources,
    ahead: ahead === 0 ? [] : [{
      do: "unshare",
      flags: ahead,
      why: "make its namespaces while the host makes its cgroups",
      from: "linux.namespaces",
    }],
    user: planUser(
      config,
      userJoin,
      privileged ? joins : [],
      late.length > 0,
    ),
    time: planTime(config, sources),
    namespaces: privileged ? [] : joins,
    fork: [{
      do: "fork",
      flags: newFlags(config, FORKED) & ~ahead,
      cgroup: options.cgroup ?? "",
      why: "start the container's first process",
      from: "linux.namespaces",
    }],
    cgroupJoin: late,
    session: planSession(config),
    network: [],
    uts: [],
  };
  if (namespaceUse(config, "cgroup") === "new") {
    phased.cgroupJoin?.push({
      do: "unshare",
      flags: CLONE.NEWCGROUP,
      why: "make its cgroup the root of what it sees",
      from: keyOf(config, "cgroup"),
    });
  }
  if (namespaceUse(config, "network") === "new") {
    phased.network?.push({
      do: "linkUp",
      name: "lo",
      why: "bring the loopback interface up",
      from: keyOf(config, "network"),
    });
  }
  const { hostname, domainname } = config.spec;
  if (hostname) {
    phased.uts?.push({
      do: "hostname",
      name: hostname,
      why: "set the host name",
      from: "hostname",
    });
  }
  if (domainname) {
    phased.uts?.push({
      do: "domainname",
      name: domainname,
      why: "set the NIS domain name",
      from: "domainname",
    });
  }
  if (linux.netDevices && Object.keys(linux.netDevices).length > 0) {
    checkNetDevices(config);
  }
  return phased;
}

/** Whether a namespace is joined behind the fork, which goes into the cgroup.
 * With a user namespace it is too late by then for a cgroup namespace that is
 * not that one's, and early enough: the cgroup is joined by a file that was
 * opened before, and the kernel asks for the namespace of who opened it. */
function isLate(config: Config, type: NamespaceType): boolean {
  return type === "cgroup" && namespaceUse(config, "user") === "inherit";
}

function keyOf(config: Config, type: NamespaceType): string {
  const at =
    config.spec.linux?.namespaces?.findIndex((it) => it.type === type) ?? -1;
  return `linux.namespaces[${at}]`;
}

/** Opens a namespace to be joined with the host's ids, and returns the join. */
function planJoin(
  config: Config,
  type: NamespaceType,
  flag: number,
  sources: Op[],
  { judged }: NamespaceOptions,
): Op | undefined {
  if (namespaceUse(config, type) !== "joined") return undefined;
  const from = keyOf(config, type);
  const path = config.spec.linux?.namespaces?.find((it) => it.type === type)
    ?.path ?? "";
  const slot = `ns.${type}`;
  sources.push(
    {
      do: "open",
      into: slot,
      at: "",
      path,
      // A FIFO in its place would hold us here for ever.
      flags: O.NONBLOCK,
      mode: 0,
      resolve: 0,
      why: `open the ${type} namespace to join`,
      from,
    },
    {
      do: "verify",
      slot,
      type: S_IF.REG,
      rdev: 0,
      magic: MAGIC.NSFS,
      why: `make sure that "${path}" is a namespace`,
      from,
    },
  );
  const id = judged?.get(type);
  if (id !== undefined) {
    sources.push({
      do: "same",
      slot,
      ...id,
      why: "enter no other one than the one that was judged",
      from,
    });
  }
  return {
    do: "setns",
    slot,
    type: flag,
    why: `join the ${type} namespace`,
    from,
  };
}

/** The flags of what the fork makes. */
function newFlags(config: Config, types: readonly NamespaceType[]): number {
  let flags = 0;
  for (const [type, flag] of TYPES) {
    if (types.includes(type) && namespaceUse(config, type) === "new") {
      flags += flag;
    }
  }
  return flags;
}

function planUser(
  config: Config,
  userJoin: Op | undefined,
  joins: readonly Op[],
  joinsLater: boolean,
): Op[] {
  const use = namespaceUse(config, "user");
  const from = use === "inherit" ? "" : keyOf(config, "user");
  const ops: Op[] = [];
  if (joins.length > 0 || joinsLater || userJoin !== undefined) {
    ops.push(hideFromTracers());
  }
  ops.push(...joins);
  if (use === "inherit") return ops;
  if (userJoin !== undefined) {
    ops.push(userJoin);
  } else {
    ops.push(
      {
        do: "unshare",
        flags: CLONE.NEWUSER,
        why: "make a user namespace",
        from,
      },
      {
        do: "sync",
        id: SYNC.idMaps,
        why: "let ids mean something: only the host may write the maps",
        from: "linux.uidMappings",
      },
    );
  }
  const { uidMappings, gidMappings } = config.spec.linux ?? {};
  if (isMapped(gidMappings, 0)) {
    ops.push({
      do: "setgid",
      gid: 0,
      why: "become group 0 of the user namespace",
      from,
    });
  }
  if (isMapped(uidMappings, 0)) {
    ops.push({
      do: "setuid",
      uid: 0,
      why: "become root of the user namespace",
      from,
    });
  }
  // Other rights make it what fs.suid_dumpable says: with 1, traceable.
  if (userJoin !== undefined) ops.push(hideFromTracers());
  return ops;
}

/** CVE-2016-9962: nothing in a joined namespace may trace this process. It is
 * never undone: its root is the host's until it has entered the container's. */
function hideFromTracers(): Op {
  return {
    do: "prctl",
    option: PR.SET_DUMPABLE,
    a: 0,
    b: 0,
    c: 0,
    d: 0,
    why: "let nobody in the namespaces trace this process",
  };
}

/** The offsets are written between the unshare and the fork: clone3 with
 * CLONE_NEWTIME would make them read-only before anyone could write them. */
function planTime(config: Config, sources: Op[]): Op[] {
  const use = namespaceUse(config, "time");
  const offsets = Object.entries(config.spec.linux?.timeOffsets ?? {});
  if (offsets.length > 0 && use !== "new") {
    throw new ContainerError(
      use === "joined"
        ? "Cannot set time offsets: the time namespace is joined by its path and has its own"
        : "Cannot set time offsets: the container has no time namespace of its own",
      {
        code: "time-namespace-missing",
        hint: 'Add a namespace of type "time" without a path',
      },
    );
  }
  if (use !== "new") return [];
  const ops: Op[] = [{
    do: "unshare",
    flags: CLONE.NEWTIME,
    why: "make a time namespace for what is forked next",
    from: keyOf(config, "time"),
  }];
  if (offsets.length === 0) return ops;
  const lines = offsets.map(([clock, offset]) => {
    if (clock !== "monotonic" && clock !== "boottime") {
      throw new ContainerError(
        `Cannot set the offset of the clock "${clock}": only monotonic and boottime have one (linux.timeOffsets)`,
        { code: "time-offset-clock", hint: 'Use "monotonic" or "boottime"' },
      );
    }
    return `${clock} ${offset.secs ?? 0} ${offset.nanosecs ?? 0}\n`;
  });
  // Before any user namespace: the kernel judges who opened the file, and who
  // opens it behind one must be traceable there, with the host's root.
  const from = "linux.timeOffsets";
  sources.push({
    do: "open",
    into: "clocks",
    at: "",
    path: "/proc/self/timens_offsets",
    flags: O.WRONLY,
    mode: 0,
    resolve: 0,
    why: "hold the list of this process's clocks",
    from,
  }, {
    do: "verify",
    slot: "clocks",
    type: S_IF.REG,
    rdev: 0,
    magic: MAGIC.PROC,
    why: "make sure that /proc is a procfs",
    from,
  });
  ops.push({
    do: "writeFd",
    slot: "clocks",
    data: new TextEncoder().encode(lines.join("")),
    why: "set the offsets of the clocks",
    from,
  });
  return ops;
}

function planSession(config: Config): Op[] {
  const ops: Op[] = [{
    do: "setsid",
    why: "leave the caller's terminal and session",
  }];
  if (!config.noNewKeyring) {
    ops.push({
      do: "keyring",
      name: `_ses.${config.id}`,
      why: "keep the caller's keys out of reach",
    });
  }
  return ops;
}
