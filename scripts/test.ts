/**
 * Runs the tests: each file in a `deno test` of its own, one more at once than
 * there are CPUs (4 at most): a test often waits. (`deno test --parallel` has all files in one process; some tests
 * count its descriptors.)
 *
 *     deno task test [FILE | DIRECTORY]... [FLAG OF deno test]...
 *
 * Prints a line for each file, what was ignored, everything of a file that
 * fails, and at last the line that `deno test` ends with. Types are for
 * `deno check`. DENO_JOBS says how many files at once. With RUSTYRUN_TEST_AGAIN=1
 * a file that fails runs once more, alone, when all others are done: what fails
 * only in the company of others is told as unstable, and does not count.
 *
 * @module
 */

import { serveTested } from "../tests/program.ts";
import { isWarm } from "../tests/warm_program.ts";
import { ROOT } from "./build.ts";

/** Files that look at all of the machine: they run when no other does. */
const ALONE = [
  "tests/doctor_test.ts",
  "tests/integration/bench_test.ts",
  "tests/integration/resources_v2_test.ts",
];

/** Begins the names of files that say nothing of calls through a front
 * (CONTRIBUTING.md has why). With RUSTYRUN_WARM=1 a directory stands for the
 * others; RUSTYRUN_WARM=mixed runs these without a front, and the others with one for all: to start an engine
 * takes longest where a Deno is slow. */
const COLD = [
  "bench_",
  "box_",
  "deno_dir_",
  "examples_",
  "front_",
  "library_doc_",
  "memfd_noexec_",
  "package_",
  "result_same_",
  "serve_",
  "shared_mounts_left_",
  "systemd_user_",
  "unit_limits_",
  "warm_",
];

/** Files that take longest: they start first. */
const LONG = [
  "tests/fuzz_test.ts",
  "tests/integration/crash_race_test.ts",
  "tests/integration/crash_fault_test.ts",
  "tests/integration/keeper_test.ts",
  "tests/integration/run_programs_test.ts",
  "tests/integration/",
];

/** Whether a file is run without a front where others have one. */
function isCold(file: string): boolean {
  const name = file.slice(file.lastIndexOf("/") + 1);
  return COLD.some((it) => name.startsWith(it));
}

let front: string | undefined;

/** What the tests of a file get in their environment, where RUSTYRUN_WARM is
 * `ours`.
 *
 * @param serve starts an engine and returns its front, if one is needed */
export function envOf(
  file: string,
  ours: string | undefined,
  serve: () => string,
): Record<string, string> {
  if (ours !== "mixed") return {};
  if (isCold(file)) return { RUSTYRUN_WARM: "" };
  return { RUSTYRUN_WARM: "1", RUSTYRUN_FRONT: front ??= serve() };
}

