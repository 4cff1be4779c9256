/**
 * Rules of `linux.resources` beyond its shape: config-linux.md#control-groups.
 *
 * @module
 */

import type { BlockIo, Cpu, Memory, Resources } from "./schema.ts";
import {
  type Add,
  collectInto,
  isInterfaceName,
  wantDeviceNumber,
  wantNumberList,
} from "./forms.ts";
import { joinPath, type Problem, showValue } from "./problem.ts";

/** What older engines write for "no swappiness": -1 as a uint64. */
const UNSET = 18446744073709551615n;

/** How {@linkcode resourcesProblems} looks at the resources. */
export interface ResourcesProblemsOptions {
  /** The path of the resources in the document. Default: "linux.resources". */
  base?: string;
  /** The resources change a container that has limits already, so that a
   * limit that another one needs may be missing: `update`. */
  update?: boolean;
}

/**
 * Checks what the shape cannot say about resources.
 *
 * @returns all problems found
 */
export function resourcesProblems(
  resources: Resources,
  options: ResourcesProblemsOptions = {},
): Problem[] {
  const problems: Problem[] = [];
  const add = collectInto(problems);
  const base = options.base ?? "linux.resources";
  checkDevices(add, base, resources);
  if (resources.memory) {
    checkMemory(add, base, resources.memory, options.update ?? false);
  }
  if (resources.cpu) checkCpu(add, base, resources.cpu);
  wantLimit(add, `${base}.pids.limit`, resources.pids?.limit);
  if (resources.blockIO) checkBlockIo(add, base, resources.blockIO);
  const { hugepageLimits, network, rdma, unified } = resources;
  if (hugepageLimits ?? network ?? rdma ?? unified) {
    checkRest(add, base, resources);
  }
  return problems;
}

function checkRest(add: Add, base: string, resources: Resources): void {
  const hugepageLimits = resources.hugepageLimits ?? [];
  for (let i = 0; i < hugepageLimits.length; i++) {
    const { pageSize } = hugepageLimits[i]!;
    if (!/^[1-9][0-9]*[KMG]B$/.test(pageSize)) {
      add(
        `${base}.hugepageLimits[${i}].pageSize`,
        `must be a size like 64KB, 2MB or 1GB: found ${showValue(pageSize)}`,
        "write a page size of /sys/kernel/mm/hugepages in that form",
      );
    }
  }
  const priorities = resources.network?.priorities ?? [];
  for (let i = 0; i < priorities.length; i++) {
    const { name } = priorities[i]!;
    if (!isInterfaceName(name)) {
      add(
        `${base}.network.priorities[${i}].name`,
        `must be the name of a network interface: found ${showValue(name)}`,
        "write 1 to 15 bytes without space, slash and colon",
      );
    }
  }
  for (const [name, rdma] of Object.entries(resources.rdma ?? {})) {
    const path = joinPath(`${base}.rdma`, name);
    if (rdma.hcaHandles === undefined && rdma.hcaObjects === undefined) {
      add(
        path,
        "must have hcaHandles or hcaObjects: found neither",
        "write at least one of the two limits",
      );
    }
    if (!/^\S+$/.test(name)) {
      add(
        path,
        `must be named after a device: found ${showValue(name)}`,
        "write a name of /sys/class/infiniband",
      );
    }
  }
  for (const name of Object.keys(resources.unified ?? {})) {
    checkUnified(add, joinPath(`${base}.unified`, name), name);
  }
}

/** Adds a problem for a limit below -1. */
function wantLimit(
  add: Add,
  path: string,
  value: number | bigint | undefined,
): void {
  if (value === undefined || value >= -1) return;
  add(
    path,
    `must be -1 or more: found ${value}`,
    "write -1 for no limit",
  );
}

function checkDevices(add: Add, base: string, resources: Resources): void {
  const devices = resources.devices ?? [];
  for (let i = 0; i < devices.length; i++) {
    const device = devices[i]!;
    const path = `${base}.devices[${i}]`;
    const { type = "", access = "" } = device;
    if (type !== "" && type !== "a" && type !== "b" && type !== "c") {
      add(
        `${path}.type`,
        `must be "a", "b" or "c": found ${showValue(type)}`,
        "write b for block, c for character, a for all devices",
      );
    }
    if (access !== "rwm" && /[^rwm]/.test(access)) {
      add(
        `${path}.access`,
        `must be made of r, w and m: found ${showValue(access)}`,
        'write "rwm" for all access',
      );
    }
    wantDeviceNumber(add, `${path}.major`, device.major, "major", true);
    wantDeviceNumber(add, `${path}.minor`, device.minor, "minor", true);
  }
}

