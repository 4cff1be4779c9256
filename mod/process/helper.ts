/**
 * The helper's program as a descriptor that it is started from.
 *
 * @module
 */

import { SyscallError } from "../../ffi/errno.ts";
import { HelperError, loadHelper } from "../../ffi/helper.ts";
import { sealedMemfd } from "../../ffi/libc.ts";
import { unlinkedProgram } from "../../ffi/unlinked.ts";
import { ContainerError } from "../errors.ts";
import type { Outlet } from "../outlet.ts";

let helperFd: number | undefined;

/** Where a file without a name can be, if not in memory: Debian runs no programs
 * in /run. That others may write there does not matter to it. */
const PLACES = ["/var/tmp", "/tmp"];

/** Puts the helper into an unlinked file, for a kernel that runs nothing from
 * memory.
 *
 * @param refusal the kernel's
 * @throws {ContainerError} when no place for it runs programs */
function openUnlinked(
  room: string,
  bytes: Uint8Array<ArrayBuffer>,
  refusal: SyscallError,
): number {
  const failures: string[] = [];
  for (const dir of [room, ...PLACES]) {
    try {
      return unlinkedProgram(dir, bytes);
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      failures.push(
        error.call === "faccessat"
          ? `"${dir}" is mounted noexec`
          : `"${dir}": ${error.message}`,
      );
    }
  }
  throw new ContainerError(
    `Cannot start the helper: the kernel runs no programs from memory (vm.memfd_noexec=2), and ${
      failures.join(", ")
    }`,
    {
      code: "memfd",
      hint:
        "Keep the states where programs may run (--root DIR), or set vm.memfd_noexec to 1 or 0",
      cause: refusal,
    },
  );
}

/**
 * Reads the helper, or the front.
 *
 * @param load does it
 * @throws {ContainerError} when it cannot be had, with what to do then
 */
export function readProgram(
  load: () => Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  try {
    return load();
  } catch (cause) {
    if (!(cause instanceof HelperError)) throw cause;
    throw new ContainerError(cause.message, {
      code: cause.reason === "missing" ? "helper-missing" : "helper-writable",
      hint: cause.reason === "missing"
        ? "Build it once: deno task build"
        : "Let root or the clone's owner own it, and nobody else write it",
      cause,
    });
  }
}

/**
 * The helper as a sealed memfd or, where the kernel runs no program from one, as
 * an unlinked file; made once per process.
 *
 * @param room directory for that file: of the states
 * @throws {ContainerError} when there is no helper, or no way to run it
 */
export function openHelper(room: string): number {
  if (helperFd !== undefined) return helperFd;
  const bytes = readProgram(loadHelper);
  try {
    return helperFd = sealedMemfd("rustyrun-helper", bytes, true);
  } catch (cause) {
    if (!(cause instanceof SyscallError)) throw cause;
    if (cause.code === "EACCES") {
      return helperFd = openUnlinked(room, bytes, cause);
    }
    throw new ContainerError(
      `Cannot put the helper into memory: ${cause.message}`,
      { code: "memfd", cause },
    );
  }
}

/** Lends all that a start of the helper takes, in one go: the plan, still empty,
 * has the numbers of the others in it.
 *
 * @param room directory of the states, see {@linkcode openHelper}
 * @throws {SyscallError} */
export function lendAll(
  outlet: Outlet,
  room: string,
  memfd: number,
  inherited: Iterable<readonly [string, number]>,
): { helper: number; plan: number; slots: Map<string, number> } {
  const all = [...inherited];
  const [helper, plan, ...numbers] = outlet.lend([
    openHelper(room),
    memfd,
    ...all.map(([, fd]) => fd),
  ]);
  const slots = new Map(all.map(([name], at) => [name, numbers[at]!]));
  return { helper: helper!, plan: plan!, slots };
}
