/** Files: what Deno has no call for, or none without an exception. */

import { assertEquals, assertThrows } from "@std/assert";
import { existsSync } from "../../ffi/files.ts";

Deno.test("existsSync() says what has a path, and follows no link", () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-exists-" });
  try {
    Deno.writeTextFileSync(`${dir}/file`, "");
    Deno.symlinkSync("nowhere", `${dir}/link`);
    const found = ["", "/file", "/link", "/none", "/none/below", "/\udcff"]
      .map((it) => existsSync(dir + it));
    assertEquals(found, [true, true, true, false, false, false]);
    assertThrows(
      () => existsSync(`${dir}/file/below`),
      Deno.errors.NotADirectory,
    );
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
