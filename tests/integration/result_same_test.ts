/**
 * How a command ended, by `run --result-fd` and by the library: the same members,
 * values and units. docs/using.md and docs/library.md say them.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  cliCommand,
  type CliOptions,
  makeBox,
  ROOT,
  runToEnd,
} from "../harness.ts";
import { testOn, type User } from "../needs.ts";
import { findPlaces, otherUser } from "../program.ts";

/** What is the library's alone: the exit code of a run is rustyrun's own. */
const LIBRARY_ONLY = ["success"];
const NUMBERS = ["cpuMs", "wallMs", "peakBytes"] as const;

type Result = Record<string, unknown>;

interface Case {
  what: string;
  flags: string[];
  options: Record<string, unknown>;
  script: string;
  want: [
    code: number,
    signal: string | null,
    limit: string | null,
    timedOut: boolean,
    truncated: boolean,
  ];
}

const HOG = `awk 'BEGIN { s = "x"; while (length(s) < 200000000) s = s s }'`;
const LOOP = "while :; do :; done";
const MEMORY = {
  flags: ["--memory", "64m", "--memory-swap", "64m"],
  options: { memory: "64m", memorySwap: "64m" },
};

const CASES: Case[] = [
  {
    what: "ends with 7",
    flags: [],
    options: {},
    script: "exit 7",
    want: [7, null, null, false, false],
  },
  {
    what: "is ended by a signal, under an init",
    flags: ["--init"],
    options: { init: true },
    script: "kill -TERM $$",
    want: [143, null, null, false, false],
  },
  {
    what: "takes too long",
    flags: ["--timeout", "300ms"],
    options: { timeout: 300 },
    script: "sleep 600",
    want: [124, "SIGKILL", "time", true, false],
  },
  {
    what: "writes too much, and goes on",
    flags: ["--max-output", "4k"],
    options: { maxOutput: "4k" },
    script: "exec yes",
    want: [137, "SIGKILL", "output", false, true],
  },
  {
    what: "writes too much, and ends",
    flags: ["--max-output", "4k"],
    options: { maxOutput: "4k" },
    script: "head -c 5000 /dev/zero",
    // It may have been killed before it ended.
    want: [137, "any", "output", false, true],
  },
  {
    what: "has a limit of CPU time",
    flags: ["--ulimit", "cpu=1"],
    options: { ulimits: { cpu: 1 } },
    script: LOOP,
    want: [137, "SIGKILL", "cpu", false, false],
  },
  {
    what: "has a limit of CPU time under an init",
    flags: ["--init", "--ulimit", "cpu=1:2"],
    options: { init: true, ulimits: { cpu: "1:2" } },
    script: LOOP,
    want: [152, null, "cpu", false, false],
  },
];

/** Those that need cgroups. */
const COUNTED: Case[] = [
  {
    ...MEMORY,
    what: "needs too much memory in a child",
    script: `${HOG}; exit 3`,
    want: [3, null, "memory", false, false],
  },
  {
    what: "needs too much memory, and then too long",
    flags: [...MEMORY.flags, "--timeout", "5s"],
    options: { ...MEMORY.options, timeout: 5000 },
    script: `${HOG}; sleep 600`,
    want: [124, "SIGKILL", "memory", true, false],
  },
  {
    what: "needs too much memory, and then writes too much",
    flags: [...MEMORY.flags, "--max-output", "4k"],
    options: { ...MEMORY.options, maxOutput: "4k" },
    script: `${HOG}; exec yes`,
    want: [137, "SIGKILL", "output", false, true],
  },
  {
    what: "forks too much",
    flags: ["--pids-limit", "5"],
    options: { pids: 5 },
    script: "for i in 1 2 3 4 5 6; do sleep 9 & done",
    want: [2, null, "pids", false, false],
  },
];

async function runByFlags(
  { flags, script }: Case,
  rootfs: string,
  options: CliOptions,
): Promise<Result> {
  const file = Deno.makeTempFileSync({ prefix: "result-" });
  Deno.chmodSync(file, 0o666);
  try {
    await runToEnd([
      ...["sh", "-c", `exec "$@" 3>>${file}`, "sh", ...cliCommand(options)],
      ...["run", "--result-fd", "3", "--rootfs", rootfs, ...flags],
      ...["--", "sh", "-c", script],
    ], options);
    return JSON.parse(Deno.readTextFileSync(file));
  } finally {
    Deno.removeSync(file);
  }
}

async function runByLibrary(
  cases: readonly Case[],
  rootfs: string,
  user: User | false,
): Promise<Result[]> {
  const other = otherUser(user);
  const { code, stdout, stderr } = await runToEnd([
    other ? findPlaces(other).deno : Deno.execPath(),
    ...[
      "run",
      "-A",
      "--no-check",
      `${ROOT}/tests/integration/result_program.ts`,
    ],
    rootfs,
    JSON.stringify(
      cases.map(({ options, script }) => ({
        ...options,
        command: ["sh", "-c", script],
      })),
    ),
  ], { user, cwd: ROOT });
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout);
}

/** What is the same each time. */
function brief(
  { code, signal, limit, timedOut, truncated }: Result,
  { want }: Case,
): unknown[] {
  const told = want[1] === "any" ? "any" : signal;
  return [code, told, limit, timedOut, truncated];
}

async function compare(cases: readonly Case[], user: User | false) {
  await using box = makeBox({ user });
  const library = await runByLibrary(cases, box.rootfs, user);
  for (const [at, one] of cases.entries()) {
    const ours = library[at]!;
    const theirs = await runByFlags(one, box.rootfs, { user });
    assertEquals(brief(theirs, one), one.want, `run: what ${one.what}`);
    assertEquals(brief(ours, one), one.want, `the library: what ${one.what}`);
    assertEquals(ours.success, ours.code === 0);
    assertEquals(
      Object.keys(ours).filter((it) => !LIBRARY_ONLY.includes(it)).sort(),
      Object.keys(theirs).sort(),
    );
    for (const name of NUMBERS) {
      const [a, b] = [ours[name], theirs[name]];
      assertEquals(a === null, b === null, name);
      for (const it of [a, b]) {
        assert(it === null || Number.isInteger(it), `${name}: ${it}`);
      }
    }
  }
}

testOn(
  ["root", "helper", "busybox"],
  "run --result-fd and the library tell the same of an end",
  () => compare([...CASES, ...COUNTED], false),
);

testOn(
  ["user", "helper", "busybox"],
  "run --result-fd and the library tell a user the same of an end",
  () => compare(CASES, "single"),
);

/** The names in the first column of the table below a heading's. */
function namesOf(page: string, head: RegExp): string[] {
  const text = Deno.readTextFileSync(`${ROOT}/docs/${page}`);
  const table = text.slice(text.search(head)).split("\n\n")[0]!;
  return [...table.matchAll(/^\| ([^|]*)\|/gm)]
    .flatMap(([, cell = ""]) => [...cell.matchAll(/`(\w+)`/g)])
    .map(([, name = ""]) => name);
}

Deno.test("both pages name the members of a result", () => {
  const both = [
    ...["code", "signal", "limit", "timedOut", "truncated"],
    ...NUMBERS,
  ];
  const using = namesOf("using.md", /^\| member\b/m);
  const library = namesOf("library.md", /^\| result\b/m);
  assertEquals(using, both);
  assertEquals(both.filter((it) => !library.includes(it)), []);
});
