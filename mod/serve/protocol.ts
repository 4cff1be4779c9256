/**
 * The packets between a front and the warm engine, and their limits: the twin of
 * c/front.h, which describes them (tests/layout_test.ts compares).
 *
 * @module
 */

import { fromBytes, toBytes } from "../../ffi/bytes.ts";

/** "RTYFRONT" */
export const FRONT_MAGIC = 0x544e4f5246595452n;
export const FRONT_VERSION = 3;
/** Bytes of a packet; of strings that go inside it; of strings at all. */
export const FRONT_PACKET = 33 << 10;
export const FRONT_INLINE = 32 << 10;
export const FRONT_STRINGS = 8 << 20;
/** Descriptors in one packet, and words of a program that is started. */
export const FRONT_FDS = 16;
export const FRONT_WORDS = 8;
/** Numbers of a nonce, which "take" brings and "go" repeats. */
export const FRONT_NONCE = 4;
/** Milliseconds until the engine's first word, and until it takes a call that it
 * has queued. */
export const FRONT_FIRST_MS = 5;
export const FRONT_QUEUED_MS = 2000;
/** What marks the place in the front's bytes that tells it of the others. */
export const FRONT_MARK = "rustyrun's front";
/** Room for the words of the full program, and for the socket's path. */
export const FRONT_PROGRAM = 4096;
export const FRONT_SOCKET = 108;

/** What a packet asks or answers. */
export const VERB = {
  queued: 1,
  take: 2,
  cold: 3,
  go: 4,
  print: 5,
  lend: 6,
  spawn: 7,
  wait: 8,
  become: 9,
  exit: 10,
} as const;

/** What standard streams may be, by the number that says it. */
export const STREAM_KINDS = [
  "other",
  "terminal",
  "null",
  "zero",
  "full",
  "random",
  "urandom",
] as const;

export const REQUEST_SIZE = 88;
export const RECORD_SIZE = 16;
export const TAKE_SIZE = RECORD_SIZE + 4 * FRONT_NONCE;
export const ANSWER_SIZE = 76;
/** Before the words of the full program, and before the socket's path. */
export const PLACE_HEAD = 28;

/** What a front says of itself, beside the strings. */
export interface Request {
  /** Bytes of all strings. */
  size: number;
  /** How many strings of each kind there are. */
  counts: { program: number; words: number; variables: number };
  umask: number;
  /** Of 0 to 2. */
  streams: readonly (typeof STREAM_KINDS[number])[];
  inherited: {
    timerSlack: number;
    noHugePages: boolean;
    personality: number;
    memoryPolicy: number;
    securebits: number;
  };
  /** RLIMIT_NOFILE. */
  files: { soft: bigint; hard: bigint };
}

/**
 * Reads the first packet of a front.
 *
 * @returns undefined when it is none, or of another version
 */
export function decodeRequest(bytes: Uint8Array): Request | undefined {
  if (bytes.length < REQUEST_SIZE) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const u32 = (at: number) => view.getUint32(at, true);
  const kinds = [32, 36, 40].map((at) => STREAM_KINDS[u32(at)]);
  const size = u32(12);
  const inside = bytes.length - REQUEST_SIZE;
  if (
    view.getBigUint64(0, true) !== FRONT_MAGIC || u32(8) !== FRONT_VERSION ||
    size > FRONT_STRINGS || inside !== (size > FRONT_INLINE ? 0 : size) ||
    !kinds.every((it) => it !== undefined)
  ) return undefined;
  return {
    size,
    counts: { program: u32(16), words: u32(20), variables: u32(24) },
    umask: u32(28) & 0o777,
    streams: kinds,
    inherited: {
      personality: u32(44),
      memoryPolicy: u32(48),
      securebits: u32(52),
      noHugePages: u32(56) !== 0,
      timerSlack: Number(view.getBigUint64(64, true)),
    },
    files: {
      soft: view.getBigUint64(72, true),
      hard: view.getBigUint64(80, true),
    },
  };
}

/** The strings of a front. */
export interface Strings {
  /** The command line of the full program. */
  program: readonly string[];
  /** The words after the program's name. */
  words: readonly string[];
  variables: readonly string[];
}

/**
 * Reads the strings of a front.
 *
 * @returns undefined when they are not as many as it has said
 */
export function decodeStrings(
  bytes: Uint8Array,
  { size, counts: { program, words, variables } }: Request,
): Strings | undefined {
  if (bytes.length !== size) return undefined;
  const all = fromBytes(bytes).split("\0");
  // The last one has its NUL, too.
  if (all.pop() !== "" || all.length !== program + words + variables) {
    return undefined;
  }
  return {
    program: all.slice(0, program),
    words: all.slice(program, program + words),
    variables: all.slice(program + words),
  };
}

