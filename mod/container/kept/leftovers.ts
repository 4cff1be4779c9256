/**
 * What a container leaves behind, told to who removes it (keeper, warden, or
 * the helper for this process): their part of the plan format (c/keeper.h says
 * what each operation means).
 *
 * @module
 */

import type { IdMaps } from "../../namespaces/idmaps.ts";
import type { Op } from "../../plan.ts";
import type { LeftCgroup, OwnedTree, Tree } from "../model.ts";

/** Everything that a container leaves behind on the host. */
export interface Leftovers {
  cgroups: readonly LeftCgroup[];
  /** Directories above them that were made too: removed where empty. */
  parents?: readonly string[] | undefined;
  /** Its groups of resctrl. */
  resctrl?: { mount: string; remove: readonly string[] } | undefined;
  /** ROOT and the id; slot "state" holds the lock. */
  state?: { root: string; id: string };
  /** Directories that go with all that is in them, in this order. */
  trees?: readonly (Tree | OwnedTree)[];
  /** The ids of its own user namespace, which may own files in them. */
  idMaps?: IdMaps | undefined;
  /** Slot "root" is its root, mounted in the caller's mount namespace. */
  mount?: boolean;
  /** It has no pid namespace of its own. */
  sharesPids?: boolean;
  /** What keeper and warden do of their own beside. */
  also?: Partial<Omit<Flags, "sharesPids">>;
}

/** Bits of kFlags, in c/teardown.h with what they mean. */
interface Flags {
  sharesPids: boolean;
  /** A signal that pid 1 would drop ends the container. */
  ends: boolean;
  /** pid 1 is our own. */
  init: boolean;
  /** The keeper puts the caller's terminal into raw mode. */
  terminal: boolean;
}

function flagBits(flags: Partial<Flags>): number {
  return (flags.sharesPids ? 1 : 0) | (flags.ends ? 2 : 0) |
    (flags.init ? 4 : 0) | (flags.terminal ? 8 : 0);
}

/** c/cgroup.h: CGROUP_V1, CGROUP_FREEZER, CGROUP_V2. */
function kindOf(cgroup: LeftCgroup): number {
  if (cgroup.version === 2) return 2;
  return cgroup.controllers.includes("freezer") ? 1 : 0;
}

const WHY = "remove it when the container ends";

/** The operations that name the leftovers. */
export function planLeftovers(left: Leftovers): Op[] {
  const ops: Op[] = left.cgroups.map((it) => ({
    do: "kCgroup",
    root: it.mount,
    path: it.path.slice(it.mount.length + 1),
    own: it.systemd ? 0 : 1 +
      (left.parents ?? []).filter((parent) => it.path.startsWith(`${parent}/`))
        .length,
    kind: kindOf(it),
    why: WHY,
  }));
  // To be removed they are like a v1 cgroup without processes.
  for (const path of left.resctrl?.remove ?? []) {
    const root = left.resctrl!.mount;
    ops.push({
      do: "kCgroup",
      root,
      path: path.slice(root.length + 1),
      own: 1,
      kind: 0,
      why: WHY,
    });
  }
  if (left.state !== undefined) {
    const { root, id } = left.state;
    ops.push({ do: "kState", parent: root, name: id, dir: "state", why: WHY });
  }
  for (const tree of left.trees ?? []) {
    const { parent, name } = tree;
    const owner = "owner" in tree ? tree.owner : -1;
    ops.push({ do: "kTree", parent, name, owner, why: WHY });
  }
  if (left.mount) ops.push({ do: "kMount", tree: "root", why: WHY });
  if (left.sharesPids !== undefined) {
    ops.push({
      do: "kFlags",
      flags: flagBits({ sharesPids: left.sharesPids, ...left.also }),
      why: "end what would not end by itself",
    });
  }
  return ops;
}
