/**
 * Runs the same bundles under rustyrun, runc and crun and reports what a
 * payload inside and the host outside see differently.
 *
 *   deno run -A scripts/differential.ts [--only PATTERN]... [--runtime NAME]...
 *     [--front] [--every N] [--keep] [--facts] [--json FILE] [--list] [--choices]
 *
 * A pattern may hold `*`; `process/` stands for `process/*`. `--front` compares
 * rustyrun with itself behind a front: no difference is explained. `--every N`
 * takes the first of each N bundles. `--facts` prints
 * everything seen, `--choices` only writes expected.json into
 * docs/conformance.md. Exit code 1: a difference that
 * tests/differential/expected.json does not explain.
 *
 * @module
 */

import {
  enterRoom,
  lockProofs,
  makeWorkDir,
  removeCgroup,
  removeTree,
} from "../tests/conformance/room.ts";
import {
  BUILD_DIR,
  cleanState,
  execute,
  findProgram,
  findRuntimes,
  REPOSITORY,
  RUNTIME_NAMES,
  type RuntimeName,
} from "../tests/conformance/runtimes.ts";
import type { Case } from "../tests/differential/case.ts";
import { readExpected, writeChoices } from "../tests/differential/choices.ts";
import { INVALID_CASES } from "../tests/differential/cases_invalid.ts";
import { LINUX_CASES } from "../tests/differential/cases_linux.ts";
import { MOUNT_CASES } from "../tests/differential/cases_mounts.ts";
import { PROCESS_CASES } from "../tests/differential/cases_process.ts";
import { RESOURCE_CASES } from "../tests/differential/cases_resources.ts";
import { SECCOMP_CASES } from "../tests/differential/cases_seccomp.ts";
import {
  compareFacts,
  type Difference,
  type Expected,
  matchGlob,
} from "../tests/differential/compare.ts";
import { type Facts, listFacts } from "../tests/differential/normalise.ts";
import { observeCase } from "../tests/differential/run.ts";
import { BuildError } from "./build.ts";
import { checkOutput } from "./output.ts";

const CASES: Case[] = [
  ...PROCESS_CASES,
  ...MOUNT_CASES,
  ...LINUX_CASES,
  ...SECCOMP_CASES,
  ...RESOURCE_CASES,
  ...INVALID_CASES,
];

interface Options {
  only: string[];
  runtimes: RuntimeName[];
  keep: boolean;
  facts: boolean;
  list: boolean;
  choices: boolean;
  front: boolean;
  every: number;
  json: string | undefined;
}

const USAGE =
  "deno run -A scripts/differential.ts [--only PATTERN]... [--runtime NAME]... [--front] [--every N] [--keep] [--facts] [--json FILE] [--list] [--choices]";

function refuse(why: string): never {
  throw new BuildError(
    `Cannot run the differential test: ${why}\n  hint: ${USAGE}`,
  );
}

function readRuntime(name: string): RuntimeName {
  return RUNTIME_NAMES.find((it) => it === name) ??
    refuse(`no runtime "${name}", but ${RUNTIME_NAMES.join(", ")}`);
}

function readOptions(args: string[]): Options {
  const options: Options = {
    only: [],
    runtimes: [],
    keep: false,
    facts: false,
    list: false,
    choices: false,
    front: false,
    every: 1,
    json: undefined,
  };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    const value = () => {
      const next = args[++i];
      if (next === undefined) refuse(`${arg} needs a value`);
      return next;
    };
    if (arg === "--only") {
      const pattern = value();
      options.only.push(pattern.endsWith("/") ? `${pattern}*` : pattern);
    } else if (arg === "--runtime") {
      options.runtimes.push(readRuntime(value()));
    } else if (arg === "--keep") options.keep = true;
    else if (arg === "--facts") options.facts = true;
    else if (arg === "--list") options.list = true;
    else if (arg === "--choices") options.choices = true;
    else if (arg === "--front") options.front = true;
    else if (arg === "--every") {
      options.every = Number(value());
      if (!(options.every >= 1)) refuse("--every needs a number");
    } else if (arg === "--json") {
      options.json = value();
      checkOutput(options.json);
    } else refuse(`unknown argument "${arg}"`);
  }
  if (options.front) options.runtimes = ["rustyrun", "front"];
  if (options.runtimes.length === 0) options.runtimes = [...RUNTIME_NAMES];
  return options;
}

