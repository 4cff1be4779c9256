/**
 * Bind mounts whose source an earlier mount of the list brings: a path of the
 * host's that leads into the root file system, to what is mounted there by then.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { type Op, TARGET } from "../plan.ts";
import { planAttributes, planIdmap } from "./attributes.ts";
import { cloneTree, type MountContext } from "./context.ts";
import type { MountEntry } from "./entry.ts";
import { parseMountOptions } from "./options.ts";
import { absolutePath, isUnder, joinPath } from "./path.ts";
import { volumePropagation } from "./propagation.ts";
import { attach, findTarget, planTarget } from "./target.ts";

/** Such a source. */
export interface Brought {
  /** Where it is in the container. */
  path: string;
  /** Where the host has it, for what comes of a bind mount itself. */
  host?: string;
}

/** Finds out whether an earlier mount brings the source of `mounts[at]`; nobody
 * looks at the host for that. In the friendly form a source is always the
 * host's, as under docker. */
export function findBrought(
  config: Config,
  at: number,
  source: string,
): Brought | undefined {
  const { bundle, mode, rootfs } = config;
  const clean = joinPath("/", source);
  if (mode !== "oci" || rootfs === "/" || !isUnder(clean, rootfs)) {
    return undefined;
  }
  const path = clean.slice(rootfs.length) || "/";
  for (const mount of config.spec.mounts?.slice(0, at).reverse() ?? []) {
    const options = parseMountOptions(mount.options ?? []);
    const destination = joinPath("/", mount.destination);
    if (options.remount || !isUnder(path, destination)) continue;
    if (!options.bind) return { path };
    const rest = path.slice(destination.length);
    return { path, host: absolutePath(bundle, mount.source ?? "") + rest };
  }
  return undefined;
}

/** Takes it in its turn, out of the container's root. */
export function planBrought(
  context: MountContext,
  entry: MountEntry,
  path: string,
): Op[] {
  const { from, index, mount, options } = entry;
  const slot = `mount.${index}`;
  const isFile = context.host.sources.get(index) === "file";
  return [
    findTarget(context, path, {
      into: slot,
      kind: TARGET.any,
      why: `find "${mount.source}", which a mount before it brings`,
      from,
    }),
    cloneTree(slot, slot, "", options.recursiveBind, {
      why: `take "${mount.source}"`,
      from,
    }),
    ...planIdmap(context, entry, slot),
    ...planTarget(context, entry, isFile ? TARGET.file : TARGET.directory),
    ...planAttributes(entry, slot, true, volumePropagation(context, entry)),
    attach(context, slot, entry),
  ];
}
