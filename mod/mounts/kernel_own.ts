/**
 * File systems that show what is the kernel's own: the host's processes,
 * devices, cgroups. What of them the host has mounted somewhere in a root file
 * system (a procfs for a chroot) came into the container with it.
 *
 * @module
 */

import { KERNEL_OWN } from "../host/kernel_own.ts";
import { type Op, TARGET } from "../plan.ts";
import type { MountContext } from "./context.ts";
import { listMounts, type RootDirectory } from "./host_mounts.ts";
import type { MountHost } from "./model.ts";
import { parseMountOptions } from "./options.ts";
import { isUnder, joinPath, listAbove } from "./path.ts";
import { placeIn } from "./place.ts";

/** Returns where in the root file system the host has one of these mounted, as
 * the container's root sees it, and its type; what lies hidden under another
 * mount is none.
 *
 * @param proc where /proc shows the caller */
export function findKernelOwn(
  root: Pick<RootDirectory, "path">,
  proc: string,
): NonNullable<MountHost["kernelOwn"]> {
  const mounts = listMounts(proc);
  const parents = new Map(mounts.map((it) => [it.id, it.parent]));
  return mounts.flatMap(({ id, path, type }) => {
    const magic = KERNEL_OWN.get(type);
    if (magic === undefined || !isUnder(path, root.path)) return [];
    const chain = new Set<number>();
    for (
      let at = id;
      parents.has(at) && !chain.has(at);
      at = parents.get(at)!
    ) {
      chain.add(at);
    }
    const isHidden = mounts.some((it) =>
      !chain.has(it.id) && isUnder(path, it.path) && chain.has(it.parent)
    );
    const below = root.path === "/" ? path : path.slice(root.path.length);
    return isHidden || below === "" ? [] : [{ path: below, magic }];
  });
}

/** Returns where the host has a procfs or a sysfs, innermost first: one that is
 * whole is all that the kernel wants to see before a nested user namespace may
 * mount another.
 *
 * @param proc where /proc shows the caller */
export function findBehind(proc: string): string[] {
  return listMounts(proc).filter(({ path, type }) =>
    path !== "/" && (type === "proc" || type === "sysfs")
  ).map(({ path }) => path).sort((a, b) => b.length - a.length);
}

/** Those of them that nothing of the container's lies over. */
export function listBare({ config, host }: MountContext): {
  path: string;
  magic: number;
}[] {
  const found = host.kernelOwn ?? [];
  const own = new Set(
    (config.spec.mounts ?? [])
      .filter((it) => !parseMountOptions(it.options ?? []).remount)
      .map((it) => joinPath("/", it.destination)),
  );
  const all = new Set([...own, ...found.map((it) => it.path)]);
  return found.filter(({ path }) =>
    !own.has(path) && !listAbove(path).some((it) => all.has(it))
  );
}

/**
 * Lays something empty over each. What is found by its path must be of the type
 * that was seen there, or the container does not start.
 *
 * @param dir slot of an empty directory
 */
export function coverBare(context: MountContext, dir: string): Op[] {
  const from = "root.path";
  return listBare(context).flatMap(({ path, magic }): Op[] => [
    {
      do: "target",
      into: "target",
      ...placeIn("root", path),
      kind: TARGET.any,
      mode: 0,
      why: `find what the host has mounted on "${path}"`,
      from,
    },
    {
      do: "verify",
      slot: "target",
      type: 0,
      rdev: 0,
      magic,
      why: `make sure that "${path}" is what was seen there`,
      from,
    },
    {
      do: "mask",
      ...placeIn("target", "/"),
      file: "null",
      dir,
      why: `hide the host's "${path}"`,
      from,
    },
  ]);
}
