/**
 * linux.resources.memory as values of cgroup files
 * (config-linux.md#memory; cgroup-v1/memory.rst, cgroup-v2.rst).
 *
 * @module
 */

import type { Memory } from "../config/schema.ts";
import type { Limit, Limits } from "./limits.ts";

const KEY = "linux.resources.memory";

/**
 * Adds the memory limits. 0 is unset and -1 unlimited, as in runc.
 *
 * @throws {ContainerError} for a swap limit without or below a memory limit, a
 * swappiness above 100, and what v2 has no word for
 */
export function addMemory(limits: Limits, memory: Memory): void {
  const limit = BigInt(memory.limit ?? 0);
  const swap = checkSwap(limits, memory);
  const version = limits.version("memory", KEY, {
    ...memory,
    swappiness: memory.swappiness?.toString(),
    useHierarchy: memory.useHierarchy?.toString(),
    checkBeforeUpdate: undefined,
  });
  if (version === undefined) return;
  if (version === 1) addV1(limits, memory, limit, swap);
  else addV2(limits, memory, limit, swap);
}

/** "64 MiB" for a number of bytes, or the number where it is not round. */
function mebibytes(bytes: bigint): string {
  return bytes % 1048576n === 0n ? `${bytes / 1048576n} MiB` : `${bytes} bytes`;
}

/** The swap limit (memory and swap together, as on v1). */
function checkSwap(limits: Limits, memory: Memory): bigint {
  const limit = BigInt(memory.limit ?? 0);
  const swap = BigInt(memory.swap ?? 0);
  // Unlimited memory means unlimited swap, unless swap is said.
  if (limit === -1n && swap === 0n) return -1n;
  if (swap === 0n || swap === -1n) return swap;
  if (limit === 0n || limit === -1n) {
    limits.refuse(
      `${KEY}.swap`,
      memory.swap,
      "it limits memory and swap together, and there is no memory limit",
      { hint: "Give a memory limit too" },
    );
  }
  if (swap < limit) {
    limits.refuse(
      `${KEY}.swap`,
      memory.swap,
      `it limits memory and swap together and is below the memory limit of ${
        mebibytes(limit)
      }`,
      {
        hint:
          "Give at least the memory limit (which means no swap), or -1 for unlimited swap",
      },
    );
  }
  return swap;
}

function addV1(
  limits: Limits,
  memory: Memory,
  limit: bigint,
  swap: bigint,
): void {
  const add = (
    name: keyof Memory,
    file: string,
    value: string,
    why: string,
    more: Partial<Limit> = {},
  ) =>
    limits.add({
      controller: "memory",
      version: 1,
      file,
      value,
      why,
      from: `${KEY}.${name}`,
      ...more,
    });
  const bytes = () =>
    limit !== 0n &&
    add(
      "limit",
      "memory.limit_in_bytes",
      `${limit}`,
      "memory that the container may use",
      { again: true },
    );
  // memsw may never be below memory: a wider pair starts with memsw.
  if (swap === -1n) addSwap();
  bytes();
  if (swap > 0n) addSwap();
  function addSwap() {
    add(
      "swap",
      "memory.memsw.limit_in_bytes",
      `${swap}`,
      "memory and swap that the container may use",
      // A kernel without swap accounting has no file, and no limit to lift.
      { again: true, ...(swap === -1n ? { optional: ["ENOENT"] } : {}) },
    );
  }
  if (BigInt(memory.reservation ?? 0) !== 0n) {
    add(
      "reservation",
      "memory.soft_limit_in_bytes",
      `${memory.reservation}`,
      "memory to shrink to when the machine runs short",
    );
  }
  // Both are deprecated in the specification. Since 5.16 the kernel takes no
  // limit of kernel memory of its own: it counts as memory.
  if (BigInt(memory.kernel ?? 0) !== 0n) {
    add(
      "kernel",
      "memory.kmem.limit_in_bytes",
      `${memory.kernel}`,
      "kernel memory (deprecated)",
      { optional: ["EOPNOTSUPP", "ENOENT"] },
    );
  }
  if (BigInt(memory.kernelTCP ?? 0) !== 0n) {
    add(
      "kernelTCP",
      "memory.kmem.tcp.limit_in_bytes",
      `${memory.kernelTCP}`,
      "kernel memory for TCP buffers (deprecated)",
      { optional: ["EOPNOTSUPP", "ENOENT"] },
    );
  }
  if (memory.useHierarchy !== undefined) {
    add(
      "useHierarchy",
      "memory.use_hierarchy",
      memory.useHierarchy ? "1" : "0",
      "count the memory of child cgroups too",
      // Gone from the newest kernels, where it is always on.
      memory.useHierarchy ? { optional: ["ENOENT"] } : {},
    );
  }
  if (memory.swappiness !== undefined) {
    if (BigInt(memory.swappiness) > 100n) {
      limits.refuse(
        `${KEY}.swappiness`,
        memory.swappiness,
        "it must be between 0 and 100",
      );
    }
    add(
      "swappiness",
      "memory.swappiness",
      `${memory.swappiness}`,
      "how readily pages are swapped out",
    );
  }
  if (memory.disableOOMKiller) {
    add(
      "disableOOMKiller",
      "memory.oom_control",
      "1",
      "wait for memory instead of being killed",
    );
  }
}

function addV2(
  limits: Limits,
  memory: Memory,
  limit: bigint,
  swap: bigint,
): void {
  const add = (
    name: keyof Memory,
    file: string,
    value: string,
    why: string,
    more: Partial<Limit> = {},
  ) =>
    limits.add({
      controller: "memory",
      version: 2,
      file,
      value,
      why,
      from: `${KEY}.${name}`,
      ...more,
    });
  const none: [keyof Memory, boolean, string][] = [
    ["kernel", BigInt(memory.kernel ?? 0) > 0n, "kernel memory"],
    ["kernelTCP", BigInt(memory.kernelTCP ?? 0) > 0n, "TCP buffers"],
    ["swappiness", memory.swappiness !== undefined, "swappiness"],
    ["disableOOMKiller", memory.disableOOMKiller === true, "the OOM killer"],
    ["useHierarchy", memory.useHierarchy === false, "hierarchical counting"],
  ];
  for (const [name, asked, what] of none) {
    if (!asked) continue;
    limits.refuse(
      `${KEY}.${name}`,
      memory[name],
      `cgroup v2 has no setting of its own for ${what}`,
      { code: "limit-needs-v1", hint: "Leave it out on this machine" },
    );
  }
  if (swap !== 0n) {
    // memory.swap.max counts swap alone.
    const value = swap === -1n ? "max" : `${swap - limit}`;
    add(
      swap === BigInt(memory.swap ?? 0) ? "swap" : "limit",
      "memory.swap.max",
      value,
      "swap that the container may use",
      value === "max" || value === "0" ? { optional: ["ENOENT"] } : {},
    );
  }
  if (limit !== 0n) {
    add(
      "limit",
      "memory.max",
      limit < 0n ? "max" : `${limit}`,
      "memory that the container may use",
      memory.checkBeforeUpdate && limit > 0n
        ? { notBelow: "memory.current" }
        : {},
    );
  }
  const reservation = BigInt(memory.reservation ?? 0);
  if (reservation !== 0n) {
    add(
      "reservation",
      "memory.low",
      reservation < 0n ? "max" : `${reservation}`,
      "memory that is not reclaimed while others have some to give",
    );
  }
}
