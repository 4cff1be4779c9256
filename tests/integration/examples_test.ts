/**
 * docs/examples/, as people start them. RUSTYRUN_SUBMISSIONS says how many the
 * judge gets; one of each kind unless told.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { makeSubmissions } from "../../docs/examples/submissions.ts";
import {
  type CliResult,
  findLeaks,
  ROOT,
  runToEnd,
  SLOW,
  takeSnapshot,
} from "../harness.ts";
import { testOn } from "../needs.ts";
import { readProcessState } from "../wait.ts";

/** Of CPU time, for each submission: an emulated machine takes one for Python
 * alone. */
const SECONDS = SLOW > 1 ? "5" : "1";

const DIR = `${ROOT}/docs/examples`;

/** `deno run`, or `deno test`, with the library of this clone. */
function deno(command: "run" | "test", name: string, ...words: string[]) {
  return runToEnd([
    ...[Deno.execPath(), command, "-A", "--no-check", "-q"],
    ...[`--config=${ROOT}/deno.json`, `${DIR}/${name}`, ...words],
  ], { timeout: 600 });
}

/** Runs an example; nothing may be left of it.
 *
 * @param prefix what the names of its containers begin with */
async function runExample(
  prefix: string,
  name: string,
  ...words: string[]
): Promise<CliResult> {
  const before = takeSnapshot();
  const result = await deno("run", name, ...words);
  assertEquals(await findLeaks(before, prefix), []);
  return result;
}

/** What of the machine submissions try to change. */
function readMachine(): Record<string, string> {
  return Object.fromEntries(
    [
      "/etc/hostname",
      "/proc/sys/kernel/hostname",
      "/proc/sys/kernel/core_pattern",
      "/proc/sys/kernel/random/boot_id",
    ].map((path) => [path, Deno.readTextFileSync(path)]),
  );
}

testOn(
  ["helper", "root", "python3"],
  "docs/examples/judge.ts: every verdict is right, and the machine as it was",
  async () => {
    const given = Deno.env.get("RUSTYRUN_SUBMISSIONS");
    const all = makeSubmissions(given === undefined ? undefined : +given);
    const machine = readMachine();
    // A process of the very user that the submissions are.
    const other = new Deno.Command("sleep", {
      args: ["100000"],
      uid: 65534,
      gid: 65534,
    }).spawn();
    try {
      const { code, stdout, stderr } = await runExample(
        "judge-",
        "submissions.ts",
        `${all.length}`,
        SECONDS,
      );
      assertEquals({ code, stderr }, { code: 0, stderr: "" }, stdout);
      const lines = stdout.trim().split("\n");
      assertMatch(lines.pop()!, /^\d+ in .* s, 0 wrong$/);
      const groups = Object.groupBy(all, ({ wanted }) => wanted);
      assertEquals(
        lines.sort(),
        Object.entries(groups).map(([verdict, { length }]) =>
          `${verdict} ${length}`
        ).sort(),
      );
      assertEquals(readProcessState(other.pid), "S");
      assertEquals(readMachine(), machine);
    } finally {
      other.kill("SIGKILL");
      await other.status;
    }
  },
);

testOn(
  ["helper", "root"],
  "docs/examples/judge.ts: prints a table of verdicts",
  async () => {
    const { code, stdout, stderr } = await runExample(
      "judge-",
      "judge.ts",
      SECONDS,
    );
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    assertEquals(
      stdout.trimEnd().split("\n").map((it) => it.split(/ {2,}|(?<=^.{16}) /)),
      [
        ["a sum", "right"],
        ["a difference", "wrong answer"],
        ["no program", "runtime error"],
        ["an endless loop", "time limit"],
        ["a fork bomb", "process limit"],
        ["a memory hog", "memory limit"],
        ["an output flood", "output limit"],
      ],
    );
  },
);

testOn(
  ["helper", "root", "python3"],
  "docs/examples/agent.ts: its calls share files, and each end is explained",
  async () => {
    const { code, stdout, stderr } = await runExample("agent-", "agent.ts");
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    const removed = lines.findIndex((it) => it.startsWith("rm:"));
    assertMatch(lines[removed] ?? stdout, /\/bin\/sh/);
    const traceback = lines.indexOf("Traceback (most recent call last):");
    const error = lines.indexOf("ZeroDivisionError: division by zero");
    lines.splice(traceback, error - traceback);
    lines.splice(removed, 1);
    assertEquals(lines, [
      "  step 0",
      "  step 1",
      "  step 2",
      "Exit code 0.",
      "result: { answer: 42 }",
      "  main.py",
      "  main.sh",
      "  result.json",
      "Exit code 1.",
      "Exit code 1.",
      "ZeroDivisionError: division by zero",
      "Stopped: it needs more than 256m of memory.",
      "Stopped: it starts more than 64 processes.",
      "Stopped: it writes more than 256 KiB.",
    ]);
  },
);

testOn(
  ["helper", "root"],
  "docs/examples/isolation_test.ts: passes, and the machine is as it was",
  async () => {
    const before = Deno.statSync("/var/log").ino;
    const files = takeSnapshot();
    const { code, stdout, stderr } = await deno("test", "isolation_test.ts");
    assertEquals(code, 0, stdout + stderr);
    assertMatch(stdout, /\b3 passed \| 0 failed/);
    assertEquals(Deno.statSync("/var/log").ino, before);
    assertEquals(await findLeaks(files, "tool"), []);
  },
);
