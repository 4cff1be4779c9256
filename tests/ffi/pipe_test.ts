/**
 * Pipes whose other end is a container's, which may open our end as well
 * (/proc/self/fd) and take or fill what is in it at any moment.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import { closeFd, libc, syscall } from "../../ffi/libc.ts";
import { makePipe, readPipe, writePipe } from "../../ffi/pipe.ts";

libc();

const buffer = new Uint8Array(1 << 17);

Deno.test("readPipe() tells nothing yet from the end", () => {
  const [read, write] = makePipe("read");
  try {
    assertEquals(readPipe(read, buffer), undefined);
    syscall("write", write, buffer, 3);
    assertEquals(readPipe(read, buffer), 3);
    // Somebody else has taken what was there.
    assertEquals(readPipe(read, buffer), undefined);
  } finally {
    closeFd(write);
  }
  assertEquals(readPipe(read, buffer), 0);
  closeFd(read);
  const error = assertThrows(() => readPipe(read, buffer), SyscallError);
  assertEquals(error.code, "EBADF");
});

Deno.test("writePipe() tells a full pipe from one that nobody reads", () => {
  const [read, write] = makePipe("write");
  try {
    assertEquals(writePipe(write, new Uint8Array(0)), 0);
    assertEquals(writePipe(write, buffer), 1 << 16);
    assertEquals(writePipe(write, buffer), 0);
  } finally {
    closeFd(read);
  }
  assertEquals(writePipe(write, buffer), undefined);
  closeFd(write);
  const error = assertThrows(() => writePipe(write, buffer), SyscallError);
  assertEquals(error.code, "EBADF");
});
