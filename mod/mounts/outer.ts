/**
 * What mounts lie in: which one before has a mount's place, and where something
 * has to be made for it.
 *
 * @module
 */

import type { Mount } from "../config/schema.ts";
import type { MountContext } from "./context.ts";
import { parseMountOptions } from "./options.ts";
import { isUnder, joinPath, listAbove } from "./path.ts";

/** A mount that something lies in. */
export interface Outer {
  /** Of the entry. */
  index: number;
  destination: string;
  /** The way from there: "/sub", "" for the mount itself. */
  below: string;
}

/** Whether an entry only changes what another has mounted. */
export function isRemount({ options = [] }: Mount): boolean {
  return parseMountOptions(options).remount;
}

/** Returns the last mount that a clean path lies in, none for what lies in the
 * root file system itself.
 *
 * @param before of the entries before this one */
export function findOuter(
  mounts: readonly Mount[],
  path: string,
  before = mounts.length,
): Outer | undefined {
  for (let index = before - 1; index >= 0; index--) {
    const destination = joinPath("/", mounts[index]!.destination);
    if (!isUnder(path, destination) || isRemount(mounts[index]!)) continue;
    const below = destination === "/" ? path : path.slice(destination.length);
    return { index, destination, below };
  }
  return undefined;
}

/** Directories in which something is made once they are mounted. */
export function listFilled({ config, host }: MountContext): Set<string> {
  const { hooks, linux, mounts = [] } = config.spec;
  const paths = [
    ...(linux?.devices ?? []).map((it) => it.path),
    ...host.devices.map((it) => it.path),
    ...config.files.map((it) => it.path),
  ];
  const filled = new Set(paths.flatMap((it) => listAbove(joinPath("/", it))));
  for (const [at, mount] of mounts.entries()) {
    if (isRemount(mount) || host.present?.has(at)) continue;
    const path = joinPath("/", mount.destination);
    const outer = findOuter(mounts, path, at)?.destination ?? "/";
    for (const it of listAbove(path)) if (isUnder(it, outer)) filled.add(it);
  }
  filled.add("/dev");
  // Hooks may mount something anywhere.
  const inHooks = [
    ...hooks?.prestart ?? [],
    ...hooks?.createRuntime ?? [],
    ...hooks?.createContainer ?? [],
  ];
  if (inHooks.length > 0) {
    for (const it of mounts) filled.add(joinPath("/", it.destination));
  }
  return filled;
}
