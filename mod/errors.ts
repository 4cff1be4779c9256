/**
 * The one error that reaches users, and how it is worded.
 *
 * @module
 */

import { errnoText, SyscallError } from "../ffi/errno.ts";
import { isLink } from "../ffi/files.ts";

/** What a {@linkcode ContainerError} carries beside its message. */
export interface ContainerErrorOptions {
  /** A stable kebab-case word for scripts: "rootfs-missing". */
  code: string;
  /** What to do about it: one sentence, no full stop. */
  hint?: string | undefined;
  /** The process's exit code in friendly mode; 125 unless told (126: the
   * command cannot be executed, 127: it was not found). */
  exitCode?: number | undefined;
  /** The failure below this one. */
  cause?: unknown;
}

/** An error worded for the person who runs rustyrun: "Cannot ", what was
 * wanted, values in quotes, why. */
export class ContainerError extends Error {
  override name = "ContainerError";
  /** Stable word for scripts. */
  readonly code: string;
  /** What to do about it. */
  readonly hint: string | undefined;
  /** Exit code in friendly mode. */
  readonly exitCode: number;
  /** Failures of the clean-up that followed. */
  readonly suppressed: unknown[] = [];

  constructor(message: string, options: ContainerErrorOptions) {
    super(
      message,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = options.code;
    this.hint = options.hint;
    this.exitCode = options.exitCode ?? 125;
  }

  /** The object that `--json` prints. */
  toJSON(): Record<string, unknown> {
    return {
      error: this.message,
      code: this.code,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      exitCode: this.exitCode,
    };
  }
}

/** Notes on an error that is going to be told what failed after it. */
export function suppress(
  error: Error & Partial<Pick<ContainerError, "suppressed">>,
  failure: unknown,
): void {
  error.suppressed?.push(failure);
}

/** What is said of a link where nothing was found: the link itself is there. */
export function sayLink(path: string): string {
  return `"${path}" is a symbolic link that leads nowhere, or in a circle`;
}

/** Returns that for a path that a file error is about, where it is such a link. */
export function hintLink(
  path: string,
  error: unknown,
  look = isLink,
): string | undefined {
  const leads = error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.FilesystemLoop;
  return leads && look(path) ? sayLink(path) : undefined;
}

/** Returns why a file could not be read or written, in the words of runc, which
 * callers match: lower case, without what Deno adds. */
export function describeFileError(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file or directory";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.IsADirectory) return "is a directory";
  if (error instanceof Deno.errors.NotADirectory) return "not a directory";
  if (error instanceof SyscallError) return errnoText(error.errno);
  const text = error instanceof Error ? error.message : String(error);
  // "Is a directory (os error 21): readfile '...'"
  const words = text.split(" (os error")[0]!;
  return words.slice(0, 1).toLowerCase() + words.slice(1);
}
