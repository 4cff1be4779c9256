/**
 * Places that the container will not see: what must be attached somewhere while
 * the root is made lies there, under the root.
 *
 * @module
 */

import { O } from "../../ffi/constants.ts";
import type { Config } from "../config/config.ts";
import type { Op } from "../plan.ts";
import { checkSeen, type MountContext } from "./context.ts";

/** Where the layers of an overlay are attached while it is made: a directory
 * that every host has. */
export const LAYERS = "/proc";

/** The directory of the host that something lies on while the mounts are made:
 * the root, or over the host's own root what has to lie somewhere. */
export function placeOfRoot({ rootfs }: Config): string {
  return rootfs === "/" ? LAYERS : rootfs;
}

/** Slot "target": such a place. */
export function openPlace(context: MountContext, path: string): Op[] {
  const note = {
    why: "find a place that the container will not see",
    from: "root.path",
  };
  return [
    {
      do: "open",
      into: "target",
      at: "",
      path,
      flags: O.PATH | context.flags.DIRECTORY,
      mode: 0,
      resolve: 0,
      ...note,
    },
    ...path === context.config.rootfs
      ? checkSeen(context, "target", note, "root")
      : [],
  ];
}

/** A place in a tree that is in a slot, for operations that look for one. */
export function placeIn(
  root: string,
  path: string,
): { at: string; below: string; root: string; path: string } {
  return { at: "", below: "", root, path };
}

/** Attaches a tree there. */
export function hide(slot: string): Op {
  return {
    do: "moveMount",
    tree: slot,
    onto: "target",
    why: "attach it where the container will not see it",
    from: "root.path",
  };
}
