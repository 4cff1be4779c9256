/**
 * What threads of one process do at once: the library's engine runs in several.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  armEpoll,
  disarmEpoll,
  EPOLL,
  makeEpoll,
  waitEpoll,
} from "../../ffi/epoll.ts";
import { closeFd, libc, spawnProgram, waitProcess } from "../../ffi/libc.ts";
import { makePipe, readPipe, writePipe } from "../../ffi/pipe.ts";

libc();

const ROUNDS = 200;

Deno.test("spawnProgram() lends nothing to what another thread starts meanwhile", () => {
  const stop = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(
    new URL("./threads_spawn.ts", import.meta.url).href,
    { type: "module" },
  );
  worker.postMessage(stop.buffer);
  let seen = 0;
  // Both have started many: this one, and the other one meanwhile.
  for (let at = 0; at < ROUNDS || Atomics.load(stop, 1) < ROUNDS; at++) {
    const pid = spawnProgram(
      "/bin/sh",
      ["sh", "-c", "ls -l /proc/self/fd | grep -q lent-to-another"],
      ["PATH=/usr/bin:/bin"],
      [],
    );
    if (waitProcess(pid) === 0) seen++;
  }
  Atomics.store(stop, 0, 1);
  worker.terminate();
  assertEquals(seen, 0);
});

Deno.test("waitEpoll() names what can be read, once for each time that it is armed", () => {
  const epoll = makeEpoll();
  const [read, write] = makePipe("read");
  const bytes = new Uint8Array(8);
  assertEquals(readPipe(read, bytes), undefined);
  armEpoll(epoll, read, EPOLL.in, 7);
  assertEquals(writePipe(write, new Uint8Array([1, 2])), 2);
  assertEquals([...waitEpoll(epoll)], [7, EPOLL.in]);
  assertEquals(readPipe(read, bytes), 2);
  // Not armed: only the other one is told of.
  const [other, last] = makePipe("read");
  armEpoll(epoll, other, EPOLL.in, 9);
  writePipe(write, new Uint8Array(1));
  writePipe(last, new Uint8Array(1));
  assertEquals([...waitEpoll(epoll)], [9, EPOLL.in]);
  armEpoll(epoll, read, EPOLL.in, 8, true);
  assertEquals([...waitEpoll(epoll)], [8, EPOLL.in]);
  disarmEpoll(epoll, read);
  disarmEpoll(epoll, write);
  for (const fd of [epoll, read, write, other, last]) closeFd(fd);
});

Deno.test("writePipe() fills a pipe, and says when nobody reads it", () => {
  const [read, write] = makePipe("write");
  const chunk = new Uint8Array(1 << 16);
  let room = 0;
  for (let at = -1; at !== 0;) {
    at = writePipe(write, chunk) ?? 0;
    room += at;
  }
  assert(room >= 4096);
  closeFd(read);
  assertEquals(writePipe(write, chunk), undefined);
  closeFd(write);
});

Deno.test("readPipe() comes to the end", () => {
  const [read, write] = makePipe("read");
  closeFd(write);
  assertEquals(readPipe(read, new Uint8Array(1)), 0);
  closeFd(read);
});
