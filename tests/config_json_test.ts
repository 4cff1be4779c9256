/** Tests of reading JSON: exact integers, and errors that say where. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseConfigJson } from "../mod/config/json.ts";
import { ContainerError } from "../mod/errors.ts";
import { makeValue, Random } from "./config/random.ts";
import { specSchema } from "../mod/config/schema.ts";

const NUMBERS: [text: string, value: unknown][] = [
  ["0", 0],
  ["-1", -1],
  ["1e3", 1000],
  ["1.0", 1],
  ["1.5", 1.5],
  ["1E+3", 1000],
  ["12.5e1", 125],
  ["9007199254740991", 9007199254740991],
  ["9007199254740992", 9007199254740992n],
  ["9007199254740993", 9007199254740993n],
  ["-9007199254740993", -9007199254740993n],
  ["9223372036854771712", 9223372036854771712n],
  ["9223372036854775807", 9223372036854775807n],
  ["-9223372036854775808", -9223372036854775808n],
  ["18446744073709551615", 18446744073709551615n],
  ["18446744073709551616", 18446744073709551616n],
  ["18446744073709551615.0", 18446744073709551615n],
  ["1844674407370955161.5e1", 18446744073709551615n],
  ["184467440737095516150e-1", 18446744073709551615n],
  ["123456789012345e5", 12345678901234500000n],
  ["1e19", 10000000000000000000n],
  ["9007199254740993.5", 9007199254740994],
  ["9007199254740991.4", NaN],
  ["1.0000000000000000000", 1],
  ["1.0000000000000000001", NaN],
  ["1e41", 1e41],
  ["1e400", Infinity],
  ["1e999999999", Infinity],
];

for (const [text, value] of NUMBERS) {
  for (
    const [shape, around] of [
      [(v: unknown): unknown => v, ["", ""]],
      [(v: unknown): unknown => ({ a: [v] }), ['{"a":[', "]}"]],
      [(v: unknown): unknown => ({ a: v, b: 1 }), ['{\n\t"a": ', ', "b": 1}']],
    ] as const
  ) {
    const json = around.join(text);
    Deno.test(`parseConfigJson() reads ${JSON.stringify(json)} exactly`, () => {
      assertEquals(parseConfigJson(json), shape(value));
    });
  }
}

Deno.test("parseConfigJson() takes the last of two equal keys", () => {
  assertEquals(parseConfigJson('{"a": 1, "a": 2}'), { a: 2 });
  assertEquals(parseConfigJson('{"a": 1, "a": 9007199254740993}'), {
    a: 9007199254740993n,
  });
});

Deno.test("parseConfigJson() leaves null properties out, and no others", () => {
  assertEquals(
    parseConfigJson('{"a": null, "b": [null], "c": {"d":null}, "e": "null"}'),
    { b: [null], c: {}, e: "null" },
  );
});

Deno.test("parseConfigJson() leaves __proto__ out", () => {
  const value = parseConfigJson('{"__proto__": {"x": 1}, "b": 1}') as object;
  assertEquals(Object.getOwnPropertyNames(value), ["b"]);
  assertEquals(Object.getPrototypeOf(value), Object.prototype);
});

Deno.test("parseConfigJson() keeps digits in strings as they are", () => {
  const value = { a: "12345678901234567890", b: ", 1e5", c: " -9e99:1e3" };
  assertEquals(parseConfigJson(JSON.stringify(value)), value);
});

Deno.test("parseConfigJson() reads back 500 random configurations", () => {
  for (let seed = 1; seed <= 500; seed++) {
    const value = makeValue(new Random(seed), specSchema);
    // JSON has no bigint: write its digits bare.
    const text = JSON.stringify(
      value,
      (_, v) => typeof v === "bigint" ? `bigint:${v}` : v === null ? 0 : v,
    ).replaceAll(/"bigint:(-?\d+)"/g, "$1");
    const wanted = structuredClone(value, {});
    const drop = (node: unknown) => {
      if (typeof node !== "object" || node === null) return;
      for (const [k, v] of Object.entries(node)) {
        if (v === null) (node as Record<string, unknown>)[k] = 0;
        else drop(v);
      }
    };
    drop(wanted);
    assertEquals(parseConfigJson(text), wanted, `seed ${seed}`);
  }
});

Deno.test("parseConfigJson() takes 500 levels, brackets in strings aside", () => {
  const nest = (depth: number) =>
    `${'{"a":['.repeat(depth / 2)}"[\\\"{"${"]}".repeat(depth / 2)}`;
  parseConfigJson(nest(500));
  parseConfigJson(`["${"[".repeat(1000)}\\"",${"[],".repeat(1000)}0]`);
  assertThrows(
    () => parseConfigJson(nest(502), "x"),
    ContainerError,
    'Cannot parse "x": it is nested too deep',
  );
});

Deno.test("parseConfigJson() says where a byte is that is no UTF-8", () => {
  assertThrows(
    () => parseConfigJson('{\n "é": "\udcff"}', "x"),
    ContainerError,
    'Cannot parse "x": line 2, column 8: the byte 0xff is no UTF-8',
  );
});

Deno.test("parseConfigJson() takes the escape of a byte, and of no half of a pair", () => {
  assertEquals(parseConfigJson('["\\udcff", "\\ud83d\\ude00"]'), [
    "\udcff",
    "😀",
  ]);
  for (const half of ["\\ud83d", "\\udc00", "a\\uDD00"]) {
    assertThrows(
      () => parseConfigJson(`{"a": {"${half}": 1}}`, "x"),
      ContainerError,
      "holds half of a surrogate pair",
    );
  }
});

const FAULTS: [text: string, message: string, hint: string][] = [
  ["", "the file is empty", "Write a configuration with rustyrun spec"],
  [" \n", "the file is empty", "Write a configuration with rustyrun spec"],
  [
    '{"a": 1,}',
    'line 1, column 9: expected a name: found "}"',
    "Remove the comma before the closing bracket",
  ],
  [
    "[1,]",
    'line 1, column 4: expected a value: found "]"',
    "Remove the comma before the closing bracket",
  ],
  [
    '{\n  "a": 1\n  "b": 2\n}',
    'line 3, column 3: expected a comma or "}": found "\\"b\\": 2"',
    "Put a comma between two entries",
  ],
  [
    "{\n  'a': 1}",
    `line 2, column 3: expected a name or "}": found "'a': 1}"`,
    'JSON wants double quotes: "..."',
  ],
  [
    "{a: 1}",
    'line 1, column 2: expected a name or "}": found "a: 1}"',
    "Put double quotes around text",
  ],
  [
    '{\n  // the version\n  "ociVersion": "1.3.0"}',
    'line 2, column 3: expected a name or "}": found "// the version"',
    "JSON has no comments",
  ],
  [
    '{"a": 1 /* one */}',
    'line 1, column 9: expected a comma or "}": found "/* one */}"',
    "JSON has no comments",
  ],
  [
    "# A title\n\nand words",
    'line 1, column 1: expected a value: found "# A title"',
    "This is no JSON: is it the file that you meant?",
  ],
  [
    '{"a": yes}',
    'line 1, column 7: expected a value: found "yes}"',
    "Put double quotes around text",
  ],
  [
    '{"a": True}',
    'line 1, column 7: expected a value: found "True}"',
    "Write true, false or null in small letters",
  ],
  [
    '{"a": NaN}',
    'line 1, column 7: expected a value: found "NaN}"',
    "JSON has no such number",
  ],
  [
    '{"mode": 0755}',
    'line 1, column 10: expected a value: found "0755}"',
    "Write the number in decimal, without leading zeros",
  ],
  [
    '{"mode": 0x1f}',
    'line 1, column 10: expected a value: found "0x1f}"',
    "Write the number in decimal, without leading zeros",
  ],
  [
    '{"a": .5}',
    'line 1, column 7: expected a value: found ".5}"',
    "Start the number with a digit",
  ],
  [
    '{"a": "b\n"}',
    'line 1, column 7: expected a string that ends on its line: found "\\"b"',
    "Close the string with a double quote",
  ],
  [
    '{"a": "b\tc"}',
    'line 1, column 9: expected no control character in a string: found "\\tc\\"}"',
    "JSON is described in RFC 8259",
  ],
  [
    '{"a": "C:\\dir"}',
    'line 1, column 10: expected a known escape: found "\\\\dir\\"}"',
    "Write a backslash as \\\\",
  ],
  [
    '{"a" 1}',
    'line 1, column 6: expected a ":" after the name: found "1}"',
    "JSON is described in RFC 8259",
  ],
  [
    '{"a": [1',
    'line 1, column 9: expected a comma or "]": found the end of the file',
    "The file ends too early: is it whole?",
  ],
  [
    '{"a": 1}\n{}',
    'line 2, column 1: expected the end of the file: found "{}"',
    "JSON is described in RFC 8259",
  ],
  [
    '\ufeff{"a": 1}',
    'line 1, column 1: expected a value: found "\ufeff{\\"a\\": 1}"',
    "Remove the byte order mark",
  ],
];

