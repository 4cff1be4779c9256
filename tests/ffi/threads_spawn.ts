/**
 * A thread that starts programs, each with a descriptor of its own lent, until
 * its process says that it is enough: for threads_test.ts.
 *
 * @module
 */

import { sealedMemfd, spawnProgram, waitProcess } from "../../ffi/libc.ts";

self.addEventListener("message", (event) => {
  const { data } = event as MessageEvent<SharedArrayBuffer>;
  const stop = new Int32Array(data);
  const fd = sealedMemfd("lent-to-another", new Uint8Array(1));
  for (let count = 1; Atomics.load(stop, 0) === 0; count++) {
    waitProcess(spawnProgram("/bin/true", ["true"], [], [fd]));
    Atomics.store(stop, 1, count);
  }
  self.close();
});
