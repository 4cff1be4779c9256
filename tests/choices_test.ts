/**
 * The choices of docs/conformance.md are those that the differential test
 * accepts.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import {
  formatChoices,
  readChoices,
  readExpected,
} from "./differential/choices.ts";

Deno.test("docs/conformance.md has every choice: else deno task differential --choices", () => {
  assertEquals(readChoices(), formatChoices(readExpected()));
});

Deno.test("formatChoices() puts what has one reason into one row", () => {
  const row = (name: string, path: string) => ({
    case: name,
    path,
    follow: "runc",
    reason: "a | b",
  } as const);
  const text = formatChoices([
    row("hooks/a", "inside.x"),
    row("hooks/b", "inside.x"),
    row("*", "state"),
  ]);
  const rows = text.split("\n").filter((it) => it.includes("a \\| b"));
  assertEquals(rows, [
    "| `state` | runc | a \\| b |",
    "| `hooks/a`, `hooks/b`: `inside.x` | runc | a \\| b |",
  ]);
});

Deno.test("formatChoices() refuses a bundle that it has no title for", () => {
  const strange = {
    case: "new/x",
    path: "",
    follow: "runc",
    reason: "",
  } as const;
  assertThrows(() => formatChoices([strange]), Error, '"new/x"');
});
