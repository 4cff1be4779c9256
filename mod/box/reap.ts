/**
 * Reaps what has ended, and never blocks this thread for it: a tracer in the
 * sandbox has a process of it to itself until it looks, and need not look;
 * ptrace(2).
 *
 * @module
 */

import { trySyscall } from "../../ffi/libc.ts";

const SIGKILL = 9;
const WNOHANG = 1;
const EINTR = -4;
/** How often it is looked at before nobody waits any more. */
const LOOKS = 20;
const LOOK_MS = 50;

/** @returns the wait status; "held" by a tracer; undefined: no child of ours */
function look(
  pid: number,
  usage?: BigInt64Array,
): number | "held" | undefined {
  const status = new Int32Array(1);
  const bytes = new Uint8Array(status.buffer);
  const used = usage === undefined ? null : new Uint8Array(usage.buffer);
  const got = trySyscall("wait4", pid, bytes, WNOHANG, used);
  if (got === 0 || got === EINTR) return "held";
  return got === pid ? status[0]! : undefined;
}

/** A program is not kept alive for it. */
function pause(): Promise<void> {
  return new Promise((done) => Deno.unrefTimer(setTimeout(done, LOOK_MS)));
}

/** Until it is reaped, its pid namespace does not end. */
async function reapLater(pid: number): Promise<void> {
  while (look(pid) === "held") await pause();
}

/**
 * Reaps a child whose pidfd has told of its end.
 *
 * @param usage takes what it has used, a struct rusage of RUSAGE numbers; untouched
 * where that is not known
 * @returns its wait status; that of a SIGKILL where it is not known: a tracer
 * keeps it, or somebody else has reaped it
 */
export async function reapEnded(
  pid: number,
  usage?: BigInt64Array,
): Promise<number> {
  for (let looks = 0; looks < LOOKS; looks++) {
    const status = look(pid, usage);
    if (status !== "held") return status ?? SIGKILL;
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
  void reapLater(pid);
  return SIGKILL;
}
