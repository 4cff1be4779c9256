/**
 * The stage: how what is taken of the host arrives locked in a container with
 * a user namespace.
 *
 * The kernel locks a mount (its read-only, nosuid, nodev, noexec and atime, and
 * that it covers what is below it) where a mount namespace is copied into
 * another user namespace, and nowhere else; mount_namespaces(7). A tree that
 * was taken before and moved in afterwards is not locked: the container could
 * undo what the host had set, and unmount what hides something of the host. So
 * whatever was taken is put, by number, into a tmpfs of a mount namespace that
 * the host's user namespace still owns; the container's is a copy of that, and
 * everything is taken once more from there. The process stands in that tmpfs
 * meanwhile: a working directory is all that goes along into the copy, so that
 * no path of the host is walked with the container's ids.
 *
 * @module
 */

import { CLONE, MOUNT_ATTR, MS } from "../../ffi/constants.ts";
import type { Config } from "../config/config.ts";
import type { Op } from "../plan.ts";
import { setAttr } from "./attributes.ts";
import { type MountContext, unstage } from "./context.ts";
import { planCovers } from "./covers.ts";
import { planBare } from "./opaque.ts";
import { openPlace } from "./place.ts";

const from = "linux.namespaces";

/** What the stage lies on. */
export function placeOfStage({ rootfs }: Config, state: string): string {
  return rootfs === "/" ? state : rootfs;
}

/**
 * Puts what was taken onto the stage, and hides there what the container is not
 * to see: what lies over something of the host is locked, too.
 */
export function planStage(context: MountContext): Op[] {
  if (!context.staged) return [];
  const { config, host, trees } = context;
  // First: what covers is taken of the host, too.
  const covers = planCovers(context);
  return [
    {
      do: "unshare",
      flags: CLONE.NEWNS,
      why: "have a mount namespace to prepare in, which the host's user owns",
      from,
    },
    setAttr("", { path: "/", recursive: true, propagation: MS.SLAVE }, {
      why: "keep the stage from the host",
      from,
    }),
    {
      do: "fsmount",
      into: "stage",
      fstype: "tmpfs",
      options: ["source=rustyrun", "mode=0711"],
      attr: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC,
      flags: 0,
      why: "have a stage for what is taken of the host",
      from,
    },
    // What lay on /proc or /sys, locked, would forbid the container its own.
    ...openPlace(context, placeOfStage(config, host.state)),
    {
      do: "moveMount",
      tree: "stage",
      onto: "target",
      why: "attach the stage",
      from,
    },
    ...trees.flatMap(({ slot, take, alone }, at): Op[] => [
      ...take.length > 0 ? take : [keepFromHost(slot)],
      {
        do: "stage",
        tree: slot,
        at: "stage",
        name: String(at),
        why: "put what was taken where its copy will be found",
        from,
      },
      ...alone === undefined ? [] : planBare(slot, host),
    ]),
    ...covers,
    {
      do: "fchdir",
      slot: "stage",
      why: "stand where the next mount namespace has its copy of the stage",
      from,
    },
  ];
}

/** What was taken before is a peer of the host's mounts, which are shared on
 * most machines: what is laid over something in it would lie on the host. */
function keepFromHost(slot: string): Op {
  return setAttr(slot, { recursive: true, propagation: MS.SLAVE }, {
    why: "keep what is hidden in it from the host",
    from,
  });
}

/** Takes again what is needed before the mounts, in the container's mount
 * namespace: first of all there. */
export function planUnstage(context: MountContext): Op[] {
  return context.trees.flatMap(({ slot, inTurn, alone }, at) =>
    inTurn ? [] : [unstage(slot, String(at), alone)]
  );
}