for (const [text, message, hint] of FAULTS) {
  Deno.test(`parseConfigJson() says where ${JSON.stringify(text)} fails`, () => {
    const error = assertThrows(
      () => parseConfigJson(text, "b/config.json"),
      ContainerError,
    );
    assertEquals(error.message, `Cannot parse "b/config.json": ${message}`);
    assertEquals(error.hint, hint);
    assertEquals(error.code, "json-invalid");
  });
}

Deno.test("parseConfigJson() refuses nesting without end", () => {
  const deep = "[".repeat(1_000_000);
  assertThrows(() => parseConfigJson(deep), ContainerError);
  const error = assertThrows(
    () => parseConfigJson(deep + "1e3" + "]".repeat(1_000_000)),
    ContainerError,
  );
  assertEquals(
    error.message,
    'Cannot parse "config.json": it is nested too deep',
  );
});

Deno.test("parseConfigJson() finds a place in each of 3000 damaged texts", () => {
  const chars = '{}[]",:\\ \n0e.-tna\t/';
  const base =
    '{"a": [1, 0, -0.5, -2.5e3, "x\\u0041\\n"], "b": {"c": true, "d": null}, "e": []}';
  let refused = 0;
  for (let seed = 1; seed <= 3000; seed++) {
    const random = new Random(seed);
    const at = random.below(base.length);
    const text = base.slice(0, at) +
      (random.below(3) === 0 ? "" : random.pick([...chars])) +
      base.slice(at + random.below(3));
    try {
      JSON.parse(text);
    } catch {
      refused++;
      const { message } = assertThrows(
        () => parseConfigJson(text),
        ContainerError,
      );
      assert(
        /: line 1, column \d+: expected |: line 2, column \d+: expected /.test(
          message,
        ) && !message.includes("end of the file: found the end"),
        `${message}\n${text}`,
      );
    }
  }
  assert(refused > 1000, `only ${refused} were refused`);
});
