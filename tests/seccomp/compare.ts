/**
 * What the comparison of our filters with libseccomp's asks about: system call
 * numbers, arguments, random profiles (tests only).
 *
 * @module
 */

import {
  type Arch,
  AUDIT_ARCH,
  type NativeArch,
  type SeccompProfile,
  syscallNumber,
} from "../../mod/seccomp.ts";
import type { SeccompArg, SeccompSyscall } from "../../mod/seccomp/profile.ts";
import type { SeccompData } from "./bpf.ts";

/** A pseudo-random sequence (mulberry32): the same for the same seed. */
export function seeded(seed: number): (below: number) => number {
  return (below) => {
    seed = seed + 0x6d2b79f5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) % below;
  };
}

/** Architecture and OCI name, of those that one kernel runs. */
export const FAMILIES: Readonly<Record<NativeArch, [Arch, string][]>> = {
  x86_64: [
    ["x86_64", "SCMP_ARCH_X86_64"],
    ["i386", "SCMP_ARCH_X86"],
    ["x32", "SCMP_ARCH_X32"],
  ],
  aarch64: [["aarch64", "SCMP_ARCH_AARCH64"], ["arm", "SCMP_ARCH_ARM"]],
};

/** What the default profile does not allow and Docker's does, with the reason. */
export const NOT_AS_DOCKER: Readonly<Record<string, string>> = {
  socketcall:
    "The family of a socket is behind a pointer there: AF_VSOCK and AF_ALG, which socket(2) refuses, passed by it. Docker has AppArmor and SELinux rules beside its profile. What else socketcall does is allowed by the rules for the calls themselves.",
};

/** The same, but for who has CAP_SYS_ADMIN. */
export const NOT_AS_DOCKER_WITHOUT_ADMIN: Readonly<Record<string, string>> = {
  splice:
    "It sleeps with the lock of the command's output, and whoever reads that waits with it. EINVAL: programs read and write instead.",
  sendfile: "The same, where it names no offset.",
  sendfile64: "The same.",
};

/** Flags of clone(2) that it allows to who has no CAP_SYS_ADMIN, and ours does not:
 * CLONE_PARENT makes a child of whoever started the command, who may not reap it. */
const CLONE_PARENT = 0x8000;
const CLONE_NAMESPACES = 0x7e020000;

const INSTEAD: readonly SeccompSyscall[] = [
  { names: ["splice"], action: "SCMP_ACT_ERRNO", errnoRet: 22 },
  ...[["EQ", "ERRNO", 22], ["NE", "ALLOW"]].map(([op, action, errnoRet]) => ({
    names: ["sendfile", "sendfile64"],
    action: `SCMP_ACT_${action}`,
    ...(errnoRet && { errnoRet: errnoRet as number }),
    args: [{ index: 2, value: 0, op: `SCMP_CMP_${op}` }],
  })),
];

/** Docker's profile with what we have in place of those. */
export function withDifferences(
  profile: SeccompProfile,
  capabilities: readonly string[],
): SeccompProfile {
  const admin = capabilities.includes("CAP_SYS_ADMIN");
  const others = admin
    ? NOT_AS_DOCKER
    : { ...NOT_AS_DOCKER, ...NOT_AS_DOCKER_WITHOUT_ADMIN };
  const syscalls = (profile.syscalls ?? []).map((rule) => ({
    ...rule,
    names: rule.names.filter((it) => !(it in others)),
    ...rule.args && {
      args: rule.args.map((it) =>
        !admin && it.value === CLONE_NAMESPACES
          ? { ...it, value: CLONE_NAMESPACES | CLONE_PARENT }
          : it
      ),
    },
  }));
  return { ...profile, syscalls: [...syscalls, ...admin ? [] : INSTEAD] };
}

/** Every number that means something, and the edges of those that do not. */
export const NUMBERS: readonly number[] = (() => {
  const numbers: number[] = [];
  for (let i = 0; i <= 600; i++) numbers.push(i, 0x40000000 + i);
  for (let i = 0; i < 16; i++) numbers.push(0xf0000 + i);
  numbers.push(
    0xeffff,
    0xf07ff,
    0xf0800,
    0x3fffffff,
    0x7fffffff,
    0x80000000,
    0x80000001,
    0xbfffffff,
    0xc0000000,
    0xfffffffe,
    0xffffffff,
  );
  return numbers;
})();

const U64 = 0xffffffffffffffffn;

/** Values at and around the edges of comparisons, both halves varied. */
function edges(args: readonly SeccompArg[], index: number): bigint[] {
  const values = new Set([0n, 1n, 0xffffffffn, 0x100000000n, U64]);
  for (const arg of args) {
    if (arg.index !== index) continue;
    for (const one of [arg.value, arg.valueTwo ?? 0]) {
      const value = BigInt(one);
      for (const near of [value - 1n, value, value + 1n, ~value]) {
        values.add(near & U64);
        values.add(near & 0xffffffffn);
        values.add(near & U64 ^ 1n << 32n);
        values.add(near & 0xffffffffn | 0x8000000000000000n);
      }
      for (let bit = 0n; bit < 64n; bit += 1n) {
        if (value >> bit & 1n) values.add(value ^ 1n << bit).add(1n << bit);
      }
    }
  }
  return [...values];
}

/** Combinations of values: all of them for one argument, `most` random ones
 * for several. */
function* combinations(
  args: readonly SeccompArg[],
  random: (below: number) => number,
  most: number,
): Generator<bigint[]> {
  const indices = [...new Set(args.map(({ index }) => index))];
  const lists = indices.map((index) => edges(args, index));
  yield [];
  if (indices.length === 1) {
    for (const value of lists[0]!) {
      const row = Array<bigint>(6).fill(0n);
      row[indices[0]!] = value;
      yield row;
    }
    return;
  }
  for (let i = 0; i < most; i++) {
    const row = Array<bigint>(6).fill(0n);
    indices.forEach((index, j) => {
      row[index] = lists[j]![random(lists[j]!.length)]!;
    });
    yield row;
  }
}

