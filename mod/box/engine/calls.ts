/**
 * What the program asks of its engine, by name.
 *
 * @module
 */

import {
  countBox,
  deleteBox,
  endOne,
  endRun,
  examineMachine,
  explainBox,
  killRun,
  pauseBox,
  reapBox,
  resumeBox,
  thawBox,
} from "./end.ts";
import { applyBoxChanges, listBoxChanges } from "./changes.ts";
import {
  copyIntoBox,
  copyOutOfBox,
  listBoxFiles,
  openBox,
  readBoxFile,
  removeBoxFile,
  writeBoxFile,
} from "./files.ts";

import { createSpare, openSpare, startSpare } from "./spare.ts";
import { createBox, startOne, startRun } from "./start.ts";

/** The calls. Each is synchronous, and what it takes and gives is data. */
export const CALLS = {
  createBox,
  startOne,
  startRun,
  createSpare,
  openSpare,
  startSpare,
  killRun,
  endRun,
  endOne,
  countBox,
  pauseBox,
  resumeBox,
  thawBox,
  deleteBox,
  reapBox,
  openBox,
  readBoxFile,
  writeBoxFile,
  listBoxFiles,
  removeBoxFile,
  copyIntoBox,
  copyOutOfBox,
  listBoxChanges,
  applyBoxChanges,
  explainBox,
  examineMachine,
} as const;

/** A call that the engine knows. */
export type CallName = keyof typeof CALLS;
/** What it takes. */
export type CallArgs<K extends CallName> = Parameters<typeof CALLS[K]>;
/** What it gives. */
export type CallResult<K extends CallName> = ReturnType<typeof CALLS[K]>;

/** An error on its way between threads. */
export interface Failure {
  message: string;
  /** Of a ContainerError; absent for a bug. */
  code?: string;
  hint?: string | undefined;
  exitCode?: number;
  stack?: string | undefined;
  suppressed: Failure[];
}

/** The code of what the program has given up. */
export const GIVEN_UP = "given-up";

/** What the program asks: its number, what, with what, and a descriptor that can
 * be read once the program has given it up; -1: it cannot be. */
export type Message = [
  id: number,
  name: CallName,
  args: unknown[],
  abort: number,
];

/** An answer of the engine's. */
export type Answer =
  | { id: number; result: unknown }
  | { id: number; failure: Failure };
