/**
 * Programs in files without a name.
 *
 * @module
 */

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import { closeFd, libc, spawnProgram, waitProcess } from "../../ffi/libc.ts";
import { createUnlinked, unlinkedProgram } from "../../ffi/unlinked.ts";

/** How /proc/PID/exe names a program of such a file, proc_pid_exe(5). */
const UNLINKED = /\/(?:#\d+|\.rustyrun-helper-[\da-f-]+) \(deleted\)$/;

libc();

function inDirectory(call: (dir: string) => void): void {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-unlinked-" });
  try {
    call(dir);
    assertEquals([...Deno.readDirSync(dir)], []);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

Deno.test("unlinkedProgram() runs, and cannot be written by its descriptor", () => {
  inDirectory((dir) => {
    const fd = unlinkedProgram(dir, Deno.readFileSync("/bin/true"));
    try {
      const path = `/proc/self/fd/${fd}`;
      assertMatch(Deno.readLinkSync(path), UNLINKED);
      assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, 0o500);
      assertEquals(waitProcess(spawnProgram(path, ["true"], [], [])), 0);
    } finally {
      closeFd(fd);
    }
  });
});

Deno.test("unlinkedProgram() says which directory is none", () => {
  inDirectory((dir) => {
    const error = assertThrows(
      () => unlinkedProgram(`${dir}/none`, new Uint8Array(1)),
      SyscallError,
    );
    assertEquals(error.code, "ENOENT");
  });
});

Deno.test("createUnlinked() leaves no name, for a file system without O_TMPFILE", () => {
  inDirectory((dir) => {
    const fd = createUnlinked(dir);
    try {
      const path = `/proc/self/fd/${fd}`;
      assertMatch(Deno.readLinkSync(path), UNLINKED);
      assertEquals(Deno.statSync(path).nlink, 0);
    } finally {
      closeFd(fd);
    }
  });
});
