/**
 * Emits the comparisons of a system call's arguments.
 *
 * @module
 */

import type { Condition } from "./profile.ts";
import { BPF, type Program, type Range } from "./program.ts";

/** Conditions that must all hold (at least one), and what happens then. */
export interface Clause {
  conditions: Condition[];
  action: number;
}

/** Offset in struct seccomp_data of the lower half of an argument, on a
 * little-endian machine; the upper half is 4 further. */
const argument = (index: number): number => 16 + 8 * index;

/** Whether a clause compares one argument by order alone. */
function isPlain({ conditions }: Clause): boolean {
  return conditions.length === 1 && conditions[0]!.op !== "MASKED_EQ";
}

/** Emits clauses in their order, the first that holds wins.
 *
 * @param wide the arguments have 64 bits
 * @param otherwise the action when none holds
 * @returns the label to enter at
 */
export function emitClauses(
  program: Program,
  clauses: readonly Clause[],
  wide: boolean,
  otherwise: number,
): number {
  let entry = program.ret(otherwise);
  let end = clauses.length;
  while (end > 0) {
    const last = clauses[end - 1]!;
    let start = end - 1;
    if (isPlain(last)) {
      // Neighbours that order the same argument against values with the same
      // upper half: one search instead of a comparison each.
      const { index, hi } = last.conditions[0]!;
      while (start > 0) {
        const before = clauses[start - 1]!;
        const condition = before.conditions[0]!;
        if (!isPlain(before)) break;
        if (condition.index !== index || condition.hi !== hi) break;
        start--;
      }
      entry = emitGroup(program, clauses.slice(start, end), wide, entry);
    } else {
      entry = emitClause(program, last, wide, entry);
    }
    end = start;
  }
  return entry;
}

/** The first clause's action for an argument whose order to all values is
 * known, or undefined. */
function first(
  clauses: readonly Clause[],
  holds: (condition: Condition) => boolean,
): number | undefined {
  return clauses.find(({ conditions }) => holds(conditions[0]!))?.action;
}

function compare(op: string, order: number): boolean {
  switch (op) {
    case "EQ":
      return order === 0;
    case "NE":
      return order !== 0;
    case "LT":
      return order < 0;
    case "LE":
      return order <= 0;
    case "GE":
      return order >= 0;
    default:
      return order > 0;
  }
}

function emitGroup(
  program: Program,
  clauses: readonly Clause[],
  wide: boolean,
  otherwise: number,
): number {
  const { index, hi } = clauses[0]!.conditions[0]!;
  const label = (action: number | undefined) =>
    action === undefined ? otherwise : program.ret(action);
  const starts = new Set([0]);
  for (const { conditions } of clauses) {
    const { lo } = conditions[0]!;
    starts.add(lo);
    if (lo < 0xffffffff) starts.add(lo + 1);
  }
  const ranges: Range<number | undefined>[] = [];
  for (const start of Float64Array.from(starts).sort()) {
    const target = first(clauses, (c) => compare(c.op, start - c.lo));
    if (!ranges.length || ranges.at(-1)!.target !== target) {
      ranges.push({ start, target });
    }
  }
  const low = program.load(argument(index), program.search(ranges, label));
  if (!wide) return low;
  const less = label(first(clauses, (c) => compare(c.op, -1)));
  const more = label(first(clauses, (c) => compare(c.op, 1)));
  const unequal = hi === 0 ? more : program.jump(BPF.jgt, hi, more, less);
  const high = program.jump(BPF.jeq, hi, low, unequal);
  return program.load(argument(index) + 4, high);
}

function emitClause(
  program: Program,
  { conditions, action }: Clause,
  wide: boolean,
  otherwise: number,
): number {
  let entry = program.ret(action);
  for (let i = conditions.length - 1; i >= 0; i--) {
    entry = emitCondition(program, conditions[i]!, wide, entry, otherwise);
  }
  return entry;
}

function emitCondition(
  program: Program,
  { index, op, hi, lo, maskHi, maskLo }: Condition,
  wide: boolean,
  yes: number,
  no: number,
): number {
  const at = argument(index);
  if (op === "MASKED_EQ") {
    // The kernel's constant folding and ours: an empty half always matches.
    if (maskLo !== 0) {
      const low = program.jump(BPF.jeq, lo, yes, no);
      yes = program.load(at, mask(program, maskLo, low));
    }
    if (!wide || maskHi === 0) return yes;
    const high = program.jump(BPF.jeq, hi, yes, no);
    return program.load(at + 4, mask(program, maskHi, high));
  }
  // NE, LT and LE are EQ, GE and GT with the answers changed.
  if (op === "NE" || op === "LT" || op === "LE") [yes, no] = [no, yes];
  const code = op === "EQ" || op === "NE"
    ? BPF.jeq
    : op === "GE" || op === "LT"
    ? BPF.jge
    : BPF.jgt;
  const low = program.load(at, program.jump(code, lo, yes, no));
  if (!wide) return low;
  const equal = (unequal: number) => program.jump(BPF.jeq, hi, low, unequal);
  const high = code === BPF.jeq
    ? equal(no)
    : program.jump(BPF.jgt, hi, yes, equal(no));
  return program.load(at + 4, high);
}

function mask(program: Program, value: number, label: number): number {
  return value === 0xffffffff ? label : program.and(value, label);
}
