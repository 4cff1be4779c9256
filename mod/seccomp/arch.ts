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
 * would have to be compiled first, on the way of every start. */
function fill(table: Map<string, number>, text: string): Map<string, number> {
  let next = 0;
  for (const line of text.split("\n")) {
    for (const word of line.split(" ")) {
      // No name begins with a digit.
      if (word < ":") next = Number(word);
      else table.set(word, next++);
    }
  }
  return table;
}

const tables = new Map<Arch, Map<string, number>>();

/** System calls of an architecture: name -> number. Parsed on first use. */
function syscallTable(arch: Exclude<Arch, "x32">): Map<string, number> {
  let table = tables.get(arch);
  if (table) return table;
  table = fill(new Map(), SHARED);
  switch (arch) {
    case "x86_64":
      fill(table, X86_64);
      break;
    case "i386":
      fill(fill(table, I386), SHARED_32);
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
  if (arch !== "x32") {
    const table = syscallTable(arch);
    return (name) => table.get(name);
  }
  const table = syscallTable("x86_64");
  let own = tables.get("x32");
  if (!own) {
    own = fill(new Map(), X32);
    // NaN: x86_64 has it, x32 has not.
    for (const name of fill(new Map(), X32_ABSENT).keys()) own.set(name, NaN);
    tables.set("x32", own);
  }
  return (name) => {
    const number = own.get(name);
    if (number === undefined) return table.get(name);
    return number === number ? number : undefined;
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

/** Calls of i386 that can also be made through a multiplexer: name -> what the
 * multiplexer's first argument is then. */
export interface Multiplexer {
  number: number;
  calls: ReadonlyMap<string, number>;
}

let multiplexers: readonly Multiplexer[] | undefined;

/** The multiplexers of i386: socketcall and ipc. */
export function i386Multiplexers(): readonly Multiplexer[] {
  return multiplexers ??= [
    { number: 102, calls: fill(new Map(), SOCKETCALL) },
    { number: 117, calls: fill(new Map(), IPC) },
  ];
}
