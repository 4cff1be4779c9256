/**
 * Files inside a root file system, while others rename.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { readHead, readInRoot } from "../../ffi/rootfs.ts";

Deno.test("readInRoot() and readHead() find a file by .. while others rename", async () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-rootfs-" });
  try {
    for (const name of ["etc", "usr"]) Deno.mkdirSync(`${dir}/${name}`);
    Deno.writeTextFileSync(`${dir}/usr/passwd`, "text");
    Deno.symlinkSync("../usr/../etc/../usr/passwd", `${dir}/etc/passwd`);
    Deno.mkdirSync(`${dir}/a`);
    Deno.mkdirSync(`${dir}/a/one`);
    Deno.mkdirSync(`${dir}/b`);
    const worker = `const dir = ${JSON.stringify(dir)};
      self.postMessage("ready");
      const until = performance.now() + 400;
      while (performance.now() < until) {
        Deno.renameSync(dir + "/a/one", dir + "/b/one");
        Deno.renameSync(dir + "/b/one", dir + "/a/one");
      }
      self.postMessage("done");`;
    const url = `data:text/javascript,${encodeURIComponent(worker)}`;
    const other = new Worker(url, { type: "module" });
    try {
      await new Promise((resolve) => other.onmessage = resolve);
      const until = performance.now() + 300;
      while (performance.now() < until) {
        assertEquals(readInRoot(dir, "/etc/passwd"), "text");
        assertEquals(
          readHead(dir, "/etc/passwd", 2),
          new Uint8Array([116, 101]),
        );
      }
      await new Promise((resolve) => other.onmessage = resolve);
    } finally {
      other.terminate();
    }
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
