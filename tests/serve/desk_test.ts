/**
 * The desk of the warm engine, with workers that are none.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { closeFd, libc } from "../../ffi/libc.ts";
import { connectPackets, listenPackets } from "../../ffi/listening.ts";
import { duplicateFd } from "../../ffi/pipe.ts";
import { ContainerError } from "../../mod/errors.ts";
import { keepDesk, sayFree } from "../../mod/serve/desk.ts";

libc();

/** Keeps a desk of one worker, of which the first ones end at their start.
 *
 * @returns how many were started */
function keep(failing: number): number {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-desk-" });
  const listener = listenPackets(`${dir}/serve`, 1);
  const workers: number[] = [];
  let started = 0;
  try {
    keepDesk({
      listener,
      start(socket) {
        // The desk closes its copy: without another the worker has ended.
        if (++started <= failing) return;
        const own = duplicateFd(socket);
        workers.push(own);
        sayFree(own);
      },
      isCurrent: () => true,
      least: 1,
      most: 1,
      cpus: 1,
      idle: 100,
    });
    return started;
  } finally {
    for (const fd of [listener, ...workers]) closeFd(fd);
    Deno.removeSync(dir, { recursive: true });
  }
}

Deno.test("keepDesk() starts another worker for one that is killed at its start", () => {
  assertEquals(keep(0), 1);
  assertEquals(keep(2), 3);
});

Deno.test("keepDesk() ends when one worker after the other ends at its start", () => {
  assertThrows(
    () => keep(3),
    ContainerError,
    "Cannot serve: the processes of the engine end at their start",
  );
});

/** Keeps a desk for one CPU while fronts wait, until nobody calls.
 *
 * @param calls of each worker in turn: how many it comes to an end with; it goes
 * when the next one is started
 * @returns how many workers were started */
function crowd(fronts: number, calls: readonly number[]): number {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-desk-" });
  const listener = listenPackets(`${dir}/serve`, fronts);
  const callers = Array.from(
    { length: fronts },
    () => connectPackets(`${dir}/serve`),
  );
  let worker = -1;
  let started = 0;
  try {
    keepDesk({
      listener,
      start(socket) {
        closeFd(worker);
        worker = duplicateFd(socket);
        // It is free at first, and after each call.
        for (let i = 0; i <= calls[started]!; i++) sayFree(worker);
        started++;
      },
      isCurrent: () => true,
      least: 1,
      most: 2,
      cpus: 1,
      idle: 100,
    });
    return started;
  } finally {
    for (const fd of [listener, worker, ...callers]) closeFd(fd);
    Deno.removeSync(dir, { recursive: true });
  }
}

Deno.test("keepDesk() starts no more workers than CPUs while calls come to their ends", () => {
  assertEquals(crowd(20, [20]), 1);
});

Deno.test("keepDesk() starts another worker when those there do not come to an end", () => {
  assertEquals(crowd(2, [0, 1]), 2);
});