/** One question to a filter. */
export interface Question extends SeccompData {
  /** undefined: an architecture outside of the family. */
  of: Arch | undefined;
}

/** The architecture of a question, as the kernel sees it. */
function archOf(
  audit: number,
  nr: number,
  native: NativeArch,
): Arch | undefined {
  const arch = FAMILIES[native].find(([name]) => AUDIT_ARCH[name] === audit)
    ?.[0];
  return arch === "x86_64" && nr >= 0x40000000 && nr < 0x80000000
    ? "x32"
    : arch;
}

/** Every question about a profile: each number of each architecture, listed or
 * not, and for calls with conditions each class of arguments. */
export function* questions(
  profile: SeccompProfile,
  native: NativeArch,
  random: (below: number) => number,
  most = 200,
): Generator<Question> {
  const audits = new Set(Object.values(AUDIT_ARCH)).add(0x80000016);
  for (const arch of audits) {
    for (const nr of NUMBERS) {
      yield { nr, arch, args: [], of: archOf(arch, nr, native) };
    }
  }
  const byNumber = new Map<string, [Arch, number, SeccompArg[]]>();
  const add = (arch: Arch, nr: number, args: readonly SeccompArg[]) => {
    const key = `${arch} ${nr}`;
    const entry = byNumber.get(key) ?? [arch, nr, []];
    entry[2].push(...args);
    byNumber.set(key, entry);
  };
  for (const { names, args } of profile.syscalls ?? []) {
    if (!args?.length) continue;
    for (const [arch] of FAMILIES[native]) {
      for (const name of names) {
        const nr = syscallNumber(arch, name);
        if (nr !== undefined) add(arch, nr, args);
      }
    }
  }
  if (native === "x86_64") {
    for (const nr of [102, 117]) {
      for (let value = 0; value < 30; value++) {
        add("i386", nr, [{ index: 0, value, op: "SCMP_CMP_EQ" }]);
      }
    }
  }
  for (const [of, nr, list] of byNumber.values()) {
    for (const args of combinations(list, random, most)) {
      yield { nr, arch: AUDIT_ARCH[of], args, of };
    }
  }
}

const OPERATORS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
const NAMES =
  "read write open close mmap ioctl socket connect accept4 sendto recvmsg setsockopt socketpair clone personality prctl semget semop shmat msgsnd kill futex openat newfstatat fstatat64 unlinkat clock_gettime64 openat2 clone3 set_tls cacheflush arm_fadvise64_64 preadv2 execve execveat rt_sigaction waitid bpf keyctl personality pwritev2 fcntl64 no_such_call"
    .split(" ");
const ACTIONS = [
  "SCMP_ACT_KILL",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_TRACE",
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_LOG",
];
const VALUES = [
  0n,
  1n,
  2n,
  3n,
  16n,
  40n,
  0x7e020000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x100000001n,
  0xffffffff00000000n,
  U64,
];

/**
 * A random small profile.
 *
 * @param mixed calls may have several rules with conditions, and conditions on
 * one argument twice. libseccomp 2.5.4 does not always end on those; without,
 * a call has one such rule, or several that compare one argument for equality
 */
export function randomProfile(
  seed: number,
  native: NativeArch,
  mixed: boolean,
): SeccompProfile {
  const random = seeded(seed);
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const takes = (action: string) =>
    (action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE") && random(2);
  const errno = () => pick([0, 1, 2, 22, 38, 95]);
  const defaultAction = pick(ACTIONS);
  // libseccomp 2.5.4 compares the architecture with the number in a filter of
  // one call, on all but x86_64: give every architecture two.
  const syscalls: SeccompSyscall[] = ["getpid", "getppid"].map((name) => ({
    names: [name],
    action: pick(ACTIONS.filter((action) => action !== defaultAction)),
  }));
  const used = new Set<string>();
  const rule = (names: string[], args: SeccompArg[]) => {
    const action = pick(ACTIONS);
    return {
      names,
      action,
      ...(takes(action) ? { errnoRet: errno() } : {}),
      ...(args.length ? { args } : {}),
    };
  };
  for (let i = random(25); i >= 0; i--) {
    const names = Array.from({ length: 1 + random(3) }, () => pick(NAMES));
    const args: SeccompArg[] = [];
    if (random(3)) {
      for (let j = random(4); j >= 0; j--) {
        const value = pick(VALUES);
        args.push({
          index: mixed ? random(4) : j,
          op: "SCMP_CMP_" + pick(OPERATORS),
          value: random(2) && value < 2n ** 32n ? Number(value) : value,
          valueTwo: pick(VALUES),
        });
      }
    }
    if (mixed || !args.length) {
      syscalls.push(rule(names, args));
      continue;
    }
    const fresh = [...new Set(names)].filter((name) => !used.has(name));
    if (!fresh.length) continue;
    for (const name of fresh) used.add(name);
    const made = rule(fresh, args);
    syscalls.push(made);
    if (random(3) || args.length > 1) continue;
    const equal = { ...args[0]!, op: "SCMP_CMP_EQ" };
    syscalls.pop();
    for (const value of VALUES.filter(() => random(2))) {
      syscalls.push({ ...made, args: [{ ...equal, value }] });
    }
  }
  const family = FAMILIES[native].map(([, name]) => name);
  return {
    defaultAction,
    ...(takes(defaultAction) ? { defaultErrnoRet: errno() } : {}),
    architectures: family.filter((_, i) => i === 0 || random(3)),
    syscalls,
  };
}
