/**
 * What a sandbox has changed in its throw-away root.
 *
 * @module
 */

import { O } from "../../../ffi/constants.ts";
import { identifyFile, isSameFile } from "../../../ffi/identity.ts";
import { closeFd, openFd } from "../../../ffi/libc.ts";
import { applyChanges } from "../../container/inside/apply.ts";
import {
  type Change,
  type ChangesOptions,
  listChanges,
} from "../../container/inside/changes.ts";
import { ContainerError } from "../../errors.ts";
import type { StartedBox } from "./start.ts";

type Layers = Pick<StartedBox, "upper" | "lower" | "kept">;

/** Opens the root file system that was looked at, and no other. */
function openLower(lower: StartedBox["lower"]): number {
  const fd = openFd(lower.path, O.PATH);
  if (isSameFile(identifyFile(fd), lower)) return fd;
  closeFd(fd);
  throw new ContainerError(
    `Cannot compare with the root file system "${lower.path}": another directory has its place now`,
    {
      code: "rootfs-changed",
      hint: "Put the one that the sandbox was made of back",
    },
  );
}

function withLayers<T>(
  { upper, lower, kept }: Layers,
  call: (upper: number, lower: number, options: ChangesOptions) => T,
): T {
  if (upper < 0 || kept === undefined) {
    throw new ContainerError(
      "Cannot tell what the sandbox has changed: it has no throw-away layer over all of its root",
      {
        code: "changes-unknown",
        hint:
          'Make it with ephemeral: true, and, as a user, with a root file system other than "/"',
      },
    );
  }
  const fd = openLower(lower);
  try {
    return call(upper, fd, kept);
  } finally {
    closeFd(fd);
  }
}

/** Lists what a sandbox has made, changed and removed. */
export function listBoxChanges(box: Layers): Change[] {
  return withLayers(box, listChanges);
}

/** Takes changes over into the root file system. */
export function applyBoxChanges(box: Layers, paths: readonly string[]): void {
  withLayers(
    box,
    (upper, lower, { attributes }) =>
      applyChanges(upper, lower, paths, { attributes }),
  );
}
