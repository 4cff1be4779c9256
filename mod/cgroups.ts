/**
 * The cgroups manager: Config and Facts to a {@linkcode CgroupPlan}. What is
 * done on the host is in cgroups/make.ts (hot), remove.ts, control.ts,
 * update.ts and stats.ts.
 *
 * @module
 */

import { readTextFileSync, statSync } from "../ffi/files.ts";
import { ContainerError } from "./errors.ts";
import { cgroupLayout, type CgroupMount, type Facts } from "./host.ts";
import { LEAF, planEnable } from "./cgroups/enable.ts";
import { compileDevices } from "./cgroups/device_program.ts";
import { driverOf } from "./cgroups/drivers.ts";
import {
  listRules,
  reduceRules,
  writeDefaults,
  writeList,
} from "./cgroups/devices.ts";
import { type Limit, Limits, resolveLimit } from "./cgroups/limits.ts";
import { refusePart, withoutCgroups } from "./cgroups/unruled.ts";
import type {
  CgroupConfig,
  CgroupDir,
  CgroupLook,
  CgroupPlan,
  DevicePlan,
} from "./cgroups/model.ts";
import { addResources } from "./cgroups/resources.ts";
import { Manager, NO_BUS } from "./cgroups/systemd/manager.ts";
import { boundTasks } from "./cgroups/placement.ts";
import { addProperties, planUnit } from "./cgroups/systemd/plan.ts";
import { findBuses } from "./host/buses.ts";

export type {
  CgroupConfig,
  CgroupDir,
  CgroupLook,
  CgroupPlan,
  CgroupWrite,
  DevicePlan,
  DeviceRule,
  Unit,
  UnitPlan,
  UnitValue,
} from "./cgroups/model.ts";
export { makeCgroups } from "./cgroups/make.ts";

/** What the manager reads of Facts. */
export type CgroupFacts = Pick<
  Facts,
  "uid" | "inUserns" | "cgroups" | "buses"
>;

/** Looks at this machine. */
const HOST: CgroupLook = {
  read(path) {
    try {
      return readTextFileSync(path);
    } catch {
      return undefined;
    }
  },
  stat(path) {
    try {
      const { uid, mode } = statSync(path);
      return { uid: uid ?? 0, mode: mode ?? 0 };
    } catch {
      return undefined;
    }
  },
  device(path) {
    let info: Deno.FileInfo;
    try {
      info = statSync(path);
    } catch {
      return undefined;
    }
    if (!info.isCharDevice && !info.isBlockDevice) return undefined;
    // makedev(3): 12 bits of major and 20 of minor, folded into each other.
    const rdev = info.rdev ?? 0;
    return {
      type: info.isBlockDevice ? "b" : "c",
      major: (rdev >>> 8) & 0xfff,
      minor: (rdev & 0xff) | ((Math.floor(rdev / 4096)) & 0xfff00),
    };
  },
  manager(buses) {
    // Not with `using`: see scripts/bundle.ts.
    const manager = new Manager(buses);
    try {
      return manager.controlGroup();
    } finally {
      manager[Symbol.dispose]();
    }
  },
};

/**
 * Plans the cgroups of a container: directories, limits, device rules, how the
 * first process joins. Makes nothing.
 *
 * @param token makes the name unique in friendly mode
 * @throws {ContainerError} for a limit that this machine or this user cannot
 * have, for device rules that cannot be applied, and for a place that cannot be
 */
export function planCgroups(
  config: CgroupConfig,
  facts: CgroupFacts,
  token: string,
  look: CgroupLook = HOST,
): CgroupPlan {
  try {
    return planBy(config, facts, token, look);
  } catch (error) {
    if (!hasUsersSystemd(config, facts, error)) throw error;
    try {
      return planBy(
        { ...config, cgroupManager: "systemd" },
        facts,
        token,
        look,
      );
    } catch (other) {
      // Nobody has asked for systemd.
      if (!(other instanceof ContainerError) || other.code !== NO_BUS) {
        throw other;
      }
      throw error;
    }
  }
}

