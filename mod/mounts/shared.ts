/**
 * A container without a mount namespace of its own: it lives in the caller's.
 *
 * Its root is still a mount of its own, over the root file system's directory,
 * and everything else is mounted below that: one umount2(2) takes it all. The
 * host stage makes the mount, detached, and keeps it in hand (slot "root"), so
 * that whoever cleans up needs no path. The caller's mounts stay what they are:
 * no propagation of theirs changes, and nothing below the root is in a peer
 * group of theirs.
 *
 * @module
 */

import { MS } from "../../ffi/constants.ts";
import type { Config } from "../config/config.ts";
import { hasUserNamespace } from "../config/namespaces.ts";
import { ContainerError } from "../errors.ts";
import type { Facts } from "../host.ts";
import type { Op } from "../plan.ts";
import type { MountContext } from "./context.ts";
import { parseMountOptions } from "./options.ts";
import { setAttr } from "./attributes.ts";

const CAP_SYS_ADMIN = 1n << 21n;

/**
 * Checks what cannot be had in the caller's mount namespace.
 *
 * @throws {ContainerError} when the configuration asks for it, or the caller
 * may not mount there
 */
export function checkShared(config: Config, facts: Facts): void {
  const why = findObstacle(config, facts);
  if (why === undefined) return;
  const hint = facts.foreignMounts
    ? "Give the caller one of its own: unshare -Urm"
    : 'Add {"type":"mount"} to linux.namespaces: then the container has a mount namespace of its own';
  throw new ContainerError(
    `Cannot set up the root file system in the caller's mount namespace: ${why}`,
    {
      code: "mount-namespace-missing",
      hint,
    },
  );
}

function findObstacle(config: Config, facts: Facts): string | undefined {
  if (hasUserNamespace(config)) {
    return "a process in another user namespace may not mount there";
  }
  if (facts.foreignMounts) {
    return "it belongs to another user namespace, and the caller's capabilities are none there";
  }
  if ((facts.caps & CAP_SYS_ADMIN) === 0n) {
    return "it takes CAP_SYS_ADMIN to mount there";
  }
  if (config.rootfs === "/") {
    return "the container's mounts would lie on the caller's own (root.path \"/\")";
  }
  if (config.ephemeral !== undefined || config.files.length > 0) {
    return "a throw-away layer and files of rustyrun's own need a place that nobody else sees";
  }
  const { linux, mounts } = config.spec;
  const propagation = linux?.rootfsPropagation;
  if (propagation && !/^r?(private|unbindable)$/.test(propagation)) {
    return `nothing propagates between a mount namespace and itself (linux.rootfsPropagation "${propagation}")`;
  }
  const at = (mounts ?? []).findIndex((mount) => {
    const options = parseMountOptions(mount.options ?? []);
    return options.bind &&
      options.propagation.some((it) => it.type === MS.SHARED);
  });
  if (at < 0) return undefined;
  return `what is mounted below a shared volume would stay on the host (mounts[${at}], "${
    mounts?.[at]?.destination
  }")`;
}

/** Slot "root", attached; slot "place" is the directory that it is a copy of.
 * Private before, or the kernel would mount it on itself; and again after,
 * since a mount becomes shared on a shared one. */
export function planSharedRoot(): Op[] {
  const from = "linux.namespaces";
  const why = "let nothing propagate into the container's mounts or out";
  const makePrivate = setAttr("root", {
    recursive: true,
    propagation: MS.PRIVATE,
  }, { why, from });
  return [
    makePrivate,
    {
      do: "moveMount",
      tree: "root",
      onto: "place",
      why: "attach the root over its own directory, where the caller sees it",
      from: "root.path",
    },
    makePrivate,
    {
      do: "close",
      slot: "place",
      why: "hold no more of the host than that",
      from: "root.path",
    },
  ];
}

/** The way into the root: pivot_root(2) would move the caller's own. */
export function planSharedEntry(context: MountContext): Op[] {
  const ops: Op[] = [{
    do: "enter",
    root: "root",
    why: "make it the root of this process, and of no other",
    from: "linux.namespaces",
  }];
  const propagation = context.config.spec.linux?.rootfsPropagation ?? "";
  if (/unbindable$/.test(propagation)) {
    ops.push(
      setAttr("root", {
        propagation: MS.UNBINDABLE,
        recursive: propagation.startsWith("r"),
      }, {
        why: "set the propagation of the root",
        from: "linux.rootfsPropagation",
      }),
    );
  }
  return ops;
}
