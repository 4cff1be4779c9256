/**
 * The helpers that a package carries, since nothing but modules comes from a
 * registry. A clone has none here: scripts/package.ts writes this file anew into
 * the package, with the helper of each architecture.
 *
 * @module
 */

/** A helper as text. */
export interface PackedHelper {
  base64: string;
  /** SHA-256 of its bytes, in hexadecimal. */
  sha256: string;
}

/** By architecture. */
export const PACKED: Readonly<Record<string, PackedHelper>> = {};
