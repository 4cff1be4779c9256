/**
 * A front whose call is being served: what it has said of itself, and what it is
 * asked to do, since it is what its caller has started.
 *
 * @module
 */

import { SyscallError } from "../../ffi/errno.ts";
import { CallerGone, CallLeft, type Outlet } from "../outlet.ts";
import { closeFd, syscall, trySyscall } from "../../ffi/libc.ts";
import { pollFds } from "../../ffi/poll.ts";
import { readPeer } from "../../ffi/listening.ts";
import { asDeno } from "../../ffi/files.ts";
import {
  askForSender,
  peekPacket,
  receivePacket,
  sendWithFds,
} from "../../ffi/packets.ts";
import {
  type Answer,
  ANSWER_SIZE,
  decodeAnswer,
  decodeRequest,
  decodeStrings,
  encodeProgram,
  encodeRecord,
  encodeTake,
  FRONT_INLINE,
  FRONT_PACKET,
  makeNonce,
  type Request,
  REQUEST_SIZE,
  type Strings,
  VERB,
} from "./protocol.ts";

/** How long a front may take for what it does at once, in milliseconds: to ask,
 * and to go. It may be stopped, and then it is cold when it goes on. */
const ASK_MS = 20;
const GO_MS = 200;
/** F_GET_SEALS: what has none is no memfd. */
const GET_SEALS = 1034;
/** Descriptors that sendWithFds takes. */
const FDS = 8;

/** The full program is to do it. */
export class GoCold extends CallLeft {
  override name = "GoCold";
}

/** What a front's first packet brings. */
export interface Asked {
  request: Request;
  strings: Strings;
  /** Its current directory, O_PATH. */
  directory: number;
}

/** How long a process that was killed may take to be gone. */
const GONE_MS = 10_000;

/** The connection to a front, which is the outside of its call. Whoever makes one
 * disposes of it. */
export class Front implements Disposable, Outlet {
  /** Its pid, while {@linkcode isThere}. */
  readonly pid: number;
  readonly uid: number;
  readonly socket: number;
  #pidfd: number;
  /** By pid: what it has started. */
  #children = new Map<number, number>();
  #descriptors: number[] = [];
  /** Hears the answer that is still to come. */
  #settle = () => {};
  #over = false;

