/**
 * Compiles a seccomp profile to classic BPF.
 *
 * The meaning of a profile is that of libseccomp, which the engines' profiles
 * were written for (tests/ffi/seccomp_test.ts compares the two; its list of
 * differences is the whole of them):
 *
 * - A rule with the default action says nothing.
 * - Of a call's rules one without conditions beats those with, and the first
 *   of several such wins. Of those with conditions the first that holds wins.
 * - 32-bit architectures (x32 too) have 32-bit arguments: the upper halves of
 *   arguments and values are not looked at. A 64-bit process can leave rubbish
 *   there in an int 0x80, and the kernel would cut it off after the filter.
 * - An architecture that the profile does not list: SCMP_ACT_KILL_THREAD.
 * - A name that an architecture does not have is no rule there.
 *
 * Added to that, as in runc: calls newer than the profile fail with ENOSYS
 * where the default action would refuse them (see `rest`).
 *
 * @module
 */

import { ContainerError } from "../errors.ts";
import {
  type Arch,
  AUDIT_ARCH,
  I386_MULTIPLEXERS,
  type NativeArch,
  visitSyscalls,
  X32_BIT,
} from "./arch.ts";
import {
  type Condition,
  readArchitectures,
  type ReadProfile,
  readProfile,
  readSeccompUse,
  RET,
  type Rule,
  type SeccompProfile,
  type SeccompUse,
} from "./profile.ts";
import { BPF, BPF_MAXINSNS, Program, type Range } from "./program.ts";
import { type Clause, emitClauses } from "./clauses.ts";

/** A compiled profile. */
export interface CompiledSeccomp extends SeccompUse {
  /** struct sock_filter[], little-endian: what seccomp(2) takes. */
  filter: Uint8Array<ArrayBuffer>;
  /** Names that no architecture of the filter has: they are ignored. */
  unknown: string[];
}

/** Offsets in struct seccomp_data. */
const NR = 0;
const ARCH = 4;

const ENOSYS = RET.errno | 38;

/** What happens to one system call: an action, or clauses to be tried. */
type Verdict = number | string;

/** Clauses by their text, which is what makes two verdicts equal. */
type Blocks = Map<string, { clauses: Clause[]; wide: boolean }>;

/** Numbers apart from the row that new system calls are added to: arm's own
 * calls (and what the kernel keeps free behind them), x32's of 3.4. */
const APART: Readonly<Partial<Record<Arch, readonly [number, number]>>> = {
  arm: [0xf0000, 0xf0800],
  x32: [512, 548],
};

/** What holds for numbers that no rule names.
 *
 * A profile cannot have an opinion on calls that came after it, and programs
 * take EPERM for a decision, ENOSYS for an old kernel, for which they have a
 * second way (runc's stub; glibc's clone3 and openat2 are why). So what lies
 * above the highest number that the profile names, with whatever action, fails
 * with ENOSYS when the default action would refuse it. Default actions that do
 * not refuse (ALLOW, LOG, TRACE, NOTIFY) go on for new calls too. A profile
 * that names no call of an architecture has none that is "newer" there.
 * Numbers apart from the row are neither counted nor stubbed: with arm's
 * set_tls (0xf0005) counted nothing would ever be newer. */
function rest(
  arch: Arch,
  named: number,
  action: number,
): Range<Verdict>[] {
  const refuses = (action | 0) < RET.notify && action !== ENOSYS;
  if (!refuses || named < 0) return [{ start: 0, target: action }];
  const ranges: Range<Verdict>[] = [
    { start: 0, target: action },
    { start: named + 1, target: ENOSYS },
  ];
  const apart = APART[arch];
  if (apart) {
    ranges.push({ start: apart[0], target: action });
    ranges.push({ start: apart[1], target: ENOSYS });
  }
  return ranges;
}

/** Whether an action refuses more than another: seccomp(2), "actions are
 * listed in decreasing order of precedence". */
function isStricter(action: number, than: number): boolean {
  return (action & ~0xffff) < (than & ~0xffff);
}

