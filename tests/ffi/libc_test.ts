/**
 * The door to libc on this machine: system calls and their errors, sealed
 * memory, packets with descriptors, programs, polling.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import {
  closeFd,
  cstring,
  execProgram,
  libc,
  limitProcess,
  openFd,
  readFd,
  sealedMemfd,
  seek,
  setCloexec,
  spawnProgram,
  syscall,
  trySyscall,
  waitProcess,
  writeFd,
} from "../../ffi/libc.ts";
import { pollFds, POLLIN, pollUntilEnd } from "../../ffi/poll.ts";
import { packetPair, receivePacket, sendWithFds } from "../../ffi/packets.ts";

libc();

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);
const isOpen = (fd: number) => trySyscall("fcntl", fd, 1, 0) >= 0;
const isCloexec = (fd: number) => (syscall("fcntl", fd, 1, 0) & 1) === 1;

/** Runs a line of shell to its wait status. */
function shell(line: string, fds: number[] = []): number {
  const pid = spawnProgram("/bin/sh", ["sh", "-c", line], ["A=1"], fds);
  return waitProcess(pid)!;
}

Deno.test("trySyscall() returns the result, or -errno", () => {
  assertEquals(trySyscall("getpid"), Deno.pid);
  assertEquals(trySyscall("close", -1), -9);
  assertEquals(trySyscall("openat", -100, cstring("/nowhere/x"), 0, 0), -2);
});

Deno.test("syscall() throws with the call's name and the errno", () => {
  const error = assertThrows(
    () => syscall("openat", -100, cstring("/etc/passwd/x"), 0, 0),
    SyscallError,
  );
  assertEquals(
    [error.message, error.call, error.errno, error.code],
    ["openat: ENOTDIR (not a directory)", "openat", 20, "ENOTDIR"],
  );
});

Deno.test("syscall() keeps errno apart from garbage collection", () => {
  for (let i = 0; i < 2000; i++) {
    new Uint8Array(10_000);
    assertEquals(trySyscall("close", -1), -9);
  }
});

Deno.test("seek() goes past 4 GiB, and says why it cannot", () => {
  const fd = sealedMemfd("test", new Uint8Array(3));
  try {
    assertEquals(seek(fd, 5 * 2 ** 30 + 7, 0), 5 * 2 ** 30 + 7);
    assertEquals(seek(fd, 3, 3), -6); // SEEK_DATA: ENXIO
    assertEquals(seek(fd, -1, 0), -22); // EINVAL
  } finally {
    closeFd(fd);
  }
  assertEquals(seek(fd, 0, 0), -9); // EBADF
});

Deno.test("cstring() ends with a NUL and takes none", () => {
  assertEquals([...cstring("aü")], [0x61, 0xc3, 0xbc, 0]);
  assertEquals([...cstring("")], [0]);
  assertThrows(
    () => cstring("a\0b"),
    TypeError,
    'Cannot pass "a\\u0000b" to the kernel: it holds a NUL',
  );
});

Deno.test("openFd() adds close-on-exec, and opens below a directory", () => {
  const dir = openFd("/etc", 0o10000000);
  const file = openFd("passwd", 0, 0, dir);
  assertEquals([isCloexec(dir), isCloexec(file)], [true, true]);
  assert(readFd(file, 4096).length > 0);
  [dir, file].forEach(closeFd);
  assertThrows(() => openFd("/nowhere", 0), SyscallError, "ENOENT");
});

Deno.test("closeFd() of one that is not open is fine", () => {
  closeFd(999_999);
});

Deno.test("setCloexec() turns it on and off, and throws on a closed one", () => {
  const fd = openFd("/dev/null", 0);
  setCloexec(fd, false);
  assertEquals(isCloexec(fd), false);
  setCloexec(fd, true);
  assertEquals(isCloexec(fd), true);
  closeFd(fd);
  assertThrows(() => setCloexec(fd, true), SyscallError, "EBADF");
});

Deno.test("sealedMemfd() holds the bytes", () => {
  const fd = sealedMemfd("test", bytes("content"));
  syscall("lseek", fd, 0, 0);
  assertEquals(text(readFd(fd, 100)), "content");
  assert(isCloexec(fd));
  closeFd(fd);
});

