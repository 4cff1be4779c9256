/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

/**
 * A worker that exchanges the names of two files, again and again, until it is
 * told to stop: what a hostile container does while the host follows a path.
 *
 * @module
 */

import { cstring, trySyscall } from "../ffi/libc.ts";

const RENAME_EXCHANGE = 2;

/** What the worker is sent. */
export interface Swap {
  one: string;
  other: string;
  /** [0]: it is to stop; [1]: how often it has exchanged them. */
  state: Int32Array;
}

addEventListener("message", ({ data }: MessageEvent<Swap>) => {
  const { one, other, state } = data;
  const [a, b] = [cstring(one), cstring(other)];
  while (Atomics.load(state, 0) === 0) {
    trySyscall("renameat2", -100, a, -100, b, RENAME_EXCHANGE);
    Atomics.add(state, 1, 1);
  }
  postMessage("stopped");
});
