/**
 * Random configurations from the zod schema, and random damage to them: the
 * same ones for the same seed.
 *
 * @module
 */

import { z } from "zod";

/** A generator of numbers: mulberry32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** Returns an integer from 0 to `below` - 1. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  }

  /** Returns one of some values. */
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

const TEXTS = ["", "a", "/proc", "rbind", "é", "net.ipv4.ip_forward", "x=y"];

/** Returns an integer between two bounds, the bounds themselves often. */
function makeInteger(
  random: Random,
  lowest: number | bigint,
  highest: number | bigint,
): number | bigint {
  const candidates = [
    BigInt(lowest),
    BigInt(highest),
    BigInt(highest) - 4095n,
    0n,
    1n,
    1000n,
    BigInt(random.below(65536)),
    9007199254740991n,
    9007199254740993n,
  ].filter((value) => value >= lowest && value <= highest);
  const value = random.pick(candidates);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Makes a value that a schema accepts. */
export function makeValue(random: Random, schema: z.core.$ZodType): unknown {
  if (schema instanceof z.ZodString) return random.pick(TEXTS);
  if (schema instanceof z.ZodBoolean) return random.below(2) === 1;
  if (schema instanceof z.ZodNumber) {
    return makeInteger(random, schema.minValue!, schema.maxValue!);
  }
  if (schema instanceof z.ZodUnion) {
    const wide = schema.def.options[1] as z.ZodBigInt;
    return makeInteger(random, wide.minValue!, wide.maxValue!);
  }
  if (schema instanceof z.ZodEnum) return random.pick(schema.options);
  if (schema instanceof z.ZodArray) {
    return Array.from(
      { length: random.below(3) },
      () => makeValue(random, schema.def.element),
    );
  }
  if (schema instanceof z.ZodRecord) {
    const entries: [string, unknown][] = [];
    for (let n = random.below(3); n > 0; n--) {
      entries.push([
        random.pick(TEXTS),
        makeValue(random, schema.def.valueType),
      ]);
    }
    return Object.fromEntries(entries);
  }
  if (schema instanceof z.ZodOptional) {
    return makeValue(random, schema.def.innerType);
  }
  if (schema instanceof z.ZodObject) {
    const value: Record<string, unknown> = {};
    for (const [name, type] of Object.entries(schema.def.shape)) {
      if (type instanceof z.ZodOptional && random.below(3) === 0) continue;
      value[name] = makeValue(random, type as z.core.$ZodType);
    }
    if (random.below(8) === 0) value["x-unknown"] = random.pick([1, "a", null]);
    return value;
  }
  throw new TypeError(`Cannot make a value: ${schema._zod.def.type}`);
}

/** What a damaged place may hold afterwards. */
const DAMAGE: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  4294967295,
  4294967296,
  65536,
  2147483648,
  -2147483649,
  9007199254740992,
  1e300,
  NaN,
  -1n,
  0n,
  18446744073709551615n,
  18446744073709551616n,
  9223372036854775808n,
  -9223372036854775809n,
  "",
  "bogus",
  "SCMP_ACT_",
  "KILL KILL_PROCESS",
  "SCMP_ACT_KILL KILL_PROCESS",
  "a\0b",
  [],
  {},
  [1],
  ["a"],
  { a: 1 },
];

/** Damages one random place of a value, in place; returns its path. */
export function damageValue(random: Random, root: unknown): string {
  let node = root as Record<string, unknown>;
  let path = "";
  for (;;) {
    const key = random.pick(Object.keys(node));
    path += `/${key}`;
    const child = node[key];
    if (
      typeof child === "object" && child !== null &&
      Object.keys(child).length > 0 && random.below(5) > 0
    ) {
      node = child as Record<string, unknown>;
    } else if (random.below(6) === 0 && !Array.isArray(node)) {
      delete node[key];
      return path;
    } else {
      node[key] = structuredClone(random.pick(DAMAGE));
      return path;
    }
  }
}