for (
  const [what, call, errno] of [
    ["written", (fd: number) => trySyscall("write", fd, bytes("x"), 1), -1],
    [
      "written through another descriptor",
      (fd: number) => {
        const again = openFd(`/proc/self/fd/${fd}`, 1);
        const result = trySyscall("write", again, bytes("x"), 1);
        closeFd(again);
        return result;
      },
      -1,
    ],
    ["sealed further", (fd: number) => trySyscall("fcntl", fd, 1033, 16), -1],
  ] as [string, (fd: number) => number, number][]
) {
  Deno.test(`sealedMemfd() cannot be ${what}`, () => {
    const fd = sealedMemfd("test", bytes("content"));
    assertEquals(call(fd), errno);
    assertThrows(() => Deno.truncateSync(`/proc/self/fd/${fd}`, 0));
    assertThrows(() => Deno.truncateSync(`/proc/self/fd/${fd}`, 100));
    closeFd(fd);
  });
}

Deno.test("sealedMemfd() can be run when it is executable", () => {
  const fd = sealedMemfd("test", Deno.readFileSync("/bin/true"), true);
  const pid = spawnProgram(`/proc/self/fd/${fd}`, ["true"], [], []);
  assertEquals(waitProcess(pid), 0);
  closeFd(fd);
});

Deno.test("sealedMemfd() of nothing is empty", () => {
  const fd = sealedMemfd("test", new Uint8Array());
  assertEquals(readFd(fd, 10).length, 0);
  closeFd(fd);
});

Deno.test("packetPair() keeps packets apart, both ways", () => {
  const [a, b] = packetPair();
  const buffer = new Uint8Array(64);
  sendWithFds(a, bytes("one"));
  sendWithFds(a, bytes("second"));
  sendWithFds(b, bytes("back"));
  assertEquals(receivePacket(b, buffer), { length: 3, fds: [] });
  assertEquals(receivePacket(b, buffer)?.length, 6);
  assertEquals(text(buffer.subarray(0, 6)), "second");
  assertEquals(receivePacket(a, buffer)?.length, 4);
  closeFd(a);
  assertEquals(receivePacket(b, buffer), undefined);
  closeFd(b);
});

for (const count of [1, 2, 3, 8]) {
  Deno.test(`sendWithFds() and receivePacket() pass ${count} descriptors`, () => {
    const [a, b] = packetPair();
    const files = Array.from(
      { length: count },
      (_, i) => sealedMemfd("test", bytes(`file ${i}`)),
    );
    sendWithFds(a, bytes("x"), files);
    const { fds } = receivePacket(b, new Uint8Array(8))!;
    assertEquals(fds.length, count);
    fds.forEach((fd, i) => {
      syscall("lseek", fd, 0, 0);
      assertEquals(text(readFd(fd, 100)), `file ${i}`);
      assert(isCloexec(fd) && !files.includes(fd));
    });
    [a, b, ...files, ...fds].forEach(closeFd);
  });
}

Deno.test("receivePacket() after one with descriptors has none of them", () => {
  const [a, b] = packetPair();
  sendWithFds(a, bytes("x"), [a]);
  sendWithFds(a, bytes("y"));
  const { fds } = receivePacket(b, new Uint8Array(8))!;
  assertEquals(receivePacket(b, new Uint8Array(8)), { length: 1, fds: [] });
  [a, b, ...fds].forEach(closeFd);
});

Deno.test("sendWithFds() to nobody is EPIPE, not a signal", () => {
  const [a, b] = packetPair();
  closeFd(b);
  assertThrows(() => sendWithFds(a, bytes("x")), SyscallError, "EPIPE");
  closeFd(a);
});

for (
  const [line, status] of [
    ["exit 0", 0],
    ["exit 7", 7 << 8],
    ["exit 255", 255 << 8],
    ["kill -KILL $$", 9],
    ["kill -TERM $$", 15],
  ] as const
) {
  Deno.test(`waitProcess() of "${line}"`, () => {
    assertEquals(shell(line) & 0xff7f, status);
  });
}

Deno.test("waitProcess() without hanging, and of no child", () => {
  const pid = spawnProgram("/bin/sleep", ["sleep", "1000"], [], []);
  assertEquals(waitProcess(pid, false), undefined);
  assertEquals(trySyscall("kill", pid, 9), 0);
  assertEquals(waitProcess(pid), 9);
  assertEquals(waitProcess(pid), undefined);
});

Deno.test("spawnProgram() passes arguments and environment, and nothing else", () => {
  const fd = makeMemfd();
  const pid = spawnProgram(
    "/bin/sh",
    [
      "name",
      "-c",
      `echo "$0|$1|$A|$HOME" >/proc/self/fd/${fd}`,
      "x y",
      "ü",
    ],
    ["A=1 2"],
    [fd],
  );
  assertEquals(waitProcess(pid), 0);
  assertEquals(text(readFd(fd, 100)), "x y|ü|1 2|\n");
  assert(isCloexec(fd));
  closeFd(fd);
});

