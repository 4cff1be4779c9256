/**
 * The packets between front and engine: what is read of them, and what is refused.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import {
  ANSWER_SIZE,
  decodeAnswer,
  decodeRequest,
  decodeStrings,
  encodeFront,
  encodeProgram,
  encodeRecord,
  FRONT_FDS,
  FRONT_INLINE,
  FRONT_MAGIC,
  FRONT_MARK,
  FRONT_PROGRAM,
  FRONT_SOCKET,
  FRONT_STRINGS,
  FRONT_VERSION,
  PLACE_HEAD,
  REQUEST_SIZE,
  VERB,
} from "../../mod/serve/protocol.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** A request with these strings. */
function makeRequest(
  text: string,
  change: (view: DataView) => void = () => {},
): Uint8Array {
  const strings = encode(text);
  const bytes = new Uint8Array(REQUEST_SIZE + strings.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, FRONT_MAGIC, true);
  view.setUint32(8, FRONT_VERSION, true);
  view.setUint32(12, strings.length, true);
  view.setUint32(16, 1, true);
  view.setUint32(20, 2, true);
  view.setUint32(24, 1, true);
  view.setUint32(28, 0o27, true);
  view.setUint32(32, 1, true);
  view.setUint32(36, 2, true);
  view.setBigUint64(64, 50_000n, true);
  view.setBigUint64(72, 1024n, true);
  view.setBigUint64(80, 4096n, true);
  bytes.set(strings, REQUEST_SIZE);
  change(view);
  return bytes;
}

Deno.test("decodeRequest() reads what a front says of itself", () => {
  const bytes = makeRequest("p\0a\0b\0N=1\0");
  const request = decodeRequest(bytes)!;
  assertEquals(request, {
    size: 10,
    counts: { program: 1, words: 2, variables: 1 },
    umask: 0o27,
    streams: ["terminal", "null", "other"],
    inherited: {
      timerSlack: 50_000,
      noHugePages: false,
      personality: 0,
      memoryPolicy: 0,
      securebits: 0,
    },
    files: { soft: 1024n, hard: 4096n },
  });
  assertEquals(decodeStrings(bytes.subarray(REQUEST_SIZE), request), {
    program: ["p"],
    words: ["a", "b"],
    variables: ["N=1"],
  });
});

for (
  const [what, change] of [
    ["another magic", (v: DataView) => v.setUint8(0, 0)],
    [
      "another version",
      (v: DataView) => v.setUint32(8, FRONT_VERSION - 1, true),
    ],
    ["more strings than there are", (v: DataView) => v.setUint32(12, 11, true)],
    ["fewer", (v: DataView) => v.setUint32(12, 9, true)],
    [
      "too many for a memfd",
      (v: DataView) => v.setUint32(12, FRONT_STRINGS + 1, true),
    ],
    [
      "strings in a packet and in a memfd",
      (v: DataView) => v.setUint32(12, FRONT_INLINE + 1, true),
    ],
    ["a stream of no kind", (v: DataView) => v.setUint32(32, 7, true)],
  ] as const
) {
  Deno.test(`decodeRequest() refuses ${what}`, () => {
    assertEquals(
      decodeRequest(makeRequest("p\0a\0b\0N=1\0", change)),
      undefined,
    );
  });
}

Deno.test("decodeRequest() refuses every other length", () => {
  const bytes = makeRequest("p\0a\0b\0N=1\0");
  for (let length = 0; length < bytes.length; length++) {
    assertEquals(
      decodeRequest(bytes.subarray(0, length)),
      undefined,
      `${length}`,
    );
  }
  assertEquals(decodeRequest(new Uint8Array([...bytes, 0])), undefined);
});

for (const text of ["p\0a\0b\0N=1\0x\0", "p\0a\0b\0", "p\0a\0b\0N=1", ""]) {
  Deno.test(`decodeStrings() refuses ${JSON.stringify(text)}`, () => {
    const bytes = makeRequest(text);
    const request = decodeRequest(bytes)!;
    assertEquals(
      decodeStrings(bytes.subarray(REQUEST_SIZE), request),
      undefined,
    );
  });
}

Deno.test("decodeAnswer() refuses another length, and more numbers than it has", () => {
  const bytes = new Uint8Array(ANSWER_SIZE);
  assertEquals(decodeAnswer(bytes), { verb: 0, result: 0, numbers: [] });
  new DataView(bytes.buffer).setUint32(8, FRONT_FDS + 1, true);
  assertEquals(decodeAnswer(bytes), undefined);
  for (const length of [0, ANSWER_SIZE - 1, ANSWER_SIZE + 1]) {
    assertEquals(decodeAnswer(new Uint8Array(length)), undefined);
  }
});

Deno.test("encodeProgram() gives the path, and refuses what a front has no room for", () => {
  assertEquals(
    encodeProgram(VERB.spawn, 5, ["name", "word"], [7]),
    encodeRecord(
      VERB.spawn,
      2,
      3,
      new Uint8Array([
        5,
        0,
        0,
        0,
        7,
        0,
        0,
        0,
        ...encode("/proc/self/fd/5\0name\0word\0"),
      ]),
    ),
  );
  const many = Array.from({ length: FRONT_FDS }, (_, i) => i);
  assertThrows(() => encodeProgram(VERB.spawn, 5, ["name"], many), RangeError);
});

Deno.test("encodeFront() writes the program and the socket behind the mark", () => {
  const plain = encode(
    `..rusty${FRONT_MARK}${"x".repeat(FRONT_SOCKET + FRONT_PROGRAM + 12)}end`,
  );
  const bytes = encodeFront(plain, { program: ["a", "b"], socket: "/s" });
  const at = 7;
  const view = new DataView(bytes.buffer, at);
  assertEquals(bytes.length, plain.length);
  assertEquals([view.getUint32(16, true), view.getUint32(20, true)], [2, 4]);
  const text = new TextDecoder().decode(bytes.subarray(at + PLACE_HEAD));
  assertEquals(
    text,
    "/s" + "\0".repeat(FRONT_SOCKET - 2) + "a\0b" +
      "\0".repeat(FRONT_PROGRAM - 3) + "end",
  );
});

Deno.test("encodeFront() refuses what has no room, and what is no front", () => {
  const plain = encode(
    FRONT_MARK + "x".repeat(FRONT_SOCKET + FRONT_PROGRAM + 12),
  );
  const long = "x".repeat(FRONT_PROGRAM);
  assertThrows(
    () => encodeFront(plain, { program: [long] }),
    RangeError,
    "room for 4096",
  );
  assertThrows(
    () =>
      encodeFront(plain, { program: ["a"], socket: "s".repeat(FRONT_SOCKET) }),
    RangeError,
    "room for 107",
  );
  assertThrows(
    () => encodeFront(encode("nothing"), { program: ["a"] }),
    RangeError,
    "no front",
  );
});
