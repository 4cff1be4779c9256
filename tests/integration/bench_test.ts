/**
 * The bench itself: it measures every runtime that is here, and leaves nothing,
 * also when it is interrupted.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { checkCharts } from "../../bench/docs.ts";
import type { Report } from "../../bench/report.ts";
import { findLeaks, ROOT, SLOW, start, takeSnapshot } from "../harness.ts";
import { findProgram, type Need, testOn } from "../needs.ts";

const NEEDS: Need[] = ["root", "helper", "busybox", "runc", "crun", "cc"];

const bench = (...words: string[]) =>
  start([Deno.execPath(), "run", "-A", `${ROOT}/bench/run.ts`, ...words]);

testOn(NEEDS, "the bench measures, and removes what it made", async () => {
  const before = takeSnapshot();
  const json = Deno.makeTempFileSync({ prefix: "rustyrun-test-bench-" });
  try {
    const words = ["--quick", "--rounds=1", "--only=life,exec,run,memory"];
    const { code, stderr } = await bench(...words, "--json", json).done;
    assertEquals([code, stderr], [0, ""]);
    const { cases }: Report = JSON.parse(Deno.readTextFileSync(json));
    for (const { name, series } of cases) {
      const seen = new Set(series.map((it) => it.contender));
      const runtimes = ["cold", "runc", "crun"];
      // One that has no turn in time is cold, and is left out.
      if (SLOW === 1) runtimes.push("front");
      if (name === "run" || name === "exec") runtimes.push("library");
      if (findProgram("bwrap") && (name === "run" || name === "memory")) {
        runtimes.push("bwrap");
      }
      if (name === "run") {
        runtimes.push("floor", "floor-bare", "empty", "pool", "pool-bare");
      }
      assertEquals(runtimes.filter((it) => !seen.has(it)), [], name);
      for (const { values } of series) {
        assertEquals(values.every((it) => it > 0), true, name);
      }
    }
    assertEquals(cases.map((it) => it.name), words[2]!.slice(7).split(","));
  } finally {
    Deno.removeSync(json);
  }
  assertEquals(await findLeaks(before, "rustyrun-bench-"), []);
});

Deno.test("the chart can be drawn", () => checkCharts());

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  testOn(NEEDS, `the bench removes what it made at ${signal}`, async () => {
    const before = takeSnapshot();
    const running = bench("--quick", "--rounds=1000000", "--only=alive");
    // By then containers are made and removed.
    await running.waitFor("Linux ");
    running.kill(signal);
    const { code, stderr } = await running.done;
    assertMatch(stderr, /^Interrupted: what ran is ended and removed$/m);
    assertEquals(code, 130);
    assertEquals(await findLeaks(before, "rustyrun-bench-"), []);
  });
}
