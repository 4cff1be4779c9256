/**
 * A command that would hold up who reads its output: its timeout ends it all the
 * same, under `run --max-output` and in the library.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Box, makeBox, ROOT, runToEnd } from "../harness.ts";
import { type Need, testOn } from "../needs.ts";

const NEEDS: Need[] = ["root", "helper", "busybox", "cc"];

async function makeHeld(): Promise<Box> {
  const box = makeBox();
  const source = `${import.meta.dirname}/output_held.c`;
  const built = await runToEnd([
    ...["cc", "-static", "-O1", "-o", `${box.rootfs}/bin/held`, source],
  ]);
  assertEquals([built.code, built.stderr], [0, ""]);
  return box;
}

for (const way of ["from", "into", "sendfile"]) {
  testOn(NEEDS, `a timeout ends who holds its output: ${way}`, async () => {
    await using box = await makeHeld();
    const run = box.run([
      ...["--timeout", "2s", "--max-output", "1m", "--", "held", way],
    ]);
    const { code, stdout } = await run;
    assertEquals(code, 124);
    assertStringIncludes(stdout, "refused 22\n");
  });

  testOn(NEEDS, `a run's timeout ends who holds it: ${way}`, async () => {
    await using box = await makeHeld();
    const program = `
      import { Sandbox } from "${ROOT}/mod/mod.ts";
      const [rootfs, name, way] = Deno.args;
      const { code, timedOut, stdout } = await Sandbox.run({
        rootfs, name, command: ["held", way], timeout: 2000,
      });
      console.log(code, timedOut, stdout.includes("refused 22"));
    `;
    const { code, stdout, stderr } = await runToEnd([
      ...[Deno.execPath(), "eval", program, box.rootfs, box.id, way],
    ], { cwd: ROOT });
    assertEquals([code, stdout, stderr], [0, "124 true true\n", ""]);
  });
}
