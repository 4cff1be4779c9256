/**
 * Pipes for what the command writes, where --max-output counts it: the keeper
 * copies them on (c/output.c). Without the flag there is nothing in between.
 *
 * @module
 */

import { chmodSync } from "../../../ffi/files.ts";
import { closeFd } from "../../../ffi/libc.ts";
import { makePipe } from "../../../ffi/pipe.ts";

/** The two pipes. */
export interface OutputPipes extends Disposable {
  /** What the keeper reads, by slot. */
  ours: ReadonlyMap<"stdout" | "stderr", number>;
  /** What becomes standard output and error of the command, by number. */
  theirs: ReadonlyMap<number, number>;
}

/** Makes them; disposal closes this process's descriptors.
 *
 * @throws {SyscallError} */
export function makeOutputPipes(): OutputPipes {
  const pipes = [makePipe("read"), makePipe("read")] as const;
  // Whoever the command runs as may open its /dev/stdout and /dev/stderr; which
  // descriptors somebody sees in /proc is another question, ptrace(2).
  for (const [, theirs] of pipes) chmodSync(`/proc/self/fd/${theirs}`, 0o622);
  const [[out, out1], [err, err1]] = pipes;
  return {
    ours: new Map([["stdout", out], ["stderr", err]]),
    theirs: new Map([[1, out1], [2, err1]]),
    [Symbol.dispose]() {
      for (const fd of pipes.flat()) closeFd(fd);
    },
  };
}
