/**
 * What programs that use the library share: what their containers are made of, and
 * what they look at.
 *
 * @module
 */

import {
  ContainerError,
  type Sandbox,
  type SandboxOptions,
} from "../../mod/mod.ts";

/** Its first arguments: a root file system, and a name for containers. */
export const [rootfs = "", id = ""] = Deno.args;

let count = 0;

/** What every container here is made of. */
export const base = (): SandboxOptions => ({
  rootfs,
  name: `${id}-${++count}`,
});

export const sh = (line: string) => ["sh", "-c", line];

/** What is the same on every machine. */
export function brief(
  { code, signal, stdout, stderr, limit, timedOut, truncated }: Awaited<
    ReturnType<Sandbox["output"]>
  >,
) {
  return { code, signal, stdout, stderr, limit, timedOut, truncated };
}

export async function codeOf(
  what: () => PromiseLike<unknown>,
): Promise<string> {
  try {
    await what();
    return "no error";
  } catch (error) {
    return error instanceof ContainerError ? error.code : String(error);
  }
}

/** Whether a process runs: a zombie does not, proc_pid_stat(5). */
export function isRunning(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

export async function lengthOf(
  stream: ReadableStream<Uint8Array>,
): Promise<number> {
  let size = 0;
  for await (const chunk of stream) size += chunk.length;
  return size;
}

/** Counts how often the event loop comes round while something is done: not at
 * all, where that blocks it. */
export async function turns(what: Promise<unknown>): Promise<number> {
  let done = false;
  let count = 0;
  const end = what.finally(() => done = true);
  while (!done) {
    await new Promise((resolve) => setTimeout(resolve));
    count++;
  }
  await end;
  return count;
}
