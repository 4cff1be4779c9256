/**
 * Names for compiled filters in a cache.
 *
 * @module
 */

import type { NativeArch } from "./arch.ts";
import type { SeccompProfile } from "./profile.ts";

/** Version of the compiler, its tables and the default profile: raised with
 * every change that can change a filter, so that no old one is taken. */
export const COMPILER = 4;

const rotate = (word: number, by: number): number =>
  word << by | word >>> 32 - by;

/** Hashes text to 128 bits: four lanes, each fed every fourth word and its
 * neighbour, mixed well at the end with the constants of MurmurHash3. The cache
 * is root's own: chance has to be excluded here, not an attacker. Words, not
 * characters, because the interpreter runs this at every start. */
function hash(text: string): string {
  const bytes = new TextEncoder().encode(text);
  const padded = new Uint8Array(bytes.length + 15 & ~15);
  padded.set(bytes);
  const words = new Uint32Array(padded.buffer);
  let a = bytes.length, b = 0x85ebca6b, c = 0xc2b2ae35, d = 0x27d4eb2f;
  const round = (i: number) => {
    a = rotate(Math.imul(a ^ words[i]!, 0x85ebca6b), 13) + b | 0;
    b = rotate(Math.imul(b ^ words[i + 1]!, 0xc2b2ae35), 15) + c | 0;
    c = rotate(Math.imul(c ^ words[i + 2]!, 0x27d4eb2f), 17) + d | 0;
    d = rotate(Math.imul(d ^ words[i + 3]!, 0x165667b1), 19) + a | 0;
  };
  for (let i = 0; i < words.length; i += 4) round(i);
  for (let i = 0; i < 4; i++) {
    round(0);
    a ^= a >>> 16;
    b ^= b >>> 13;
    c ^= c >>> 16;
    d ^= d >>> 15;
  }
  let out = "";
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
  const parts: unknown[] = [
    profile.defaultAction,
    profile.defaultErrnoRet ?? null,
    [...profile.architectures ?? []].sort(),
  ];
  for (const { names, action, errnoRet, args } of profile.syscalls ?? []) {
    const rule: unknown[] = [names, action, errnoRet ?? null];
    for (const { index, value, valueTwo, op } of args ?? []) {
      rule.push(index, String(value), String(valueTwo ?? 0), op);
    }
    parts.push(rule);
  }
  const canonical = JSON.stringify(parts);
  return `${arch}-${COMPILER}-${hash(canonical)}`;
}
