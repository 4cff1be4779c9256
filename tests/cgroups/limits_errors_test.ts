/**
 * Limits that are refused.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import type { Resources } from "../../mod/config/schema.ts";
import { ContainerError } from "../../mod/errors.ts";
import { MACHINES } from "./machines.ts";
import { show, V1, writesOf } from "./limits_room.ts";

Deno.test("addResources() refuses a usage above the limit only when asked", () => {
  const below = (checkBeforeUpdate: boolean) =>
    writesOf({ memory: { limit: 100, checkBeforeUpdate } }, MACHINES.v2)
      .map((w) => w.notBelow);
  assertEquals(below(true), ["/sys/fs/cgroup/c/memory.current"]);
  assertEquals(below(false), [undefined]);
});

const REFUSALS: {
  name: string;
  resources: Resources;
  on: "v1" | "v2" | "hybrid";
  message: string;
  hint?: string;
}[] = [
  {
    name: "swap without a memory limit",
    resources: { memory: { swap: 100 } },
    on: "v2",
    message:
      'linux.resources.memory.swap "100": it limits memory and swap together, and there is no memory limit',
    hint: "Give a memory limit too",
  },
  {
    name: "swap below the memory limit",
    resources: { memory: { limit: 134217728, swap: 100 } },
    on: "v1",
    message:
      'linux.resources.memory.swap "100": it limits memory and swap together and is below the memory limit of 128 MiB',
    hint:
      "Give at least the memory limit (which means no swap), or -1 for unlimited swap",
  },
  {
    name: "swappiness above 100",
    resources: { memory: { swappiness: 101 } },
    on: "v1",
    message:
      'linux.resources.memory.swappiness "101": it must be between 0 and 100',
  },
  {
    name: "swappiness on v2",
    resources: { memory: { swappiness: 10 } },
    on: "v2",
    message:
      'linux.resources.memory.swappiness "10": cgroup v2 has no setting of its own for swappiness',
    hint: "Leave it out on this machine",
  },
  {
    name: "shares that v1 would clip",
    resources: { cpu: { shares: 1 } },
    on: "v1",
    message: 'linux.resources.cpu.shares "1": it must be between 2 and 262144',
  },
  {
    name: "real-time CPU time on v2",
    resources: { cpu: { realtimeRuntime: 1 } },
    on: "v2",
    message:
      'linux.resources.cpu.realtimeRuntime "1": cgroup v2 has no real-time CPU time',
    hint: "Leave it out on this machine",
  },
  {
    name: "a weight out of range",
    resources: { blockIO: { weight: 9 } },
    on: "v2",
    message:
      'linux.resources.blockIO.weight "9": it must be between 10 and 1000',
  },
  {
    name: "a page size that climbs out",
    resources: { hugepageLimits: [{ pageSize: "2MB/../../x", limit: 1 }] },
    on: "v2",
    message:
      'linux.resources.hugepageLimits[0].pageSize "2MB/../../x": it must be a number with KB, MB or GB, such as 2MB',
  },
  {
    name: "an rdma device with a line end",
    resources: { rdma: { "a\nb": { hcaHandles: 1 } } },
    on: "v2",
    message:
      'linux.resources.rdma.a\nb "a\nb": it must be one word without a slash',
  },
  {
    name: "network on v2",
    resources: { network: { classID: 1 } },
    on: "v2",
    message:
      'linux.resources.network.classID "1": cgroup v2 has no net_cls controller',
    hint: "Leave it out on this machine",
  },
  {
    name: "unified on a v1 machine",
    resources: { unified: { "memory.max": "1" } },
    on: "v1",
    message:
      'linux.resources.unified["memory.max"] "1": unified is for cgroup v2, and this machine has v1',
    hint: "Use linux.resources.memory, .cpu, .pids and so on",
  },
  {
    name: "unified with a slash",
    resources: { unified: { "../memory.max": "1" } },
    on: "v2",
    message:
      'linux.resources.unified["../memory.max"] "1": the name must be a file of a v2 cgroup, CONTROLLER.PARAMETER',
  },
  {
    name: "unified without a controller",
    resources: { unified: { memory: "1" } },
    on: "v2",
    message:
      'linux.resources.unified["memory"] "1": the name must be a file of a v2 cgroup, CONTROLLER.PARAMETER',
  },
  {
    name: "unified that moves processes",
    resources: { unified: { "cgroup.procs": "1" } },
    on: "v2",
    message:
      'linux.resources.unified["cgroup.procs"] "1": cgroup.procs is not a limit',
  },
  {
    name: "unified of a controller that is not there",
    resources: { unified: { "misc.max": "x 1" } },
    on: "v2",
    message:
      'linux.resources.unified["misc.max"] "x 1": the misc controller is missing on this machine',
    hint:
      '"misc" is not in cgroup.controllers: the kernel lacks it, was booted with cgroup_disable=misc, or whoever made this cgroup did not delegate it',
  },
  {
    name: "a controller that v1 has not mounted",
    resources: { network: { priorities: [{ name: "eth0", priority: 1 }] } },
    on: "hybrid",
    message:
      'linux.resources.network.priorities[0] "eth0 1": the net_prio controller is missing on this machine',
    hint:
      "/proc/cgroups shows what the kernel has; if it has net_prio: mkdir /sys/fs/cgroup/net_prio && mount -t cgroup -o net_prio net_prio /sys/fs/cgroup/net_prio",
  },
];

for (const { name, resources, on, message, hint } of REFUSALS) {
  Deno.test(`addResources() refuses ${name} (${on})`, () => {
    const facts = on === "v1" ? V1 : MACHINES[on];
    const error = assertThrows(() => show(resources, facts), ContainerError);
    assertEquals(error.message, `Cannot apply ${message}`);
    assertEquals(error.hint, hint);
  });
}
