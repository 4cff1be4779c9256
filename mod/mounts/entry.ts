/**
 * One entry of `mounts[]` while its operations are made, and how it is refused.
 *
 * @module
 */

import type { Mount } from "../config/schema.ts";
import { ContainerError } from "../errors.ts";
import type { MountOptions } from "./options.ts";

/** One entry of `mounts[]` being planned. */
export interface MountEntry {
  index: number;
  /** "mounts[3]". */
  from: string;
  mount: Mount;
  type: string;
  /** Absolute and clean path in the container. */
  destination: string;
  options: MountOptions;
}

/**
 * Refuses an entry.
 *
 * @throws {ContainerError} always
 */
export function refuse(entry: MountEntry, why: string, hint: string): never {
  const what = entry.mount.source || entry.type || "a file system";
  throw new ContainerError(
    `Cannot mount "${what}" on "${entry.mount.destination}": ${why} (${entry.from})`,
    { code: "mount-invalid", hint },
  );
}
