/**
 * Places in the container, found or made, and the last step of every mount:
 * move_mount(2) onto its own.
 *
 * Whoever may rename in the root file system while a container starts can have
 * any path in it lead past what was mounted there: masks of "/proc" would go
 * nowhere. So what was mounted keeps its slot as long as something is to be
 * found in it.
 *
 * @module
 */

import { O, RESOLVE } from "../../ffi/constants.ts";
import { type Op, TARGET } from "../plan.ts";
import type { MountContext } from "./context.ts";
import type { MountEntry } from "./entry.ts";
import { isUnder, joinPath, listAbove } from "./path.ts";
import { placeIn } from "./place.ts";

/** Returns where a path is to be looked for: "at" is the mount that it lies in,
 * and "below" the way from there; "" for what lies in the root file system
 * itself. The path is clean. */
export function findPlace(
  { places }: MountContext,
  path: string,
): { at: string; below: string; root: string; path: string } {
  const clean = joinPath("/", path);
  for (const it of [clean, ...listAbove(clean)]) {
    const at = places.get(it);
    if (at !== undefined) {
      return { at, below: clean.slice(it.length + 1), root: "root", path };
    }
  }
  return placeIn("root", path);
}

/** Slot "target", or another: a path in the container. */
export function findTarget(
  context: MountContext,
  path: string,
  { into = "target", kind, mode = kind === TARGET.any ? 0 : 0o755, why, from }:
    {
      into?: string;
      kind: number;
      mode?: number;
      why?: string;
      from?: string | undefined;
    },
): Op {
  return {
    do: "target",
    into,
    ...findPlace(context, path),
    kind,
    mode,
    why: why ?? `find the place of "${path}"`,
    ...from === undefined ? {} : { from },
  };
}

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
  const { at, below } = findPlace(context, destination);
  if (!strict || at !== "" && below === "") {
    return [findTarget(context, destination, { kind, why, from })];
  }
  const name = at === "" ? destination.slice(1) : below;
  const make: Op = name.includes("/")
    ? findTarget(context, destination, {
      kind,
      why: `make "${destination}" where it is missing`,
      from,
    })
    : {
      do: "mkdir",
      at: at || "root",
      name,
      mode: 0o755,
      why: `make "${destination}" where it is missing`,
      from,
    };
  return [make, {
    do: "open",
    into: "target",
    at: at || "root",
    path: name,
    flags: O.PATH | context.flags.DIRECTORY | context.flags.NOFOLLOW,
    mode: 0,
    resolve: RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS,
    why,
    from,
  }];
}

/** The last step of every mount: what comes later finds it there. */
export function attach(
  context: MountContext,
  slot: string,
  entry: MountEntry,
): Op {
  const { above, places } = context;
  const { destination } = entry;
  if (above.has(destination)) {
    // What lies over the directory hides what was mounted below.
    for (const it of [...places.keys()]) {
      if (isUnder(it, destination)) places.delete(it);
    }
  }
  places.set(destination, slot);
  for (const it of listAbove(destination)) above.add(it);
  return {
    do: "moveMount",
    tree: slot,
    onto: "target",
    why: `mount it on "${entry.destination}"`,
    from: entry.from,
  };
}
