/**
 * linux.resources as limits: which controllers are asked, in which order, and
 * those that need no file of their own.
 *
 * @module
 */

import type { Resources } from "../config/schema.ts";
import { addBlockIo } from "./block_io.ts";
import { addCpu } from "./cpu.ts";
import type { Limits } from "./limits.ts";
import { addMemory } from "./memory.ts";

const KEY = "linux.resources";

/** Files of a v2 cgroup that move, kill or stop processes: no limits. */
const NOT_LIMITS = [
  "cgroup.procs",
  "cgroup.threads",
  "cgroup.kill",
  "cgroup.freeze",
  "cgroup.type",
  "cgroup.subtree_control",
];

/**
 * Turns linux.resources (all but the devices) into limits, in the order in
 * which they are to be written; `unified` comes last and so overrides.
 *
 * @throws {ContainerError} for a value that cannot be applied here
 */
export function addResources(limits: Limits, resources: Resources): void {
  if (resources.pids?.limit !== undefined) addPids(limits, resources);
  if (resources.memory) addMemory(limits, resources.memory);
  if (resources.blockIO) addBlockIo(limits, resources.blockIO);
  if (resources.cpu) addCpu(limits, resources.cpu);
  addHugepages(limits, resources);
  addRdma(limits, resources);
  addNetwork(limits, resources);
  addUnified(limits, resources);
}

function addPids(limits: Limits, resources: Resources): void {
  const limit = BigInt(resources.pids!.limit!);
  const from = `${KEY}.pids.limit`;
  const version = limits.version("pids", `${KEY}.pids`, { limit: `${limit}` })!;
  limits.add({
    controller: "pids",
    version,
    file: "pids.max",
    // 0 is a valid value since runtime-spec 1.3; the first process is there
    // anyway, so 1 says the same and systemd takes it too.
    value: limit < 0n ? "max" : limit === 0n ? "1" : `${limit}`,
    why: "processes and threads that the container may have",
    from,
  });
}

function addHugepages(limits: Limits, resources: Resources): void {
  for (
    const [i, { pageSize, limit }] of (resources.hugepageLimits ?? []).entries()
  ) {
    const from = `${KEY}.hugepageLimits[${i}]`;
    if (!/^[1-9][0-9]*[KMG]B$/.test(pageSize)) {
      limits.refuse(
        `${from}.pageSize`,
        pageSize,
        "it must be a number with KB, MB or GB, such as 2MB",
      );
    }
    const version = limits.version("hugetlb", from, { limit: `${limit}` })!;
    const max = version === 1 ? "limit_in_bytes" : "max";
    const base = { controller: "hugetlb", version, value: `${limit}` };
    limits.add({
      ...base,
      file: `hugetlb.${pageSize}.${max}`,
      why: `huge pages of ${pageSize} in use`,
      from: `${from}.limit`,
    });
    limits.add({
      ...base,
      file: `hugetlb.${pageSize}.rsvd.${max}`,
      why: `huge pages of ${pageSize} reserved`,
      from: `${from}.limit`,
      optional: ["ENOENT"],
    });
  }
}

function addRdma(limits: Limits, resources: Resources): void {
  for (const [device, rdma] of Object.entries(resources.rdma ?? {})) {
    const from = `${KEY}.rdma.${device}`;
    checkWord(limits, from, device);
    const parts = [device];
    if (rdma.hcaHandles !== undefined) {
      parts.push(`hca_handle=${rdma.hcaHandles}`);
    }
    if (rdma.hcaObjects !== undefined) {
      parts.push(`hca_object=${rdma.hcaObjects}`);
    }
    if (parts.length === 1) {
      limits.refuse(
        from,
        undefined,
        "it has neither hcaHandles nor hcaObjects",
      );
    }
    const value = parts.join(" ");
    const version = limits.version("rdma", from, { "": value })!;
    limits.add({
      controller: "rdma",
      version,
      file: "rdma.max",
      value,
      why: "RDMA resources of a device",
      from,
    });
  }
}

function addNetwork(limits: Limits, resources: Resources): void {
  const key = `${KEY}.network`;
  const { classID, priorities } = resources.network ?? {};
  if (classID && limits.version("net_cls", key, { classID })) {
    limits.add({
      controller: "net_cls",
      version: 1,
      file: "net_cls.classid",
      value: `${classID}`,
      why: "class of the container's packets",
      from: `${key}.classID`,
    });
  }
  for (const [i, { name, priority }] of (priorities ?? []).entries()) {
    const from = `${key}.priorities[${i}]`;
    checkWord(limits, `${from}.name`, name);
    const value = `${name} ${priority}`;
    limits.version("net_prio", key, { [`priorities[${i}]`]: value });
    limits.add({
      controller: "net_prio",
      version: 1,
      file: "net_prio.ifpriomap",
      value,
      why: "priority of packets on an interface",
      from,
    });
  }
}

function checkWord(limits: Limits, from: string, word: string): void {
  if (/^[^\s/]+$/.test(word)) return;
  limits.refuse(from, word, "it must be one word without a slash");
}

function addUnified(limits: Limits, resources: Resources): void {
  for (const [file, value] of Object.entries(resources.unified ?? {})) {
    const from = `${KEY}.unified["${file}"]`;
    const dot = file.indexOf(".");
    if (dot <= 0 || dot === file.length - 1 || file.includes("/")) {
      limits.refuse(
        from,
        value,
        "the name must be a file of a v2 cgroup, CONTROLLER.PARAMETER",
      );
    }
    if (NOT_LIMITS.includes(file)) {
      limits.refuse(from, value, `${file} is not a limit`);
    }
    const controller = file.slice(0, dot);
    limits.checkUnified(from, value, controller);
    limits.add({
      controller,
      version: 2,
      file,
      value,
      why: "written as it is",
      from,
    });
  }
}
