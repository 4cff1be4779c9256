/**
 * The version, which stands in two files.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { SPEC_VERSION, VERSION } from "../mod/version.ts";
import manifest from "../deno.json" with { type: "json" };

Deno.test("VERSION is deno.json's", () => {
  assertEquals(VERSION, manifest.version);
});

Deno.test("SPEC_VERSION is a released runtime-spec", () => {
  assertEquals(SPEC_VERSION, "1.3.0");
});
