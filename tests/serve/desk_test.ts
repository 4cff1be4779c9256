/**
 * The desk of the warm engine, with workers that are none.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { closeFd, libc } from "../../ffi/libc.ts";
import { listenPackets } from "../../ffi/listening.ts";
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
