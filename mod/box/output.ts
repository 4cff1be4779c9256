/**
 * What a process writes: a Web Stream that is read from the pipe when somebody
 * reads from it, so that the process waits for its reader; or collected for who
 * awaits the run.
 *
 * @module
 */

import { EPOLL } from "../../ffi/epoll.ts";
import { closeFd } from "../../ffi/libc.ts";
import { readPipe } from "../../ffi/pipe.ts";
import { forget, untilReady } from "./watcher.ts";

const CHUNK = 1 << 16;
/** What a piece that is kept holds at least: a process may write byte by byte. */
const PIECE = 1 << 12;
/** What is read comes here first: its size is known then. */
const read = new Uint8Array(CHUNK);
/** A line that is longer is given in pieces. */
const LINE_MAX = 1 << 20;
/** As many chunks can be left in a pipe: /proc/sys/fs/pipe-max-size, 1 MiB. */
const LEFT_MAX = 16;

/** What both outputs of a run have in common. */
export interface Meter {
  /** Takes bytes into account.
   *
   * @returns how many of them may be kept */
  take(size: number, collected: boolean): number;
}

/** Bytes that come one after the other, in as few pieces as can be. */
class Pieces {
  #pieces: { room: Uint8Array<ArrayBuffer>; used: number }[] = [];

  add(bytes: Uint8Array): void {
    let last = this.#pieces.at(-1);
    if (!last || last.room.length - last.used < bytes.length) {
      last = {
        room: new Uint8Array(Math.max(PIECE, bytes.length)),
        used: 0,
      };
      this.#pieces.push(last);
    }
    last.room.set(bytes, last.used);
    last.used += bytes.length;
  }

  /** Takes the first piece away.
   *
   * @returns undefined where there is none */
  shift(): Uint8Array<ArrayBuffer> | undefined {
    const first = this.#pieces.shift();
    return first?.room.subarray(0, first.used);
  }

  /** All of it, in one. */
  join(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(
      this.#pieces.reduce((sum, it) => sum + it.used, 0),
    );
    let at = 0;
    for (const { room, used } of this.#pieces) {
      all.set(room.subarray(0, used), at);
      at += used;
    }
    return all;
  }
}

/** One end of a pipe, read when somebody wants what is in it. */
export class Source {
  /** What was read, and nobody has taken. */
  readonly #pieces = new Pieces();
  #fd = -1;
  #opened = Promise.withResolvers<void>();
  #ended = false;
  #filling: Promise<void> | undefined;
  /** Somebody reads it as a stream. */
  taken = false;
  #collecting = false;
  readonly #meter: Meter;

  constructor(meter: Meter) {
    this.#meter = meter;
    // Who reads the stream is told; nobody need.
    this.#opened.promise.catch(() => {});
  }

  /** The process is there. */
  open(fd: number): void {
    this.#fd = fd;
    this.#opened.resolve();
  }

  /** There will be no process, and that is no error. */
  end(): void {
    this.close();
    this.#opened.resolve();
  }

  /** There will be no process. */
  fail(error: unknown): void {
    this.#opened.reject(error);
  }

  /** Takes the next chunk.
   *
   * @returns undefined at the end */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.#collecting = false;
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) return piece;
      if (this.#ended) return undefined;
      await this.#fill();
    }
  }

  /** Reads all there is, for who wants the result. */
  async collect(): Promise<void> {
    if (this.taken || this.#collecting) return;
    this.#collecting = true;
    while (this.#collecting && !this.#ended) await this.#fill();
  }

  /** What was collected. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.taken ? new Uint8Array() : this.#pieces.join();
  }

  /** Reads a chunk, or waits for one; several who ask wait for the same. */
  #fill(): Promise<void> {
    return this.#filling ??= this.#wait().finally(() => {
      this.#filling = undefined;
    });
  }

  async #wait(): Promise<void> {
    await this.#opened.promise;
    if (this.#ended || this.#read()) return;
    await untilReady(this.#fd, EPOLL.in);
  }

  /** @returns whether there was something, if only the end */
  #read(): boolean {
    const size = readPipe(this.#fd, read);
    if (size === undefined) return false;
    if (size === 0) this.close();
    else {
      const kept = this.#meter.take(size, !this.taken);
      if (kept > 0) this.#pieces.add(read.subarray(0, kept));
    }
    return true;
  }

  /** The process has ended, and all that it has started: takes what is left in
   * the pipe, which is not much. */
  finish(): void {
    for (let at = 0; at < LEFT_MAX && !this.#ended && this.#read(); at++);
    this.close();
  }

  /** Reads no more. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#fd < 0) return;
    forget(this.#fd);
    closeFd(this.#fd);
  }
}

/** What a process writes, as bytes, as a text or by lines. */
export class Output extends ReadableStream<Uint8Array<ArrayBuffer>> {
  constructor(source: Source, taken: () => void) {
    super({
      async pull(controller) {
        source.taken = true;
        taken();
        const chunk = await source.next();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      },
      cancel() {
        source.taken = true;
        source.close();
      },
    }, { highWaterMark: 0 });
  }

  /**
   * Its lines, without their ends ("\n" or "\r\n"). What is no UTF-8 becomes
   * U+FFFD. A line of more than 1 MiB comes in pieces.
   */
  async *lines(): AsyncGenerator<string, void, void> {
    let rest = "";
    for await (const text of this.pipeThrough(new TextDecoderStream())) {
      // A line that comes byte by byte is not searched again each time.
      const lines = text.split("\n");
      lines[0] = rest + lines[0];
      rest = lines.pop()!;
      for (const line of lines) {
        yield line.endsWith("\r") ? line.slice(0, -1) : line;
      }
      while (rest.length > LINE_MAX) {
        yield rest.slice(0, LINE_MAX);
        rest = rest.slice(LINE_MAX);
      }
    }
    if (rest !== "") yield rest;
  }

  /** All of it, as text. */
  async text(): Promise<string> {
    return new TextDecoder().decode(await this.bytes());
  }

  /** All of it. */
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    const pieces = new Pieces();
    for await (const chunk of this) pieces.add(chunk);
    return pieces.join();
  }
}
