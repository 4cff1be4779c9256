/**
 * What is kept of a process's output.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

/** How many bytes come one by one. */
const BYTES = 30_000;

/** A program that collects them, and says what they cost it. */
const PROGRAM = `
import { makePipe, writePipe } from "${import.meta.resolve("../ffi/pipe.ts")}";
import { Source } from "${import.meta.resolve("../mod/box/output.ts")}";
const [read, write] = makePipe("read");
let taken = 0;
const source = new Source({ take: (size) => (taken += size, size) });
source.open(read);
const collected = source.collect();
gc();
const before = Deno.memoryUsage().heapUsed;
const one = new TextEncoder().encode("x");
for (let sent = 1; sent <= ${BYTES}; sent++) {
  writePipe(write, one);
  // Each is read before the next one is written.
  while (taken < sent) await new Promise((done) => setTimeout(done, 0));
}
gc();
const cost = Deno.memoryUsage().heapUsed - before;
source.close();
const text = new TextDecoder().decode(source.bytes);
console.log(JSON.stringify([text === "x".repeat(${BYTES}), cost]));
Deno.exit();
`;

Deno.test("output that comes byte by byte is kept in few pieces", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".ts" });
  try {
    Deno.writeTextFileSync(file, PROGRAM);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--v8-flags=--expose-gc", file],
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const [whole, cost] = JSON.parse(new TextDecoder().decode(stdout));
    assert(whole);
    // An array of its own costs each more than 100.
    assert(cost < 50 * BYTES, `${cost}`);
  } finally {
    Deno.removeSync(file);
  }
});
