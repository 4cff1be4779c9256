/**
 * Isolation inside `deno test`: a program that would change the machine is tested
 * where it can change nothing.
 *
 *     deno test -A examples/isolation_test.ts
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Sandbox } from "@rustyrun/rustyrun";

// The library's threads outlive a test.
const options = { sanitizeOps: false, sanitizeResources: false };

/** The program under test: it cleans up, thoroughly. */
const CLEAN = "rm -rf /usr/share/doc /var/log; echo cleaned";

Deno.test("the clean-up removes what it should", options, async () => {
  await using box = await Sandbox.create({ rootfs: "/", ephemeral: true });
  const { code, stdout } = await box.output(["sh", "-c", CLEAN]);
  assertEquals({ code, stdout }, { code: 0, stdout: "cleaned\n" });
  const left = await box.output(["ls", "/usr/share/doc"]);
  assertEquals(left.success, false);
});

Deno.test("the machine has kept it", () => {
  assertEquals(Deno.statSync("/usr/share").isDirectory, true);
  assertEquals(Deno.statSync("/var").isDirectory, true);
});
