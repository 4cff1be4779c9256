/**
 * What the end of a process comes to in the library. result_same_test.ts compares
 * it with `run --result-fd`.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type End, judge } from "../mod/box/verdict.ts";

/** wait4(2)'s status: of an exit, and of a signal. */
const exited = (code: number) => code << 8;
const KILLED = 9, XCPU = 24;

const CASES: [
  what: string,
  end: Partial<End>,
  code: number,
  signal: string | null,
  limit: string | null,
  timedOut: boolean,
][] = [
  ["an end", { status: exited(0) }, 0, null, null, false],
  ["a signal", { status: KILLED }, 137, "SIGKILL", null, false],
  [
    "time",
    { status: KILLED, reason: "time" },
    124,
    "SIGKILL",
    "time",
    true,
  ],
  [
    "an end as its time was over",
    { status: exited(3), reason: "time" },
    3,
    null,
    null,
    false,
  ],
  [
    "memory, then time",
    { status: KILLED, reason: "time", oomKilled: true },
    124,
    "SIGKILL",
    "memory",
    true,
  ],
  [
    "too much output of one that ends well",
    { status: exited(0), reason: "output" },
    137,
    null,
    "output",
    false,
  ],
  [
    "memory, then too much output",
    { status: KILLED, reason: "output", oomKilled: true },
    137,
    "SIGKILL",
    "output",
    false,
  ],
  [
    "memory in one that ends well",
    { status: exited(0), oomKilled: true, forkRefused: true },
    0,
    null,
    null,
    false,
  ],
  [
    "memory and pids",
    { status: exited(1), oomKilled: true, forkRefused: true },
    1,
    null,
    "memory",
    false,
  ],
  ["pids", { status: exited(1), forkRefused: true }, 1, null, "pids", false],
  ["SIGXCPU", { status: XCPU }, 152, "SIGXCPU", "cpu", false],
  ["SIGXCPU below an init", { status: exited(152) }, 152, null, "cpu", false],
  [
    "its hard limit of CPU time",
    { status: KILLED, cpuLimit: 1000, usedMs: 900 },
    137,
    "SIGKILL",
    "cpu",
    false,
  ],
  [
    "another's SIGKILL",
    { status: KILLED, cpuLimit: 1000, usedMs: 10 },
    137,
    "SIGKILL",
    null,
    false,
  ],
  [
    "an abort",
    { status: KILLED, reason: "abort" },
    137,
    "SIGKILL",
    null,
    false,
  ],
];

for (const [what, end, code, signal, limit, timedOut] of CASES) {
  Deno.test(`judge() of ${what}: ${code}, ${limit}`, () => {
    assertEquals(
      judge({
        status: 0,
        reason: undefined,
        oomKilled: false,
        forkRefused: false,
        cpuLimit: null,
        usedMs: 0,
        ...end,
      }),
      { code, signal, success: code === 0, limit, timedOut },
    );
  });
}
