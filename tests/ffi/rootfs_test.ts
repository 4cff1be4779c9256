/**
 * Files inside a root file system, while others rename.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { closeFd, openFd, syscall } from "../../ffi/libc.ts";
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

Deno.test("readInRoot() and readHead() wait for nobody who holds a lease", () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-rootfs-" });
  const held: number[] = [];
  try {
    Deno.writeTextFileSync(`${dir}/passwd`, "text");
    const fd = openFd(`${dir}/passwd`, 2);
    held.push(fd);
    // fcntl(2): F_SETSIG of one that is ignored (SIGWINCH), F_SETLEASE F_WRLCK.
    // Others wait for its end up to 45 s, /proc/sys/fs/lease-break-time.
    syscall("fcntl", fd, 10, 28);
    syscall("fcntl", fd, 1024, 1);
    assertEquals(readInRoot(dir, "/passwd"), undefined);
    assertEquals(readHead(dir, "/passwd", 2), "other");
    syscall("fcntl", fd, 1024, 2);
    assertEquals(readInRoot(dir, "/passwd"), "text");
  } finally {
    for (const fd of held) closeFd(fd);
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("readInRoot() and readHead() read nothing of the kernel's own", () => {
  assertEquals(readInRoot("/", "/proc/self/status"), undefined);
  assertEquals(readInRoot("/proc/self", "/status"), undefined);
  assertEquals(readHead("/", "/proc/self/status", 2), "other");
});
