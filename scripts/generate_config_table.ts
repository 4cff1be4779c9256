/**
 * Writes mod/config/table.ts: the zod schema of mod/config/schema.ts as the
 * data that mod/config/check.ts interprets.
 *
 * Run by `deno run -A scripts/generate_config_table.ts` after a change of the
 * schema; tests/config_table_test.ts fails until that was done.
 *
 * @module
 */

import { z } from "zod";
import {
  processSchema,
  resourcesSchema,
  seccompSchema,
  specSchema,
} from "../mod/config/schema.ts";

const HEADER = `/**
 * The shape of config.json as data for ./check.ts, made from ./schema.ts by
 * scripts/generate_config_table.ts: change the schema, then run that.
 *
 * A type is one entry of TYPES: text, flag, [3, lowest, highest] an integer,
 * [4, prefix, words] one of some words, [5, type] a list, [6, type] a map,
 * [7, how many of the properties are required, name, type, name, type, ...]
 * an object, the required ones first. \`type\` is an index into TYPES.
 *
 * @module
 */
// deno-fmt-ignore-file

`;

/** The one pattern that text may have: check.ts knows it as "no NUL". */
const TEXT = "/^[^\\0]*$/";

/** Kinds of types. check.ts has the same numbers. */
const KIND = {
  text: 1,
  flag: 2,
  integer: 3,
  words: 4,
  list: 5,
  map: 6,
  object: 7,
};

/** Longest common beginning of some words that ends in "_". */
function commonPrefix(words: string[]): string {
  let prefix = words[0] ?? "";
  while (!words.every((word) => word.startsWith(prefix))) {
    prefix = prefix.slice(0, -1);
  }
  return prefix.slice(0, prefix.lastIndexOf("_") + 1);
}

/** A number or a bigint as JavaScript source. */
function literal(value: number | bigint | null | undefined): string {
  if (value === null || value === undefined) {
    throw new TypeError("Cannot generate the table: an integer has no range");
  }
  return typeof value === "bigint" ? `${value}n` : String(value);
}

/**
 * Makes the text of mod/config/table.ts.
 *
 * @throws {TypeError} when the schema holds something that the table has no
 * word for: a refinement, a transform, a default
 */
export function generateTable(): string {
  const rows: string[] = [];
  const known = new Map<string, number>();
  const row = (text: string): number => {
    let index = known.get(text);
    if (index === undefined) {
      index = rows.push(text) - 1;
      known.set(text, index);
    }
    return index;
  };
  const walk = (schema: z.core.$ZodType): number => {
    if (schema instanceof z.ZodString) {
      const [check, ...more] = schema.def.checks ?? [];
      const rule = check?._zod.def;
      if (
        more.length > 0 || rule?.check !== "string_format" ||
        String((rule as z.core.$ZodCheckRegexDef).pattern) !== TEXT
      ) {
        throw new TypeError("Cannot generate the table: text with other rules");
      }
      return row(`[${KIND.text}]`);
    }
    if (schema instanceof z.ZodBoolean) return row(`[${KIND.flag}]`);
    if (schema instanceof z.ZodNumber && schema.isInt) {
      const { minValue, maxValue } = schema;
      return row(`[${KIND.integer},${literal(minValue)},${literal(maxValue)}]`);
    }
    if (schema instanceof z.ZodUnion) {
      const [number, bigint, ...more] = schema.def.options;
      if (
        !(number instanceof z.ZodNumber && number.isInt) ||
        !(bigint instanceof z.ZodBigInt) || more.length > 0
      ) {
        throw new TypeError("Cannot generate the table: a union of no integer");
      }
      const { minValue, maxValue } = bigint;
      return row(`[${KIND.integer},${literal(minValue)},${literal(maxValue)}]`);
    }
    if (schema instanceof z.ZodEnum) {
      const words = schema.options.map(String);
      const prefix = commonPrefix(words);
      const rests = words.map((word) => word.slice(prefix.length)).join(" ");
      return row(
        `[${KIND.words},${JSON.stringify(prefix)},${JSON.stringify(rests)}]`,
      );
    }
    if (schema instanceof z.ZodArray) {
      return row(`[${KIND.list},${walk(schema.def.element)}]`);
    }
    if (schema instanceof z.ZodRecord) {
      return row(`[${KIND.map},${walk(schema.def.valueType)}]`);
    }
    if (schema instanceof z.ZodObject && schema.def.catchall === undefined) {
      const required: string[] = [];
      const optional: string[] = [];
      for (const [name, type] of Object.entries(schema.def.shape)) {
        const bare = type instanceof z.ZodOptional ? type.def.innerType : type;
        const pair = `${JSON.stringify(name)},${walk(bare)}`;
        (bare === type ? required : optional).push(pair);
      }
      return row(
        `[${KIND.object},${required.length},${
          [...required, ...optional].join(",")
        }]`,
      );
    }
    throw new TypeError(
      `Cannot generate the table: no word for "${schema._zod.def.type}"`,
    );
  };
  const roots = {
    SPEC: walk(specSchema),
    PROCESS: walk(processSchema),
    RESOURCES: walk(resourcesSchema),
    SECCOMP: walk(seccompSchema),
  };
  return HEADER +
    "/** An entry of the table. */\n" +
    "export type Row = readonly (number | bigint | string)[];\n\n" +
    "/** All types that the schema has. */\n" +
    `export const TYPES: readonly Row[] = [\n${rows.join(",\n")},\n];\n` +
    Object.entries(roots).map(([name, index]) =>
      `/** Where ${name.toLowerCase()} is in TYPES. */\n` +
      `export const ${name} = ${index};\n`
    ).join("");
}

if (import.meta.main) {
  Deno.writeTextFileSync(
    new URL("../mod/config/table.ts", import.meta.url),
    generateTable(),
  );
}
