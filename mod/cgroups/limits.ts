/**
 * The limits of a container while they are collected: values of cgroup files,
 * still without their directory. Pure: where a controller lives is asked of the
 * caller.
 *
 * @module
 */

import type { cgroupLayout, CgroupMount } from "../host.ts";
import { type CgroupWrite, refuse } from "./model.ts";

/** A {@linkcode CgroupWrite} whose files are names in the cgroup. */
export type Limit = CgroupWrite;

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
