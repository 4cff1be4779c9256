/**
 * What an overlay over something of the host's is not to show: what the host has
 * mounted over, and what the container's own mounts cover. A mount in the
 * container could be unmounted by it; an opaque directory of the upper layer
 * stays, for nothing in the container can reach that layer but through the
 * overlay. Only where the overlay is a user namespace's.
 *
 * A mount stays on its directory when that is renamed, an opaque directory on
 * its name. So what the host has mounted over must keep its name: nobody but the
 * host's root may be able to change it, and not as the container either.
 *
 * @module
 */

import { O, S_IF } from "../../ffi/constants.ts";
import { lstatSync, realPathSync } from "../../ffi/files.ts";
import type { Config } from "../config/config.ts";
import { ContainerError } from "../errors.ts";
import type { Op } from "../plan.ts";
import type { MountContext } from "./context.ts";
import { isWritable } from "./exposed.ts";
import type { MountHost, Veil } from "./model.ts";
import { isUnder, splitPath } from "./path.ts";

const from = "ephemeral";

/** What a path in the root file system really is, or undefined where there is
 * nothing, or nothing that the caller may see. */
function follow(root: string, path: string): string | undefined {
  try {
    const real = realPathSync(root + path);
    return isUnder(real, root || "/") && real !== root
      ? real.slice(root.length)
      : undefined;
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory ||
      error instanceof Deno.errors.PermissionDenied
    ) return undefined;
    throw error;
  }
}

/**
 * Where a container that is the host's root by number can write in a directory
 * of the host's: there it may rename what is root's alone. Any directory counts:
 * by another mount of the host's it may show what has another path as well.
 *
 * @param sources types of the bind mounts' sources by their place in the list
 * @returns the destination of a volume, undefined where there is none, or the
 * container's ids are others
 */
export function findWritable(
  { spec }: Config,
  sources: ReadonlyMap<number, string>,
): string | undefined {
  if (!spec.linux?.uidMappings?.some((it) => it.hostID === 0)) return undefined;
  return spec.mounts?.find((mount, at) =>
    sources.get(at) === "directory" && isWritable(mount)
  )?.destination;
}

/**
 * Looks at what is to be hidden, and at the directories on the way there.
 *
 * @param rootfs the root file system's directory, without links
 * @param paths what is to be hidden, as the container's root sees it: where the
 * host has mounted something, and what the container's own mounts cover
 * @param writable where the container can write as the host's root, if anywhere
 * @throws {ContainerError} where somebody could give another name to what the
 * host has mounted over
 */
export function lookAtVeils(
  rootfs: string,
  paths: { mounted: readonly string[]; covered: readonly string[] },
  writable: string | undefined,
): Veil[] {
  const root = rootfs === "/" ? "" : rootfs;
  const real = (list: readonly string[]) =>
    list.flatMap((it) => follow(root, it) ?? []);
  const mounted = real(paths.mounted);
  const found = new Set([...mounted, ...real(paths.covered)]);
  const hidden = [...found].filter((path) =>
    ![...found].some((it) => it !== path && isUnder(path, it))
  );
  const veils = new Map<string, Veil>();
  for (const path of hidden.sort()) {
    const parts = path.split("/");
    const chain = parts.slice(1).map((_, n) => parts.slice(0, n + 2).join("/"));
    const point = mounted.find((it) => isUnder(it, path));
    if (point !== undefined) checkNames(root, chain, point, writable);
    for (const veil of lookAtChain(root, chain) ?? []) {
      if (!veils.has(veil.path)) veils.set(veil.path, veil);
    }
  }
  return [...veils.values()];
}

/** Makes sure that only the host's root, and not as the container, can rename
 * anything on the way to what is hidden. */
function checkNames(
  root: string,
  chain: readonly string[],
  point: string,
  writable: string | undefined,
): void {
  for (const path of ["", ...chain.slice(0, -1)]) {
    const directory = root + path || "/";
    let info: Deno.FileInfo;
    try {
      info = lstatSync(directory);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    const owner = `make "${directory}" root's alone`;
    const found = info.uid !== 0
      ? [`which belongs to the user ${info.uid}`, owner]
      : ((info.mode ?? 0) & 0o022) !== 0
      ? ["in which others than root may write", owner]
      : writable !== undefined
      ? [
        `which belongs to root, as whom the container writes in its volume "${writable}"`,
        "map other ids (--userns 0:100000:65536), or make the volume read-only",
      ]
      : undefined;
    if (found === undefined) continue;
    const [why, change] = found;
    throw new ContainerError(
      `Cannot lay a throw-away layer over "${
        root || "/"
      }" for a user namespace: the host has mounted something on "${root}${point}", and who renames what leads there in "${directory}", ${why}, would show what that covers`,
      {
        code: "overlay-covered",
        hint:
          `Unmount it, or copy the root file system; or ${change}; or leave --userns out`,
      },
    );
  }
}

/** The ways to what is hidden, and that; undefined where it has just gone. */
function lookAtChain(
  root: string,
  chain: readonly string[],
): Veil[] | undefined {
  try {
    return chain.map((path, n) => {
      const { mode, isDirectory } = lstatSync(root + path);
      return {
        path,
        mode: (mode ?? 0o755) & 0o7777,
        kind: n < chain.length - 1 ? "way" : isDirectory ? "directory" : "file",
      };
    });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Takes what the upper layer is going to hide off the lower one, on the stage.
 * Anything else that is mounted there stays and is locked, and then the kernel
 * refuses to lay an overlay over it: what was found on the host was found by
 * paths, which others may change meanwhile.
 *
 * @param slot the lower layer
 */
export function planBare(
  slot: string,
  { below, veils }: Pick<MountHost, "below" | "veils">,
): Op[] {
  const hidden = veils.filter((it) => it.kind !== "way");
  // What lies above goes first: it may hide another.
  return [...new Set(below)].sort()
    .filter((path) => hidden.some((it) => isUnder(path, it.path)))
    .map((path): Op => {
      const { parent, name } = splitPath(path);
      return {
        do: "unmount",
        root: slot,
        path: parent,
        name,
        why: `leave out what the host has mounted on "${path}"`,
        from,
      };
    });
}

/**
 * Makes the upper layer hide it.
 *
 * @param upper the upper layer's directory below slot "layers"
 * @param base what the overlay lies over, as the container's root sees it
 */
export function planVeils(
  { flags, host }: MountContext,
  upper: string,
  base: string,
): Op[] {
  const ops: Op[] = [];
  for (const { path, mode, kind } of host.veils) {
    if (path === base || !isUnder(path, base)) continue;
    const place = upper + (base === "/" ? path : path.slice(base.length));
    const { parent, name } = splitPath(place);
    const why = kind === "way"
      ? `lead to what is hidden in "${path}"`
      : `hide the host's "${path}" for good`;
    const open = (into: string, at: string): Op => ({
      do: "open",
      into,
      at: "layers",
      path: at,
      flags: flags.DIRECTORY | flags.NOFOLLOW | O.CLOEXEC,
      mode: 0,
      // RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
      resolve: 0xc,
      why,
      from,
    });
    ops.push(open("veil", parent));
    if (kind === "file") {
      ops.push({
        do: "file",
        at: "veil",
        name,
        mode: mode | S_IF.REG,
        data: new Uint8Array(),
        why,
        from,
      });
      continue;
    }
    ops.push({ do: "mkdir", at: "veil", name, mode, why, from });
    if (kind === "way") continue;
    ops.push(open("veil", place), {
      do: "setxattr",
      slot: "veil",
      name: "user.overlay.opaque",
      value: "y",
      why,
      from,
    });
  }
  return ops;
}
