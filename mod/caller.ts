/**
 * Who called: the words, the environment and the current directory, byte for
 * byte. Deno shows U+FFFD for what is no UTF-8; only then the kernel is asked.
 *
 * @module
 */

import { currentDirectory, readTextFileSync } from "../ffi/files.ts";
import { ContainerError } from "./errors.ts";

/** A variable of the bundle's first lines: the current directory was deleted, and
 * this one is only where Deno could start. */
export const GONE = "RUSTYRUN_CWD_GONE";

/** The words after the program's name. */
export function readArguments(): readonly string[] {
  const words = Deno.args;
  if (!words.some((it) => it.includes("\ufffd"))) return words;
  const line = readTextFileSync("/proc/self/cmdline").split("\0");
  // Deno's own words come first, and the last one has its NUL, too.
  return line.slice(line.length - 1 - words.length, -1);
}

/** The caller's environment, "NAME=VALUE". Not Deno.env: where PATH has no node,
 * Deno 2.9 puts a directory of its own into it. */
export function readEnvironment(): string[] {
  return readTextFileSync("/proc/self/environ").split("\0")
    .filter((it) => it.indexOf("=") > 0 && !it.startsWith(`${GONE}=`));
}

/** A variable of the caller's environment; undefined when it is not set. */
export function readVariable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
    const found = readEnvironment().find((it) => it.startsWith(`${name}=`));
    return found?.slice(name.length + 1);
  }
}

/** The current directory; undefined when it was deleted. */
function findDirectory(): string | undefined {
  if (Deno.env.get(GONE) !== undefined) return undefined;
  try {
    return currentDirectory();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Whether the current directory was deleted. */
export function isDirectoryGone(): boolean {
  return findDirectory() === undefined;
}

/**
 * The current directory: for what needs it, so that a caller whose directory
 * was deleted can have everything else.
 *
 * @throws {ContainerError} when it was deleted
 */
export function readDirectory(): string {
  const found = findDirectory();
  if (found !== undefined) return found;
  throw new ContainerError(
    "Cannot find the current directory: it was deleted",
    {
      code: "current-directory",
      hint: "Go to another one, or give every path from the root",
    },
  );
}
