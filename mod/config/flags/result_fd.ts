/**
 * --result-fd: the caller's descriptor that gets how a container ended, or why it
 * did not start. Apart from the other bounds, for who tells errors.
 *
 * @module
 */

import { type Flags, flagValue, refuse } from "./use.ts";
import { parseInteger } from "./numbers.ts";

/** Returns the descriptor of --result-fd; undefined without one, and for what is
 * none. */
export function readResultFd(flags: Flags): number | undefined {
  const text = flagValue(flags, "result-fd");
  return text === undefined ? undefined : parseInteger(text, 3, 0x7fffffff);
}

/**
 * Checks the descriptor for the result.
 *
 * @param passedOn how many from 3 on the container gets
 * @param isOpen whether the caller has handed a descriptor on, open for writing
 * @throws {ContainerError} when the result cannot go there
 */
export function checkResultFd(
  resultFd: number | undefined,
  passedOn: number,
  isOpen: (fd: number) => boolean,
): void {
  if (resultFd === undefined) return;
  if (resultFd < 3 + passedOn) {
    throw refuse(
      `--result-fd ${resultFd}`,
      `the container itself gets descriptor ${resultFd}`,
      "result-fd",
      `Take one from ${3 + passedOn} on`,
    );
  }
  if (isOpen(resultFd)) return;
  throw refuse(
    `--result-fd ${resultFd}`,
    "it is not open for writing",
    "result-fd",
    `Open it for writing in the caller, and let it be inherited: ${resultFd}>FILE in a shell`,
  );
}
