/**
 * The place of a mount in the container, found or made, and the last step of
 * every mount: move_mount(2) onto it.
 *
 * @module
 */

import { O, RESOLVE } from "../../ffi/constants.ts";
import type { Op } from "../plan.ts";
import type { MountContext } from "./context.ts";
import type { MountEntry } from "./entry.ts";

/** The place of a mount. For proc and sysfs no link is followed: an image's
 * "/proc -> /sys" would mislead later steps (CVE-2023-27561). */
export function planTarget(
  context: MountContext,
  entry: MountEntry,
  kind: number,
  strict = false,
): Op[] {
  const { destination, from } = entry;
  const why = `find the place of "${destination}"`;
  if (!strict) {
    return [{
      do: "target",
      into: "target",
      root: "root",
      path: destination,
      kind,
      mode: 0o755,
      why,
      from,
    }];
  }
  const name = destination.slice(1);
  const make: Op = name.includes("/")
    ? {
      do: "target",
      into: "target",
      root: "root",
      path: destination,
      kind,
      mode: 0o755,
      why: `make "${destination}" where it is missing`,
      from,
    }
    : {
      do: "mkdir",
      at: "root",
      name,
      mode: 0o755,
      why: `make "${destination}" where it is missing`,
      from,
    };
  return [make, {
    do: "open",
    into: "target",
    at: "root",
    path: name,
    flags: O.PATH | context.flags.DIRECTORY | context.flags.NOFOLLOW,
    mode: 0,
    resolve: RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS,
    why,
    from,
  }];
}

/** The last step of every mount. */
export function attach(slot: string, entry: MountEntry): Op {
  return {
    do: "moveMount",
    tree: slot,
    onto: "target",
    why: `mount it on "${entry.destination}"`,
    from: entry.from,
  };
}
