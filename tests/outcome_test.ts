/**
 * What scripts/test.ts reads of a `deno test`: nothing that failed may be lost.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Outcome, readOutcome } from "../scripts/test.ts";

const ROWS: [string, string, Outcome | undefined][] = [
  [
    "a file that works",
    "running 1 test from ./a_test.ts\na ... ok (1ms)\n\nok | 1 passed | 0 failed (2ms)\n\n",
    { passed: 1, failed: 0, ignored: [] },
  ],
  [
    "tests that are ignored",
    "a ... ok (1ms)\nb (needs root) ... ignored (0ms)\nc ... d ... ignored (0ms)\n" +
    "\nok | 1 passed | 0 failed | 2 ignored | 3 filtered out (2ms)\n\n",
    { passed: 1, failed: 0, ignored: ["b (needs root)", "c ... d"] },
  ],
  [
    "failures and steps",
    "a ... FAILED (1ms)\n\nFAILED | 4 passed (2 steps) | 1 failed (1 step) (2ms)\n\n",
    { passed: 4, failed: 1, ignored: [] },
  ],
  [
    "a test that prints such a line itself",
    "ok | 9 passed | 9 failed (1ms)\na ... ok (1ms)\n\nok | 1 passed | 0 failed (2ms)\n\n",
    { passed: 1, failed: 0, ignored: [] },
  ],
  ["a file that does not load", "", undefined],
  ["a run that was cut off", "running 1 test from ./a_test.ts\n", undefined],
];

for (const [what, text, want] of ROWS) {
  Deno.test(`readOutcome() of ${what}`, () => {
    assertEquals(readOutcome(text), want);
  });
}
