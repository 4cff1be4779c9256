/**
 * What a profile says about a system call, read off it rule by rule with no
 * filter in between (tests only).
 *
 * @module
 */

import {
  type Arch,
  type NativeArch,
  type SeccompProfile,
  syscallNumber,
} from "../../mod/seccomp.ts";
import type { SeccompArg, SeccompSyscall } from "../../mod/seccomp/profile.ts";
import { FAMILIES, type Question } from "./compare.ts";

const ACTIONS: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_ALLOW: 0x7fff0000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_NOTIFY: 0x7fc00000,
};

const ENOSYS = 0x00050026;
const ARCHS = ["x86_64", "i386", "x32", "aarch64", "arm"] as const;

/** SECCOMP_RET_* of an action with its errno. */
export function actionOf(name: string, errno: number | undefined): number {
  const takes = name === "SCMP_ACT_ERRNO" || name === "SCMP_ACT_TRACE";
  return (ACTIONS[name]! | (takes ? errno ?? 1 : 0)) >>> 0;
}

const isWide = (of: Arch | undefined) => of === "x86_64" || of === "aarch64";

/** Whether arguments meet a comparison, on 32 or 64 bits. */
function meets(arg: SeccompArg, args: readonly bigint[], wide: boolean) {
  const cut = (value: number | bigint) =>
    wide ? BigInt(value) : BigInt(value) & 0xffffffffn;
  const is = cut(args[arg.index] ?? 0n);
  const value = cut(arg.value);
  switch (arg.op) {
    case "SCMP_CMP_NE":
      return is !== value;
    case "SCMP_CMP_LT":
      return is < value;
    case "SCMP_CMP_LE":
      return is <= value;
    case "SCMP_CMP_EQ":
      return is === value;
    case "SCMP_CMP_GE":
      return is >= value;
    case "SCMP_CMP_GT":
      return is > value;
    default:
      return (is & value) === (cut(arg.valueTwo ?? 0) & value);
  }
}

/** Whether a comparison says nothing: it always holds. */
function isVoid(arg: SeccompArg, of: Arch | undefined): boolean {
  const mask = BigInt(arg.value) & (isWide(of) ? ~0n : 0xffffffffn);
  return arg.op === "SCMP_CMP_MASKED_EQ" && mask === 0n;
}

/** The alternatives of a rule: conditions on one index twice are rules each. */
function alternatives(rule: SeccompSyscall, of: Arch | undefined) {
  const args = rule.args ?? [];
  const twice = new Set(args.map(({ index }) => index)).size < args.length;
  const lists = twice ? args.map((arg) => [arg]) : [[...args]];
  return lists.map((list) => list.filter((arg) => !isVoid(arg, of)));
}

/** Names in the order of their numbers: linux/net.h from 1; linux/ipc.h. */
const SOCKETCALLS =
  "socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg"
    .split(" ");
const IPC: Readonly<Record<string, number>> = {
  semop: 1,
  semget: 2,
  semctl: 3,
  semtimedop: 4,
  msgsnd: 11,
  msgrcv: 12,
  msgget: 13,
  msgctl: 14,
  shmat: 21,
  shmdt: 22,
  shmget: 23,
  shmctl: 24,
};

/** What a rule says about socketcall and ipc of i386: [number, first argument].
 * One with conditions only when it refuses more than the default action. */
function multiplexed(
  profile: SeccompProfile,
  rule: SeccompSyscall,
): [number, number][] {
  const strictness = (name: string) => actionOf(name, 0) & ~0xffff;
  if (
    alternatives(rule, "i386").every((list) => list.length) &&
    strictness(rule.action) >= strictness(profile.defaultAction)
  ) return [];
  return rule.names.flatMap((name): [number, number][] => {
    const call = SOCKETCALLS.indexOf(name) + 1;
    if (call) return [[102, call]];
    return IPC[name] ? [[117, IPC[name]]] : [];
  });
}

