/**
 * Who a container's user is on the host, and what files of it that one can use.
 *
 * @module
 */

import type { Config } from "../../config/config.ts";
import type { MountLine } from "../../container/checkpoint/external.ts";
import { parseMountOptions } from "../../mounts/options.ts";
import { isUnder } from "../../mounts/path.ts";
import type { Place } from "../../container/model.ts";
import { toHost } from "./pipes.ts";

/** The container's user on the host; root of this program's where the host knows
 * no such id. */
export function ownerIn({ spec }: Config): { uid: number; gid: number } {
  const { uid = 0, gid = 0 } = spec.process?.user ?? {};
  return {
    uid: toHost(spec.linux?.uidMappings, uid) ?? 0,
    gid: toHost(spec.linux?.gidMappings, gid) ?? 0,
  };
}

/** Whether the container's user has the rights of this program over files: root
 * has, unless it is another user namespace's or has lost CAP_DAC_OVERRIDE; of an
 * ordinary user's program only that user. */
export function isStrong(config: Config, { caller }: Place): boolean {
  if (caller.uid !== 0) return ownerIn(config).uid === caller.uid;
  const { spec } = config;
  const { user, capabilities } = spec.process ?? {};
  return (user?.uid ?? 0) === 0 &&
    (spec.linux?.uidMappings ?? []).length === 0 &&
    (capabilities?.effective ?? []).includes("CAP_DAC_OVERRIDE");
}

/** Whether a command may mount where the library sees it. */
export function mayMount({ spec }: Config): boolean {
  const { bounding = [] } = spec.process?.capabilities ?? {};
  return bounding.includes("CAP_SYS_ADMIN");
}

/** Where a container has mounts: its own, and the host's. */
export interface MountPlaces {
  own: string[];
  binds: string[];
}

/** Sorts the mounts of a container by their destinations. */
export function sortMounts({ spec }: Config): MountPlaces {
  const [binds, own] = [true, false].map((bind) =>
    (spec.mounts ?? []).filter(({ options = [] }) =>
      parseMountOptions(options).bind === bind
    ).map((it) => it.destination)
  ) as [string[], string[]];
  return { own, binds };
}

/**
 * Finds the mounts that show nothing of the host's: the root file system, of which a
 * user's may have overlays as parts, and what is the container's own.
 *
 * @returns their ids, as in mountinfo
 */
export function findOwn(
  mounts: readonly MountLine[],
  { own, binds }: MountPlaces,
): number[] {
  return mounts.filter(({ path, type }) =>
    path === "/" || own.includes(path) && !binds.includes(path) ||
    type === "overlay" && !binds.some((it) => isUnder(path, it))
  ).map(({ id }) => id);
}
