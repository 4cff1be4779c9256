/**
 * Threads of the caller's program. Node's workers, since Deno's own cannot be told
 * not to keep a program alive.
 *
 * @module
 */

import { Worker } from "node:worker_threads";

/** One thread. */
export interface Thread {
  post(message: unknown): void;
  /** Keeps the program alive, or does not. */
  ref(): void;
  unref(): void;
  /** Ends it: one that has nothing to do. */
  end(): void;
}

/** Node's workers take a file, or a text: one that came from the network is
 * imported by a text. */
function entryOf(module: URL): URL {
  if (module.protocol === "file:") return module;
  const code = `import ${JSON.stringify(module.href)};`;
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
}

/**
 * Starts a thread, which does not keep the program alive.
 *
 * @param module its entry
 * @param hear gets what it posts
 */
export function startThread(
  module: URL,
  hear: (message: unknown) => void,
  data?: unknown,
): Thread {
  const worker = new Worker(entryOf(module), { workerData: data });
  worker.on("message", hear);
  // Nobody could answer any more: better a loud end than a silent wait.
  worker.on("error", (error: unknown) => {
    throw error;
  });
  worker.unref();
  return {
    post: (message) => worker.postMessage(message),
    ref: () => worker.ref(),
    unref: () => worker.unref(),
    end: () => void worker.terminate(),
  };
}