/** A record: a verb with two numbers and bytes. */
export function encodeRecord(
  verb: number,
  a = 0,
  b = 0,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(RECORD_SIZE + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, verb, true);
  view.setUint32(4, data.length, true);
  view.setInt32(8, a, true);
  view.setInt32(12, b, true);
  bytes.set(data, RECORD_SIZE);
  return bytes;
}

/** A nonce of "take": nobody knows it who has not heard that. */
export function makeNonce(): Int32Array<ArrayBuffer> {
  return crypto.getRandomValues(new Int32Array(FRONT_NONCE));
}

/** "take", with its nonce. */
export function encodeTake(
  nonce: Int32Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  return encodeRecord(VERB.take, 0, 0, new Uint8Array(nonce.buffer));
}

/**
 * A program for `spawn` and `become`.
 *
 * @param program number of its file in the front
 * @param argv its arguments, from the 0th on
 * @param fds numbers of the front's descriptors that go along
 * @throws {RangeError} when a front has no room for it
 */
export function encodeProgram(
  verb: number,
  program: number,
  argv: readonly string[],
  fds: readonly number[],
): Uint8Array<ArrayBuffer> {
  const all = new Int32Array([program, ...fds]);
  const words = [`/proc/self/fd/${program}`, ...argv];
  if (all.length > FRONT_FDS || words.length > FRONT_WORDS) {
    throw new RangeError(
      `Cannot have a front start a program: ${all.length} descriptors, ${words.length} words`,
    );
  }
  const numbers = new Uint8Array(all.buffer);
  const text = toBytes(words.map((it) => `${it}\0`).join(""));
  const data = new Uint8Array(numbers.length + text.length);
  data.set(numbers);
  data.set(text, numbers.length);
  return encodeRecord(verb, all.length, words.length, data);
}

/** What a front answers. */
export interface Answer {
  verb: number;
  /** -errno for a failure. */
  result: number;
  numbers: readonly number[];
}

/**
 * Reads an answer.
 *
 * @returns undefined when it is none
 */
export function decodeAnswer(bytes: Uint8Array): Answer | undefined {
  if (bytes.length !== ANSWER_SIZE) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = view.getUint32(8, true);
  if (count > FRONT_FDS) return undefined;
  return {
    verb: view.getUint32(0, true),
    result: view.getInt32(4, true),
    numbers: Array.from(
      { length: count },
      (_, i) => view.getInt32(12 + 4 * i, true),
    ),
  };
}

/** Where a front finds what it asks, and what it becomes. */
export interface FrontPlace {
  /** The command line of the full program; a path that begins with no "/" begins
   * at the directory above the front's own. */
  program: readonly string[];
  /** The engine's socket; undefined: where it listens unless told. */
  socket?: string;
  /** Milliseconds that the engine's first word may take: for tests. */
  patience?: number;
}

/**
 * The bytes of a front that knows its full program.
 *
 * @param plain the bytes of one, in which there is a place with a mark
 * @throws {RangeError} when the words or the path have no room, or there is no
 * such place
 */
export function encodeFront(
  plain: Uint8Array,
  { program, socket = "", patience = FRONT_FIRST_MS }: FrontPlace,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(plain);
  const at = findMark(bytes);
  const words = toBytes(program.map((it) => `${it}\0`).join(""));
  const path = toBytes(`${socket}\0`);
  if (words.length > FRONT_PROGRAM || path.length > FRONT_SOCKET) {
    throw new RangeError(
      words.length > FRONT_PROGRAM
        ? `the command line of the full program has ${words.length} bytes, and there is room for ${FRONT_PROGRAM}`
        : `the socket's path has ${
          path.length - 1
        } bytes, and there is room for ${FRONT_SOCKET - 1}`,
    );
  }
  const view = new DataView(bytes.buffer);
  view.setUint32(at + 16, program.length, true);
  view.setUint32(at + 20, words.length, true);
  view.setUint32(at + 24, patience, true);
  bytes.fill(
    0,
    at + PLACE_HEAD,
    at + PLACE_HEAD + FRONT_SOCKET + FRONT_PROGRAM,
  );
  bytes.set(path, at + PLACE_HEAD);
  bytes.set(words, at + PLACE_HEAD + FRONT_SOCKET);
  return bytes;
}

function findMark(bytes: Uint8Array): number {
  const mark = toBytes(FRONT_MARK);
  for (let at = bytes.indexOf(mark[0]!); at >= 0;) {
    if (mark.every((it, i) => bytes[at + i] === it)) return at;
    at = bytes.indexOf(mark[0]!, at + 1);
  }
  throw new RangeError("this is no front");
}
