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

const tables = new Map<Arch, ReadonlyMap<string, number>>();

function fill(table: Map<string, number>, text: string): void {
  let next = 0;
  for (const word of text.split(/\s+/)) {
    const first = word.charCodeAt(0);
    if (first >= 48 && first <= 57) next = Number(word);
    else table.set(word, next++);
  }
}

/** System calls of an architecture: name -> number (x32's without bit 30).
 * Parsed on first use. */
export function syscallTable(arch: Arch): ReadonlyMap<string, number> {
  const known = tables.get(arch);
  if (known) return known;
  const table = new Map<string, number>();
  switch (arch) {
    case "x86_64":
      fill(table, X86_64);
      break;
    case "i386":
      fill(table, I386);
      fill(table, SHARED_32);
      break;
    case "x32":
      fill(table, X86_64);
      fill(table, SHARED);
      for (const name of X32_ABSENT.split(/\s+/)) table.delete(name);
      fill(table, X32);
      break;
    case "aarch64":
      fill(table, AARCH64);
      break;
    case "arm":
      fill(table, ARM);
      fill(table, SHARED_32);
  }
  if (arch !== "x32") fill(table, SHARED);
  tables.set(arch, table);
  return table;
}

/** The number of a system call as the kernel shows it to a filter (x32: with
 * bit 30), or undefined where the architecture has no such call. */
export function syscallNumber(arch: Arch, name: string): number | undefined {
  const number = syscallTable(arch).get(name);
  return number === undefined || arch !== "x32" ? number : number + X32_BIT;
}

/**
 * Calls of i386 that also go through socketcall(2) or ipc(2), whose first
 * argument then says which (linux/net.h, linux/ipc.h).
 *
 * @returns the number of the multiplexer and its first argument
 */
export function multiplexed(name: string): [number, number] | undefined {
  const socket = SOCKETCALLS.indexOf(name);
  if (socket >= 0) return [102, socket + 1];
  const ipc = IPC_CALLS[name];
  return ipc === undefined ? undefined : [117, ipc];
}

const SOCKETCALLS =
  "socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg"
    .split(" ");

const IPC_CALLS: Readonly<Record<string, number>> = {
  __proto__: null as never,
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
