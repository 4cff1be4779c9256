/**
 * Prints errors: once, as text, as one JSON object, and into --log.
 *
 * @module
 */

import type { Caller } from "../caller.ts";
import { isWritable } from "../caller/status.ts";
import { resolvePath } from "../config/flags/use.ts";
import { errnoOf } from "../../ffi/errno.ts";
import { writeTextFileSync } from "../../ffi/files.ts";
import { ContainerError, describeFileError } from "../errors.ts";
import type { Outlet } from "../outlet.ts";
import type { Warn } from "../container/model.ts";

/** From the least said to the most; "info" tells nothing that "warning" does
 * not. */
export const LOG_LEVELS = ["error", "warning", "info", "debug"] as const;

/** How much is logged. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** How this call wants to hear of errors. */
export interface Reporting {
  /** --log: a file that gets the error as well. */
  log?: string | undefined;
  logFormat: "text" | "json";
  /** --log-level: what of it is said at all. */
  logLevel: LogLevel;
  /** --json: one object on standard error instead of text. */
  json: boolean;
  /** --result-fd: a descriptor of the caller's that gets the error as well. */
  resultFd?: number;
  verbose: boolean;
  /** Where standard error is, and what the log's path begins at. */
  outlet: Outlet;
  caller: Pick<Caller, "directory" | "proc">;
}

/** Code of the error that the log cannot be written. */
const LOG = "log";

const encoder = new TextEncoder();

type WithOutlet = Pick<Reporting, "outlet">;

/**
 * Makes the file of --log: containerd reads it though nothing was logged.
 *
 * @throws {ContainerError} when it cannot be written
 */
export function openLog({ log, caller }: Reporting): void {
  if (log === undefined) return;
  try {
    writeTextFileSync(resolvePath(caller.directory, log), "", {
      append: true,
      mode: 0o644,
    });
  } catch (cause) {
    throw new ContainerError(
      `Cannot write the log "${log}": ${describeFileError(cause)}`,
      { code: LOG, hint: "Name a file that you may write: --log FILE", cause },
    );
  }
}

/** Shows bytes that are no UTF-8 as \\xff. */
function showBytes(text: string): string {
  return text.isWellFormed() ? text : text.replaceAll(
    /[\udc80-\udcff]/gu,
    (it) => `\\x${(it.charCodeAt(0) - 0xdc00).toString(16)}`,
  );
}

/** Writes a text to standard error. */
export function printStderr({ outlet }: WithOutlet, text: string): void {
  outlet.write(2, encoder.encode(showBytes(text)));
}

/** Writes a text to standard output. */
export function printStdout({ outlet }: WithOutlet, text: string): void {
  outlet.write(1, encoder.encode(showBytes(text)));
}

/** Writes JSON as runc does, without an end of line: but a terminal's prompt
 * would stand behind it. */
export function printJson(
  call: WithOutlet & { caller: Pick<Caller, "isTerminal"> },
  text: string,
): void {
  printStdout(call, call.caller.isTerminal(1) ? `${text}\n` : text);
}

/** What a disk may refuse anywhere: no fault of rustyrun's. */
const DISK: Record<string, string> = {
  ENOSPC: "The file system is full: df and df -i show which",
  EDQUOT: "The quota of this user is used up: quota shows it",
  EROFS: "The file system is mounted read-only: findmnt shows which",
  EIO: "The disk fails: the kernel's log (dmesg) may say more",
};

/** Turns whatever was thrown into an error that can be told. */
export function toContainerError(error: unknown): ContainerError {
  if (error instanceof ContainerError) return error;
  if (
    error instanceof RangeError &&
    error.message.startsWith("Cannot encode the plan")
  ) {
    return new ContainerError(error.message, {
      code: "plan-limits",
      hint: "Give fewer mounts, devices, arguments or variables",
      cause: error,
    });
  }
  const room = DISK[errnoOf(error)];
  if (room !== undefined) {
    // "No space left on device (os error 28): writefile '/path'"
    const { message } = error as Error;
    return new ContainerError(`Cannot go on: ${message}`, {
      code: "disk",
      hint: room,
      cause: error,
    });
  }
  const message = error instanceof Error
    ? `${error.name}: ${error.message}`
    : String(error);
  return new ContainerError(`Cannot go on: ${message}`, {
    code: "internal",
    hint:
      "This is a bug in rustyrun: please report it with the output of --verbose",
    cause: error,
  });
}

/** A message that a terminal takes for text and a reader for one: values of an
 * image or a configuration may hold control characters, and bytes that are no
 * UTF-8. */
export function toPlain(message: string): string {
  return showBytes(message).replaceAll(
    // deno-lint-ignore no-control-regex -- they are what is looked for
    /[\0-\x09\x0b-\x1f\x7f-\x9f]/g,
    (it) => `\\x${it.charCodeAt(0).toString(16).padStart(2, "0")}`,
  ).replaceAll("\n", "\n  ");
}

