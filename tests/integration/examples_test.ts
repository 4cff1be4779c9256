/**
 * The examples, as people start them.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { makeBox, ROOT, runToEnd, start } from "../harness.ts";
import { testOn } from "../needs.ts";

const example = (name: string, ...words: string[]) => [
  ...[Deno.execPath(), "run", "-A", "--no-check", "-q"],
  ...[`--config=${ROOT}/deno.json`, `${ROOT}/examples/${name}`, ...words],
];

testOn(
  ["helper", "busybox", "root"],
  "examples/judge.ts: 500 submissions, every verdict right, nothing left",
  async () => {
    await using box = makeBox();
    const { stdout, stderr } = await start(example("judge.ts", box.rootfs), {
      timeout: 600,
    }).done;
    assertEquals(stderr, "");
    assertEquals(stdout.split("\n"), [
      "25 memory limit",
      "25 output limit",
      "25 process limit",
      "75 right",
      "275 runtime error",
      "25 time limit",
      "50 wrong answer",
      "every verdict is right",
      "",
    ]);
  },
);

testOn(
  ["helper", "root"],
  "examples/agent.ts: its calls share files, and end",
  async () => {
    const { code, stdout, stderr } = await runToEnd(example("agent.ts"));
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertStringIncludes(stdout, "rustyrun-container\n\nIt ended with 0.");
    assertStringIncludes(stdout, "42\n");
    assertStringIncludes(stdout, "It was ended by its limit: output.");
  },
);

testOn(
  ["helper", "root"],
  "examples/isolation_test.ts: passes, and the machine is as it was",
  async () => {
    const before = Deno.statSync("/usr/share/doc").ino;
    const { code, stderr, stdout } = await runToEnd([
      ...[Deno.execPath(), "test", "-A", "--no-check", "-q"],
      ...[`--config=${ROOT}/deno.json`, `${ROOT}/examples/isolation_test.ts`],
    ]);
    assertEquals(code, 0, stdout + stderr);
    assertEquals(Deno.statSync("/usr/share/doc").ino, before);
  },
);