/** Builds the payload: static, so that it is a whole root file system. */
async function buildPayload(work: string): Promise<string> {
  const compiler = await findProgram("musl-gcc");
  await Deno.mkdir(BUILD_DIR, { recursive: true });
  const payload = `${work}/payload`;
  const built = await execute([
    ...(compiler === undefined ? ["gcc"] : [compiler]),
    "-std=c11",
    "-Os",
    "-static",
    "-s",
    "-Wall",
    "-Wextra",
    "-o",
    payload,
    `${REPOSITORY}/tests/c/payload.c`,
    `${REPOSITORY}/tests/c/payload_json.c`,
    `${REPOSITORY}/tests/c/payload_host.c`,
  ]);
  if (built.code !== 0) throw new Error(built.stderr);
  return payload;
}

function printDifference(difference: Difference): void {
  console.log(`${difference.case}: ${difference.path}`);
  for (const [runtime, value] of Object.entries(difference.values)) {
    console.log(`    ${runtime.padEnd(9)} ${value}`);
  }
}

async function main(): Promise<number> {
  const options = readOptions(Deno.args);
  if (options.choices) {
    writeChoices();
    return 0;
  }
  const cases = CASES.filter((item) =>
    options.only.length === 0 ||
    options.only.some((pattern) => matchGlob(pattern, item.name))
  ).filter((_, at) => at % options.every === 0);
  if (options.list) {
    for (const item of cases) console.log(item.name);
    return 0;
  }
  if (Deno.uid() !== 0) {
    console.error("Cannot run the differential test: it needs root");
    return 3;
  }
  const inside = Deno.env.get("RUSTYRUN_PROOF_INSIDE") !== undefined;
  const lock = inside ? undefined : await lockProofs();
  const code = await enterRoom();
  if (code !== undefined) return code;
  const expected = options.front ? [] : readExpected();
  const used = new Set<Expected>();
  const all: Difference[] = [];
  const work = await makeWorkDir("rustyrun-differential-");
  try {
    const payload = await buildPayload(work);
    const runtimes = await findRuntimes(options.runtimes, work);
    for (const item of cases) {
      const facts = new Map<RuntimeName, Facts>();
      const words: string[] = [];
      for (const runtime of runtimes) {
        const { seen, place } = await observeCase(
          item,
          runtime,
          work,
          payload,
          options.keep,
        );
        const list = listFacts(seen, place);
        facts.set(runtime.name, list);
        words.push(`    ${runtime.name} says: ${seen.words}`);
        if (options.facts) {
          console.log(`${item.name} on ${runtime.name}`);
          for (const [path, value] of list) console.log(`  ${path} = ${value}`);
        }
      }
      const differences = compareFacts(item.name, facts, expected, used);
      if (
        item.mode === "invalid" && facts.has("rustyrun") && !options.front &&
        [...facts.values()].every((f) => f.get("outcome") !== "create fails")
      ) {
        differences.push({
          case: item.name,
          path: "outcome (all accept it)",
          values: Object.fromEntries(
            [...facts].map(([n, f]) => [n, f.get("outcome") ?? ""]),
          ),
          accepted: expected.some((e) =>
            matchGlob(e.case, item.name) && e.path.includes("all accept")
          ),
        });
      }
      all.push(...differences);
      const open = differences.filter((d) => !d.accepted);
      for (const difference of open) printDifference(difference);
      const outcomes = [...facts.values()].map((f) => f.get("outcome"));
      if (open.length > 0 && outcomes.some((o) => o?.includes("fail"))) {
        console.log(words.join("\n"));
      }
    }
    for (const runtime of runtimes) {
      const left = await cleanState(runtime);
      if (left.length > 0) {
        console.log(`${runtime.name} left ${left.join(" ")}`);
      }
    }
    removeCgroup(`/proof-${Deno.pid}`);
    const open = all.filter((difference) => !difference.accepted);
    console.log(
      `${cases.length} bundles on ${
        runtimes.map((r) => r.version).join(", ")
      }: ${all.length} differences, ${
        all.length - open.length
      } explained, ${open.length} not`,
    );
    if (
      options.only.length === 0 && options.every === 1 &&
      options.runtimes.length === 3
    ) {
      for (const entry of expected) {
        if (!used.has(entry)) {
          console.error(
            `expected.json: nothing needs "${entry.case}" "${entry.path}"`,
          );
        }
      }
    }
    if (options.json !== undefined) {
      await Deno.writeTextFile(options.json, JSON.stringify(all, null, 1));
    }
    return open.length === 0 ? 0 : 1;
  } finally {
    if (!options.keep) await removeTree(work);
    lock?.close();
  }
}

if (import.meta.main) {
  try {
    Deno.exit(await main());
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(3);
  }
}