/** Whether a user who has no cgroup may have one of systemd's. */
function hasUsersSystemd(
  { cgroupManager, mode, spec }: CgroupConfig,
  facts: CgroupFacts,
  error: unknown,
): boolean {
  return error instanceof ContainerError &&
    error.code === "cgroup-not-delegated" && cgroupManager === "auto" &&
    mode === "friendly" && !spec.linux?.cgroupsPath &&
    cgroupLayout(facts as Facts) === "v2" && facts.buses?.kind === "user" &&
    facts.buses.addresses.length > 0;
}

function planBy(
  config: CgroupConfig,
  facts: CgroupFacts,
  token: string,
  look: CgroupLook,
): CgroupPlan {
  const { flags } = config;
  const resources = config.spec.linux?.resources ?? {};
  const layout = cgroupLayout(facts as Facts);
  const rootless = facts.uid !== 0 || facts.inUserns;
  const limits = new Limits(flags, layout, facts.cgroups);
  // Most containers have no limits: their code is not even compiled then.
  if (Object.keys(resources).some((key) => key !== "devices")) {
    addResources(limits, resources);
  }
  const plan: CgroupPlan = {
    dirs: [],
    fresh: config.mode === "friendly" && !config.spec.linux?.cgroupsPath,
    inherit: [],
    writes: [],
    joins: { tasks: [] },
    made: false,
    parents: [],
    notes: [],
    flags,
  };
  const disabled = config.cgroupManager === "disabled";
  if (rootless || disabled) refusePart(config);
  if (disabled) return withoutCgroups(config, rootless, plan, limits.list);
  if (config.cgroupManager === "systemd") {
    const buses = facts.buses ?? findBuses([], rootless);
    plan.unit = planUnit(config, token, { buses, layout }, look);
  }
  const driver = driverOf(plan.unit);
  for (const mount of facts.cgroups) {
    const mine = limits.list.filter((l) => isIn(mount, l, facts.cgroups));
    const path = driver.place({
      config,
      mount,
      token,
      look,
      rootless,
      uid: facts.uid,
      notes: plan.notes,
      mine,
      unit: plan.unit,
      need: {
        limits: mount.version === 2 && mine.length > 0,
        hybrid: layout === "hybrid",
      },
    });
    if (path === undefined) continue;
    const bound = plan.fresh && plan.unit === undefined && mount.version === 2
      ? boundTasks(mine, mount, path, look)
      : mine;
    addHierarchy(plan, mount, path, bound);
  }
  if (config.idle && plan.joins.v2 !== undefined) {
    plan.joins.v2 = plan.leaf = `${plan.joins.v2}/${LEAF}`;
  }
  // Above a unit nothing is written: systemd hands down what it is asked for.
  if (plan.unit === undefined) {
    planEnable(plan, {
      all: config.mode === "oci" && layout === "v2",
      counted: config.counted === true,
    });
  }
  if (rootless) {
    plan.notes.push(
      "device rules: none, because the kernel lets nobody make devices in a user namespace",
    );
  } else plan.devices = planDevices(config, plan.dirs, look);
  addProperties(plan, look);
  planPaths(plan);
  const owner = layout === "v2" ? findOwner(config) : undefined;
  if (owner) plan.owner = owner;
  return plan;
}

/** Whether a limit's files are in this hierarchy. */
function isIn(
  mount: CgroupMount,
  limit: Limit,
  all: readonly CgroupMount[],
): boolean {
  if (limit.version !== mount.version) return false;
  if (mount.version === 1) {
    // A hierarchy can be mounted twice; the first one counts.
    return all.find((m) =>
      m.version === 1 && m.controllers.includes(limit.controller)
    ) === mount;
  }
  return all.find((m) => m.version === 2) === mount;
}

function addHierarchy(
  plan: CgroupPlan,
  mount: CgroupMount,
  path: string,
  mine: readonly Limit[],
): void {
  plan.dirs.push({
    path,
    mount: mount.path,
    controllers: mount.controllers,
    version: mount.version,
    // On v1 it has one hierarchy of its own, and goes along in others.
    ...plan.unit !== undefined &&
        (mount.version === 2 || mount.controllers.includes("name=systemd"))
      ? { systemd: true }
      : {},
  });
  if (mount.version === 2) plan.joins.v2 = path;
  else {
    plan.joins.tasks.push(`${path}/tasks`);
    if (mount.controllers.includes("cpuset")) plan.inherit.push(path);
  }
  for (const limit of mine) plan.writes.push(resolveLimit(limit, path));
}

