/**
 * Runs the official validation suite (opencontainers/runtime-tools) against
 * rustyrun and its peers, and writes the table of docs/conformance.md.
 *
 *   deno run -A scripts/conformance.ts [--only NAME]... [--runtime NAME]...
 *     [--keep] [--verbose] [--no-write]
 *
 * RUSTYRUN, RUNC and CRUN name other binaries. Exit code 1: rustyrun fails a
 * program for which tests/conformance/reasons.json has no reason. Exit code 3:
 * what was asked for cannot be run.
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
  exists,
  findProgram,
  findRuntimes,
  REPOSITORY,
  type Runtime,
  RUNTIME_NAMES,
  type RuntimeName,
} from "../tests/conformance/runtimes.ts";
import { judgeProgram, type Verdict } from "../tests/conformance/tap.ts";
import {
  isExpected,
  readReasons,
  writeTable,
} from "../tests/conformance/table.ts";
import { BuildError } from "./build.ts";

const SUITE = "github.com/opencontainers/runtime-tools";

/** Milliseconds of the shortest limit in the suite (validation/linux_ns_path;
 * others wait for 5 and 10 seconds): a run that took less has not failed by one. */
const LIMIT = 3000;

/** How often a program is run that may have failed by a limit. */
const RUNS = 3;

interface Options {
  only: string[];
  runtimes: RuntimeName[];
  keep: boolean;
  verbose: boolean;
  write: boolean;
}

const USAGE =
  "deno run -A scripts/conformance.ts [--only NAME]... [--runtime NAME]... [--keep] [--verbose] [--no-write]";

function refuse(why: string): never {
  throw new BuildError(
    `Cannot run the conformance suite: ${why}\n  hint: ${USAGE}`,
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
    verbose: false,
    write: true,
  };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    const value = () => {
      const next = args[++i];
      if (next === undefined) refuse(`${arg} needs a value`);
      return next;
    };
    if (arg === "--only") options.only.push(value());
    else if (arg === "--runtime") {
      options.runtimes.push(readRuntime(value()));
    } else if (arg === "--keep") options.keep = true;
    else if (arg === "--verbose") options.verbose = true;
    else if (arg === "--no-write") options.write = false;
    else refuse(`unknown argument "${arg}"`);
  }
  if (options.runtimes.length === 0) options.runtimes = [...RUNTIME_NAMES];
  return options;
}

/** Builds the suite's programs and its payload from the module cache.
 * @returns the directory and the programs' names */
async function buildSuite(): Promise<{ dir: string; names: string[] }> {
  const go = await findProgram("go");
  if (go === undefined) {
    console.error(
      "Cannot run the conformance suite: Go is missing (apt-get install golang, or https://go.dev/dl)",
    );
    Deno.exit(3);
  }
  const cwd = `${REPOSITORY}/tests/conformance`;
  /** What fetches modules is tried again: a proxy may be busy. */
  const run = async (
    args: string[],
    env: Record<string, string> = {},
    tries = 1,
  ) => {
    const attempt = () =>
      execute([go, ...args], {
        cwd,
        env,
        timeout: 900_000,
      });
    let outcome = await attempt();
    for (let i = 1; i < tries && outcome.code !== 0; i++) {
      console.error(`go ${args.join(" ")}: ${outcome.stderr.trim()}`);
      await new Promise((done) => setTimeout(done, 5000 * 2 ** i));
      outcome = await attempt();
    }
    if (outcome.code !== 0) {
      console.error(`go ${args.join(" ")}: ${outcome.stderr.trim()}`);
      Deno.exit(3);
    }
    return outcome.stdout.trim();
  };
  await run(["mod", "download", SUITE], {}, 5);
  const source = await run(["list", "-m", "-f", "{{.Dir}}", SUITE]);
  const names = [...Deno.readDirSync(`${source}/validation`)]
    .filter((entry) => entry.isDirectory && entry.name !== "util")
    .map((entry) => entry.name).sort();
  const dir = `${BUILD_DIR}/suite`;
  if (!(await exists(`${dir}/runtimetest`))) {
    await Deno.mkdir(`${dir}/bin`, { recursive: true });
    const programs = names.map((name) => `${SUITE}/validation/${name}`);
    const payload = `${SUITE}/cmd/runtimetest`;
    await run(["list", "-deps", ...programs, payload], {}, 5);
    await run(["build", "-o", `${dir}/bin/`, ...programs]);
    const tarball = `rootfs-${
      Deno.build.arch === "x86_64" ? "amd64" : "arm64"
    }.tar.gz`;
    await Deno.copyFile(`${source}/${tarball}`, `${dir}/${tarball}`);
    await run(["build", "-o", `${dir}/runtimetest`, payload], {
      CGO_ENABLED: "0",
    });
  }
  return { dir, names };
}

