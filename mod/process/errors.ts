/**
 * How a plan that runs can fail, for `mod/failure.ts` to word.
 *
 * @module
 */

import { SyscallError } from "../../ffi/errno.ts";
import { ContainerError } from "../errors.ts";
import type { Op } from "../plan.ts";
import type { Report } from "../plan/report.ts";

/** An operation of the plan that failed in the child stage. */
export class OperationError extends Error {
  override name = "OperationError";
  /** What was wanted. */
  readonly op: Op;
  readonly errno: number;
  /** Exit status of a hook; else 0. */
  readonly detail: number;
  /** The path that failed, or the kernel's own words. */
  readonly text: string;
  /** Failures of the clean-up that followed. */
  readonly suppressed: unknown[] = [];

  constructor(op: Op, report: Report) {
    super(`${op.do}: ${report.text}`);
    this.op = op;
    this.errno = report.errno;
    this.detail = report.detail;
    this.text = report.text;
  }
}

/** The helper ended without a word. */
export class HelperDied extends Error {
  override name = "HelperDied";
  /** The signal that killed it, 0 when it exited. */
  readonly signal: number;
  /** Failures of the clean-up that followed. */
  readonly suppressed: unknown[] = [];
  constructor(signal: number) {
    super(`the helper died of signal ${signal}`);
    this.signal = signal;
  }
}

/** The error for words that the child stage cannot have said: whoever may trace the
 * first process speaks for it. */
export function forged(what: string): ContainerError {
  return new ContainerError(
    `Cannot trust what the container's process says: ${what}`,
    {
      code: "report-forged",
      hint: "Something in the container traces what enters it (CAP_SYS_PTRACE)",
    },
  );
}

/** ETOOMANYREFS: the kernel counts by user what was sent in sockets and not yet
 * received (SCM_RIGHTS), a container's of the same user too. */
export const IN_FLIGHT =
  "Processes of this user have too many descriptors on their way in sockets: end the container that sends them, or raise the limit of open files (ulimit -n)";

/** The error for a helper that does not start; one that has words is itself. */
export function wordStart(cause: unknown): unknown {
  if (!(cause instanceof SyscallError)) return cause;
  return new ContainerError(`Cannot start the helper: ${cause.message}`, {
    code: "helper-start",
    hint: cause.code === "EACCES" || cause.code === "EPERM"
      ? "A security module forbids programs in memory"
      : cause.code === "ETOOMANYREFS"
      ? IN_FLIGHT
      : undefined,
    cause,
  });
}
