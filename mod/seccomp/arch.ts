/**
 * The architectures a filter can meet on one machine, and their system calls.
 *
 * @module
 */

import {
  AARCH64,
  ARM,
  ARM_ABSENT,
  ARM_PRIVATE,
  I386,
  SHARED,
  SHARED_32,
  X32,
  X32_ABSENT,
  X86_64,
} from "./numbers.ts";

/** An architecture whose system calls are known here. */
export type Arch = "x86_64" | "i386" | "x32" | "aarch64" | "arm";

/** What a machine runs natively (Facts.arch). */
export type NativeArch = "x86_64" | "aarch64";

/** AUDIT_ARCH_* of linux/audit.h: `arch` of struct seccomp_data. x32 has the
 * value of x86_64 and is told from it by bit 30 of the number. */
export const AUDIT_ARCH: Readonly<Record<Arch, number>> = {
  x86_64: 0xc000003e,
  i386: 0x40000003,
  x32: 0xc000003e,
  aarch64: 0xc00000b7,
  arm: 0x40000028,
};

/** __X32_SYSCALL_BIT of asm/unistd.h. */
export const X32_BIT = 0x40000000;

/** Architectures that one kernel can run: the native one first. */
export const FAMILY: Readonly<Record<NativeArch, readonly Arch[]>> = {
  x86_64: ["x86_64", "i386", "x32"],
  aarch64: ["aarch64", "arm"],
};

/** Names of config-linux.md#seccomp without their SCMP_ARCH_ that this project
 * has no table for. Their calls cannot happen on a machine of ours. */
const FOREIGN =
  " MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB ";

const NAMES: Readonly<Record<string, Arch>> = {
  __proto__: null as never,
  SCMP_ARCH_X86_64: "x86_64",
  SCMP_ARCH_X86: "i386",
  SCMP_ARCH_X32: "x32",
  SCMP_ARCH_AARCH64: "aarch64",
  SCMP_ARCH_ARM: "arm",
};

/**
 * Looks up an architecture of the OCI specification.
 *
 * @param name "SCMP_ARCH_X86_64"
 * @returns our name; null for one that the specification knows and no machine
 * of ours can run; undefined for an unknown one
 */
export function archName(name: string): Arch | null | undefined {
  const known = NAMES[name];
  if (known) return known;
  return name.startsWith("SCMP_ARCH_") &&
      FOREIGN.includes(` ${name.slice(10)} `)
    ? null
    : undefined;
}

/** The texts of an architecture, numbers ascending through all of them; the
 * names in `absent` are not its own, but for those of the last text. */
const TEXTS: Readonly<Record<Arch, { texts: string[]; absent?: string[] }>> = {
  x86_64: { texts: [X86_64, SHARED] },
  i386: { texts: [I386, SHARED_32, SHARED] },
  x32: { texts: [X86_64, SHARED, X32], absent: [X32_ABSENT, X32] },
  aarch64: { texts: [AARCH64, SHARED] },
  arm: { texts: [ARM, SHARED_32, SHARED, ARM_PRIVATE], absent: [ARM_ABSENT] },
};

/** Calls `visit` for each system call, numbers ascending (x32's without bit
 * 30). Plain loops and no table: a filter is compiled once, and most of that is
 * spent in the interpreter. */
export function visitSyscalls(
  arch: Arch,
  visit: (name: string, number: number) => void,
): void {
  const { texts, absent } = TEXTS[arch];
  const skip = absent && new Set(absent.join(" ").split(" "));
  for (let i = 0; i < texts.length; i++) {
    const skipping = i < texts.length - 1 ? skip : undefined;
    const words = texts[i]!.split(" ");
    let next = 0;
    for (let j = 0; j < words.length; j++) {
      const word = words[j]!;
      // No name begins with a digit: below ":" is one.
      if (word.charCodeAt(0) < 58) next = Number(word);
      else if (skipping?.has(word)) next++;
      else visit(word, next++);
    }
  }
}

const tables = new Map<Arch, Map<string, number>>();

/** The number of a system call as the kernel shows it to a filter (x32: with
 * bit 30), or undefined where the architecture has no such call. */
export function syscallNumber(arch: Arch, name: string): number | undefined {
  let table = tables.get(arch);
  if (!table) {
    const made = table = new Map<string, number>();
    const bit = arch === "x32" ? X32_BIT : 0;
    visitSyscalls(arch, (name, number) => made.set(name, number + bit));
    tables.set(arch, made);
  }
  return table.get(name);
}

/** Calls of i386 that can also be made through another (socketcall(2), ipc(2)):
 * the number of that, and what its first argument is for each (linux/net.h,
 * linux/ipc.h). */
export const I386_MULTIPLEXERS: readonly {
  number: number;
  calls: Readonly<Record<string, number>>;
}[] = [
  {
    number: 102,
    calls: {
      socket: 1,
      bind: 2,
      connect: 3,
      listen: 4,
      accept: 5,
      getsockname: 6,
      getpeername: 7,
      socketpair: 8,
      send: 9,
      recv: 10,
      sendto: 11,
      recvfrom: 12,
      shutdown: 13,
      setsockopt: 14,
      getsockopt: 15,
      sendmsg: 16,
      recvmsg: 17,
      accept4: 18,
      recvmmsg: 19,
      sendmmsg: 20,
    },
  },
  {
    number: 117,
    calls: {
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
    },
  },
];
