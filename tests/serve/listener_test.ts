/**
 * The socket of the warm engine, and what it leaves.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { Listener } from "../../mod/serve/listener.ts";

libc();

Deno.test("Listener goes with its socket, also where that is gone already", () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-listen-" });
  try {
    for (const gone of [[], ["serve"], ["serve", "serve.lock"]]) {
      {
        using _ = new Listener(`${dir}/serve`);
        assertEquals(Deno.lstatSync(`${dir}/serve`).isSocket, true);
        for (const name of gone) Deno.removeSync(`${dir}/${name}`);
      }
      assertEquals([...Deno.readDirSync(dir)], []);
    }
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
