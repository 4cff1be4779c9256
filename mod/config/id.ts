/**
 * Ids of containers.
 *
 * @module
 */

import { ContainerError } from "../errors.ts";

/**
 * Checks a container's id.
 *
 * @throws {ContainerError} when it is not [A-Za-z0-9_+.-]+, or begins with a
 * dot, as what is hidden does (ROOT/.cache); with runc's words "invalid container ID format"
 */
export function checkId(id: string): string {
  if (/^(?!\.)[A-Za-z0-9_+.-]{1,255}$/.test(id)) return id;
  throw new ContainerError(
    `Cannot use the id ${JSON.stringify(id)}: invalid container ID format`,
    {
      code: "invalid-id",
      hint:
        "Use letters, digits and _ + . - only, at most 255 of them; the first may not be a dot",
    },
  );
}

/** The id of a container that was given none. */
export function makeId(): string {
  return `rr-${crypto.getRandomValues(new Uint8Array(6)).toHex()}`;
}
