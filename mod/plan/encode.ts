/**
 * The bytes of a plan (c/plan.h is its twin, compared by tests/layout_test.ts).
 *
 * Byte format, little-endian, every item padded to 8 bytes:
 *
 *   header   "RUSTYPLN" u32 version, u32 size, u32 operations, u32 descriptors
 *   i32[n]   inherited file descriptors: slot i starts as descriptors[i]
 *   record   u16 code, u16 last, u32 size (with this head), then its arguments;
 *            bit i of `last`: argument i is a slot that nothing uses after this
 *            operation, so that it is closed then:
 *     n        i64 (a number)
 *     f        i64 (a slot, -1 for none)
 *     s        u32 length, u32 0, bytes, NUL (a string; no NUL inside)
 *     b        u32 length, u32 0, bytes (a blob)
 *     l        u32 length, u32 count, "a\0b\0" (strings, each NUL-terminated)
 *
 * @module
 */

import { toBytes } from "../../ffi/bytes.ts";
import { type Op, type OpName, OPS } from "../plan.ts";

/** "RUSTYPLN" */
export const PLAN_MAGIC = 0x4e4c505954535552n;
export const PLAN_VERSION = 1;
/** Largest plan the child stage takes, in bytes. c/plan.h: PLAN_MAX. */
export const PLAN_MAX = 16 << 20;
/** Number of descriptor slots. c/plan.h: PLAN_SLOTS. */
export const PLAN_SLOTS = 1024;
/** Most strings in one list: execve(2) takes 6 MiB of strings and of pointers to
 * them. c/plan.h: PLAN_LIST. */
export const PLAN_LIST = 699050;

function refuseNul(s: string): void {
  if (!s.includes("\0")) return;
  throw new RangeError(
    `Cannot encode the plan: a string holds a NUL: ${JSON.stringify(s)}`,
  );
}

/** Slots that an operation fills; the other slots among its arguments it uses. */
const FILLS: ReadonlySet<string> = new Set(["into", "master", "peer"]);

/** The arguments of an operation: their names and kinds. */
interface Shape {
  code: number;
  names: readonly string[];
  kinds: readonly string[];
  /** Which of them are slots. */
  slots: readonly number[];
}

/** Those that were asked for: a plan has a few of them. */
const shapes: { [name in OpName]?: Shape } = {};

function shapeOf(name: OpName): Shape {
  return shapes[name] ??= readShape(name);
}

function readShape(name: OpName): Shape {
  const { code, args } = OPS[name];
  const kinds = args.map((it) => it.slice(-1));
  return {
    code,
    names: args.map((it) => it.slice(0, -2)),
    kinds,
    slots: kinds.flatMap((it, at) => it === "f" ? [at] : []),
  };
}

/**
 * Returns for each operation which of its arguments are slots that nothing uses
 * after it, as bits: what is open longer than that may be found open by
 * whoever sees the process (CVE-2024-21626). After `closeFds` a filter may forbid
 * close(2), and what is still open is closed by execve(2).
 */
function findLastUses(ops: readonly Op[]): Uint16Array {
  const bits = new Uint16Array(ops.length);
  const used = new Set<string>();
  const end = ops.findLastIndex((it) => it.do === "closeFds");
  for (let i = ops.length - 1; i >= 0; i--) {
    const op = ops[i]! as unknown as Record<string, string>;
    const { names, slots } = shapeOf(ops[i]!.do);
    if (slots.length === 0) continue;
    let fills: string[] | undefined;
    let uses: string[] | undefined;
    for (const at of slots) {
      const arg = names[at]!;
      const name = op[arg]!;
      if (name === "") continue;
      if (!used.has(name) && (end < 0 || i <= end)) bits[i]! |= 1 << at;
      (FILLS.has(arg) ? fills ??= [] : uses ??= []).push(name);
    }
    // What it held before is closed where it is filled again.
    for (const name of fills ?? []) used.delete(name);
    for (const name of uses ?? []) used.add(name);
  }
  return bits;
}

/**
 * Encodes operations for the child stage.
 *
 * @param ops the operations, in order
 * @param inherited slot name -> descriptor number that the helper inherits
 * @returns the bytes of the plan
 * @throws {RangeError} when the plan needs more slots or bytes than the child
 * stage takes, or a string holds a NUL
 */
