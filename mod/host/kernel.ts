/**
 * What the kernel says of itself.
 *
 * @module
 */

import { readTextFileSync } from "../../ffi/files.ts";
import { ContainerError } from "../errors.ts";

/**
 * Reads a file of /proc/sys/kernel that every kernel has.
 *
 * @throws {ContainerError} where something is mounted over it
 */
export function readKernel(path: string): string {
  try {
    return readTextFileSync(`/proc/sys/kernel/${path}`).trim();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new ContainerError(
      `Cannot read "/proc/sys/kernel/${path}": no such file or directory`,
      {
        code: "proc-hidden",
        hint:
          "/proc is not mounted, or something is mounted over /proc/sys (a container?): findmnt -R /proc shows what",
        cause,
      },
    );
  }
}
