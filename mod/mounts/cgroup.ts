/**
 * Mounts of the type cgroup: what the container sees of its cgroups, by
 * version and by what its namespaces allow.
 *
 * @module
 */

import { MOUNT_ATTR as ATTR, MS, O, RESOLVE } from "../../ffi/constants.ts";
import { namespaceUse } from "../config/namespaces.ts";
import { ContainerError } from "../errors.ts";
import type { CgroupMount } from "../host.ts";
import { type Op, TARGET } from "../plan.ts";
import { cloneTree, type MountContext } from "./context.ts";
import { planAttributes, setAttr } from "./attributes.ts";
import type { MountEntry } from "./entry.ts";
import { splitData } from "./options.ts";
import { isUnder, splitPath } from "./path.ts";
import { attach, planTarget } from "./target.ts";

/**
 * Plans a mount of the type cgroup or cgroup2: cgroup_namespaces(7).
 *
 * @throws {ContainerError} when the host has no cgroup hierarchy
 */
export function planCgroupMount(
  context: MountContext,
  entry: MountEntry,
): Op[] {
  const v1 = context.facts.cgroups.filter((it) => it.version === 1);
  const v2 = context.facts.cgroups.find((it) => it.version === 2);
  if (entry.type === "cgroup" && v1.length > 0) {
    return planVersion1(context, entry, v1);
  }
  if (v2 === undefined) {
    throw new ContainerError(
      `Cannot mount "${entry.type}" on "${entry.mount.destination}": the host has no cgroup hierarchy mounted (${entry.from})`,
      {
        code: "cgroup-missing",
        hint: "Mount one on /sys/fs/cgroup, or remove the entry",
      },
    );
  }
  return planVersion2(context, entry, v2);
}

/** In a user namespace without a cgroup namespace the host's hierarchy would
 * be writable where its files are the caller's (CVE-2023-25809): the own
 * cgroup is shown, read-only. */
function isExposed(context: MountContext): boolean {
  return context.userns &&
    namespaceUse(context.config, "cgroup") === "inherit";
}

/** The directory on the host of the container's cgroup in a hierarchy. */
function ownDirectory(context: MountContext, mount: CgroupMount): string {
  const known = context.host.cgroups.get(mount.path);
  if (known !== undefined) return known;
  const { own, path, root } = mount;
  const below = isUnder(own, root)
    ? (root === "/" ? own : own.slice(root.length))
    : "";
  return below === "" || below === "/" ? path : path + below;
}

function planVersion2(
  context: MountContext,
  entry: MountEntry,
  mount: CgroupMount,
): Op[] {
  const { from, index, options } = entry;
  const slot = `mount.${index}`;
  const target = planTarget(context, entry, TARGET.directory);
  if (isExposed(context)) {
    return [
      cloneTree(slot, "", ownDirectory(context, mount), true, {
        why: "take the container's own cgroup",
        from,
      }),
      setAttr(slot, {
        recursive: true,
        set: ofHierarchy(entry) | ATTR.RDONLY,
        propagation: MS.PRIVATE,
      }, { why: "keep the host's cgroups from the container", from }),
      ...target,
      attach(context, slot, entry),
    ];
  }
  return [
    {
      do: "fsmount",
      into: slot,
      fstype: "cgroup2",
      options: [
        ...(entry.mount.source ? [`source=${entry.mount.source}`] : []),
        // Out of the first cgroup namespace a new mount sets the options of the
        // whole hierarchy (cgroup-v2.rst, "Mounting"): what the host has stays.
        ...(mount.options ?? []),
        ...splitData(options.data),
      ],
      attr: options.set,
      flags: 0,
      why: "make a view of the cgroups",
      from,
    },
    ...target,
    ...planAttributes(entry, slot, false),
    attach(context, slot, entry),
  ];
}

/** Attributes of one hierarchy: those of the mount and of all below it. */
function ofHierarchy({ options }: MountEntry): number {
  return (options.set | options.recursiveSet) & ~options.recursiveClear;
}

function planVersion1(
  context: MountContext,
  entry: MountEntry,
  mounts: readonly CgroupMount[],
): Op[] {
  const { from, index, options } = entry;
  const dir = `mount.${index}`;
  const ro = (ofHierarchy(entry) & ATTR.RDONLY) !== 0;
  // Read-only once it is filled.
  const own: MountEntry = {
    ...entry,
    options: { ...options, recursiveSet: options.recursiveSet & ~ATTR.RDONLY },
  };
  const ops: Op[] = [
    {
      do: "fsmount",
      into: dir,
      fstype: "tmpfs",
      options: ["source=tmpfs", "mode=0755"],
      attr: options.set & ~ATTR.RDONLY,
      flags: 0,
      why: "make the directory of the cgroup hierarchies",
      from,
    },
    ...planTarget(context, entry, TARGET.directory),
    ...planAttributes(own, dir, false),
    attach(context, dir, entry),
  ];
  for (const mount of mounts) {
    const { name } = splitPath(mount.path);
    ops.push(
      {
        do: "mkdir",
        at: dir,
        name,
        mode: 0o755,
        why: `make the place of "${name}"`,
        from,
      },
      ...planHierarchy(context, entry, mount, name),
      {
        do: "open",
        into: "target",
        at: dir,
        path: name,
        flags: O.PATH | context.flags.DIRECTORY | context.flags.NOFOLLOW,
        mode: 0,
        resolve: RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS,
        why: `find the place of "${name}"`,
        from,
      },
      {
        do: "moveMount",
        tree: "mount",
        onto: "target",
        why: `mount the hierarchy "${name}"`,
        from,
      },
    );
    if (!name.includes(",")) continue;
    for (const controller of mount.controllers) {
      ops.push({
        do: "symlink",
        at: dir,
        name: controller,
        target: name,
        why: `make "${controller}" lead to "${name}"`,
        from,
      });
    }
  }
  if (ro) {
    context.readonly.push(setAttr(dir, { set: ATTR.RDONLY }, {
      why: `make "${entry.destination}" read-only now that it is filled`,
      from,
    }));
  }
  return ops;
}

/** Slot "mount": one hierarchy. A cgroup namespace makes the container's cgroup
 * the root of it; without one its directory is bound. */
function planHierarchy(
  context: MountContext,
  entry: MountEntry,
  mount: CgroupMount,
  name: string,
): Op[] {
  const { from } = entry;
  if (namespaceUse(context.config, "cgroup") !== "inherit") {
    const named = mount.controllers.every((it) => it.startsWith("name="));
    return [{
      do: "fsmount",
      into: "mount",
      fstype: "cgroup",
      options: [
        "source=cgroup",
        ...(named ? ["none"] : []),
        ...mount.controllers,
      ],
      attr: ofHierarchy(entry),
      flags: 0,
      why: `make a view of the hierarchy "${name}"`,
      from,
    }];
  }
  return [
    cloneTree("mount", "", ownDirectory(context, mount), true, {
      why: `take the container's cgroup in "${name}"`,
      from,
    }),
    setAttr("mount", {
      recursive: true,
      set: ofHierarchy(entry) | (context.userns ? ATTR.RDONLY : 0),
      propagation: MS.PRIVATE,
    }, { why: "set the attributes of the mount", from }),
  ];
}