/** Runs one program against one runtime and removes what it leaves. */
async function runProgram(
  suite: string,
  name: string,
  runtime: Runtime,
  work: string,
  options: Options,
): Promise<Verdict> {
  const tmp = await Deno.makeTempDir({ dir: work, prefix: `${name}-` });
  await Deno.chmod(tmp, 0o755);
  const outcome = await execute([`${suite}/bin/${name}`], {
    cwd: suite,
    env: { RUNTIME: runtime.command, TMPDIR: tmp },
    timeout: 600_000,
  });
  const verdict = judgeProgram(outcome);
  verdict.left = await cleanState(runtime);
  removeCgroup("/testdir");
  removeCgroup("/cgrouptest");
  if (options.verbose || options.only.length > 0) {
    console.error(outcome.stdout.trim() + "\n" + outcome.stderr.trim());
  }
  if (!options.keep) {
    await removeTree(tmp);
  }
  return verdict;
}

async function main(): Promise<number> {
  const options = readOptions(Deno.args);
  if (Deno.uid() !== 0) {
    console.error("Cannot run the conformance suite: it needs root");
    return 3;
  }
  const inside = Deno.env.get("RUSTYRUN_PROOF_INSIDE") !== undefined;
  const lock = inside ? undefined : await lockProofs();
  const code = await enterRoom();
  if (code !== undefined) return code;
  const { dir, names } = await buildSuite();
  const work = await makeWorkDir("rustyrun-conformance-");
  try {
    const runtimes = await findRuntimes(options.runtimes, work, true);
    if (runtimes.length === 0) return 3;
    const reasons = await readReasons();
    // Of a run that was ended.
    removeCgroup("/testdir");
    removeCgroup("/cgrouptest");
    const wanted = names.filter((name) =>
      options.only.length === 0 || options.only.includes(name)
    );
    const results = new Map<string, Map<RuntimeName, Verdict>>();
    for (const name of wanted) {
      const row = new Map<RuntimeName, Verdict>();
      results.set(name, row);
      for (const runtime of runtimes) {
        for (let run = 1;; run++) {
          const started = performance.now();
          const verdict = await runProgram(dir, name, runtime, work, options);
          row.set(runtime.name, verdict);
          const late = performance.now() - started >= LIMIT;
          if (
            runtime.name !== "rustyrun" || !late || run === RUNS ||
            isExpected(name, verdict, reasons)
          ) break;
          console.error(
            `${name} may have met a limit of the suite, and runs again: ${verdict.word}: ${
              verdict.why.join("; ")
            }`,
          );
        }
      }
      console.log(
        `${name}: ${
          [...row].map(([runtime, v]) =>
            `${runtime} ${v.word} ${v.passed}/${v.passed + v.failed}${
              v.left.length ? ` (left ${v.left.length})` : ""
            }`
          ).join(", ")
        }`,
      );
    }
    return await writeTable(
      runtimes,
      results,
      options.write && options.only.length === 0,
    );
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
