/**
 * Propagation: what of the host's mounts shows in the container, and which of
 * the container's show on the host; mount_namespaces(7).
 *
 * @module
 */

import { MS } from "../../ffi/constants.ts";
import { hasUserNamespace } from "../config/namespaces.ts";
import { ContainerError } from "../errors.ts";
import type { Op } from "../plan.ts";
import { setAttr } from "./attributes.ts";
import type { MountContext } from "./context.ts";
import { type MountEntry, refuse } from "./entry.ts";

/** Propagation words of `linux.rootfsPropagation`. */
const PROPAGATION: ReadonlyMap<string, readonly [number, boolean]> = new Map([
  ["shared", [MS.SHARED, false]],
  ["rshared", [MS.SHARED, true]],
  ["slave", [MS.SLAVE, false]],
  ["rslave", [MS.SLAVE, true]],
  ["private", [MS.PRIVATE, false]],
  ["rprivate", [MS.PRIVATE, true]],
  ["unbindable", [MS.UNBINDABLE, false]],
  ["runbindable", [MS.UNBINDABLE, true]],
]);

/** What `linux.rootfsPropagation` asks for, and whether recursively. */
export function propagationOf(
  context: MountContext,
): readonly [number, boolean] | undefined {
  const word = context.config.spec.linux?.rootfsPropagation;
  if (!word) return undefined;
  const found = PROPAGATION.get(word);
  if (found === undefined) {
    throw new ContainerError(
      `Cannot set the propagation of the root to "${word}": it must be shared, slave, private or unbindable (linux.rootfsPropagation)`,
      { code: "rootfs-propagation", hint: 'The default is "rslave"' },
    );
  }
  return found;
}

/** The propagation that a tree of the host gets unless a word of its own says
 * otherwise: private where the root is, else slave, so that nothing of the
 * container's ever shows on the host. */
export function hostPropagation(context: MountContext): number {
  const type = propagationOf(context)?.[0];
  return type === MS.PRIVATE || type === MS.UNBINDABLE ? MS.PRIVATE : MS.SLAVE;
}

/** What is left of the host's propagation in the container's mount namespace:
 * only a recursive word takes the host's mounts from the volumes that want to
 * see them. */
function leftPropagation(context: MountContext): number {
  const [, recursive = false] = propagationOf(context) ?? [];
  return recursive ? hostPropagation(context) : MS.SLAVE;
}

/** What the tree of a volume is made before the words of its own are applied; 0
 * for what it is: a peer of the host's mounts. */
export function volumePropagation(
  context: MountContext,
  entry: MountEntry,
): number {
  if (isPeer(context, entry)) return 0;
  return entry.options.propagation.length > 0
    ? leftPropagation(context)
    : hostPropagation(context);
}

/**
 * First operations in the new mount namespace: nothing goes back to the host.
 * A volume that is to send its mounts there is taken before.
 */
export function planPropagation(context: MountContext): Op[] {
  return [
    ...context.peers,
    setAttr("", {
      path: "/",
      recursive: true,
      propagation: leftPropagation(context),
    }, {
      why: "keep the container's mounts from the host",
      from: "linux.rootfsPropagation",
    }),
  ];
}

/** Whether a bundle's volumes can be in the peer groups of the host's mounts:
 * under the other words runc makes all that it takes of the host a slave or
 * private before. */
function keepsPeers(context: MountContext): boolean {
  const [type, recursive] = propagationOf(context) ?? [MS.SLAVE, true];
  return type === MS.SHARED || type !== MS.UNBINDABLE && !recursive;
}

/**
 * Whether a volume is to be in the peer groups of the host's mounts, so that
 * what is mounted in it shows there. In a bundle linux.rootfsPropagation must
 * allow it, as under runc; without, "shared" makes a peer group of its own. A
 * flag means what it says, or is refused.
 */
function isPeer(context: MountContext, entry: MountEntry): boolean {
  const { config, host, userns } = context;
  const { index, options: { propagation } } = entry;
  const shared = propagation.some((it) => it.type === MS.SHARED);
  if (config.mode === "oci") return shared && !userns && keepsPeers(context);
  if (shared && hasUserNamespace(config)) {
    refuse(
      entry,
      "nothing propagates from a user namespace to the host, as shared wants it",
      "Use rslave: what the host mounts is seen in the container, not the other way round",
    );
  }
  const unmet = host.unmet?.get(index);
  if (unmet !== undefined) {
    refuse(
      entry,
      `its source lies on a mount that is not ${unmet}`,
      `Share it first: mount --bind ${entry.mount.source} ${entry.mount.source}; mount --make-shared ${entry.mount.source}`,
    );
  }
  return shared;
}
