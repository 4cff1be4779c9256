/**
 * The thread that waits. The entry of a worker; it never returns.
 *
 * @module
 */

import { parentPort, workerData } from "node:worker_threads";
import { waitEpoll } from "../../ffi/epoll.ts";

for (;;) parentPort!.postMessage(waitEpoll(workerData as number));
