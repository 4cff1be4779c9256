/**
 * Times rustyrun in each of its forms beside runc, crun and bwrap.
 *
 *     deno task bench [--quick] [--rounds N] [--only CASE,...] [--json FILE] [--docs]
 *
 * Needs root, runc (it writes the bundle) and a static busybox; crun, bwrap and
 * podman take part where they are. --docs writes the tables and the chart of
 * docs/performance.md. A run in full takes some ten minutes.
 *
 * @module
 */

import { BuildError, ROOT } from "../scripts/build.ts";
import { bundle } from "../scripts/bundle.ts";
import { checkOutput } from "../scripts/output.ts";
import { enterRoom, lockProofs } from "../tests/conformance/room.ts";
import { hasNeed } from "../tests/needs.ts";
import type { Case } from "./cases/case.ts";
import { CASES as LIFE } from "./cases/life.ts";
import { CASES as MANY } from "./cases/many.ts";
import { CASES as MEMORY } from "./cases/memory.ts";
import { CASES as PODMAN } from "./cases/podman.ts";
import { CASES as RUN } from "./cases/run.ts";
import { checkCharts, writeDocs } from "./docs.ts";
import { Field } from "./contenders.ts";
import { goalsTable } from "./goals.ts";
import { type Load, readMachine, watchLoad } from "./machine.ts";
import { printCase, printHead, type Report, tellLoad } from "./report.ts";
import { HIDDEN, Room } from "./room.ts";
import { Interrupted } from "./starter.ts";

/** Rounds before those that count: a warm engine needs some calls of each command
 * until V8 has compiled it. */
const WARM_UP = 20;

/** In the order of the tables; what makes the machine busy for a while is last. */
const CASES: readonly Case[] = [...LIFE, ...RUN, ...PODMAN, ...MANY, ...MEMORY];

const USAGE =
  "deno task bench [--quick] [--rounds N] [--only CASE,...] [--json FILE] [--docs]";

/** What the command line asks for. */
interface Options {
  quick: boolean;
  rounds: number;
  cases: readonly Case[];
  json: string;
  docs: boolean;
}

function refuse(why: string): never {
  throw new BuildError(`Cannot bench: ${why}\n  hint: ${USAGE}`);
}

/** Reads the command line.
 *
 * @throws {BuildError} for what it does not know */
export function readOptions(args: readonly string[]): Options {
  const options: Options = {
    quick: false,
    rounds: 0,
    cases: CASES,
    json: `${ROOT}dist/bench.json`,
    docs: false,
  };
  const words = args.flatMap((it) => /^(--\w+)=(.*)$/.exec(it)?.slice(1) ?? it);
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const value = () => words.shift() ?? refuse(`${word} needs a value`);
    switch (word) {
      case "--quick":
        options.quick = true;
        break;
      case "--docs":
        options.docs = true;
        break;
      case "--json":
        options.json = value();
        if (HIDDEN.some((it) => options.json.startsWith(`${it}/`))) {
          refuse(`--json: the bench has ${HIDDEN.join(", ")} of its own`);
        }
        checkOutput(options.json);
        break;
      case "--rounds":
        options.rounds = Number(value());
        if (Number.isInteger(options.rounds) && options.rounds > 0) break;
        return refuse("--rounds needs a number from 1 on");
      case "--only":
        options.cases = value().split(",").map((name) =>
          CASES.find((it) => it.name === name) ??
            refuse(
              `no case "${name}", but ${CASES.map((it) => it.name).join(", ")}`,
            )
        );
        break;
      default:
        return refuse(`unknown argument "${word}"`);
    }
  }
  if (options.docs && (options.quick || options.cases !== CASES)) {
    refuse("--docs wants all cases in full, without --quick and --only");
  }
  options.rounds ||= options.quick ? 3 : 30;
  return options;
}

/** Measures the cases. One that fails is told, and the others go on.
 *
 * @returns whether all of them worked */
async function bench(options: Options): Promise<boolean> {
  for (const need of ["root", "runc", "busybox"] as const) {
    if (!hasNeed(need)) refuse(`this machine lacks ${need}`);
  }
  bundle();
  using room = new Room();
  const field = await Field.gather(room);
  const report: Report = {
    date: new Date().toISOString(),
    quick: options.quick,
    rounds: options.rounds,
    machine: readMachine(),
    load: watchLoad(() => 0)(),
    absent: field.absent,
    cases: [],
  };
  printHead(report);
  const rounds = { before: options.quick ? 1 : WARM_UP, count: options.rounds };
  const whole = watchLoad(() => field.servantsCpu());
  for (const { run, ...about } of options.cases) {
    const look = watchLoad(() => field.servantsCpu());
    try {
      const series = await run({ room, field, rounds, quick: options.quick });
      const done = { ...about, load: look(), series };
      report.cases.push(done);
      printCase(done);
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
      console.error(`\n# ${about.title}\n\n${error.message}`);
    }
    await field.clear();
    report.load = sumUp(report, whole());
    Deno.writeTextFileSync(options.json, JSON.stringify(report, null, 1));
  }
  console.log(`\n# Goals\n\n${tellLoad(report.load)}\n\n${goalsTable(report)}`);
  console.log(`\nWrote ${options.json}`);
  return report.cases.length === options.cases.length;
}

/** The load of the whole run: busy also where the machine was before, or in one
 * case. */
function sumUp({ machine, cases }: Report, load: Load): Load {
  const busy = load.busy || load.before > machine.cores / 2 ||
    cases.some((it) => it.load.busy);
  return { ...load, busy };
}

async function main(): Promise<number> {
  try {
    const options = readOptions(Deno.args);
    const inside = Deno.env.get("RUSTYRUN_PROOF_INSIDE") !== undefined;
    // Others of our proofs mount a hugetlb hierarchy, which podman sees.
    using _lock = inside ? undefined : await lockProofs();
    if (options.docs && !inside) await checkCharts();
    const code = await enterRoom();
    if (code === undefined) return await bench(options) ? 0 : 1;
    if (code === 0 && options.docs) {
      await writeDocs(JSON.parse(Deno.readTextFileSync(options.json)));
    }
    return code;
  } catch (error) {
    return tell(error);
  }
}

/** Says what went wrong; of a failed clean-up and what came before, both.
 *
 * @returns the exit code */
function tell(error: unknown): number {
  if (error instanceof SuppressedError) {
    tell(error.suppressed);
    return tell(error.error);
  }
  if (error instanceof Interrupted) {
    console.error("Interrupted: what ran is ended and removed");
    return 130;
  }
  console.error(error instanceof BuildError ? error.message : error);
  return 1;
}

if (import.meta.main) Deno.exit(await main());
