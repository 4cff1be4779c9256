/**
 * Single mounts by descriptor, as the kernel's own list has them.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeFd, libc, openFd } from "../../ffi/libc.ts";
import { SyscallError } from "../../ffi/errno.ts";
import {
  copyTree,
  detachMount,
  identifyMount,
  isMounted,
} from "../../ffi/mount.ts";
import { testOn } from "../needs.ts";

libc();

const O_PATH = 0o10000000;

/** Opens a path for the time of `use`. */
function withFd(path: string, use: (fd: number) => void): void {
  const fd = openFd(path, O_PATH);
  try {
    use(fd);
  } finally {
    closeFd(fd);
  }
}

Deno.test("identifyMount() gives the id of mountinfo, and the file", () => {
  withFd("/proc", (fd) => {
    const line = Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
      .map((it) => it.split(" ")).findLast((it) => it[4] === "/proc");
    const { id, file } = identifyMount(fd);
    assertEquals([String(id), file], [
      line?.[0],
      `${line?.[2]} ${Deno.statSync("/proc").ino}`,
    ]);
  });
});

Deno.test("isMounted() knows a mount by its id of this boot", () => {
  withFd("/proc", (fd) => {
    const { unique } = identifyMount(fd);
    // Before 6.8 there is none.
    if (unique === undefined) return;
    assertEquals(isMounted(unique), true);
    assertEquals(isMounted(String(1n << 62n)), false);
  });
});

Deno.test("identifyMount() throws when the descriptor is not open", () => {
  assertThrows(() => identifyMount(-1), SyscallError, "EBADF");
});

testOn(["root"], "copyTree() makes a mount that is nowhere", () => {
  withFd("/etc", (fd) => {
    const tree = copyTree(fd);
    try {
      const copy = identifyMount(tree);
      assertEquals(copy.file, identifyMount(fd).file);
      assert(copy.id !== identifyMount(fd).id, "it is another mount");
      if (copy.unique !== undefined) {
        assertEquals(isMounted(copy.unique), false);
      }
      // EINVAL: there is nothing to be unmounted.
      assertEquals(detachMount(tree), -22);
    } finally {
      closeFd(tree);
    }
  });
});
