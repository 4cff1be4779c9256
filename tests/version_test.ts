/**
 * The version, which stands in three files.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { SPEC_VERSION, VERSION } from "../mod/version.ts";
import manifest from "../deno.json" with { type: "json" };
import library from "../deno.jsr.json" with { type: "json" };

Deno.test("VERSION is deno.json's, and that of the library's package", () => {
  assertEquals([manifest.version, library.version], [VERSION, VERSION]);
});

Deno.test("SPEC_VERSION is a released runtime-spec", () => {
  assertEquals(SPEC_VERSION, "1.3.0");
});