Deno.test("spawnProgram() lends no descriptor that is not named", () => {
  const fd = openFd("/dev/null", 0);
  assertEquals(shell(`[ ! -e /proc/self/fd/${fd} ]`), 0);
  assertEquals(shell(`[ -e /proc/self/fd/${fd} ]`, [fd]), 0);
  closeFd(fd);
});

Deno.test("spawnProgram() throws when there is no such program", () => {
  assertThrows(
    () => spawnProgram("/nowhere", ["x"], [], []),
    SyscallError,
    "posix_spawn: ENOENT (no such file or directory)",
  );
});

Deno.test("execProgram() that fails throws and closes nothing", () => {
  const fd = openFd("/dev/null", 0);
  assertThrows(
    () => execProgram("/nowhere", ["x"], [], [fd]),
    SyscallError,
    "execve: ENOENT (no such file or directory)",
  );
  assert(isOpen(fd) && isCloexec(fd));
  closeFd(fd);
});

Deno.test("limitProcess() reads and sets the limits of a child", () => {
  const pid = spawnProgram("/bin/sleep", ["sleep", "1000"], [], []);
  const [soft, hard] = limitProcess(pid, 7);
  assert(soft > 0n && soft <= hard);
  assertEquals(limitProcess(pid, 7, { soft: 10n, hard: 20n }), [soft, hard]);
  assertEquals(limitProcess(pid, 7), [10n, 20n]);
  const unlimited = 18446744073709551615n;
  limitProcess(pid, 4, { soft: 0n, hard: limitProcess(pid, 4)[1] });
  assert(limitProcess(pid, 4)[1] <= unlimited);
  trySyscall("kill", pid, 9);
  waitProcess(pid);
  assertThrows(() => limitProcess(pid, 7), SyscallError, "ESRCH");
});

Deno.test("pollFds() tells which can be read", () => {
  const [a, b] = packetPair();
  const [c, d] = packetPair();
  assertEquals(pollFds([a, c], 0), []);
  sendWithFds(d, bytes("x"));
  assertEquals(pollFds([a, c], 1000), [0, POLLIN]);
  closeFd(b);
  const [first = 0] = pollFds([a, c]);
  assert((first & 0x10) !== 0, "POLLHUP");
  [a, c, d].forEach(closeFd);
});

Deno.test("pollFds() ends when the time is over", () => {
  const [a, b] = packetPair();
  const begin = performance.now();
  assertEquals(pollFds([a], 50), []);
  const took = performance.now() - begin;
  assert(took >= 49, `${took} ms`);
  [a, b].forEach(closeFd);
});

Deno.test("writeFd() writes all, also more than a pipe takes at once", () => {
  const fd = makeMemfd();
  const data = new Uint8Array(300_000).fill(7);
  writeFd(fd, data);
  syscall("lseek", fd, 0, 0);
  assertEquals(readFd(fd, 400_000), data);
  closeFd(fd);
  assertThrows(() => writeFd(fd, data), SyscallError, "write: EBADF");
});

/** A memfd that can be written. */
function makeMemfd(): number {
  return syscall("memfd_create", cstring("test"), 1);
}

Deno.test("the end of a peer with a packet unread is no error: what it sent is there", () => {
  for (const left of [[], [7]]) {
    const [own, other] = packetPair();
    sendWithFds(own, new Uint8Array(1));
    for (const byte of left) sendWithFds(other, new Uint8Array([byte]));
    closeFd(other);
    const buffer = new Uint8Array(2);
    for (const byte of left) {
      assertEquals(receivePacket(own, buffer), { length: 1, fds: [] });
      assertEquals(buffer[0], byte);
    }
    assertEquals(receivePacket(own, buffer), undefined);
    closeFd(own);
  }
  const [own, other] = packetPair();
  sendWithFds(own, new Uint8Array(1));
  closeFd(other);
  const error = assertThrows(
    () => sendWithFds(own, new Uint8Array(1)),
    SyscallError,
  );
  assertEquals(error.code, "EPIPE");
  closeFd(own);
});

Deno.test("pollUntilEnd() misses nothing that was said just before the end", () => {
  for (let i = 0; i < 200; i++) {
    const [here, there] = packetPair();
    const pid = spawnProgram("/bin/echo", ["echo", "end"], [], [], [
      0,
      there,
      2,
    ]);
    closeFd(there);
    const pidfd = syscall("pidfd_open", pid, 0);
    const { news } = pollUntilEnd(here, pidfd);
    assertEquals(news && text(readFd(here, 16)), "end\n");
    // Then there is nothing but the ends of both.
    waitProcess(pid);
    assertEquals(pollUntilEnd(here, pidfd), { news: true, ended: true });
    assertEquals(readFd(here, 16).length, 0);
    closeFd(pidfd);
    closeFd(here);
  }
});
