/**
 * What is hidden or made read-only on the stage (stage.ts), so that it arrives
 * locked: paths that are masked, and what of the host's the container's own
 * mounts lie over, which it may unmount.
 *
 * @module
 */

import { MOUNT_ATTR } from "../../ffi/constants.ts";
import type { Config } from "../config/config.ts";
import { listHostSysfs } from "../config/reach.ts";
import { COVER, type Op, TARGET } from "../plan.ts";
import { setAttr } from "./attributes.ts";
import type { MountContext } from "./context.ts";
import { planNull } from "./devices.ts";
import { type MountOptions, parseMountOptions } from "./options.ts";
import { coverBare } from "./kernel_own.ts";
import { planInner } from "./locked.ts";
import { findOuter, listFilled } from "./outer.ts";
import { eachPath, isUnder, joinPath, listAbove } from "./path.ts";
import { placeIn } from "./place.ts";

/** A path that the configuration hides. */
interface Hidden {
  from: string;
  /** Slot of the tree that it is in. */
  tree: string;
  path: string;
  kind: "mask" | "readonly";
}

/** A path in the root file system that something of the container's lies over. */
interface Covered {
  path: string;
  from: string;
  /** The directory over it has the mode of what it hides, for a mount that will
   * take that. */
  wantsMode: boolean;
  /** Mounts that come before the one on it, and have their places below. */
  places: { path: string; kind: number; from: string }[];
}

/** A mount of the configuration. */
interface Entry {
  index: number;
  type: string;
  path: string;
  options: MountOptions;
}

/** Hides all that; what it takes of the host for it goes onto the stage, too. */
export function planCovers(context: MountContext): Op[] {
  const hidden = [...listCgroups(context), ...listHidden(context)];
  const covered = listCovered(context);
  const bare = coverBare(context, "cover");
  const inner = planInner(context);
  if (hidden.length + covered.length + bare.length === 0) return inner;
  planNull(context);
  return [
    ...inner,
    {
      do: "fsmount",
      into: "cover",
      fstype: "tmpfs",
      options: ["source=tmpfs", "mode=0755", "nr_blocks=1", "nr_inodes=1"],
      attr: MOUNT_ATTR.RDONLY,
      flags: 0,
      why: "have an empty directory over what the container is not to see",
      from: "linux.namespaces",
    },
    ...bare,
    ...hidden.map(({ tree, path, kind, from }): Op =>
      kind === "readonly"
        ? {
          do: "readonly",
          ...placeIn(tree, path),
          why: `lock "${path}" read-only`,
          from,
        }
        : lay(tree, path, "cover", from)
    ),
    ...covered.flatMap((it, at) => planCovered(it, `cover.${at}`)),
  ];
}

function lay(root: string, path: string, dir: string, from: string): Op {
  return {
    do: "mask",
    ...placeIn(root, path),
    file: "null",
    dir,
    why: `lock away the host's "${path}"`,
    from,
  };
}

/** One directory does for all, unless something looks at it. */
function planCovered(covered: Covered, slot: string): Op[] {
  const { path, from, wantsMode, places } = covered;
  if (!wantsMode && places.length === 0) {
    return [lay("root", path, "cover", from)];
  }
  const takeMode = (tree: string, of: string, note: { from: string }): Op => ({
    do: "cover",
    tree,
    ...placeIn("root", of),
    mode: 0o755,
    take: COVER.mode,
    why: `give it the mode of the host's "${of}"`,
    ...note,
  });
  return [
    {
      do: "fsmount",
      into: slot,
      fstype: "tmpfs",
      options: ["source=tmpfs", "mode=0755"],
      attr: 0,
      flags: 0,
      why: `have a directory over the host's "${path}"`,
      from,
    },
    takeMode(slot, path, { from }),
    ...places.flatMap((place): Op[] => [
      {
        do: "target",
        into: "target",
        ...placeIn(slot, place.path.slice(path.length)),
        kind: place.kind,
        mode: 0o755,
        why: `make the place of "${place.path}", which is mounted before`,
        from: place.from,
      },
      ...place.kind === TARGET.file
        ? []
        : [takeMode("target", place.path, { from: place.from })],
    ]),
    setAttr(slot, { set: MOUNT_ATTR.RDONLY }, {
      why: "leave nothing to be written there",
      from,
    }),
    lay("root", path, slot, from),
  ];
}

