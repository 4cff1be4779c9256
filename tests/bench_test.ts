/**
 * The bench's words: its command line, and what it makes of figures.
 * tests/integration/bench_test.ts runs it.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { putSection, writeSection } from "../bench/docs.ts";
import { judge } from "../bench/goals.ts";
import type { Load } from "../bench/machine.ts";
import { median, type Series } from "../bench/measure.ts";
import { caseTables, makeTable, type Report } from "../bench/report.ts";
import { readOptions } from "../bench/run.ts";

const QUIET: Load = {
  before: 0.1,
  after: 1,
  others: 0.01,
  steal: 0,
  busy: false,
};

function series(
  name: string,
  metric: string,
  contender: string,
  ...values: number[]
): Series {
  const cpu = values.map(() => 1);
  return { case: name, metric, contender, unit: "ms", values, cpu };
}

/** A report of one case. */
function reportOf(name: string, all: Series[], load = QUIET): Report {
  return {
    date: "2026-01-02T03:04:05.678Z",
    quick: false,
    rounds: 3,
    machine: {
      cpu: "Z80",
      cores: 2,
      memoryMiB: 2048,
      kernel: "6.1",
      cgroups: "v2",
      versions: { runc: "1.1" },
    },
    load,
    absent: [{ what: "crun", why: "it is not installed" }],
    cases: [{ name, title: "A case", job: "A job.", load, series: all }],
  };
}

Deno.test("median() takes the middle, and the mean of two", () => {
  assertEquals(median([3, 1, 100]), 3);
  assertEquals(median([1, 2, 4, 100]), 3);
});

Deno.test("readOptions() reads flags, and has rounds of its own", () => {
  assertEquals(readOptions([]).rounds, 30);
  assertEquals(readOptions(["--quick"]).rounds, 3);
  const path = "/dev/null";
  const { rounds, cases, json, docs } = readOptions(
    ["--rounds=7", "--only", "exec,run", "--json", path],
  );
  assertEquals(cases.map((it) => it.name), ["exec", "run"]);
  assertEquals([rounds, json, docs], [7, path, false]);
});

Deno.test("readOptions() refuses what it does not know", () => {
  const refused: [string[], string][] = [
    [["--fast"], 'unknown argument "--fast"'],
    [["--rounds", "0"], "--rounds needs a number from 1 on"],
    [["--rounds"], "--rounds needs a value"],
    [["--only", "nonesuch"], 'no case "nonesuch", but life, '],
    [["--json=/run/a"], "--json: the bench has /run, "],
    [["--docs", "--quick"], "--docs wants all cases in full"],
    [["--docs", "--only=exec"], "--docs wants all cases in full"],
  ];
  for (const [args, words] of refused) {
    assertThrows(() => readOptions(args), Error, `Cannot bench: ${words}`);
  }
});

Deno.test("makeTable() aligns as deno fmt does", () => {
  assertEquals(
    makeTable([["a", "median"], ["long name", "1.0"]]),
    "| a         | median |\n| --------- | -----: |\n| long name |    1.0 |",
  );
});

Deno.test("a table compares with the peers of the same run", () => {
  const { cases } = reportOf("exec", [
    series("exec", "exec", "runc", 20, 10, 30),
    series("exec", "exec", "front", 4, 5, 6),
  ]);
  assertEquals(caseTables(cases[0]!), [
    `| exec                    | median ms | min ms | CPU ms | of runc |
| ----------------------- | --------: | -----: | -----: | ------: |
| rustyrun, front + serve |      5.00 |   4.00 |   1.00 |    0.25 |
| runc                    |      20.0 |   10.0 |   1.00 |    1.00 |`,
  ]);
});

Deno.test("a case of many metrics has them beside each other", () => {
  const { cases } = reportOf("life", [
    series("life", "create", "runc", 20, 10, 30),
    series("life", "life", "runc", 40, 30, 50),
    series("life", "create", "empty", 9),
    series("life", "kill", "runc", 6, 5, 7),
  ]);
  const [all, own] = caseTables(cases[0]!);
  assertEquals(
    all,
    `| median ms (min)     |      create |        life |        kill |
| ------------------- | ----------: | ----------: | ----------: |
| runc                | 20.0 (10.0) | 40.0 (30.0) | 6.00 (5.00) |
| deno, empty program |        9.00 |             |             |`,
  );
  assertEquals(own?.split("\n").length, 3);
});

Deno.test("judge() says which goals are reached, of what was measured", () => {
  const verdicts = (front: number) =>
    judge(reportOf("exec", [
      series("exec", "exec", "front", front),
      series("exec", "exec", "runc", 20),
      series("exec", "exec", "crun", 4),
    ])).map(({ figure, must, met }) => [figure, must, met]);
  assertEquals(verdicts(3), [
    ["0.15 x runc", "0.25 x runc", true],
    ["0.75 x crun", "0.9 x crun", true],
  ]);
  assertEquals(verdicts(6), [
    ["0.30 x runc", "0.25 x runc", false],
    ["1.50 x crun", "0.9 x crun", false],
  ]);
});

Deno.test("judge() measures cold commands from an empty program", () => {
  const all = ["start", "state", "kill", "delete"].flatMap((it, i) => [
    series("life", it, "cold", 20 + i),
    series("life", it, "empty", 18),
  ]);
  const [cold] = judge(reportOf("life", all));
  assertEquals(cold?.figure, "5.0 ms above an empty program");
  assertEquals(cold?.met, false);
});

for (
  const [name, metric] of [
    ["life", "create"],
    ["run", "run"],
    ["exec", "exec"],
  ] as const
) {
  Deno.test(`judge() compares a cold ${metric} with runc's`, () => {
    const verdict = (cold: number) =>
      judge(reportOf(name, [
        series(name, metric, "cold", cold),
        series(name, metric, "runc", 20),
      ])).map(({ figure, must, met }) => [figure, must, met]);
    assertEquals(verdict(29), [["1.45 x runc", "1.5 x runc", true]]);
    assertEquals(verdict(31), [["1.55 x runc", "1.5 x runc", false]]);
  });
}

Deno.test("docs/performance.md gets the tables between its marks", () => {
  const busy = { ...QUIET, others: 0.5, busy: true };
  const exec = [series("exec", "exec", "runc", 20)];
  const section = writeSection(reportOf("exec", exec, busy));
  const page =
    "# A\n\n<!-- deno task bench --docs writes from here -->\n\nold\n\n<!-- to here -->\n\n## B\n";
  const written = putSection(page, section);
  assertEquals(written.includes("old"), false);
  assertEquals(putSection(written, section), written);
  for (
    const words of [
      "# A\n\n<!-- deno task",
      "2026-01-02; Z80, 2 cores, 2 GiB; Linux 6.1, cgroups v2; runc 1.1. BUSY: load 0.1 before, 1.0 after; 50 % of the CPU time was of other work",
      "Left out: crun: it is not installed.",
      "### A case\n\nA job. **BUSY: ",
      "| runc |      20.0 |",
      "<!-- to here -->\n\n## B\n",
    ]
  ) assertEquals(written.includes(words), true, `${words}\n${written}`);
});

Deno.test("the page has the marks", () => {
  const page = Deno.readTextFileSync(
    new URL("../docs/performance.md", import.meta.url),
  );
  putSection(page, "");
});
