/**
 * What the child stage reports, and the numbers of its steps.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { PHASES, SYNC } from "../mod/plan.ts";
import { decodeReport, REPORT_SIZE } from "../mod/plan/report.ts";

/** A packet as struct report of c/plan.h has it. */
function packet(fields: number[], text: string | Uint8Array): Uint8Array {
  const bytes = new Uint8Array(REPORT_SIZE);
  const view = new DataView(bytes.buffer);
  fields.forEach((it, i) => view.setInt32(4 * i, it, true));
  bytes.set(
    typeof text === "string" ? new TextEncoder().encode(text) : text,
    16,
  );
  return bytes;
}

Deno.test("decodeReport() reads an error", () => {
  assertEquals(decodeReport(packet([1, 41, 2, 7], "/bin/nope")), {
    kind: 1,
    index: 41,
    errno: 2,
    detail: 7,
    text: "/bin/nope",
  });
});

Deno.test("decodeReport() reads negative numbers and an empty text", () => {
  assertEquals(decodeReport(packet([2, 0, -1, -2], "")), {
    kind: 2,
    index: 0,
    errno: -1,
    detail: -2,
    text: "",
  });
});

Deno.test("decodeReport() reads a text that fills its room without a NUL", () => {
  const report = decodeReport(packet([1, 0, 1, 0], "é".repeat(128)));
  assertEquals(report.text, "é".repeat(128));
});

Deno.test("decodeReport() keeps bytes that are not UTF-8", () => {
  const report = decodeReport(
    packet([1, 0, 1, 0], new Uint8Array([0x61, 0xff])),
  );
  assertEquals(report.text, "a\udcff");
});

Deno.test("decodeReport() reads a packet inside a larger buffer", () => {
  const buffer = new Uint8Array(REPORT_SIZE + 16);
  buffer.set(packet([3, 5, 0, 4711], ""), 8);
  assertEquals(decodeReport(buffer.subarray(8, 8 + REPORT_SIZE)).detail, 4711);
});

for (const size of [0, 136, REPORT_SIZE - 1, REPORT_SIZE + 1]) {
  Deno.test(`decodeReport() throws on a packet of ${size} bytes`, () => {
    assertThrows(
      () => decodeReport(new Uint8Array(size)),
      RangeError,
      `Cannot decode a report of ${size} bytes: it must have 272`,
    );
  });
}

Deno.test("SYNC has each id once, and PHASES each step", () => {
  assertEquals(new Set(Object.values(SYNC)).size, Object.keys(SYNC).length);
  assertEquals(new Set(PHASES).size, PHASES.length);
});