/** Conditions as the architecture sees them, without those that always hold. */
function narrow(conditions: Condition[], wide: boolean): Condition[] {
  if (!wide) {
    conditions = conditions.map((c) => ({ ...c, hi: 0, maskHi: 0 }));
  }
  return conditions.filter((c) =>
    c.op !== "MASKED_EQ" || c.maskHi !== 0 || c.maskLo !== 0
  );
}

/** What a profile says about a name. */
interface Entry {
  /** Some architecture of the filter has the call. */
  found: boolean;
  /** In their order, without those of the default action. */
  rules: Rule[];
}

type Entries = ReadonlyMap<string, Entry>;

function index(profile: ReadProfile): Entries {
  const entries = new Map<string, Entry>();
  for (const rule of profile.rules) {
    const { names } = rule;
    const counts = rule.action !== profile.action;
    for (let i = 0; i < names.length; i++) {
      const entry = entries.get(names[i]!);
      if (!entry) {
        const rules = counts ? [rule] : [];
        entries.set(names[i]!, { found: false, rules });
      } else if (counts && entry.rules[0]?.alternatives.length !== 0) {
        entry.rules.push(rule);
      }
    }
  }
  return entries;
}

/** The verdict of a call's rules; undefined when there are none. */
function judge(
  rules: readonly Rule[],
  wide: boolean,
  blocks: Blocks,
): Verdict | undefined {
  const clauses: Clause[] = [];
  for (let i = 0; i < rules.length; i++) {
    const { action, alternatives } = rules[i]!;
    if (!alternatives.length) return action;
    for (const alternative of alternatives) {
      const conditions = narrow(alternative, wide);
      if (!conditions.length) return action;
      clauses.push({ conditions, action });
    }
  }
  if (!clauses.length) return undefined;
  const key = blockKey(clauses, wide);
  if (!blocks.has(key)) blocks.set(key, { clauses, wide });
  return key;
}

/** The rules of i386's multiplexers: their own, and those of the calls that can
 * go through them. A call's arguments are behind a pointer there: its rule that
 * allows on conditions is none, one that refuses refuses whatever they are. */
function multiplex(
  own: readonly Rule[],
  calls: Readonly<Record<string, number>>,
  profile: ReadProfile,
  entries: Entries,
): Rule[] {
  const rules = [...own];
  for (const name in calls) {
    const entry = entries.get(name);
    if (!entry) continue;
    entry.found = true;
    const lo = calls[name]!;
    const equal = { index: 0, op: "EQ", hi: 0, lo, maskHi: 0, maskLo: 0 };
    for (const rule of entry.rules) {
      const { action, alternatives } = rule;
      const useful = isStricter(action, profile.action) ||
        !alternatives.length ||
        alternatives.some((list) => !narrow(list, false).length);
      if (useful) rules.push({ ...rule, alternatives: [[equal]] });
    }
  }
  return rules.sort((a, b) => a.order - b.order);
}

/** The verdicts of one architecture's numbers, sorted, without gaps. */
function decide(
  arch: Arch,
  profile: ReadProfile,
  entries: Entries,
  blocks: Blocks,
): Range<Verdict>[] {
  const wide = arch === "x86_64" || arch === "aarch64";
  const apart = APART[arch]?.[0] ?? Infinity;
  const numbers: number[] = [];
  const verdicts: Verdict[] = [];
  let named = -1;
  visitSyscalls(arch, (name, number) => {
    const entry = entries.get(name);
    let rules = entry?.rules;
    if (arch === "i386" && (number === 102 || number === 117)) {
      const { calls } = I386_MULTIPLEXERS.find((m) => m.number === number)!;
      rules = multiplex(rules ?? [], calls, profile, entries);
    }
    if (entry) {
      entry.found = true;
      if (number < apart) named = number;
    }
    if (!rules?.length) return;
    const verdict = judge(rules, wide, blocks);
    if (verdict === undefined) return;
    numbers.push(number);
    verdicts.push(verdict);
  });
  return overlay(rest(arch, named, profile.action), numbers, verdicts);
}

function blockKey(list: Clause[], wide: boolean): string {
  let key = wide ? "w" : "n";
  for (const { conditions, action } of list) {
    for (const c of conditions) {
      key += `${c.index}${c.op},${c.hi},${c.lo},${c.maskHi},${c.maskLo}&`;
    }
    key += `${action};`;
  }
  return key;
}

