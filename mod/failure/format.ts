/**
 * What a program is that execve(2) does not take (ENOEXEC): read from the root
 * file system on the host, since the process that failed could not look any
 * more.
 *
 * @module
 */

import { readHead } from "../../ffi/rootfs.ts";
import type { Config } from "../config/config.ts";

/** e_machine of elf.h, by the names that `uname -m` has for them. */
const MACHINES: Record<number, string> = {
  3: "i386",
  8: "mips",
  20: "ppc",
  21: "ppc64",
  22: "s390x",
  40: "arm",
  43: "sparc64",
  62: "x86_64",
  183: "aarch64",
  243: "riscv64",
  258: "loongarch64",
};

/** What is wrong with a program. */
export interface Format {
  /** A clause: "it is empty". */
  what: string;
  hint: string;
}

/** What of a file's start is enough to tell what it is, in bytes. */
const HEAD_SIZE = 256;

/** Where an ELF file says its byte order and its machine; elf(5). */
const EI_DATA = 5, E_MACHINE = 18;

function readMachine(head: Uint8Array): number | undefined {
  const isElf = head.length >= E_MACHINE + 2 && head[0] === 0x7f &&
    head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
  return isElf
    ? new DataView(head.buffer).getUint16(E_MACHINE, head[EI_DATA] === 1)
    : undefined;
}

const isText = (head: Uint8Array): boolean =>
  head.every((it) => it >= 0x20 ? it !== 0x7f : it >= 9 && it <= 13);

/** Says what the first bytes of a program mean on this machine.
 *
 * @returns undefined for one that should run, or that is nothing known */
export function judgeFormat(
  head: Uint8Array,
  path: string,
): Format | undefined {
  if (head.length === 0) {
    return { what: "it is empty", hint: "Put the program there" };
  }
  const machine = readMachine(head);
  const own = Deno.build.arch;
  if (machine !== undefined) {
    const name = MACHINES[machine] ?? `the ELF machine ${machine}`;
    return name === own ? undefined : {
      what: `it is a program for ${name}, and this machine is ${own}`,
      hint:
        `Use an image for ${own}, or register an emulator with the kernel: qemu-user-static and binfmt_misc`,
    };
  }
  const isScript = head[0] === 0x23 && head[1] === 0x21;
  if (isScript || !isText(head)) return undefined;
  return {
    what: "it is text without a #! line",
    hint:
      `Let it begin with a line such as #!/bin/sh, or run it by a shell: sh ${path}`,
  };
}

/** Whether a mount of the container lies where a path is: then the host sees
 * another file there. */
function isCovered(path: string, config: Config): boolean {
  return (config.spec.mounts ?? []).some(({ destination }) =>
    path === destination || path.startsWith(`${destination}/`)
  );
}

/**
 * Finds the program among the places where it is searched, and says what is
 * wrong with it.
 *
 * @returns undefined when nothing is, as far as the host can see
 */
export function findFormat(
  config: Config,
  candidates: readonly string[],
): Format | undefined {
  const cwd = config.spec.process?.cwd ?? "/";
  for (const candidate of candidates) {
    const path = candidate.startsWith("/") ? candidate : `${cwd}/${candidate}`;
    if (isCovered(path, config)) return undefined;
    const head = readHead(config.rootfs, path, HEAD_SIZE);
    if (head === "other") return undefined;
    if (head !== undefined) return judgeFormat(head, candidate);
  }
  return undefined;
}
