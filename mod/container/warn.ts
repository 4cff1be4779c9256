/**
 * Warnings: what went otherwise than asked for, where the specification wants
 * no failure.
 *
 * @module
 */

import type { Warning } from "../security.ts";

/** Says a warning; a quiet one only where it is logged. */
export type Warn = (message: string, quiet?: boolean) => void;

/** Says what a process does not get. */
export function sayWarnings(warnings: readonly Warning[], warn: Warn): void {
  for (const { message, quiet } of warnings) warn(message, quiet);
}
