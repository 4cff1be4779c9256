/**
 * Plans the unit of a container, as data.
 *
 * @module
 */

import { ContainerError } from "../../errors.ts";
import type { Buses } from "../../host/buses.ts";
import type {
  CgroupConfig,
  CgroupLook,
  CgroupPlan,
  UnitPlan,
  UnitProperty,
} from "../model.ts";
import { readAnnotations } from "./annotations.ts";
import { expandSlice, nameUnit } from "./names.ts";
import {
  deviceProperties,
  limitProperties,
  readDeviceNames,
} from "./properties.ts";

/** What of the machine decides. */
export interface UnitFacts {
  buses: Buses;
  layout: "v1" | "hybrid" | "v2" | "none";
}

/**
 * The unit, without limits and devices: where it goes.
 *
 * @throws {ContainerError} for names that are none, and where the user's systemd
 * cannot be asked for its place
 */
export function planUnit(
  config: CgroupConfig,
  token: string,
  { buses, layout }: UnitFacts,
  look: CgroupLook,
): UnitPlan {
  const user = buses.kind === "user";
  if (layout === "none" || (user && layout !== "v2")) {
    throw new ContainerError(
      `Cannot use the systemd cgroup manager: ${
        layout === "none"
          ? "no cgroup file system is mounted"
          : "cgroup v1 is not handed to a user's systemd"
      }`,
      {
        code: "systemd-cgroup-layout",
        hint: layout === "none"
          ? "mount -t cgroup2 none /sys/fs/cgroup"
          : "Run as root, or boot with systemd.unified_cgroup_hierarchy=1",
      },
    );
  }
  const { name, slice } = nameUnit(config, token, user);
  const annotated = readAnnotations(config.spec.annotations);
  const above = user ? look.manager(buses) : "";
  const own = (
    name: string,
    signature: string,
    value: UnitProperty["value"],
  ): UnitProperty => ({ name, signature, value });
  const counted = layout === "v2" ? "IOAccounting" : "BlockIOAccounting";
  return {
    name,
    slice,
    buses,
    group: `${above === "/" ? "" : above}${expandSlice(slice)}/${name}`,
    properties: [
      own("Description", "s", `rustyrun container ${config.id}`),
      own("Slice", "s", slice),
      // Below it, everything is ours and the container's.
      own("Delegate", "b", true),
      own("MemoryAccounting", "b", true),
      own("CPUAccounting", "b", true),
      own(counted, "b", true),
      own("TasksAccounting", "b", true),
      own("DefaultDependencies", "b", false),
      // One that has failed is forgotten like one that has ended.
      own("CollectMode", "s", "inactive-or-failed"),
      ...annotated,
    ],
  };
}

/** Adds limits and device rules to a plan's unit. */
export function addProperties(plan: CgroupPlan, look: CgroupLook): void {
  const { unit, writes, devices, notes } = plan;
  if (unit === undefined) return;
  unit.properties.push(...limitProperties(writes));
  if (devices === undefined) return;
  const names = readDeviceNames(look.read("/proc/devices") ?? "");
  unit.properties.push(
    ...deviceProperties(devices.rules, names, ({ type, major }) =>
      notes.push(
        `devices of ${
          type === "b" ? "block" : "character"
        } kind ${major}: systemd refuses them, as long as no driver has that number`,
      )),
  );
}