/** The text of an error: a line of cause, a line of hint. */
export function formatError(error: ContainerError): string {
  const hint = error.hint === undefined
    ? ""
    : `  hint: ${toPlain(error.hint)}\n`;
  return `rustyrun: ${toPlain(error.message)}\n${hint}`;
}

/** An error as one JSON object, on a line.
 *
 * @param exitCode what the command that it ends exits with */
export function formatJsonError(
  error: ContainerError,
  exitCode: number,
): string {
  return JSON.stringify({ ...error.toJSON(), exitCode }) + "\n";
}

/** An error in place of the result. */
export function formatResult({ code, message, hint }: ContainerError): string {
  return JSON.stringify({ error: { code, message, hint: hint ?? null } }) +
    "\n";
}

/** One line for --log, as runc and crun write it and engines parse it. */
export function formatLogLine(
  level: LogLevel,
  message: string,
  format: "text" | "json",
  time: string,
): string {
  return format === "json"
    ? JSON.stringify({ level, msg: message, time }) + "\n"
    : `time="${time}" level=${level} msg=${JSON.stringify(message)}\n`;
}

/** Adds a line to the file of --log; one that cannot be written is told of. */
function writeLog(
  reporting: Reporting,
  level: LogLevel,
  message: string,
): void {
  const { log, logFormat, caller } = reporting;
  if (log === undefined) return;
  const time = new Date().toISOString();
  try {
    writeTextFileSync(
      resolvePath(caller.directory, log),
      formatLogLine(level, message, logFormat, time),
      { append: true },
    );
  } catch (cause) {
    printStderr(
      reporting,
      `rustyrun: Cannot write the log "${log}": ${describeFileError(cause)}\n`,
    );
  }
}

/** Adds what is only for who looks for a fault: to the log of --debug, and
 * nowhere else.
 *
 * @param message is asked for where it is wanted: who called costs 0.2 ms */
export function logDebug(reporting: Reporting, message: () => string): void {
  if (reporting.logLevel !== "debug") return;
  writeLog(reporting, "debug", message());
}

/** Writes an error where the result would have gone; one that is itself about
 * the descriptor has been told of. */
function writeResult(
  { resultFd, caller, outlet }: Reporting,
  error: ContainerError,
): void {
  if (resultFd === undefined || !isWritable(caller.proc, resultFd)) return;
  outlet.writeTo(resultFd, encoder.encode(formatResult(error)));
}

/** Returns what says warnings: in the log where there is one, else on standard
 * error, where --json promised a single object and gets none.
 *
 * @param aloud on standard error in any case */
export function warnTo(
  { reporting }: { reporting: Reporting },
  aloud = false,
): Warn {
  return (message, quiet = false) => {
    if (reporting.logLevel === "error") return;
    try {
      writeLog(reporting, "warning", message);
      const heard = !quiet && (aloud || reporting.log === undefined);
      if (heard && !reporting.json) {
        printStderr(
          reporting,
          `rustyrun: warning: ${toPlain(message)}\n`,
        );
      }
    } catch {
      // Nobody reads our standard error: no reason to take back what has come
      // about, and nobody to be told.
    }
  };
}

/**
 * Prints an error.
 *
 * @param exitOf the command's own exit code for the error's
 * @returns the exit code that goes with it
 */
export function printError(
  thrown: unknown,
  reporting: Reporting,
  exitOf: (code: number) => number,
): number {
  const error = toContainerError(thrown);
  const exitCode = exitOf(error.exitCode);
  if (reporting.json) {
    printStderr(reporting, formatJsonError(error, exitCode));
  } else {
    printStderr(reporting, formatError(error));
    for (const it of error.suppressed) {
      printStderr(
        reporting,
        `  then: ${toPlain(it instanceof Error ? it.message : String(it))}\n`,
      );
    }
  }
  // A log that cannot be opened has been told of.
  const log = error.code === LOG ? { ...reporting, log: undefined } : reporting;
  for (let it: unknown = error; it instanceof Error; it = it.cause) {
    const stack = it.stack ?? it.message;
    if (reporting.verbose) printStderr(reporting, `  ${stack}\n`);
    logDebug(log, () => stack);
  }
  writeResult(reporting, error);
  writeLog(log, "error", error.message);
  return exitCode;
}

/** The exit code of a failure. Friendly mode has docker's (125, 126, 127); the
 * OCI commands have runc's: 255 from exec, else 1. */
export function exitCodeOf(
  call: { command: string; friendly: boolean },
  code: number,
): number {
  if (call.friendly) return code;
  return call.command === "exec" ? 255 : 1;
}
