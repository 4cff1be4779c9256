/**
 * Who a container's user is on the host, and what files of it that one can use.
 *
 * @module
 */

import { isGone } from "../../../ffi/errno.ts";
import { readTextFileSync } from "../../../ffi/files.ts";
import type { Config } from "../../config/config.ts";
import { parseMounts } from "../../container/checkpoint/external.ts";
import { ContainerError } from "../../errors.ts";
import { parseMountOptions } from "../../mounts/options.ts";
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

/** Where a container has mounts of its own, by their destinations: others that it
 * has show something of the host's. */
export function ownMounts({ spec }: Config): string[] {
  const mounts = spec.mounts ?? [];
  const isBind = (options: readonly string[] = []) =>
    parseMountOptions(options).bind;
  const binds = mounts.filter((it) => isBind(it.options))
    .map((it) => it.destination);
  return mounts.map((it) => it.destination).filter((it) => !binds.includes(it));
}

/**
 * Finds the volumes of a container, and whatever else it has of the host's. While it
 * may not mount, that is what was mounted for it.
 *
 * @returns ids of the mounts, as in mountinfo
 * @throws {ContainerError} not-running
 */
export function findVolumes(
  { id, pid, own }: { id: string; pid: number; own: readonly string[] },
): Set<number> {
  try {
    const mounts = parseMounts(readTextFileSync(`/proc/${pid}/mountinfo`));
    return new Set(
      mounts.filter(({ path, type }) =>
        // An overlay is a part of a user's root.
        path !== "/" && !own.includes(path) && type !== "overlay"
      ).map((it) => it.id),
    );
  } catch (cause) {
    if (!isGone(cause)) throw cause;
    throw new ContainerError(
      `Cannot use the files of "${id}": its first process has ended`,
      { code: "not-running", hint: "Make another sandbox", cause },
    );
  }
}
