/**
 * posix_spawn with other streams: what a program reads, writes and inherits.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import {
  closeFd,
  cstring,
  libc,
  openFd,
  readFd,
  sealedMemfd,
  syscall,
  waitProcess,
} from "../../ffi/libc.ts";
import { packetPair } from "../../ffi/packets.ts";
import { spawnWithStreams } from "../../ffi/spawn.ts";

// Opened here: a library that a test opens counts as its leak.
libc();
waitProcess(spawnWithStreams("/bin/true", ["true"], [], new Map()));

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

/** Runs a line of shell with these streams, and returns its wait status. */
function shell(
  line: string,
  streams: [number, number][],
  env: string[] = [],
  cwd?: string,
): number {
  const pid = spawnWithStreams(
    "/bin/sh",
    ["sh", "-c", line],
    env,
    new Map(streams),
    cwd,
  );
  return waitProcess(pid)!;
}

Deno.test("spawnWithStreams() replaces stdin, stdout and stderr", () => {
  const [a, b] = packetPair();
  const input = sealedMemfd("test", bytes("read me\n"));
  syscall("lseek", input, 0, 0);
  const line = 'read it; echo "got $it"; echo worse >&2; exit 5';
  assertEquals(shell(line, [[0, input], [1, b], [2, b]]), 5 << 8);
  assertEquals(text(readFd(a, 100)), "got read me\n");
  assertEquals(text(readFd(a, 100)), "worse\n");
  [a, b, input].forEach(closeFd);
});

Deno.test("spawnWithStreams() gives a descriptor the number that is asked for", () => {
  const [a, b] = packetPair();
  assertEquals(shell("echo nine >&9", [[9, b]]), 0);
  assertEquals(text(readFd(a, 100)), "nine\n");
  [a, b].forEach(closeFd);
});

Deno.test("spawnWithStreams() keeps a descriptor under its own number", () => {
  const fd = syscall("memfd_create", cstring("test"), 1);
  assertEquals(shell(`echo same >/proc/self/fd/${fd}`, [[fd, fd]]), 0);
  assertEquals(text(readFd(fd, 100)), "same\n");
  closeFd(fd);
});

Deno.test("spawnWithStreams() lends nothing else", () => {
  const fd = openFd("/dev/null", 0);
  assertEquals(shell(`[ ! -e /proc/self/fd/${fd} ]`, []), 0);
  closeFd(fd);
});

Deno.test("spawnWithStreams() gives exactly this environment", () => {
  const [a, b] = packetPair();
  const pid = spawnWithStreams(
    "/usr/bin/env",
    ["env"],
    ["A=1", "B=x y"],
    new Map([[1, b]]),
  );
  assertEquals(waitProcess(pid), 0);
  let all = "";
  while (!all.endsWith("B=x y\n")) all += text(readFd(a, 1000));
  assertEquals(all, "A=1\nB=x y\n");
  [a, b].forEach(closeFd);
});

Deno.test("spawnWithStreams() starts in another directory", () => {
  const [a, b] = packetPair();
  assertEquals(shell("pwd", [[1, b]], [], "/usr/bin"), 0);
  assertEquals(text(readFd(a, 100)), "/usr/bin\n");
  [a, b].forEach(closeFd);
});

for (
  const [what, path, cwd, errno] of [
    ["program", "/nowhere", undefined, "ENOENT"],
    ["right", "/etc/passwd", undefined, "EACCES"],
    ["directory", "/bin/true", "/nowhere", "ENOENT"],
  ] as const
) {
  Deno.test(`spawnWithStreams() throws without the ${what}`, () => {
    assertThrows(
      () => spawnWithStreams(path, ["x"], [], new Map(), cwd),
      SyscallError,
      `posix_spawn: ${errno}`,
    );
  });
}
