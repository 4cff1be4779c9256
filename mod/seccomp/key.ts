/**
 * Names for compiled filters in a cache.
 *
 * @module
 */

import type { NativeArch } from "./arch.ts";
import type { SeccompProfile } from "./profile.ts";

/** Version of the compiler, its tables and the default profile: raised with
 * every change that can change a filter, so that no old one is taken. */
export const COMPILER = 1;

/** Four 32-bit lanes, each mixed as in MurmurHash3, each word into all. The
 * cache is root's own: chance has to be excluded here, not an attacker. */
function hash(text: string): string {
  let a = 0x9e3779b9, b = 0x85ebca6b, c = 0xc2b2ae35, d = 0x27d4eb2f;
  for (let i = 0; i < text.length; i++) {
    const word = text.charCodeAt(i);
    a = b ^ Math.imul(a ^ word, 0x85ebca6b);
    b = c ^ Math.imul(b ^ word, 0xc2b2ae35);
    c = d ^ Math.imul(c ^ word, 0x27d4eb2f);
    d = a ^ Math.imul(d ^ word, 0x165667b1);
  }
  let out = "";
  for (let i = 0; i < 4; i++) {
    a = b ^ Math.imul(a ^ a >>> 16, 0x85ebca6b);
    b = c ^ Math.imul(b ^ b >>> 13, 0xc2b2ae35);
    c = d ^ Math.imul(c ^ c >>> 16, 0x27d4eb2f);
    d = a ^ Math.imul(d ^ d >>> 15, 0x165667b1);
  }
  for (const lane of [a, b, c, d]) {
    out += (lane >>> 0).toString(16).padStart(8, "0");
  }
  return out;
}

/**
 * Names the filter of a profile: two profiles have one name only when they
 * compile to the same filter. What does not reach the filter (flags, listener)
 * is left out; the order of rules counts, it decides between them.
 *
 * @returns a file name: architecture, compiler version, 128 bits in hex
 */
export function seccompCacheKey(
  profile: SeccompProfile,
  arch: NativeArch,
): string {
  const canonical = JSON.stringify([
    profile.defaultAction,
    profile.defaultErrnoRet ?? null,
    [...profile.architectures ?? []].sort(),
    (profile.syscalls ?? []).map(({ names, action, errnoRet, args }) => [
      names,
      action,
      errnoRet ?? null,
      (args ?? []).map(({ index, value, valueTwo, op }) => [
        index,
        String(value),
        String(valueTwo ?? 0),
        op,
      ]),
    ]),
  ]);
  return `${arch}-${COMPILER}-${hash(canonical)}`;
}
