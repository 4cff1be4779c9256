/**
 * What scripts/test.ts reads of a `deno test`: nothing that failed may be lost.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { envOf, type Outcome, readOutcome } from "../scripts/test.ts";

const ROWS: [string, string, Outcome | undefined][] = [
  [
    "a file that works",
    "running 1 test from ./a_test.ts\na ... ok (1ms)\n\nok | 1 passed | 0 failed (2ms)\n\n",
    { passed: 1, failed: 0, ignored: [], errors: [] },
  ],
  [
    "a file with a warm engine",
    "a ... ok (1ms)\n3 calls served, 1 not (no equal 1)\n\nok | 1 passed | 0 failed (2ms)\n\n",
    {
      passed: 1,
      failed: 0,
      ignored: [],
      errors: [],
      served: "3 calls served, 1 not (no equal 1)",
    },
  ],
  [
    "tests that are ignored",
    "a ... ok (1ms)\nb (needs root) ... ignored (0ms)\nc ... d ... ignored (0ms)\n" +
    "\nok | 1 passed | 0 failed | 2 ignored | 3 filtered out (2ms)\n\n",
    {
      passed: 1,
      failed: 0,
      ignored: ["b (needs root)", "c ... d"],
      errors: [],
    },
  ],
  [
    "failures and steps",
    "a ... FAILED (1ms)\n\nFAILED | 4 passed (2 steps) | 1 failed (1 step) (2ms)\n\n",
    { passed: 4, failed: 1, ignored: [], errors: [] },
  ],
  [
    "what failed, and why",
    "a ... FAILED (1ms)\n\n ERRORS \n\na => ./a_test.ts:1:6\nerror: Error: x\n\ny\n" +
    "" +
    "a long one\n".repeat(20) +
    "\nb ... in => ./a_test.ts:2:48\nerror: Error: z\n\n FAILURES \n\n" +
    "a => ./a_test.ts:1:6\nb ... in => ./a_test.ts:2:48\n\nFAILED | 0 passed | 2 failed (2ms)\n\n",
    {
      passed: 0,
      failed: 2,
      ignored: [],
      errors: [
        "a => ./a_test.ts:1:6\nerror: Error: x\ny" + "\na long one".repeat(13),
        "b ... in => ./a_test.ts:2:48\nerror: Error: z",
      ],
    },
  ],
  [
    "a test that prints such a line itself",
    "ok | 9 passed | 9 failed (1ms)\na ... ok (1ms)\n\nok | 1 passed | 0 failed (2ms)\n\n",
    { passed: 1, failed: 0, ignored: [], errors: [] },
  ],
  ["a file that does not load", "", undefined],
  ["a run that was cut off", "running 1 test from ./a_test.ts\n", undefined],
];

for (const [what, text, want] of ROWS) {
  Deno.test(`readOutcome() of ${what}`, () => {
    assertEquals(readOutcome(text), want);
  });
}

Deno.test("envOf() gives one front to all files that can show something of it", () => {
  const files = ["box_test.ts", "exec_test.ts", "held_test.ts"];
  let count = 0;
  const serve = () => `/front${++count}`;
  const seen = (ours?: string) =>
    files.map((it) => envOf(`tests/integration/${it}`, ours, serve));
  assertEquals(seen(), [{}, {}, {}]);
  assertEquals(seen("1"), [{}, {}, {}]);
  const warm = { RUSTYRUN_WARM: "1", RUSTYRUN_FRONT: "/front1" };
  assertEquals(seen("mixed"), [{ RUSTYRUN_WARM: "" }, warm, warm]);
});
