/**
 * Plans as bytes: every operation, value and slot, and what is no plan.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { type Op, type OpName, OPS } from "../mod/plan.ts";
import {
  encodePlan,
  PLAN_LIST,
  PLAN_MAX,
  PLAN_SLOTS,
} from "../mod/plan/encode.ts";
import {
  decodePlan,
  list,
  names,
  number,
  roundTrip,
  type Value,
  WHY,
} from "./plan_decode.ts";

Deno.test("encodePlan() of nothing is the head of 24 bytes alone", () => {
  const bytes = encodePlan([]);
  assertEquals(
    [...bytes],
    [
      ...[0x52, 0x55, 0x53, 0x54, 0x59, 0x50, 0x4c, 0x4e], // RUSTYPLN
      ...[1, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ],
  );
});

Deno.test("encodePlan() writes an operation byte by byte as c/plan.h says", () => {
  const bytes = encodePlan(
    [{ do: "setns", slot: "net", type: 0x40000000, why: WHY }],
    new Map([["net", 7]]),
  );
  assertEquals(
    [...bytes.subarray(8)],
    [
      ...[1, 0, 0, 0, 56, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], // the head's rest
      ...[7, 0, 0, 0, 0, 0, 0, 0], // slot 0 is descriptor 7; padding
      ...[21, 0, 1, 0, 24, 0, 0, 0], // code, slot 0 is closed after it, size
      ...[0, 0, 0, 0, 0, 0, 0, 0], // slot 0
      ...[0, 0, 0, 0x40, 0, 0, 0, 0],
    ],
  );
});

/** A value for every kind of argument, told apart by its place. */
function sampleOp(name: OpName): { op: Op; want: Value[] } {
  const op: Record<string, unknown> = { do: name, why: WHY };
  let slots = 0;
  const want = OPS[name].args.map((arg, at): Value => {
    const [key, kind] = arg.split(":") as [string, string];
    const [given, read]: [unknown, Value] = kind === "n"
      ? [at + 100, BigInt(at + 100)]
      : kind === "f"
      ? [`slot${at}`, BigInt(slots++)]
      : kind === "s"
      ? [`text ${at} ü`, `text ${at} ü`]
      : kind === "b"
      ? [new Uint8Array([0, at, 0xff]), new Uint8Array([0, at, 0xff])]
      : [["", `a${at}`, "é"], ["", `a${at}`, "é"]];
    op[key] = given;
    return read;
  });
  return { op: op as unknown as Op, want };
}

for (const name of Object.keys(OPS) as OpName[]) {
  Deno.test(`encodePlan() encodes ${name}`, () => {
    const { op, want } = sampleOp(name);
    const { records } = decodePlan(encodePlan([op]));
    const last = OPS[name].args.flatMap((it, at) =>
      it.endsWith(":f") ? at : []
    );
    assertEquals(records, [{ code: OPS[name].code, args: want, last }]);
  });
}

Deno.test("encodePlan() encodes every operation in one plan, in order", () => {
  const all = (Object.keys(OPS) as OpName[]).map((name) => sampleOp(name).op);
  const { records, size, version } = decodePlan(encodePlan(all));
  assertEquals(records.map((it) => names.get(it.code)), all.map((it) => it.do));
  assertEquals(version, 1);
  assertEquals(size, encodePlan(all).length);
});

Deno.test("OPS has each code once", () => {
  const codes = Object.values(OPS).map((it) => it.code);
  assertEquals(new Set(codes).size, codes.length);
});

for (
  const value of [
    0,
    1,
    -1,
    0x7fffffff,
    -0x80000000,
    0x80000000,
    0xffffffff,
    -0x80000001,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
    0n,
    -1n,
    1n << 62n,
    (1n << 63n) - 1n,
    -(1n << 63n),
  ]
) {
  Deno.test(`encodePlan() keeps the ${typeof value} ${value}`, () => {
    assertEquals(number(value), [BigInt(value)]);
  });
}

Deno.test("encodePlan() keeps the bits of an unsigned 64-bit number", () => {
  assertEquals(number((1n << 64n) - 1n), [-1n]);
  assertEquals(number((1n << 64n) - 4096n), [-4096n]);
});

Deno.test("encodePlan() writes 0 for negative zero", () => {
  assertEquals(number(-0), [0n]);
});

for (const value of [0.5, NaN, Infinity]) {
  Deno.test(`encodePlan() throws on the number ${value}`, () => {
    assertThrows(() => number(value), RangeError);
  });
}

for (
  const [what, strings] of [
    ["an empty list", []],
    ["one empty string", [""]],
    ["empty strings between others", ["", "a", "", "b", ""]],
    ["text that is not ASCII", ["grüß", "日本", "🦀"]],
    ["blanks and new lines", ["a b", "a\nb", "\t"]],
  ] as [string, string[]][]
) {
  Deno.test(`encodePlan() keeps ${what}`, () => {
    assertEquals(list(strings), [strings]);
  });
}

for (const length of [0, 1, 6, 7, 8, 9, 15, 16, 17, 4095, 4096, 70_000]) {
  Deno.test(`encodePlan() keeps strings and blobs of ${length} bytes`, () => {
    const text = "x".repeat(length);
    assertEquals(roundTrip({ do: "hostname", name: text, why: WHY }), [text]);
    const gids = new Uint8Array(length).fill(0xfe);
    assertEquals(roundTrip({ do: "setgroups", gids, why: WHY }), [gids]);
  });
}

