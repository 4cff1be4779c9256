/**
 * What a process reads: a Web Stream whose writer waits until the process takes
 * what it was given.
 *
 * @module
 */

import { EPOLL } from "../../ffi/epoll.ts";
import { closeFd } from "../../ffi/libc.ts";
import { writePipe } from "../../ffi/pipe.ts";
import { ContainerError } from "../errors.ts";
import { invalidOption } from "./flags.ts";
import type { Input } from "./options.ts";
import { forget, untilReady } from "./watcher.ts";

/** The end of a pipe that is written into. */
export class Sink {
  #fd = -1;
  #closed = false;
  #opened = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<undefined>();
  /** The process reads no more; undefined, for who races it with something. */
  readonly gone: Promise<undefined> = this.#gone.promise;

  constructor() {
    this.#opened.promise.catch(() => {});
  }

  /** The process is there; -1: it reads nothing. */
  open(fd: number): void {
    // Nothing comes any more: the process is at the end of its input at once.
    if (this.#closed && fd >= 0) closeFd(fd);
    else this.#fd = fd;
    if (fd < 0) this.close();
    this.#opened.resolve();
  }

  /** There will be no process. */
  fail(error: unknown): void {
    this.close();
    this.#opened.reject(error);
  }

  /** Writes all of it.
   *
   * @returns false when the process reads no more */
  async write(bytes: Uint8Array): Promise<boolean> {
    if (!(bytes instanceof Uint8Array)) {
      throw invalidOption(
        "stdin",
        bytes,
        "is nothing to write",
        "Write a Uint8Array, such as one of TextEncoder's",
      );
    }
    await this.#opened.promise;
    for (let at = 0; at < bytes.length;) {
      if (this.#closed) return false;
      const size = writePipe(this.#fd, bytes.subarray(at));
      if (size === undefined) return false;
      at += size;
      if (size === 0) await untilReady(this.#fd, EPOLL.out);
    }
    return true;
  }

  /** Nothing more comes. */
  async end(): Promise<void> {
    await this.#opened.promise;
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#gone.resolve(undefined);
    if (this.#fd < 0) return;
    forget(this.#fd);
    closeFd(this.#fd);
  }
}

/** The stream that a program writes into. */
export function streamInto(sink: Sink): WritableStream<Uint8Array> {
  return new WritableStream({
    async write(chunk) {
      const isWritten = await sink.write(chunk).catch((error) => {
        // The stream takes no more then, nor does the process get any.
        sink.close();
        throw error;
      });
      if (isWritten) return;
      throw new ContainerError(
        "Cannot write to the process: it reads no more",
        {
          code: "broken-pipe",
          hint: "It has ended, or closed its standard input",
        },
      );
    },
    close: () => sink.end(),
    abort: () => sink.close(),
  });
}

/** Feeds a process with what it is to read; what it does not read is no error.
 *
 * @throws what the stream that is read fails with */
export async function feed(
  sink: Sink,
  input: Exclude<Input, "piped" | "null">,
): Promise<void> {
  if (input instanceof ReadableStream) {
    const reader = input.getReader();
    try {
      for (;;) {
        // One that never ends does not hold up the end of the process.
        const next = await Promise.race([reader.read(), sink.gone]);
        if (next === undefined || next.done) break;
        if (!await sink.write(next.value)) break;
      }
    } catch (error) {
      sink.close();
      throw error;
    } finally {
      // It may have failed itself: that is thrown already.
      reader.cancel().catch(() => {});
    }
  } else {
    await sink.write(
      input instanceof Uint8Array
        ? input
        : new TextEncoder().encode(input.text),
    );
  }
  await sink.end();
}
