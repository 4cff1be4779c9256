/**
 * Names that nobody else has.
 *
 * @module
 */

/** 8 hex digits at random: what makes a cgroup's or a directory's name ours. */
export function makeToken(): string {
  return crypto.getRandomValues(new Uint8Array(4)).toHex();
}
