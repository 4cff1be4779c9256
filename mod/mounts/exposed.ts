/**
 * Whether a volume leads to the directory that an overlay keeps its changes in.
 * What hides something by that layer (secrets, what the host has covered) holds
 * only while nothing in the container reaches it but through the overlay.
 *
 * @module
 */

import { MOUNT_ATTR } from "../../ffi/constants.ts";
import { realPathSync } from "../../ffi/files.ts";
import type { Config } from "../config/config.ts";
import type { Mount } from "../config/schema.ts";
import { ContainerError } from "../errors.ts";
import { listMounts } from "./host_mounts.ts";
import { parseMountOptions } from "./options.ts";
import { absolutePath, isUnder } from "./path.ts";

/** A directory, and where it lies in its file system, by whatever mount it was
 * found. */
interface Place {
  path: string;
  device: string;
  inside: string;
}

/** Whether a bind mount can be written to. */
export function isWritable({ options = [] }: Mount): boolean {
  const { set, clear, recursiveSet, recursiveBind } = parseMountOptions(
    options,
  );
  const readonly = recursiveBind ? recursiveSet & ~clear : set;
  return (readonly & MOUNT_ATTR.RDONLY) === 0;
}

type Mounts = ReturnType<typeof listMounts>;

function locate(path: string, mounts: Mounts): Place | undefined {
  const real = realPathSync(path);
  let on: Mounts[number] | undefined;
  // Of two on one place the later one covers the other.
  for (const it of mounts) {
    const deeper = on === undefined || it.path.length >= on.path.length;
    if (isUnder(real, it.path) && deeper) on = it;
  }
  if (on === undefined) return undefined;
  const bare = (it: string) => it === "/" ? "" : it;
  const inside = bare(on.inside) + bare(real.slice(bare(on.path).length));
  return { path: real, device: on.device, inside: inside || "/" };
}

/** Whether what is bound from `source` shows `place`: itself, or by something that
 * is mounted below it. */
function shows(source: Place, place: Place, mounts: Mounts): boolean {
  const below = mounts.filter(({ path }) => isUnder(path, source.path));
  return [source, ...below].some(({ device, inside }) =>
    device === place.device && isUnder(place.inside, inside)
  );
}

/**
 * Refuses a layer in a directory that the container can write in by a volume.
 *
 * @param sources types of the bind mounts' sources by their place in the list
 * @param proc where /proc shows the caller
 * @throws {ContainerError}
 */
export function refuseExposed(
  { spec, bundle, ephemeral }: Config,
  sources: ReadonlyMap<number, string>,
  proc: string,
): void {
  if (ephemeral?.kind !== "directory") return;
  const writable = (spec.mounts ?? []).filter((it, at) =>
    sources.get(at) === "directory" && isWritable(it)
  );
  if (writable.length === 0) return;
  const mounts = listMounts(proc);
  const layer = locate(ephemeral.dir, mounts);
  for (const { source = "", destination } of writable) {
    const place = locate(absolutePath(bundle, source), mounts);
    if (!layer || !place || !shows(place, layer, mounts)) continue;
    throw new ContainerError(
      `Cannot keep the changes in "${ephemeral.dir}": it lies in the volume "${destination}", and the container could change its own layer there`,
      {
        code: "ephemeral-exposed",
        hint:
          "Give a directory outside of that volume, or --ephemeral alone to keep them in memory, or make the volume read-only",
      },
    );
  }
}
