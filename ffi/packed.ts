/**
 * The helpers that a package carries, since nothing but modules comes from a
 * registry. A clone has none here: scripts/package.ts writes this file anew into
 * the package, with a module beside it for the helper of each architecture.
 *
 * @module
 */

/** A helper as text. */
export interface PackedHelper {
  readonly base64: string;
  /** SHA-256 of its bytes, in hexadecimal. */
  readonly sha256: string;
}

/** Loads the helper of an architecture. */
export type LoadPacked = () => Promise<{ readonly HELPER: PackedHelper }>;

/** By architecture. */
export const PACKED: Readonly<Record<string, LoadPacked>> = {};
