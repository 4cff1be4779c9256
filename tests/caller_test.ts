/**
 * Who called: a current directory that was deleted, and what is no UTF-8
 * (tests/integration/bytes_test.ts has the whole way).
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { readDirectory, readVariable } from "../mod/caller.ts";
import { resolvePath } from "../mod/config/flags/use.ts";
import { ContainerError } from "../mod/errors.ts";

/** Calls in a directory of its own, which may be gone afterwards. */
function inDirectory(call: (dir: string) => void): void {
  const before = Deno.cwd();
  const above = Deno.makeTempDirSync({ prefix: "rustyrun-test-caller-" });
  Deno.mkdirSync(`${above}/d`);
  Deno.chdir(`${above}/d`);
  try {
    call(`${above}/d`);
  } finally {
    Deno.chdir(before);
    Deno.removeSync(above, { recursive: true });
  }
}

Deno.test("readDirectory() is the current directory", () => {
  inDirectory((dir) => assertEquals(readDirectory(), Deno.realPathSync(dir)));
});

Deno.test("a deleted current directory is an error where it is needed, and only there", () => {
  inDirectory((dir) => {
    Deno.removeSync(dir);
    assertEquals(resolvePath(readDirectory, "/bundle"), "/bundle");
    const error = assertThrows(
      () => resolvePath(readDirectory, "bundle"),
      ContainerError,
      "Cannot find the current directory: it was deleted",
    );
    assertEquals(error.code, "current-directory");
  });
});

Deno.test("readVariable() is undefined for what is not set", () => {
  assertEquals(readVariable("RUSTYRUN_TEST_NO_SUCH"), undefined);
});
