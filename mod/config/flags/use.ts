/**
 * Flags as they were used on a command line: what the parser hands to
 * everything that turns them into a configuration.
 *
 * @module
 */

import { ContainerError } from "../../errors.ts";

/** One use of a flag. */
export interface FlagUse {
  /** Its value; true or false for a flag without one. */
  value: string | boolean;
  /** The words as typed: "--memory 64m", "-m64m", "-it". */
  typed: string;
}

/** The uses of each flag, by long name, in the order of the command line. */
export type Flags = ReadonlyMap<string, readonly FlagUse[]>;

/** Returns the last value of a flag, undefined when it was not used. Of a flag
 * with an optional value that was not given, "" is returned. */
export function flagValue(flags: Flags, name: string): string | undefined {
  const value = flags.get(name)?.at(-1)?.value;
  return typeof value === "string" ? value : value ? "" : undefined;
}

/** Returns whether a flag is on: used, and not last as `--flag=false`. */
export function flagOn(flags: Flags, name: string): boolean {
  const last = flags.get(name)?.at(-1);
  return last !== undefined && last.value !== false;
}

/** Returns every use of a flag; none when it was not used. */
export function flagUses(
  flags: Flags,
  name: string,
): readonly { value: string; typed: string }[] {
  const uses = flags.get(name);
  if (!uses) return [];
  return uses.map((use) => ({
    value: typeof use.value === "string" ? use.value : "",
    typed: use.typed,
  }));
}

/** Returns the last use of a flag as typed: "--memory 64m"; "" for none. */
export function flagTyped(flags: Flags, name: string): string {
  return flags.get(name)?.at(-1)?.typed ?? "";
}

/** Returns the error for a flag that cannot be used as typed.
 *
 * @param code the error's code without its "invalid-" */
export function refuse(
  typed: string,
  why: string,
  code: string,
  hint: string,
): ContainerError {
  return new ContainerError(`Cannot use "${typed}": ${why}`, {
    code: `invalid-${code}`,
    hint,
  });
}

/** The caller's current directory, or what finds it: where it was deleted, only
 * what needs it is an error. */
export type Directory = string | (() => string);

/** Returns `path` as an absolute one; what is relative begins at `cwd`. The
 * kernel resolves the rest: `..` behind a symbolic link is not ours to guess. */
export function resolvePath(cwd: Directory, path: string): string {
  if (path.startsWith("/")) return path;
  const from = typeof cwd === "string" ? cwd : cwd();
  const rest = path.replace(/^(\.\/+)+/, "");
  if (rest === "" || rest === ".") return from;
  return from === "/" ? `/${rest}` : `${from}/${rest}`;
}

/** Returns an absolute path without empty parts, `.` and `..`. Only where `..`
 * undoes no link: paths of the container, where nothing can be asked of a kernel
 * yet, and those that are opened without following any. */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/**
 * Returns the flag as typed that a key of the configuration came from, or that
 * a key above it came from: "process.capabilities" for
 * "process.capabilities.bounding"; undefined when none did.
 *
 * @param origin `Config.flags`
 */
export function findOrigin(
  origin: ReadonlyMap<string, string>,
  key: string,
): string | undefined {
  for (let at = key; at !== "";) {
    const typed = origin.get(at);
    if (typed !== undefined) return typed;
    at = at.slice(0, Math.max(at.lastIndexOf("."), at.lastIndexOf("["), 0));
  }
  return undefined;
}
