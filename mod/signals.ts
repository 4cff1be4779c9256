/**
 * Signals by name and number, signal(7).
 *
 * @module
 */

import { SIGRTMAX, SIGRTMIN } from "../ffi/constants.ts";
import { ContainerError } from "./errors.ts";

/** signal(7): names without SIG, from 1 on. Real-time signals have none. */
const NAMES = ("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE " +
  "ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF " +
  "WINCH IO PWR SYS").split(" ");

/** Name of a signal: 9 -> "SIGKILL", 36 -> "SIGRTMIN+2". */
export function signalName(signal: number): string {
  const name = NAMES[signal - 1];
  if (name !== undefined) return `SIG${name}`;
  if (signal < SIGRTMIN || signal > SIGRTMAX) return `signal ${signal}`;
  return signal === SIGRTMIN ? "SIGRTMIN" : `SIGRTMIN+${signal - SIGRTMIN}`;
}

/**
 * Reads a signal: a number (0 to 64), a name with or without SIG, RTMIN+n or
 * RTMAX-n.
 *
 * @throws {ContainerError} for any other text
 */
export function parseSignal(text: string): number {
  if (/^\d{1,3}$/.test(text)) {
    const number = Number(text);
    if (number <= SIGRTMAX) return number;
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const at = NAMES.indexOf(
    name === "POLL" ? "IO" : name === "IOT" ? "ABRT" : name,
  );
  if (at >= 0) return at + 1;
  const real = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (real !== null) {
    const base = real[1] === "MIN" ? SIGRTMIN : SIGRTMAX;
    const step = Number(real[3] ?? 0) * (real[2] === "-" ? -1 : 1);
    const number = base + step;
    if (number >= SIGRTMIN && number <= SIGRTMAX) return number;
  }
  throw new ContainerError(`Cannot send the signal "${text}": unknown signal`, {
    code: "signal-unknown",
    hint: text.startsWith("-")
      ? `Write it without the dash: ${text.slice(1) || "TERM"}`
      : "Give a number, or a name as in kill -l: TERM, SIGKILL, RTMIN+3",
    exitCode: 1,
  });
}
