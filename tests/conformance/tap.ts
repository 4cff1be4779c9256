/**
 * Judges a program of the official suite by the TAP that it prints.
 *
 * @module
 */

import type { Outcome } from "./runtimes.ts";

/** What came of one program. */
export interface Verdict {
  /** pass: something was asserted and nothing failed; empty: nothing was
   * asserted; skip: the program says that it does not apply here. */
  word: "pass" | "fail" | "skip" | "empty" | "timeout";
  /** Assertions that held, failed, were skipped. */
  passed: number;
  failed: number;
  skipped: number;
  /** The failed assertions' descriptions; the last words where none failed. */
  why: string[];
  /** Containers that the program left behind. */
  left: string[];
}

/** Reads one program's outcome. Lines of a nested report count too: the suite
 * passes its payload's TAP through. */
export function judgeProgram(outcome: Outcome): Verdict {
  const verdict: Verdict = {
    word: "pass",
    passed: 0,
    failed: 0,
    skipped: 0,
    why: [],
    left: [],
  };
  for (const line of outcome.stdout.split("\n")) {
    const match = /^(not )?ok\b\s*(?:\d+)?\s*(?:-\s*)?(.*)$/.exec(line);
    if (match === null) continue;
    const text = match[2] ?? "";
    if (/#\s*(SKIP|TODO)/i.test(text)) verdict.skipped++;
    else if (match[1] === undefined) verdict.passed++;
    else {
      verdict.failed++;
      verdict.why.push(text);
    }
  }
  const last = outcome.stderr.trim().split("\n").at(-1) ?? "";
  if (outcome.timedOut) verdict.word = "timeout";
  else if (outcome.code !== 0 || verdict.failed > 0) verdict.word = "fail";
  else if (verdict.passed > 0) verdict.word = "pass";
  else if (verdict.skipped > 0) verdict.word = "skip";
  else verdict.word = "empty";
  if (verdict.word !== "pass" && verdict.why.length === 0 && last !== "") {
    verdict.why.push(last);
  }
  return verdict;
}
