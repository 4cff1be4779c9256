/**
 * linux.resources as values of cgroup files, still without their directory.
 * Pure: where a controller lives is asked of the caller.
 *
 * @module
 */

import type { Resources } from "../config/schema.ts";
import type { cgroupLayout, CgroupMount } from "../host.ts";
import { addBlockIo } from "./block_io.ts";
import { addCpu } from "./cpu.ts";
import { addMemory } from "./memory.ts";
import { type CgroupWrite, refuse } from "./model.ts";

/** A {@linkcode CgroupWrite} whose files are names in the cgroup. */
export type Limit = CgroupWrite;

const KEY = "linux.resources";

/** Controllers of v2 that a missing file is not simply unknown for. */
const V2_CONTROLLERS = [
  "cpu",
  "cpuset",
  "hugetlb",
  "io",
  "memory",
  "misc",
  "pids",
  "rdma",
];

/** The layout of a machine's cgroups. */
export type Layout = ReturnType<typeof cgroupLayout>;

/** Files of a v2 cgroup that move, kill or stop processes: no limits. */
const NOT_LIMITS = [
  "cgroup.procs",
  "cgroup.threads",
  "cgroup.kill",
  "cgroup.freeze",
  "cgroup.type",
  "cgroup.subtree_control",
];

/** A limit with absolute paths. */
export function resolveLimit(limit: Limit, dir: string): Limit {
  const { instead, notBelow } = limit;
  return {
    ...limit,
    file: `${dir}/${limit.file}`,
    ...(instead && {
      instead: { file: `${dir}/${instead.file}`, value: instead.value },
    }),
    ...(notBelow && { notBelow: `${dir}/${notBelow}` }),
  };
}

/** Collects limits; knows which version of cgroups each controller is on. */
export class Limits {
  readonly list: Limit[] = [];
  readonly #flags: ReadonlyMap<string, string>;
  readonly #mounts: readonly Pick<CgroupMount, "version" | "controllers">[];
  readonly #layout: Layout;

  constructor(
    flags: ReadonlyMap<string, string>,
    layout: Layout,
    mounts: readonly Pick<CgroupMount, "version" | "controllers">[],
  ) {
    this.#flags = flags;
    this.#layout = layout;
    this.#mounts = mounts;
  }

  /** Adds a limit. */
  add(limit: Limit): void {
    this.list.push(limit);
  }

  /**
   * Refuses a value.
   *
   * @throws {ContainerError} always
   */
  refuse(
    from: string,
    value: unknown,
    why: string,
    options: { code?: string; hint?: string } = {},
  ): never {
    return refuse(this.#flags, from, value, why, options);
  }

  /**
   * The version of cgroups that has a controller (named as on v1).
   *
   * @returns undefined when nothing in `values` asks for anything
   * @throws {ContainerError} when the machine has no such controller
   */
  version(
    controller: string,
    key: string,
    values: Record<string, unknown>,
  ): 1 | 2 | undefined {
    const first = Object.entries(values).find(([, value]) => isAsked(value));
    if (first === undefined) return undefined;
    const v2name = controller === "blkio" ? "io" : controller;
    if (this.#has(1, controller)) return 1;
    if (this.#has(2, v2name)) return 2;
    const [name, value] = first;
    const from = name === "" ? key : `${key}.${name}`;
    const shown = typeof value === "object" ? undefined : value;
    if (this.#layout === "none") {
      this.refuse(from, shown, "no cgroup file system is mounted", {
        code: "cgroup-not-mounted",
        hint: "mount -t cgroup2 none /sys/fs/cgroup",
      });
    }
    if (
      this.#layout === "v2" && controller.startsWith("net_")
    ) {
      this.refuse(
        from,
        shown,
        `cgroup v2 has no ${controller} controller`,
        { code: "limit-needs-v1", hint: "Leave it out on this machine" },
      );
    }
    const named = this.#layout === "v2" ? v2name : controller;
    this.refuse(
      from,
      shown,
      `the ${named} controller is missing on this machine`,
      {
        code: "controller-missing",
        hint: this.#layout === "v2"
          ? `"${named}" is not in cgroup.controllers: the kernel lacks it, was booted with cgroup_disable=${named}, or whoever made this cgroup did not delegate it`
          : `/proc/cgroups shows what the kernel has; if it has ${named}: mkdir /sys/fs/cgroup/${named} && mount -t cgroup -o ${named} ${named} /sys/fs/cgroup/${named}`,
      },
    );
  }

  /**
   * Checks that a key of `unified` can be meant.
   *
   * @throws {ContainerError} on v1 and hybrid machines, and for a controller
   * that is known and missing
   */
  checkUnified(from: string, value: string, controller: string): void {
    if (this.#layout !== "v2") {
      this.refuse(
        from,
        value,
        "unified is for cgroup v2, and this machine has v1",
        {
          code: "limit-needs-v2",
          hint: "Use linux.resources.memory, .cpu, .pids and so on",
        },
      );
    }
    if (V2_CONTROLLERS.includes(controller)) {
      this.version(controller === "io" ? "blkio" : controller, from, {
        "": value === "" ? "empty" : value,
      });
    }
  }

  #has(version: 1 | 2, controller: string): boolean {
    return this.#mounts.some((m) =>
      m.version === version && m.controllers.includes(controller)
    );
  }
}

/** Whether a value asks for anything: 0, "", false and [] do not. Where 0 or
 * false is a value (pids.limit, burst) the caller passes it as text. */
function isAsked(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return false;
  if (Array.isArray(value)) return value.length > 0;
  return value !== 0 && value !== 0n && value !== false;
}

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
