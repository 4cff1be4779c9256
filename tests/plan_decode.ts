/**
 * Reads the bytes of a plan, and makes operations for one.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Op, type OpName, OPS } from "../mod/plan.ts";
import { encodePlan } from "../mod/plan/encode.ts";

export type Value = bigint | string | Uint8Array | string[];

interface Decoded {
  version: number;
  size: number;
  descriptors: number[];
  records: { code: number; args: Value[]; last: number[] }[];
}

export const names = new Map<number, OpName>(
  (Object.keys(OPS) as OpName[]).map((name) => [OPS[name].code, name]),
);

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Decodes a plan by the words of mod/plan.ts; throws where they do not hold. */
export function decodePlan(bytes: Uint8Array): Decoded {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  assertEquals(decoder.decode(bytes.subarray(0, 8)), "RUSTYPLN");
  const count = view.getUint32(16, true);
  const fds = view.getUint32(20, true);
  const descriptors = Array.from(
    { length: fds },
    (_, i) => view.getInt32(24 + 4 * i, true),
  );
  let at = (24 + 4 * fds + 7) & ~7;
  const records: Decoded["records"] = [];
  const blob = () => {
    const length = view.getUint32(at, true);
    const extra = view.getUint32(at + 4, true);
    at += 8;
    const data = bytes.slice(at, at + length);
    return { data, extra, length };
  };
  const skip = (length: number) => {
    const end = (at + length + 7) & ~7;
    assertEquals(
      [...bytes.subarray(at + length, end)].some((it) => it !== 0),
      false,
      "padding is zero",
    );
    at = end;
  };
  for (let i = 0; i < count; i++) {
    const start = at;
    const code = view.getUint16(at, true);
    const bits = view.getUint16(at + 2, true);
    const last = Array.from({ length: 16 }, (_, i) => i)
      .filter((i) => bits >> i & 1);
    const size = view.getUint32(at + 4, true);
    at += 8;
    const args = OPS[names.get(code)!].args.map((arg): Value => {
      switch (arg.at(-1)) {
        case "n":
        case "f":
          at += 8;
          return view.getBigInt64(at - 8, true);
        case "s": {
          const { data, extra, length } = blob();
          assertEquals(extra, 0);
          assertEquals(bytes[at + length], 0, "a string ends with a NUL");
          skip(length + 1);
          return decoder.decode(data);
        }
        case "b": {
          const { data, extra, length } = blob();
          assertEquals(extra, 0);
          skip(length);
          return data;
        }
        default: {
          const { data, extra, length } = blob();
          skip(length);
          const list = decoder.decode(data).split("\0");
          assertEquals(list.pop(), "");
          assertEquals(list.length, extra);
          return list;
        }
      }
    });
    assertEquals(at - start, size);
    records.push({ code, args, last });
  }
  assertEquals(at, bytes.length);
  return {
    version: view.getUint32(8, true),
    size: view.getUint32(12, true),
    descriptors,
    records,
  };
}

export const WHY = "test it";

/** Arguments of an operation encoded and decoded again. */
export function roundTrip(op: Op): Value[] {
  return decodePlan(encodePlan([op])).records[0]!.args;
}

export const number = (value: number | bigint): Value[] =>
  roundTrip({ do: "umask", mask: value, why: WHY });

export const list = (candidates: string[]): Value[] =>
  roundTrip({ do: "findExec", candidates, why: WHY });