/** The host's cgroups in the host's sysfs: the container's own lie over them, and
 * can be unmounted. */
function listCgroups(
  { config, destinations, facts }: MountContext,
): Hidden[] {
  return listHostSysfs(config, facts).flatMap((at): Hidden[] => {
    const tree = destinations.get(at);
    if (tree === undefined) return [];
    const from = `mounts[${at}]`;
    return [{ tree, path: "/fs/cgroup", kind: "mask", from }];
  });
}

/** What linux.maskedPaths and linux.readonlyPaths name in something of the
 * host, and where nothing has to be made first. Links inside it may lead
 * elsewhere once all is mounted: the same is done again there. */
function listHidden(context: MountContext): Hidden[] {
  const { config, destinations } = context;
  const filled = listFilled(context);
  const { maskedPaths = [], readonlyPaths = [] } = config.spec.linux ?? {};
  const find = (path: string, kind: Hidden["kind"]): Hidden[] => {
    const from = kind === "mask" ? "linux.maskedPaths" : "linux.readonlyPaths";
    const clean = joinPath("/", path);
    if (filled.has(clean)) return [];
    const outer = findOuter(config.spec.mounts ?? [], clean);
    if (outer === undefined) {
      return config.ephemeral === undefined
        ? [{ tree: "root", path: clean, kind, from }]
        : [];
    }
    const tree = destinations.get(outer.index);
    const { below } = outer;
    return tree === undefined || below === ""
      ? []
      : [{ tree, path: below, kind, from }];
  };
  return [
    ...eachPath(readonlyPaths).flatMap(([it]) => find(it, "readonly")),
    ...eachPath(maskedPaths).flatMap(([it]) => find(it, "mask")),
  ];
}

function listEntries({ spec }: Config): Entry[] {
  return (spec.mounts ?? []).map((mount, index) => ({
    index,
    type: mount.type ?? "",
    path: joinPath("/", mount.destination),
    options: parseMountOptions(mount.options ?? []),
  })).filter(({ options }) => !options.remount);
}

/** Where the container mounts something over what is the host's: it may unmount
 * its own, and would see that. A file system of the kernel's hides what the host
 * has mounted there, or may have; where the host's own root is the container's,
 * so does every mount, but one that is filled with what it hides. */
function listCovered({ config, host }: MountContext): Covered[] {
  if (config.ephemeral !== undefined) return [];
  const entries = listEntries(config);
  const covered = new Map<string, Covered>();
  const add = (path: string, from: string) => {
    if (!covered.has(path)) {
      covered.set(path, { path, from, wantsMode: false, places: [] });
    }
  };
  for (const { index, type, path, options } of entries) {
    const isKernels = !options.bind &&
      (type === "proc" || type === "sysfs" || path === "/dev");
    const isMounted = host.unsure ||
      host.below.some((it) => isUnder(it, path));
    if (isKernels && isMounted || host.isHostRoot && !options.copyUp) {
      add(path, `mounts[${index}]`);
    }
  }
  if (host.isHostRoot) {
    config.files.forEach((it, at) => add(it.path, `files[${at}]`));
  }
  // What lies in a directory that is hidden is hidden with it.
  const isInner = (path: string) =>
    listAbove(path).some((it) => covered.has(it));
  const found = new Map([...covered].filter(([path]) => !isInner(path)));
  addPlaces(found, entries, host.sources);
  return [...found.values()];
}

/** Adds what the mounts of the container need in what hides the host's. */
function addPlaces(
  covered: ReadonlyMap<string, Covered>,
  entries: readonly Entry[],
  sources: MountContext["host"]["sources"],
): void {
  const mounted = new Set<string>();
  for (const { index, type, path, options } of entries) {
    const own = covered.get(path);
    if (
      own !== undefined && type === "tmpfs" && !options.bind &&
      !options.data.some((it) => /(^|,)mode=/.test(it))
    ) own.wantsMode = true;
    // What lies in another mount has its place there.
    const parents = listAbove(path);
    if (![path, ...parents].some((it) => mounted.has(it))) {
      const outer = parents.find((it) => covered.has(it));
      if (outer !== undefined) {
        covered.get(outer)!.places.push({
          path,
          kind: options.bind && sources.get(index) === "file"
            ? TARGET.file
            : TARGET.directory,
          from: `mounts[${index}]`,
        });
      }
    }
    mounted.add(path);
  }
}
