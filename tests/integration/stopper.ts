/**
 * A program that stops what enters its container, and how that is seen from
 * outside.
 *
 * @module
 */

import { readProcessState } from "../wait.ts";

/** Stops whatever comes into its pid namespace, as soon as it has a number; a line
 * for sh, which says "ready" first. */
export const STOPPER = `
seq 3 400 | tr '\\n' ' ' >/tmp/all
read all </tmp/all
echo ready
while :; do kill -STOP $all; done 2>/dev/null
`;

/** Those of a thread, if that has not just ended. */
function readChildren(thread: string): string {
  try {
    return Deno.readTextFileSync(`${thread}/children`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** How many children of a process are stopped before they are a command. */
export function countStopped(parent: number): number {
  const text = [...Deno.readDirSync(`/proc/${parent}/task`)].map(({ name }) =>
    readChildren(`/proc/${parent}/task/${name}`)
  ).join(" ");
  return text.trim().split(/ +/).filter(Boolean).map(Number).filter((it) =>
    readProcessState(it) === "T" &&
    Deno.readTextFileSync(`/proc/${it}/comm`).startsWith("rustyrun")
  ).length;
}
