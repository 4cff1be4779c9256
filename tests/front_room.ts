/**
 * Fronts for tests: one that knows any full program, and an engine that the test
 * itself plays, packet by packet.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { closeFd, syscall } from "../ffi/libc.ts";
import { pollFds } from "../ffi/poll.ts";
import { acceptPackets, listenPackets } from "../ffi/listening.ts";
import { type Packet, receivePacket, sendWithFds } from "../ffi/packets.ts";
import { programPath } from "../scripts/build.ts";
import {
  type Answer,
  ANSWER_SIZE,
  decodeAnswer,
  encodeFront,
  encodeTake,
  FRONT_INLINE,
  makeNonce,
  REQUEST_SIZE,
  VERB,
} from "../mod/serve/protocol.ts";
import { type CliOptions, type Running, start } from "./harness.ts";

/** How long a packet may take that is to come: a front is never slow. */
const COMES_MS = 60_000;

/** A directory with a front, and where it looks for its engine. */
export class FrontRoom implements Disposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-front-" });
  readonly socket = `${this.dir}/s`;
  readonly path = `${this.dir}/front`;
  #listener = -1;

  /**
   * @param program what the front becomes when it is cold
   * @param patience milliseconds that it waits for the first word; a test that
   * plays the engine may be slow
   * @param usual whether it looks for its engine where every front does
   */
  constructor(
    program: readonly string[] = ["/bin/echo", "cold"],
    patience = COMES_MS,
    usual = false,
  ) {
    const bytes = encodeFront(Deno.readFileSync(programPath("front")), {
      program,
      ...usual ? {} : { socket: this.socket },
      patience,
    });
    Deno.writeFileSync(this.path, bytes, { mode: 0o755 });
  }

  [Symbol.dispose](): void {
    if (this.#listener >= 0) closeFd(this.#listener);
    Deno.removeSync(this.dir, { recursive: true });
  }

  /** Starts the front. */
  start(words: readonly string[] = [], options: CliOptions = {}): Running {
    return start([this.path, ...words], options);
  }

  /** Listens where the front calls. */
  listen(backlog = 8, socket = this.socket): number {
    return this.#listener = listenPackets(socket, backlog);
  }

  /** Takes the next front's connection. */
  accept(): PlayedEngine {
    assertEquals(pollFds([this.#listener], COMES_MS).length, 1);
    return new PlayedEngine(acceptPackets(this.#listener)!);
  }
}

/** The engine's end of a connection. */
export class PlayedEngine implements Disposable {
  readonly fd: number;
  constructor(fd: number) {
    this.fd = fd;
  }

  [Symbol.dispose](): void {
    closeFd(this.fd);
  }

  /** The next packet; undefined at the end. */
  receive(): Packet & { bytes: Uint8Array } | undefined {
    const buffer = new Uint8Array(REQUEST_SIZE + FRONT_INLINE + 1);
    assertEquals(pollFds([this.fd], COMES_MS).length, 1);
    const packet = receivePacket(this.fd, buffer);
    return packet && { ...packet, bytes: buffer.slice(0, packet.length) };
  }

  /** The next answer. */
  hear(): Answer {
    const { bytes } = this.receive()!;
    assertEquals(bytes.length, ANSWER_SIZE);
    return decodeAnswer(bytes)!;
  }

  send(bytes: Uint8Array, fds: readonly number[] = []): void {
    sendWithFds(this.fd, bytes, fds);
  }

  /** Hears the request and takes it, up to "go"; closes what came with it. */
  take(): Uint8Array {
    const { bytes, fds } = this.receive()!;
    for (const fd of fds) closeFd(fd);
    const nonce = makeNonce();
    this.send(encodeTake(nonce));
    assertEquals(this.hear(), {
      verb: VERB.go,
      result: 0,
      numbers: [...nonce],
    });
    return bytes;
  }
}

/** Makes the connections of `path` as many as its backlog takes. */
export function fillBacklog(connect: () => number): number[] {
  const fds: number[] = [];
  for (;;) {
    try {
      fds.push(connect());
    } catch {
      return fds;
    }
  }
}

/** Reads all of a descriptor from its beginning. */
export function readAll(fd: number): Uint8Array {
  syscall("lseek", fd, 0, 0);
  return Deno.readFileSync(`/proc/self/fd/${fd}`);
}