function planDevices(
  config: CgroupConfig,
  dirs: readonly CgroupDir[],
  look: CgroupLook,
): DevicePlan {
  const { flags } = config;
  const devices = [...config.spec.linux?.resources?.devices ?? []];
  for (const { host, access } of config.hostDevices) {
    const device = look.device(host);
    if (device === undefined) {
      throw new ContainerError(
        `Cannot pass the device "${host}": the host has no such device`,
        {
          code: "device-missing",
          hint:
            `ls -l ${host} shows what it is; --volume shows a file or directory`,
        },
      );
    }
    devices.push({ allow: true, ...device, access });
  }
  const rules = listRules(devices, config.mode === "friendly", flags);
  const v1 = dirs.find((d) =>
    d.version === 1 && d.controllers.includes("devices")
  );
  const dir = v1 ?? dirs.find((d) => d.version === 2);
  if (dir === undefined) {
    throw new ContainerError(
      "Cannot keep the container from the machine's devices: neither the v1 devices controller nor cgroup v2 is mounted",
      {
        code: "controller-missing",
        hint:
          "mkdir /sys/fs/cgroup/devices && mount -t cgroup -o devices devices /sys/fs/cgroup/devices",
      },
    );
  }
  return v1
    ? {
      version: 1,
      dir: dir.path,
      rules,
      writes: devices.length === 0
        ? writeDefaults(dir.path, rules)
        : writeList(dir.path, reduceRules(rules, flags)),
      program: new Uint8Array(),
    }
    : {
      version: 2,
      dir: dir.path,
      rules,
      writes: [],
      program: compileDevices(rules),
    };
}

/** Where the kernel tells and takes what concerns the whole container. */
function planPaths(plan: CgroupPlan): void {
  const v2 = plan.dirs.find((d) => d.version === 2)?.path;
  const v1 = (controller: string) =>
    plan.dirs.find((d) => d.version === 1 && d.controllers.includes(controller))
      ?.path;
  const memory = v1("memory");
  const freezer = v1("freezer");
  if (memory !== undefined) {
    plan.oom = { file: `${memory}/memory.oom_control`, key: "oom_kill" };
  } else if (
    v2 !== undefined &&
    (plan.unit !== undefined || plan.enable?.wanted.includes("memory"))
  ) {
    plan.oom = { file: `${v2}/memory.events`, key: "oom_kill" };
  }
  if (v2 !== undefined) plan.kill = `${v2}/cgroup.kill`;
  if (freezer !== undefined) {
    plan.freezer = {
      file: `${freezer}/freezer.state`,
      freeze: "FROZEN",
      thaw: "THAWED",
    };
  } else if (v2 !== undefined) {
    plan.freezer = { file: `${v2}/cgroup.freeze`, freeze: "1", thaw: "0" };
  }
}

/**
 * The ids on the host of the container's root, when the cgroup is to be its
 * own: a new cgroup namespace, a writable cgroup mount and a user namespace
 * (config-linux.md, "Cgroup ownership").
 */
function findOwner(
  config: CgroupConfig,
): { uid: number; gid: number } | undefined {
  const { linux, mounts, process } = config.spec;
  const fresh = (type: string) =>
    linux?.namespaces?.some((n) => n.type === type && !n.path) ?? false;
  const writable = mounts?.some((m) =>
    m.type === "cgroup" && !m.options?.includes("ro")
  );
  if (!fresh("cgroup") || !fresh("user") || !writable) return undefined;
  const uid = mapId(linux?.uidMappings, process?.user?.uid ?? 0);
  const gid = mapId(linux?.gidMappings, process?.user?.gid ?? 0);
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

function mapId(
  maps:
    | readonly { containerID: number; hostID: number; size: number }[]
    | undefined,
  id: number,
): number | undefined {
  const map = maps?.find((m) =>
    id >= m.containerID && id < m.containerID + m.size
  );
  return map && map.hostID + id - map.containerID;
}