/** Lays single numbers, ascending, over ranges. */
function overlay(
  ranges: readonly Range<Verdict>[],
  numbers: readonly number[],
  verdicts: readonly Verdict[],
): Range<Verdict>[] {
  const out: Range<Verdict>[] = [];
  let last: Verdict | undefined;
  const push = (start: number, target: Verdict) => {
    if (target !== last) out.push({ start, target });
    last = target;
  };
  let at = 0;
  // The first number that has not been spoken of.
  let next = 0;
  const fillUp = (end: number) => {
    while (next < end) {
      while (at + 1 < ranges.length && ranges[at + 1]!.start <= next) at++;
      push(next, ranges[at]!.target);
      next = Math.min(ranges[at + 1]?.start ?? end, end);
    }
  };
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i]!;
    if (next < number) fillUp(number);
    push(number, verdicts[i]!);
    next = number + 1;
  }
  fillUp(2 ** 32);
  return out;
}

/** x86_64 and x32 share AUDIT_ARCH_X86_64; x32 is what begins at bit 30. -1 is
 * no x32 call: a tracer writes it to skip a call, and the filter sees it. */
function joinX32(
  x64: Range<Verdict>[],
  x32: Range<Verdict>[] | undefined,
): Range<Verdict>[] {
  const above = x32?.map(({ start, target }) => ({
    start: start + X32_BIT,
    target,
  })) ?? [
    { start: X32_BIT, target: RET.killThread },
    { start: 0xffffffff, target: x64.at(-1)!.target },
  ];
  return [...x64, ...above].filter((range, i, all) =>
    i === 0 || range.target !== all[i - 1]!.target
  );
}

/**
 * Compiles `linux.seccomp` for a machine.
 *
 * @returns the filter (seccomp(2)), the flags to install it with, whether it
 * has a listener, and the names it ignored
 * @throws {ContainerError} `seccomp-invalid` names the JSON path of what is
 * unknown or cannot be applied; `seccomp-too-large`: more than the 4096
 * instructions that Linux takes
 */
export function compileSeccomp(
  profile: SeccompProfile,
  { arch }: { arch: NativeArch },
): CompiledSeccomp {
  const use = readSeccompUse(profile);
  const archs = readArchitectures(profile, arch);
  const read = readProfile(profile);
  const blocks: Blocks = new Map();
  const entries = index(read);
  const sections = new Map<number, Range<Verdict>[]>();
  for (const name of archs) {
    const ranges = decide(name, read, entries, blocks);
    const known = sections.get(AUDIT_ARCH[name]);
    if (!known) sections.set(AUDIT_ARCH[name], ranges);
    else sections.set(AUDIT_ARCH[name], joinX32(known, ranges));
  }
  if (arch === "x86_64" && !archs.includes("x32")) {
    const audit = AUDIT_ARCH.x86_64;
    sections.set(audit, joinX32(sections.get(audit)!, undefined));
  }

  const program = new Program();
  const labels = new Map<string, number>();
  const label = (verdict: Verdict): number => {
    if (typeof verdict === "number") return program.ret(verdict);
    const known = labels.get(verdict);
    if (known !== undefined) return known;
    const { clauses, wide } = blocks.get(verdict)!;
    const made = emitClauses(program, clauses, wide, read.action);
    labels.set(verdict, made);
    return made;
  };
  // From the end: the native architecture comes first in the program.
  let entry = program.ret(RET.killThread);
  for (const [audit, ranges] of [...sections].reverse()) {
    const search = program.load(NR, program.search(ranges, label));
    entry = program.jump(BPF.jeq, audit, search, entry);
  }
  const filter = program.encode(program.load(ARCH, entry));
  if (filter.length > BPF_MAXINSNS * 8) {
    throw new ContainerError(
      `Cannot apply linux.seccomp: its filter has ${
        filter.length / 8
      } instructions, and Linux takes ${BPF_MAXINSNS}`,
      {
        code: "seccomp-too-large",
        hint: "Use fewer rules with args, or list fewer architectures",
      },
    );
  }
  const unknown: string[] = [];
  entries.forEach(({ found }, name) => {
    if (!found) unknown.push(name);
  });
  return { ...use, filter, unknown };
}
