/**
 * What an entry of an overlay's upper layer means: whiteouts, opaque
 * directories; Documentation/filesystems/overlayfs.rst of the kernel.
 *
 * @module
 */

import { findBelow, readAttribute, statFd } from "../../../ffi/at.ts";
import { type FileStat, isType } from "../../../ffi/identity.ts";
import { S_IF } from "../../../ffi/constants.ts";
import { closing, Held } from "./paths.ts";
import { fileError } from "./words.ts";

const ENOENT = -2;

/** Whose attributes the overlay keeps its own in. What runs in it can forge the
 * other's: they are ordinary attributes to the overlay. */
export type Attributes = "trusted" | "user";

/** How an upper layer is read. */
export interface LayerOptions {
  /** "user" of an overlay with userxattr, as a user namespace has it. */
  attributes: Attributes;
}

/** An entry of a directory, open with O_PATH. */
export class Entry extends Held {
  readonly stat: FileStat;

  constructor(fd: number) {
    super(fd);
    this.stat = closing(this, () => statFd(fd));
  }

  get isDirectory(): boolean {
    return isType(this.stat, S_IF.DIR);
  }

  /** One of an overlay's attributes. */
  attribute(layer: Attributes, name: string): string | undefined {
    return readAttribute(this.fd, `${layer}.overlay.${name}`);
  }
}

/**
 * Finds a name in a directory of a layer.
 *
 * @returns undefined where there is none
 * @throws {SyscallError} EXDEV where something is mounted there
 */
export function findEntry(dir: number, name: string): Entry | undefined {
  const fd = findBelow(dir, name, true);
  return fd === ENOENT ? undefined : new Entry(fd);
}

/** Whether an entry says that the one below has gone.
 *
 * @param above the directory that it is in */
export function isWhiteout(
  entry: Entry,
  above: Entry,
  { attributes }: LayerOptions,
): boolean {
  const { stat } = entry;
  if (isType(stat, S_IF.CHR)) return stat.rdev === 0n;
  // The other form, which an overlay in a container makes.
  return isType(stat, S_IF.REG) && stat.size === 0 &&
    above.attribute(attributes, "opaque") === "x" &&
    entry.attribute(attributes, "whiteout") !== undefined;
}

/** Whether a directory shows nothing of the one below. */
export function isOpaque(
  directory: Entry,
  { attributes }: LayerOptions,
): boolean {
  return directory.attribute(attributes, "opaque") === "y";
}

/**
 * Refuses what is to be read only together with other places of the lower layer.
 *
 * @throws {ContainerError}
 */
export function refuseRedirect(
  doing: string,
  entry: Entry,
  { attributes }: LayerOptions,
): void {
  const name = entry.isDirectory ? "redirect" : "metacopy";
  if (entry.attribute(attributes, name) === undefined) return;
  throw fileError(
    doing,
    `its overlay has left what it holds in the lower layer (${name})`,
    "file-kind",
    { hint: "Mount it with redirect_dir=nofollow,metacopy=off" },
  );
}
