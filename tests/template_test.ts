/**
 * Bytes with holes: where they are found, and what fills them.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import {
  fillTemplate,
  makeTemplate,
  toBytes,
} from "../mod/container/template.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

for (
  const [name, text, marks, holes] of [
    ["no mark", "nothing of it", { id: "JQXZ" }, {}],
    ["a mark", "a JQXZ b", { id: "JQXZ" }, { id: [2] }],
    ["a mark at both ends", "JQXZ-JQXZ", { id: "JQXZ" }, { id: [0, 5] }],
    ["marks beside each other", "JQXZJQXZ", { id: "JQXZ" }, { id: [0, 4] }],
    ["half a mark at the end", "JQXZ JQX", { id: "JQXZ" }, { id: [0] }],
    ["a mark begun twice", "JJQXZ", { id: "JQXZ" }, { id: [1] }],
    ["two marks", "JQXZ ZZQJ JQXZ", { id: "JQXZ", token: "ZZQJ" }, {
      id: [0, 10],
      token: [5],
    }],
    ["nothing at all", "", { id: "J" }, {}],
    ["a mark longer than all", "JQ", { id: "JQXZ" }, {}],
  ] as [string, string, Record<string, string>, Record<string, number[]>][]
) {
  Deno.test(`makeTemplate() finds ${name}`, () => {
    const bytes = encode(text);
    const template = makeTemplate(
      bytes,
      Object.fromEntries(
        Object.entries(marks).map(([name, mark]) => [name, encode(mark)]),
      ),
    );
    assertEquals(template, { bytes: bytes.toBase64(), holes });
  });
}

Deno.test("fillTemplate() gives back what the template was made of", () => {
  const bytes = crypto.getRandomValues(new Uint8Array(1000));
  const marks = { id: bytes.slice(7, 20), pid: bytes.slice(500, 508) };
  assertEquals(fillTemplate(makeTemplate(bytes, marks), marks), bytes);
});

Deno.test("fillTemplate() fills every hole, and leaves the rest and the template as they are", () => {
  const template = makeTemplate(encode("<JQXZ|ZZQJ|JQXZ>"), {
    id: encode("JQXZ"),
    token: encode("ZZQJ"),
  });
  const before = structuredClone(template);
  const fill = (id: string, token: string) =>
    decode(fillTemplate(template, { id: encode(id), token: encode(token) }));
  assertEquals(fill("box1", "0123"), "<box1|0123|box1>");
  assertEquals(fill("box2", "4567"), "<box2|4567|box2>");
  assertEquals(template, before);
});

Deno.test("fillTemplate() takes one value for a hole, whatever else there is", () => {
  const template = makeTemplate(encode("JQXZ"), { id: encode("JQXZ") });
  const filling = { id: encode("box1"), unused: encode("much longer") };
  assertEquals(decode(fillTemplate(template, filling)), "box1");
});

for (
  const [name, template, error] of [
    ["without a value for a hole", {
      bytes: btoa("JQXZ"),
      holes: { other: [0] },
    }, TypeError],
    ["with a hole behind its end", {
      bytes: btoa("JQXZ"),
      holes: { id: [1] },
    }, RangeError],
    ["with a hole before its start", {
      bytes: btoa("JQXZ"),
      holes: { id: [-1] },
    }, RangeError],
    ["that is no base64", { bytes: "J Q!", holes: {} }, SyntaxError],
  ] as const
) {
  Deno.test(`fillTemplate() refuses a template ${name}`, () => {
    assertThrows(
      () =>
        fillTemplate(
          template as unknown as Parameters<typeof fillTemplate>[0],
          {
            id: encode("box1"),
          },
        ),
      error,
    );
  });
}

for (
  const [value, size, want] of [
    [0, 4, [0, 0, 0, 0]],
    [0x01020304, 4, [4, 3, 2, 1]],
    [-1, 4, [255, 255, 255, 255]],
    [0x01020304, 8, [4, 3, 2, 1, 0, 0, 0, 0]],
    [-2, 8, [254, 255, 255, 255, 255, 255, 255, 255]],
  ] as [number, 4 | 8, number[]][]
) {
  Deno.test(`toBytes(${value}, ${size}) is how a plan holds it`, () => {
    assertEquals([...toBytes(value, size)], want);
  });
}
