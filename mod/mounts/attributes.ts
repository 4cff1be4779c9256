/**
 * Attributes, propagation and id maps of one mount: mount_setattr(2).
 *
 * @module
 */

import { MOUNT_ATTR as ATTR } from "../../ffi/constants.ts";
import { formatIdMap } from "../config/namespaces.ts";
import type { Op } from "../plan.ts";
import type { MountContext } from "./context.ts";
import { type MountEntry, refuse } from "./entry.ts";
import { hostPropagation, setAttr } from "./root.ts";

/** Attributes and propagation of a mount, in at most one call for all that is
 * below it and one for itself. A new file system has its own attributes from
 * fsmount(2) already. */
export function planAttributes(
  context: MountContext,
  entry: MountEntry,
  slot: string,
  bind: boolean,
): Op[] {
  const { options, from } = entry;
  const ops: Op[] = [];
  const recursive = options.propagation.filter((it) => it.recursive).at(-1);
  const single = options.propagation.filter((it) => !it.recursive).at(-1);
  const below = {
    set: options.recursiveSet,
    clear: options.recursiveClear,
    propagation: recursive?.type ?? (bind ? hostPropagation(context) : 0),
  };
  if (below.set || below.clear || below.propagation) {
    ops.push(setAttr(slot, { ...below, recursive: true }, {
      why: "set the attributes of the mount and of those below it",
      from,
    }));
  }
  const own = {
    set: bind ? options.set : 0,
    clear: bind ? options.clear : 0,
    propagation: single?.type ?? 0,
  };
  if (own.set || own.clear || own.propagation) {
    ops.push(setAttr(slot, own, {
      why: "set the attributes of the mount",
      from,
    }));
  }
  return ops;
}

/** The id map of an idmapped mount: the mount's own, else the container's; no
 * operation when it asks for none. Since 5.12. */
export function planIdmap(
  context: MountContext,
  entry: MountEntry,
  slot: string,
): Op[] {
  const { mount, options, from } = entry;
  const linux = context.config.spec.linux ?? {};
  const asked = mount.uidMappings?.length
    ? [mount.uidMappings, mount.gidMappings ?? []]
    : options.idmap !== undefined
    ? [linux.uidMappings ?? [], linux.gidMappings ?? []]
    : undefined;
  if (asked === undefined) return [];
  const [uids = [], gids = []] = asked;
  if (uids.length === 0 || gids.length === 0) {
    refuse(
      entry,
      `"${options.idmap}" has no mapping to use`,
      "Give the mount uidMappings and gidMappings, or the container a user namespace",
    );
  }
  if (!context.early) {
    refuse(
      entry,
      "mapping the ids of a mount needs CAP_SYS_ADMIN on the host",
      "Run it as root, or leave the mapping out",
    );
  }
  const maps = [formatIdMap(uids), formatIdMap(gids)] as const;
  const key = maps.join("\n");
  let userns = context.idmaps.get(key);
  if (userns === undefined) {
    userns = `idmap.${context.idmaps.size}`;
    context.idmaps.set(key, userns);
    context.sources.push({
      do: "userns",
      into: userns,
      uidMap: maps[0],
      gidMap: maps[1],
      why: "hold the ids that the mount maps",
      from,
    });
  }
  return [
    setAttr(slot, {
      set: ATTR.IDMAP,
      userns,
      recursive: options.idmap === "ridmap",
    }, { why: "map the ids of the mount", from }),
  ];
}
