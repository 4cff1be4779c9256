/**
 * The driver that has systemd make the container's cgroup: a scope, with the
 * container's limits and device rules as its properties. Above the scope nothing
 * is written. On cgroup v1 systemd has but one hierarchy of its own; in the others
 * the cgroup is made here, by the same path.
 *
 * @module
 */

import { readTextFileSync } from "../../../ffi/files.ts";
import { ContainerError } from "../../errors.ts";
import { findProcesses, takeDirectory } from "../cgroupfs.ts";
import type { CgroupDriver } from "../driver.ts";
import { listRules } from "../devices.ts";
import {
  type CgroupDir,
  type CgroupWrite,
  nameAsked,
  type Unit,
  type UnitPlan,
} from "../model.ts";
import { ownDirectory } from "../placement.ts";
import { asValues, isGone, isThere, Manager } from "./manager.ts";
import {
  deviceProperties,
  limitProperties,
  readDeviceNames,
} from "./properties.ts";
import { removeUnit, reset, wordBus } from "./stop.ts";

/** Asks systemd. */
export const SYSTEMD: CgroupDriver = {
  place: ({ mount, unit }) => ownDirectory({ ...mount, own: unit!.group }),
  make(plan, pid, made) {
    startUnit(plan.unit!, plan.dirs, pid);
    // From here on it is to be removed, whatever comes.
    plan.made = true;
    for (const dir of plan.dirs) {
      if (dir.systemd) checkMade(dir, plan.unit!);
      // systemd may have made it in other hierarchies as well.
      else takeDirectory(dir, plan, made);
    }
    checkControllers(plan.dirs, plan.writes, plan.flags);
  },
  update({ dirs, unit, writes, devices, friendly, flags }) {
    const properties = [
      ...limitProperties(writes),
      ...devices === undefined ? [] : deviceProperties(
        listRules(devices, friendly, flags),
        readDeviceNames(readTextFileSync("/proc/devices")),
        () => {},
      ),
    ];
    if (properties.length > 0) changeUnit(unit!, properties);
    checkControllers(dirs, writes, flags);
  },
};

function readOr(path: string): string | undefined {
  try {
    return readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function checkMade({ path }: CgroupDir, { name }: Unit): void {
  if (readOr(`${path}/cgroup.procs`) !== undefined) return;
  throw new ContainerError(
    `Cannot use the unit "${name}": systemd has started it, and there is no cgroup "${path}"`,
    {
      code: "systemd-place",
      hint:
        "Is this systemd that of the machine whose cgroups are mounted here?",
    },
  );
}

/** What is not handed down to the scope can have no limit there. */
function checkControllers(
  dirs: readonly CgroupDir[],
  writes: readonly CgroupWrite[],
  flags: ReadonlyMap<string, string>,
): void {
  const dir = dirs.find((it) => it.version === 2);
  if (dir === undefined) return;
  const has = readOr(`${dir.path}/cgroup.controllers`)?.trim().split(" ") ?? [];
  const missing = writes.find((it) =>
    it.version === 2 && dir.controllers.includes(it.controller) &&
    !has.includes(it.controller)
  );
  if (missing === undefined) return;
  const { controller, from } = missing;
  throw new ContainerError(
    `Cannot apply ${
      nameAsked(flags, from, undefined)
    }: systemd hands no ${controller} controller down to "${dir.path}"`,
    {
      code: "controller-missing",
      hint:
        `For a user, root adds "Delegate=${controller}" to user@.service (systemctl edit user@.service) and the user logs in again; hugetlb, rdma and misc systemd hands to nobody (--cgroup-manager cgroupfs does)`,
    },
  );
}

/**
 * Starts a scope with a process in it, and waits until it is there.
 *
 * @throws {ContainerError} when it cannot be had; then it is not there
 */
function startUnit(
  unit: UnitPlan,
  dirs: readonly CgroupDir[],
  pid: number,
): void {
  const { name, buses, properties } = unit;
  // What comes before a unit's cgroup in a path.
  const tops = dirs.filter((it) => it.systemd).map((it) =>
    it.path.slice(0, -unit.group.length)
  );
  using manager = new Manager(buses);
  const what = `start the unit "${name}"`;
  const start = () =>
    manager.job("StartTransientUnit", "ssa(sv)a(sa(sv))", [
      name,
      "replace",
      asValues([
        ...properties.slice(0, 1),
        { name: "PIDs", signature: "au", value: [pid] },
        ...properties.slice(1),
      ]),
      [],
    ]);
  let result: string | undefined;
  try {
    try {
      result = start();
    } catch (error) {
      if (!isThere(error)) throw error;
      freeName(manager, name, tops);
      result = start();
    }
  } catch (error) {
    throw isThere(error)
      ? wordBus(
        what,
        error,
        `systemctl status ${name} shows whose it is; another linux.cgroupsPath or id is another unit`,
      )
      : wordBus(what, error);
  }
  if (result === "done") return;
  removeUnit(manager, name);
  throw new ContainerError(
    `Cannot ${what}: its job ${
      result === undefined ? "does not end" : `has ended as "${result}"`
    }`,
    {
      code: "systemd-job",
      hint: `journalctl -u ${name} may say why`,
    },
  );
}

/** What is left of an earlier container goes: a unit that has failed, or one in
 * whose cgroup nobody is any more, which systemd is about to notice. */
function freeName(
  manager: Manager,
  name: string,
  tops: readonly string[],
): void {
  let group: string;
  try {
    group = manager.groupOf(name);
  } catch (error) {
    if (isGone(error)) return;
    throw error;
  }
  const isLeft = group === "" ||
    tops.every((it) => findProcesses(`${it}${group}`) === 0);
  if (isLeft) removeUnit(manager, name);
  else reset(manager, name);
}

function changeUnit({ name, buses }: Unit, properties: UnitPlan["properties"]) {
  using manager = new Manager(buses);
  try {
    // For as long as the unit lives: it has no file.
    manager.call("SetUnitProperties", "sba(sv)", [
      name,
      true,
      asValues(properties),
    ]);
  } catch (error) {
    throw wordBus(`change the unit "${name}"`, error);
  }
}