/** The line that `deno test` ends with. */
const END =
  /^(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed.*\n(?![^]*^(?:ok|FAILED) \|)/m;

/** The closing line of what `deno test` or this script has printed without
 * colours; undefined when there is none. */
export function findEnd(text: string): string | undefined {
  return END.exec(text)?.[0].trimEnd();
}

/** How the tests of a file ended. */
export interface Outcome {
  passed: number;
  failed: number;
  /** Names; what is missing is in them. */
  ignored: string[];
  /** For each failed test its name and the first lines of its error. */
  errors: string[];
  /** What the file's warm engine has served. */
  served?: string;
}

/** How many lines of an error are said again at the end. */
const LINES = 16;

/** What stands between the headings of failed tests: a name with its place, the
 * error, a blank line. */
function readErrors(text: string): string[] {
  const body = /^ ERRORS\s*\n([^]*?)^ FAILURES\s*$/m.exec(text)?.[1] ?? "";
  return body.split(/^(?=.* => \S+:\d+:\d+$)/m)
    .map((it) =>
      it.split("\n").filter((line) => line.trim() !== "").slice(0, LINES)
        .join("\n")
    )
    .filter((it) => it !== "");
}

/**
 * Reads what `deno test` prints without colours.
 *
 * @returns undefined when it has no closing line: nothing is known then
 */
export function readOutcome(text: string): Outcome | undefined {
  const end = END.exec(text);
  if (end === null) return undefined;
  const served = /^\d+ calls served, .*$/m.exec(text)?.[0];
  return {
    ...(served === undefined ? {} : { served }),
    passed: Number(end[1]),
    failed: Number(end[2]),
    ignored: text.matchAll(/^(.*) \.\.\. ignored \(/gm)
      .map(([, name]) => name ?? "").toArray(),
    errors: readErrors(text),
  };
}

/** The test files of a file or directory, relative to the repository. */
function listFiles(path: string): string[] {
  if (!Deno.statSync(ROOT + path).isDirectory) return [path];
  return [...Deno.readDirSync(ROOT + path)].flatMap((it) => {
    const inner = `${path}/${it.name}`;
    if (it.isDirectory) return listFiles(inner);
    if (!it.name.endsWith("_test.ts")) return [];
    if (!isWarm() || !isCold(inner)) return [inner];
    console.log(`${inner}: only without a front`);
    return [];
  }).sort();
}

/** A file's place in the order: long ones first. */
function rank(file: string): number {
  const at = LONG.findIndex((it) => file.startsWith(it));
  return at < 0 ? LONG.length : at;
}

function formatTime(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60
    ? `${seconds}s`
    : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

/** Runs one file; prints what there is to say of it. */
async function testFile(file: string, flags: string[]): Promise<Outcome> {
  const from = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", ...flags, file],
    cwd: ROOT,
    env: {
      NO_COLOR: "1",
      ...envOf(file, Deno.env.get("RUSTYRUN_WARM"), serveTested),
    },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout);
  let outcome = readOutcome(text);
  if (outcome === undefined || !success && outcome.failed === 0) {
    outcome = { passed: 0, ignored: [], errors: [], ...outcome, failed: 1 };
  }
  const { passed, failed, ignored, served } = outcome;
  if (failed > 0) {
    console.log(text.replace(END, "").trimEnd(), decoder.decode(stderr));
  }
  for (const name of ignored) console.log(`ignored: ${name}`);
  const counts = [
    `${passed} passed`,
    ...(failed > 0 ? [`${failed} FAILED`] : []),
    ...(ignored.length > 0 ? [`${ignored.length} ignored`] : []),
    ...(served === undefined ? [] : [served]),
  ];
  // All were filtered out.
  if (passed + failed + ignored.length === 0) return outcome;
  const time = formatTime(performance.now() - from);
  console.log(`${file}: ${counts.join(", ")} (${time})`);
  return outcome;
}

/**
 * Runs test files and prints the closing line.
 *
 * @param paths files and directories, relative to the repository
 * @param flags for every `deno test`
 * @param jobs how many at once
 * @returns whether all is well: something ran, and nothing failed
 */
async function testFiles(
  paths: readonly string[],
  flags: string[],
  jobs: number,
): Promise<boolean> {
  const from = performance.now();
  const files = paths.flatMap(listFiles)
    .sort((a, b) => rank(a) - rank(b));
  const outcomes: [string, Outcome][] = [];
  const work = async (queue: string[]) => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      outcomes.push([file, await testFile(file, flags)]);
    }
  };
  const together = files.filter((file) => !ALONE.includes(file));
  await Promise.all(Array.from({ length: jobs }, () => work(together)));
  await work(files.filter((file) => ALONE.includes(file)));
  const count = (of: (it: Outcome) => number) =>
    outcomes.reduce((sum, [, it]) => sum + of(it), 0);
  const again = Deno.env.get("RUSTYRUN_TEST_AGAIN") === "1";
  const unstable: [string, Outcome][] = [];
  for (const [at, [file, first]] of outcomes.entries()) {
    if (!again || first.failed === 0) continue;
    console.log(`\nOnce more, alone: ${file}`);
    outcomes[at] = [file, await testFile(file, flags)];
    if (outcomes[at][1].failed === 0) unstable.push([file, first]);
  }
  const failed = count((it) => it.failed);
  const passed = count((it) => it.passed);
  const bad = outcomes.filter(([, it]) => it.failed > 0);
  // Once more, where whoever reads only the end of a long log will see it.
  for (const [file, { errors }] of bad) {
    console.log([`\nFailed: ${file}`, ...errors].join("\n"));
  }
  for (const [file, { errors }] of unstable) {
    console.log([`\nUnstable: ${file}`, ...errors].join("\n"));
  }
  console.log(
    `\n${
      failed > 0 ? "FAILED" : "ok"
    } | ${passed} passed | ${failed} failed | ${
      count((it) => it.ignored.length)
    } ignored (${formatTime(performance.now() - from)})`,
  );
  return failed === 0 && passed > 0;
}

function isPath(word: string): boolean {
  try {
    return !word.startsWith("-") && Deno.statSync(ROOT + word) !== undefined;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  const paths = Deno.args.filter(isPath);
  const flags = Deno.args.filter((word) => !isPath(word));
  // A word behind a flag may be its value.
  const lost = Deno.args.find((word, at) =>
    !word.startsWith("-") && !isPath(word) &&
    !(Deno.args[at - 1] ?? "").startsWith("-")
  );
  if (lost !== undefined) {
    console.error(
      `Cannot test "${lost}": there is no such file or directory\n  hint: Name one from the root of the clone, such as tests/plan_test.ts`,
    );
    Deno.exit(1);
  }
  const jobs = Number(
    Deno.env.get("DENO_JOBS") ?? Math.min(navigator.hardwareConcurrency + 1, 4),
  );
  const fine = await testFiles(
    paths.length > 0 ? paths : ["tests"],
    flags,
    Math.max(1, jobs || 1),
  );
  Deno.exit(fine ? 0 : 1);
}