export function encodePlan(
  ops: readonly Op[],
  inherited: ReadonlyMap<string, number> = new Map(),
): Uint8Array<ArrayBuffer> {
  const slots = new Map<string, number>();
  const free: number[] = [];
  const slot = (name: string): number => {
    if (name === "") return -1;
    let n = slots.get(name);
    if (n === undefined) {
      n = free.pop() ?? slots.size;
      if (n >= PLAN_SLOTS) {
        throw new RangeError(
          `Cannot encode the plan: it needs more than ${PLAN_SLOTS} descriptors`,
        );
      }
      slots.set(name, n);
    }
    return n;
  };
  for (const name of inherited.keys()) slot(name);
  let bytes = new Uint8Array(16384);
  let view = new DataView(bytes.buffer);
  let at = 24;
  const room = (n: number) => {
    if (at + n + 16 <= bytes.length) return;
    if (at + n > PLAN_MAX) {
      throw new RangeError(
        `Cannot encode the plan: it is larger than ${PLAN_MAX} bytes`,
      );
    }
    const more = new Uint8Array(Math.max(bytes.length * 2, at + n + 16));
    more.set(bytes);
    bytes = more;
    view = new DataView(bytes.buffer);
  };
  for (const fd of inherited.values()) {
    room(4);
    view.setInt32(at, fd, true);
    at += 4;
  }
  at = (at + 7) & ~7;
  // Two halves: a BigInt per number would cost more than all the rest.
  const number = (value: number | bigint) => {
    room(8);
    if (typeof value === "number" && value === (value | 0)) {
      view.setInt32(at, value, true);
      view.setInt32(at + 4, value >> 31, true);
    } else view.setBigInt64(at, BigInt(value), true);
    at += 8;
  };
  const blob = (data: Uint8Array, count: number, nul: boolean) => {
    const padded = (data.length + (nul ? 8 : 7)) & ~7;
    room(8 + padded);
    view.setUint32(at, data.length, true);
    view.setUint32(at + 4, count, true);
    bytes.set(data, at + 8);
    at += 8 + padded;
  };
  const last = findLastUses(ops);
  for (const [index, op] of ops.entries()) {
    const { code, names, kinds } = shapeOf(op.do);
    const start = at;
    room(8);
    at += 8;
    for (let i = 0; i < names.length; i++) {
      // deno-lint-ignore no-explicit-any -- the table above types the fields
      const value = (op as any)[names[i]!];
      switch (kinds[i]) {
        case "n":
          number(value);
          break;
        case "f":
          number(slot(value));
          break;
        case "s":
          refuseNul(value);
          blob(toBytes(value), 0, true);
          break;
        case "b":
          blob(value, 0, false);
          break;
        case "l": {
          const list = value as readonly string[];
          if (list.length > PLAN_LIST) {
            throw new RangeError(
              `Cannot encode the plan: a list holds more than ${PLAN_LIST} strings`,
            );
          }
          for (const s of list) refuseNul(s);
          const all = list.length ? list.join("\0") + "\0" : "";
          blob(toBytes(all), list.length, false);
          break;
        }
      }
    }
    view.setUint16(start, code, true);
    view.setUint16(start + 2, last[index]!, true);
    for (let i = 0; last[index]! >> i !== 0; i++) {
      if ((last[index]! >> i & 1) === 0) continue;
      // deno-lint-ignore no-explicit-any -- the table above types the fields
      const name = (op as any)[names[i]!];
      const n = slots.get(name);
      if (n !== undefined) free.push(n);
      slots.delete(name);
    }
    view.setUint32(start + 4, at - start, true);
  }
  view.setBigUint64(0, PLAN_MAGIC, true);
  view.setUint32(8, PLAN_VERSION, true);
  view.setUint32(12, at, true);
  view.setUint32(16, ops.length, true);
  view.setUint32(20, inherited.size, true);
  if (at > PLAN_MAX) {
    throw new RangeError(
      `Cannot encode the plan: it is larger than ${PLAN_MAX} bytes`,
    );
  }
  return bytes.subarray(0, at);
}