function checkMemory(
  add: Add,
  base: string,
  memory: Memory,
  update: boolean,
): void {
  const path = `${base}.memory`;
  for (
    const key of [
      "limit",
      "reservation",
      "swap",
      "kernel",
      "kernelTCP",
    ] as const
  ) {
    wantLimit(add, `${path}.${key}`, memory[key]);
  }
  const { limit = 0, swap = 0, swappiness } = memory;
  if (swap > 0 && limit <= 0 && !(update && memory.limit === undefined)) {
    add(
      `${path}.swap`,
      `must not be set without a memory limit: found ${swap}`,
      "write linux.resources.memory.limit too: swap is the sum of both",
    );
  } else if (swap > 0 && limit > 0 && swap < limit) {
    add(
      `${path}.swap`,
      `must not be below the memory limit ${limit}: found ${swap}`,
      "write memory and swap together: swap is the sum of both",
    );
  }
  if (swappiness !== undefined && swappiness > 100 && swappiness !== UNSET) {
    add(
      `${path}.swappiness`,
      `must be from 0 to 100: found ${swappiness}`,
      "write a number of that range, or leave it out",
    );
  }
}

function checkCpu(add: Add, base: string, cpu: Cpu): void {
  const path = `${base}.cpu`;
  const { quota = 0, period = 0, burst = 0, idle = 0 } = cpu;
  if (period != 0 && (period < 1000 || period > 1000000)) {
    add(
      `${path}.period`,
      `must be from 1000 to 1000000 microseconds: found ${period}`,
      "write 100000, the kernel's default, and change the quota instead",
    );
  }
  if (quota > 0 && quota < 1000) {
    add(
      `${path}.quota`,
      `must be at least 1000 microseconds: found ${quota}`,
      "write quota and period ten times as large",
    );
  }
  if (quota > 0 && burst > quota) {
    add(
      `${path}.burst`,
      `must not be above the quota ${quota}: found ${burst}`,
      "lower burst or raise quota",
    );
  }
  if (idle != 0 && idle != 1) {
    add(
      `${path}.idle`,
      `must be 0 or 1: found ${idle}`,
      "write 1 for SCHED_IDLE, 0 for the normal weight",
    );
  }
  wantNumberList(add, `${path}.cpus`, cpu.cpus);
  wantNumberList(add, `${path}.mems`, cpu.mems);
}

/** Adds a problem for a weight that the controller would refuse; 0 is what
 * engines write for none. */
function wantWeight(add: Add, path: string, value: number | undefined): void {
  if (value === undefined || value === 0 || (value >= 10 && value <= 1000)) {
    return;
  }
  add(
    path,
    `must be from 10 to 1000: found ${value}`,
    "write a weight of that range: 500 is the usual one",
  );
}

function checkBlockIo(add: Add, base: string, blockIO: BlockIo): void {
  const path = `${base}.blockIO`;
  wantWeight(add, `${path}.weight`, blockIO.weight);
  wantWeight(add, `${path}.leafWeight`, blockIO.leafWeight);
  const weightDevice = blockIO.weightDevice ?? [];
  for (let i = 0; i < weightDevice.length; i++) {
    const device = weightDevice[i]!;
    const at = `${path}.weightDevice[${i}]`;
    wantDeviceNumber(add, `${at}.major`, device.major, "major");
    wantDeviceNumber(add, `${at}.minor`, device.minor, "minor");
    wantWeight(add, `${at}.weight`, device.weight);
    wantWeight(add, `${at}.leafWeight`, device.leafWeight);
    if (device.weight === undefined && device.leafWeight === undefined) {
      add(
        at,
        "must have weight or leafWeight: found neither",
        "write at least one of the two weights",
      );
    }
  }
  for (
    const key of [
      "throttleReadBpsDevice",
      "throttleWriteBpsDevice",
      "throttleReadIOPSDevice",
      "throttleWriteIOPSDevice",
    ] as const
  ) {
    blockIO[key]?.forEach((device, i) => {
      const at = `${path}.${key}[${i}]`;
      wantDeviceNumber(add, `${at}.major`, device.major, "major");
      wantDeviceNumber(add, `${at}.minor`, device.minor, "minor");
    });
  }
}

/** Keys are names of files in the container's own cgroup. The three that
 * would move or kill processes are no settings. */
function checkUnified(add: Add, path: string, name: string): void {
  if (!/^[a-z0-9_-]+\.[a-zA-Z0-9_.-]+$/.test(name)) {
    add(
      path,
      `must be named CONTROLLER.PARAMETER: found ${showValue(name)}`,
      'write the name of a file of the cgroup: "memory.high"',
    );
  } else if (/^cgroup\.(?:procs|threads|kill)$/.test(name)) {
    add(
      path,
      `must be named after a setting: found ${showValue(name)}`,
      "remove it: the file acts on processes and limits nothing",
    );
  }
}
