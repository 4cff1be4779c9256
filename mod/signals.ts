/**
 * Signals by name and number, signal(7).
 *
 * @module
 */

import { ContainerError } from "./errors.ts";

const NAMES =
  ("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM " +
    "STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO " +
    "PWR SYS").split(" ");
const RTMIN = 34;
const RTMAX = 64;

/** Name of a signal: 9 -> "SIGKILL", 36 -> "SIGRTMIN+2". */
export function signalName(signal: number): string {
  const name = NAMES[signal - 1];
  if (name !== undefined) return `SIG${name}`;
  if (signal < RTMIN || signal > RTMAX) return `signal ${signal}`;
  return signal === RTMIN ? "SIGRTMIN" : `SIGRTMIN+${signal - RTMIN}`;
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
    if (number <= RTMAX) return number;
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const at = NAMES.indexOf(
    name === "POLL" ? "IO" : name === "IOT" ? "ABRT" : name,
  );
  if (at >= 0) return at + 1;
  const real = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (real !== null) {
    const base = real[1] === "MIN" ? RTMIN : RTMAX;
    const step = Number(real[3] ?? 0) * (real[2] === "-" ? -1 : 1);
    const number = base + step;
    if (number >= RTMIN && number <= RTMAX) return number;
  }
  throw new ContainerError(`Cannot send the signal "${text}": unknown signal`, {
    code: "signal-unknown",
    hint: "Give a number, or a name as in kill -l: TERM, SIGKILL, RTMIN+3",
    exitCode: 1,
  });
}
