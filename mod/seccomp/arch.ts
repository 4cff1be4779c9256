/**
 * The architectures a filter can meet on one machine, and their system calls.
 *
 * @module
 */

import {
  AARCH64,
  ARM,
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

/** Parses a text of numbers.ts. Split by plain strings: a regular expression
 * would have to be compiled first. Plain loops here and in compile.ts: most of
 * a first run is spent in the interpreter. */
function fill(table: Map<string, number>, text: string): Map<string, number> {
  let next = 0;
  const words = text.split(" ");
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    // No name begins with a digit.
    if (word < ":") next = Number(word);
    else table.set(word, next++);
  }
  return table;
}

const tables = new Map<Arch, Map<string, number>>();

/** System calls of an architecture: name -> number. Parsed on first use. For
 * x32 only what differs from x86_64, NaN for what it has not. */
function syscallTable(arch: Arch): Map<string, number> {
  let table = tables.get(arch);
  if (table) return table;
  table = fill(new Map(), arch === "x32" ? X32 : SHARED);
  switch (arch) {
    case "x86_64":
      fill(table, X86_64);
      break;
    case "i386":
      fill(fill(table, I386), SHARED_32);
      break;
    case "x32":
      for (const name of X32_ABSENT.split(" ")) table.set(name, NaN);
      break;
    case "aarch64":
      fill(table, AARCH64);
      break;
    case "arm":
      fill(fill(table, ARM), SHARED_32);
  }
  tables.set(arch, table);
  return table;
}

/** Finds numbers of an architecture's calls (x32's without bit 30). */
export function syscallFinder(
  arch: Arch,
): (name: string) => number | undefined {
  const table = syscallTable(arch);
  if (arch !== "x32") return (name) => table.get(name);
  const rest = syscallTable("x86_64");
  return (name) => {
    const number = table.get(name);
    if (number === undefined) return rest.get(name);
    return Number.isNaN(number) ? undefined : number;
  };
}

/** The number of a system call as the kernel shows it to a filter (x32: with
 * bit 30), or undefined where the architecture has no such call. */
export function syscallNumber(arch: Arch, name: string): number | undefined {
  const number = syscallFinder(arch)(name);
  return number === undefined || arch !== "x32" ? number : number + X32_BIT;
}

/** socketcall(2)'s and ipc(2)'s first arguments (linux/net.h, linux/ipc.h). */
const SOCKETCALL =
  "1 socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg";
const IPC =
  "1 semop semget semctl semtimedop 11 msgsnd msgrcv msgget msgctl 21 shmat shmdt shmget shmctl";

let multiplexed: Map<string, [number, number]> | undefined;

/** Calls of i386 that can also be made through socketcall (102) and ipc (117):
 * name -> the number of that and the first argument that means the call. */
export function i386Multiplexed(): ReadonlyMap<string, [number, number]> {
  if (multiplexed) return multiplexed;
  multiplexed = new Map();
  for (const [name, call] of fill(new Map(), SOCKETCALL)) {
    multiplexed.set(name, [102, call]);
  }
  for (const [name, call] of fill(new Map(), IPC)) {
    multiplexed.set(name, [117, call]);
  }
  return multiplexed;
}
