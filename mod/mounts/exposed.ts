/**
 * Whether a volume leads to the directory that an overlay keeps its changes in.
 * What hides something by that layer (secrets, what the host has covered) holds
 * only while nothing in the container reaches it but through the overlay.
 *
 * @module
 */

import { MOUNT_ATTR, O } from "../../ffi/constants.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { readLinkSync } from "../../ffi/files.ts";
import {
  type FileId,
  identifyFile,
  isSameFile,
  type SeenFile,
} from "../../ffi/identity.ts";
import { closeFd, openFd } from "../../ffi/libc.ts";
import type { Config } from "../config/config.ts";
import type { Mount } from "../config/schema.ts";
import { ContainerError } from "../errors.ts";
import { listMounts } from "./host_mounts.ts";
import { parseMountOptions } from "./options.ts";
import { isUnder } from "./path.ts";

/** A directory of the host that a mount shows. */
export interface Volume {
  mount: Mount;
  path: string;
  seen: SeenFile;
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

/** A directory, and where it lies in its file system, by whatever mount it was
 * found. */
interface Place {
  path: string;
  device: string;
  inside: string;
}

/** @returns undefined where that cannot be told: it is not what was seen, or its
 * mount is none of the caller's */
function locate(path: string, seen: FileId, mounts: Mounts): Place | undefined {
  let fd = -1;
  try {
    fd = openFd(path, O.PATH);
    const found = identifyFile(fd);
    const real = readLinkSync(`/proc/self/fd/${fd}`);
    const on = mounts.find(({ id }) => id === found.mount);
    if (!isSameFile(found, seen) || on === undefined) return undefined;
    if (!isUnder(real, on.path)) return undefined;
    const bare = (it: string) => it === "/" ? "" : it;
    const inside = bare(on.inside) + bare(real.slice(bare(on.path).length));
    return { path: real, device: on.device, inside: inside || "/" };
  } catch (error) {
    // It has just gone, or may not be seen any more.
    if (error instanceof SyscallError) return undefined;
    throw error;
  } finally {
    if (fd >= 0) closeFd(fd);
  }
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
 * Refuses a layer in a directory that the container can write in by a volume. A
 * read-only one counts where it has CAP_SYS_ADMIN: it may remount that.
 *
 * @param uppers the directory of the layer, as it was seen
 * @param proc where /proc shows the caller
 * @throws {ContainerError}
 */
export function refuseExposed(
  { spec, ephemeral }: Pick<Config, "spec" | "ephemeral">,
  uppers: FileId | undefined,
  volumes: readonly Volume[],
  proc: string,
): void {
  if (ephemeral?.kind !== "directory" || uppers === undefined) return;
  const { bounding = [] } = spec.process?.capabilities ?? {};
  const remounts = bounding.includes("CAP_SYS_ADMIN");
  const writable = volumes.filter(({ mount }) => remounts || isWritable(mount));
  if (writable.length === 0) return;
  const mounts = listMounts(proc);
  const layer = locate(ephemeral.dir, uppers, mounts);
  const found = writable.find(({ path, seen }) => {
    const place = locate(path, seen, mounts);
    return !layer || !place || shows(place, layer, mounts);
  });
  if (found === undefined) return;
  const lies = layer ? "it lies" : "it may lie";
  throw new ContainerError(
    `Cannot keep the changes in "${ephemeral.dir}": ${lies} in the volume "${found.mount.destination}", and the container could change its own layer there`,
    {
      code: "ephemeral-exposed",
      hint:
        `Give a directory outside of that volume, or --ephemeral alone to keep them in memory${
          remounts ? "" : ", or make the volume read-only"
        }`,
    },
  );
}