const dup = (slot: string): Op => ({ do: "dup", slot, fd: 9, why: WHY });

const open = (into: string, at = ""): Op => ({
  do: "open",
  into,
  at,
  path: "x",
  flags: 0,
  mode: 0,
  resolve: 0,
  why: WHY,
});

Deno.test("encodePlan() gives the number of a slot that nothing uses any more to another", () => {
  const { descriptors, records } = decodePlan(
    encodePlan(
      [dup("late"), dup("b"), dup(""), dup("later"), dup("late")],
      new Map([["a", 30], ["b", 40], ["c", 3]]),
    ),
  );
  assertEquals(descriptors, [30, 40, 3]);
  assertEquals(records.map((it) => it.args[0]), [3n, 1n, -1n, 1n, 3n]);
});

Deno.test("encodePlan() has a slot closed by the last operation that uses it", () => {
  const { records } = decodePlan(encodePlan([
    open("a"),
    open("b", "a"),
    // What was in it before is closed by being replaced.
    open("b", "b"),
    dup("a"),
    dup("b"),
    open("a"),
    open("unused", "a"),
  ]));
  assertEquals(
    records.map((it) => it.last),
    [[], [], [], [0], [0], [], [0, 1]],
  );
});

Deno.test("encodePlan() has nothing closed after closeFds, when a filter may forbid it", () => {
  const { records } = decodePlan(encodePlan([
    open("fifo"),
    open("a"),
    { do: "closeFds", keep: 0, fifo: "fifo", why: WHY },
    {
      do: "seccomp",
      filter: new Uint8Array(8),
      flags: 8,
      into: "listener",
      why: WHY,
    },
    { do: "sendFd", slot: "listener", tag: 2, why: WHY },
    { do: "waitStart", fifo: "fifo", why: WHY },
  ]));
  assertEquals(records.map((it) => it.last), [[], [0], [], [], [], []]);
});

Deno.test("encodePlan() takes as many slots at once as there are, and one more never", () => {
  const names = Array.from({ length: PLAN_SLOTS }, (_, i) => `s${i}`);
  const ops = names.map((it) => open(it));
  const uses = names.map((it) => dup(it));
  const { records } = decodePlan(encodePlan([...ops, ...uses]));
  assertEquals(records.at(-1)!.args[0], BigInt(PLAN_SLOTS - 1));
  assertThrows(
    () => encodePlan([...ops, open("more"), ...uses]),
    RangeError,
    "Cannot encode the plan: it needs more than 1024 descriptors",
  );
  decodePlan(encodePlan([...ops, ...uses, open("more"), dup("more")]));
});

Deno.test("encodePlan() counts inherited descriptors among the slots", () => {
  const many = new Map(
    Array.from({ length: PLAN_SLOTS + 1 }, (_, i) => [`fd${i}`, i] as const),
  );
  assertThrows(
    () => encodePlan([], many),
    RangeError,
    "Cannot encode the plan: it needs more than 1024 descriptors",
  );
});

Deno.test("encodePlan() throws on a NUL in a string, and shows it", () => {
  assertThrows(
    () => encodePlan([{ do: "hostname", name: "a\0b", why: WHY }]),
    RangeError,
    'Cannot encode the plan: a string holds a NUL: "a\\u0000b"',
  );
});

Deno.test("encodePlan() throws on a NUL in a list, so that it stays as many strings", () => {
  assertThrows(
    () => list(["a", "b\0c"]),
    RangeError,
    'Cannot encode the plan: a string holds a NUL: "b\\u0000c"',
  );
});

Deno.test("encodePlan() keeps a NUL in a blob", () => {
  const data = new Uint8Array([0, 0, 1, 0]);
  assertEquals(roundTrip({ do: "setgroups", gids: data, why: WHY }), [data]);
});

Deno.test("encodePlan() takes as many strings as execve(2) and not one more", () => {
  const most = new Array(PLAN_LIST).fill("");
  assertEquals(list(most), [most]);
  assertThrows(
    () => list([...most, ""]),
    RangeError,
    "Cannot encode the plan: a list holds more than 699050 strings",
  );
});

Deno.test("encodePlan() takes a plan of exactly 16 MiB and not 8 bytes more", () => {
  // 24 for the head, 8 for the record, 8 for the blob's length.
  const most = new Uint8Array(PLAN_MAX - 40);
  const op = (gids: Uint8Array): Op => ({ do: "setgroups", gids, why: WHY });
  assertEquals(encodePlan([op(most)]).length, PLAN_MAX);
  assertThrows(
    () => encodePlan([op(new Uint8Array(PLAN_MAX - 39))]),
    RangeError,
    "Cannot encode the plan: it is larger than 16777216 bytes",
  );
});

Deno.test("encodePlan() throws on too many small operations", () => {
  const op: Op = { do: "umask", mask: 0, why: WHY };
  const fit = (PLAN_MAX - 24) / 16 | 0;
  assertEquals(encodePlan(new Array(fit).fill(op)).length, PLAN_MAX - 8);
  assertThrows(
    () => encodePlan(new Array(fit + 1).fill(op)),
    RangeError,
    "Cannot encode the plan: it is larger than 16777216 bytes",
  );
});

Deno.test("encodePlan() returns the same bytes for the same operations", () => {
  const all = (Object.keys(OPS) as OpName[]).map((name) => sampleOp(name).op);
  assertEquals(encodePlan(all), encodePlan(all));
});
