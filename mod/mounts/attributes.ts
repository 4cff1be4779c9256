/**
 * Attributes, propagation and id maps of one mount: mount_setattr(2).
 *
 * @module
 */

import { AT, MOUNT_ATTR as ATTR, MS } from "../../ffi/constants.ts";
import { formatIdMap, namespaceUse } from "../config/namespaces.ts";
import type { Op } from "../plan.ts";
import type { MountContext } from "./context.ts";
import { type MountEntry, refuse } from "./entry.ts";
import type { MountOptions } from "./options.ts";

/** An operation on a mount's attributes or propagation. */
export function setAttr(
  slot: string,
  args: {
    path?: string;
    recursive?: boolean;
    set?: number;
    clear?: number;
    propagation?: number;
    userns?: string;
  },
  note: { why: string; from?: string },
): Op {
  return {
    do: "mountSetattr",
    slot,
    path: args.path ?? "",
    flags: args.recursive ? AT.RECURSIVE : 0,
    set: args.set ?? 0,
    clear: args.clear ?? 0,
    propagation: args.propagation ?? 0,
    userns: args.userns ?? "",
    ...note,
  };
}

/** Propagation words in their order, as mount(8) would apply them: each is a
 * change of the one before ("slave" and then "shared" is both). `base` comes
 * first, where the first word leaves something of what there was. */
function listSteps(
  words: MountOptions["propagation"],
  base: number,
): MountOptions["propagation"] {
  const first = words[0];
  const whole = first?.recursive && first.type !== MS.SHARED;
  return base === 0 || whole
    ? [...words]
    : [{ type: base, recursive: true }, ...words];
}

/** Attributes and propagation of a mount: in one call for all that is below it
 * and one for itself, unless there are more words of propagation. A new file
 * system has its own attributes from fsmount(2) already.
 *
 * @param base the propagation that a tree of the host gets before any word; 0
 * for none
 */
export function planAttributes(
  entry: MountEntry,
  slot: string,
  bind: boolean,
  base = 0,
): Op[] {
  const { options, from } = entry;
  const ops: Op[] = [];
  const steps = listSteps(options.propagation, base);
  const below = {
    set: options.recursiveSet,
    clear: options.recursiveClear,
    propagation: steps[0]?.recursive ? steps.shift()!.type : 0,
  };
  if (below.set || below.clear || below.propagation) {
    ops.push(setAttr(slot, { ...below, recursive: true }, {
      why: "set the attributes of the mount and of those below it",
      from,
    }));
  }
  const last = steps.at(-1)?.recursive === false ? steps.pop() : undefined;
  for (const { type, recursive } of steps) {
    ops.push(setAttr(slot, { propagation: type, recursive }, {
      why: "set where mounts propagate to",
      from,
    }));
  }
  const own = {
    set: bind ? options.set : 0,
    clear: bind ? options.clear : 0,
    propagation: last?.type ?? 0,
  };
  if (own.set || own.clear || own.propagation) {
    ops.push(setAttr(slot, own, {
      why: "set the attributes of the mount",
      from,
    }));
  }
  return ops;
}

/** Whether a mount's ids are to be mapped. */
export function asksIdmap({ mount, options }: MountEntry): boolean {
  return options.idmap !== undefined || Boolean(mount.uidMappings?.length);
}

/** The id map of an idmapped mount: the mount's own, else the container's, which
 * may be that of a user namespace it joins; no operation when it asks for none. Since 5.12. The user namespace that holds it
 * is made before the container's namespaces, whose ids are others. */
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
  const map = (userns: string): Op[] => [
    setAttr(slot, {
      set: ATTR.IDMAP,
      userns,
      recursive: options.idmap === "ridmap",
    }, { why: "map the ids of the mount", from }),
  ];
  const own = mount.uidMappings?.length;
  if (
    !own && context.early && namespaceUse(context.config, "user") === "joined"
  ) {
    // The namespaces manager has opened and judged it.
    return map("ns.user");
  }
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
  return map(userns);
}