const indices = new WeakMap<SeccompProfile, Map<string, SeccompSyscall[]>>();

/** Rules of a profile that are about one number of one architecture. */
export function rulesOf(
  profile: SeccompProfile,
  { of, nr }: Question,
): readonly SeccompSyscall[] {
  let index = indices.get(profile);
  if (!index) {
    const made = index = new Map<string, SeccompSyscall[]>();
    const add = (key: string, rule: SeccompSyscall) => {
      const list = made.get(key);
      if (list) list.push(rule);
      else made.set(key, [rule]);
    };
    for (const rule of profile.syscalls ?? []) {
      for (const arch of ARCHS) {
        const numbers = new Set(
          rule.names.map((name) => syscallNumber(arch, name)),
        );
        for (const number of numbers) {
          if (number !== undefined) add(`${arch} ${number}`, rule);
        }
      }
      for (const [number, value] of multiplexed(profile, rule)) {
        const args = [{ index: 0, op: "SCMP_CMP_EQ", value }];
        add(`i386 ${number}`, { ...rule, args });
      }
    }
    indices.set(profile, index);
  }
  return index.get(`${of} ${nr}`) ?? [];
}

/** Says whether a number is newer than the profile. */
function newness(profile: SeccompProfile, native: NativeArch) {
  const fallback = profile.defaultAction;
  const refuses = /KILL|TRAP/.test(fallback) ||
    fallback === "SCMP_ACT_ERRNO" && profile.defaultErrnoRet !== 38;
  const newest = new Map<Arch, number>();
  for (const [arch] of FAMILIES[native]) {
    let most = -1;
    for (const { names } of profile.syscalls ?? []) {
      for (const name of names) {
        const nr = syscallNumber(arch, name) ?? -1;
        if (nr > most && !isApart(arch, nr)) most = nr;
      }
    }
    newest.set(arch, most);
  }
  return (of: Arch, nr: number): boolean => {
    const most = newest.get(of)!;
    return refuses && most >= 0 && nr > most && !isApart(of, nr);
  };
}

function isApart(arch: Arch, nr: number): boolean {
  if (arch === "arm") return nr >= 0xf0000 && nr <= 0xf07ff;
  return arch === "x32" && nr >= 0x40000200 && nr <= 0x40000223;
}

/**
 * Makes an oracle for a profile.
 *
 * @returns the verdict on a question and whether it is the ENOSYS stub's
 */
export function makeOracle(
  profile: SeccompProfile,
  native: NativeArch,
): (question: Question) => { verdict: number; stub: boolean } {
  const isNew = newness(profile, native);
  const fallback = actionOf(profile.defaultAction, profile.defaultErrnoRet);
  const listed = new Set(
    FAMILIES[native].filter(([, name], i) =>
      i === 0 || profile.architectures?.includes(name)
    ).map(([arch]) => arch),
  );
  return (question) => {
    const { nr, args } = question;
    let { of } = question;
    // All that is above bit 30 goes to x32's rules, but for -1.
    if (
      of === "x86_64" && nr >= 0x40000000 &&
      (nr !== 0xffffffff || listed.has("x32"))
    ) of = "x32";
    if (!of || !listed.has(of)) return { verdict: 0, stub: false };
    const rules = rulesOf(profile, { ...question, of }).map((rule) => ({
      action: actionOf(rule.action, rule.errnoRet),
      lists: alternatives(rule, of),
    })).filter(({ action }) => action !== fallback);
    const always = rules.find(({ lists }) => lists.some((l) => !l.length));
    if (always) return { verdict: always.action, stub: false };
    const wide = isWide(of);
    const first = rules.find(({ lists }) =>
      lists.some((list) => list.every((arg) => meets(arg, args, wide)))
    );
    if (first) return { verdict: first.action, stub: false };
    return isNew(of, nr)
      ? { verdict: ENOSYS, stub: true }
      : { verdict: fallback, stub: false };
  };
}