  constructor(socket: number) {
    this.socket = socket;
    askForSender(socket);
    ({ pid: this.pid, uid: this.uid } = readPeer(socket));
    this.#pidfd = trySyscall("pidfd_open", this.pid, 0);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#descriptors) closeFd(fd);
    for (const fd of this.#children.values()) closeFd(fd);
    if (this.#pidfd >= 0) closeFd(this.#pidfd);
    closeFd(this.socket);
  }

  /** Whether the call is over: the front has ended, or become another program. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Whether the process that connected lives. */
  isThere(): boolean {
    return this.#pidfd >= 0 && pollFds([this.#pidfd], 0).length === 0;
  }

  /**
   * Hears what the front asks.
   *
   * @returns undefined when it says nothing that can be understood
   * @throws {SyscallError}
   */
  hear(): Asked | undefined {
    if (pollFds([this.socket], ASK_MS).length === 0) return undefined;
    // No more memory than it takes: there are many calls until V8 collects it.
    const length = peekPacket(this.socket);
    const buffer = new Uint8Array(
      Math.min(length, REQUEST_SIZE + FRONT_INLINE + 1),
    );
    const packet = receivePacket(this.socket, buffer);
    if (packet === undefined) return undefined;
    this.#descriptors.push(...packet.fds);
    const request = decodeRequest(buffer);
    const [directory, memory, ...more] = packet.fds;
    const apart = (request?.size ?? 0) > FRONT_INLINE;
    if (
      request === undefined || directory === undefined || more.length > 0 ||
      apart !== (memory !== undefined)
    ) return undefined;
    const bytes = memory === undefined
      ? buffer.subarray(REQUEST_SIZE)
      : readMemory(memory, request.size);
    const strings = bytes && decodeStrings(bytes, request);
    return strings && { request, strings, directory };
  }

  /** Says one of the words before the start. */
  say(word: "queued" | "cold"): void {
    this.#send(encodeRecord(VERB[word]));
  }

  /**
   * Takes the call of a front that has been looked at by its pid. "go" repeats
   * what "take" brings, so it was said after that look; its sender has the pid,
   * which is that of the pidfd's process for as long as that has not ended.
   *
   * @returns whether the process that was looked at has said "go"
   * @throws {CallerGone} when it has ended
   * @throws {SyscallError}
   */
  take(): boolean {
    const nonce = makeNonce();
    this.#send(encodeTake(nonce));
    const answer = this.#receive(GO_MS);
    return answer?.verb === VERB.go && answer.sender === this.pid &&
      answer.numbers.length === nonce.length &&
      nonce.every((it, i) => it === answer.numbers[i]) && this.isThere();
  }

  /** Its socket says nothing that is not asked for, but its end. */
  get end(): number {
    return this.socket;
  }

  /** Every call that asks is to be cold: nothing has had an effect yet. */
  needProcess(why: string): never {
    throw new GoCold(why);
  }

  /** Its standard input is its own. */
  readInput(): never {
    throw new GoCold("it reads standard input");
  }

  /** Its descriptors are its own. */
  writeTo(): never {
    throw new GoCold("it has a descriptor for the result");
  }

  /** As Deno's, which the full program prints by. */
  write(stream: 1 | 2, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += FRONT_INLINE) {
      const part = encodeRecord(
        VERB.print,
        stream,
        0,
        bytes.subarray(at, at + FRONT_INLINE),
      );
      asDeno("", () => this.#ask("write", VERB.print, part));
    }
  }

  /** As {@linkcode Outlet.lend}; all of them are close-on-exec there. */
  lend(fds: readonly number[]): number[] {
    const numbers: number[] = [];
    for (let at = 0; at < fds.length; at += FDS) {
      const some = fds.slice(at, at + FDS);
      const record = encodeRecord(VERB.lend);
      const answer = this.#ask("recvmsg", VERB.lend, record, some);
      if (answer.numbers.length !== some.length) {
        throw new CallerGone("it has not taken the descriptors");
      }
      numbers.push(...answer.numbers);
    }
    return numbers;
  }

  spawn(
    program: number,
    argv: readonly string[],
    fds: readonly number[],
  ): number {
    return this.spawnSoon(program, argv, fds)();
  }

  spawnSoon(
    program: number,
    argv: readonly string[],
    fds: readonly number[],
  ): () => number {
    const answer = this.#askSoon(
      "posix_spawn",
      VERB.spawn,
      encodeProgram(VERB.spawn, program, argv, fds),
    );
    return () => {
      const { result: pid } = answer();
      if (this.#children.has(pid)) return pid;
      // Nobody has waited for it yet, so this is it.
      const pidfd = trySyscall("pidfd_open", pid, 0);
      if (pidfd >= 0) this.#children.set(pid, pidfd);
      return pid;
    };
  }

  /** As {@linkcode Outlet.wait}; when the front has ended, until the child has. */
  wait(pid: number, hang = true): number | undefined {
    try {
      const { result, numbers } = this.#ask(
        "wait4",
        VERB.wait,
        encodeRecord(VERB.wait, pid, hang ? 0 : 1),
        [],
        -10, // ECHILD
      );
      return result === pid ? numbers[0] : undefined;
    } catch (error) {
      if (!(error instanceof CallerGone)) throw error;
      const pidfd = this.#children.get(pid);
      if (pidfd !== undefined) pollFds([pidfd], hang ? GONE_MS : 0);
      return undefined;
    }
  }

  /** As {@linkcode Outlet.become}: the call is over then. */
  become(
    program: number,
    argv: readonly string[],
    fds: readonly number[],
  ): number {
    this.#settle();
    this.#send(encodeProgram(VERB.become, program, argv, fds));
    const answer = this.#receive(-1);
    if (answer === undefined) {
      this.#over = true;
      return 0;
    }
    if (answer.verb !== VERB.become) {
      throw new CallerGone("it answers nonsense");
    }
    throw new SyscallError("execve", -answer.result);
  }

  /** Ends the call.
   *
   * @throws {CallerGone} when the front has ended before */
  exit(code: number): void {
    this.#settle();
    this.#over = true;
    this.#send(encodeRecord(VERB.exit, code));
  }

  /** Lets the front become the full program: nothing has had an effect. */
  goCold(): void {
    this.#settle();
    this.#over = true;
    this.#send(encodeRecord(VERB.cold));
  }

  #send(bytes: Uint8Array, fds: readonly number[] = []): void {
    if (bytes.length > FRONT_PACKET) {
      throw new RangeError(
        `Cannot tell a front ${bytes.length} bytes: there is room for ${FRONT_PACKET}`,
      );
    }
    try {
      sendWithFds(this.socket, bytes, fds);
    } catch (cause) {
      if (!(cause instanceof SyscallError)) throw cause;
      if (cause.code !== "EPIPE") throw cause;
      throw new CallerGone("it has ended", { cause });
    }
  }

  /** @returns undefined at the end, or when the time is over */
  #receive(milliseconds: number): Answer & { sender?: number } | undefined {
    const buffer = new Uint8Array(ANSWER_SIZE + 1);
    if (
      milliseconds >= 0 && pollFds([this.socket], milliseconds).length === 0
    ) return undefined;
    const packet = receivePacket(this.socket, buffer);
    if (packet === undefined) return undefined;
    // It has none to give.
    this.#descriptors.push(...packet.fds);
    const answer = decodeAnswer(buffer.subarray(0, packet.length));
    return answer &&
      {
        ...answer,
        ...(packet.pid === undefined ? {} : { sender: packet.pid }),
      };
  }

  #ask(
    call: string,
    verb: number,
    bytes: Uint8Array,
    fds: readonly number[] = [],
    fine = 0,
  ): Answer {
    return this.#askSoon(call, verb, bytes, fds, fine)();
  }

  /** Asks, and hears the answer when it is wanted, or before the next question. */
  #askSoon(
    call: string,
    verb: number,
    bytes: Uint8Array,
    fds: readonly number[] = [],
    fine = 0,
  ): () => Answer {
    this.#settle();
    this.#send(bytes, fds);
    let answer: Answer | undefined;
    this.#settle = () => {
      this.#settle = () => {};
      answer = this.#receive(-1);
      if (answer === undefined) throw new CallerGone("it has ended");
      if (answer.verb !== verb) throw new CallerGone("it answers nonsense");
    };
    return () => {
      if (answer === undefined) this.#settle();
      if (answer === undefined) throw new CallerGone("it has ended");
      const { result } = answer;
      if (result >= 0 || result === fine) return answer;
      throw new SyscallError(call, -result);
    };
  }
}

/** All of a memfd, wherever its offset stands.
 *
 * @returns undefined when it is no memfd, or of another size */
function readMemory(
  fd: number,
  size: number,
): Uint8Array<ArrayBuffer> | undefined {
  if (trySyscall("fcntl", fd, GET_SEALS, 0) < 0) return undefined;
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const rest = bytes.subarray(at);
    const got = syscall("pread64", fd, rest, rest.length, at);
    if (got === 0) return undefined;
    at += got;
  }
  return bytes;
}
