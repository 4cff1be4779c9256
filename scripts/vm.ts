/**
 * Runs tests in a guest with systemd, cgroup v2 and every controller, as root.
 *
 *     deno task vm [--kernel 6.1|6.12] [FILE | DIRECTORY]...
 *     deno task vm [--kernel 6.1|6.12] --all
 *
 * Without a file: those of exec, the smoke tests, and every file with a test that
 * needs cgroup v2, systemd, criu or AppArmor, on kernel 6.1. With --all: tests/integration on
 * both kernels, the calls by a front and a warm engine where a file can show something
 * of them (RUSTYRUN_WARM=mixed): a Deno starts 50 times slower there. That guest has a
 * compiler as well, which the tests of attacks need.
 *
 * The guest is run by `vm`, whose path is in VM; else it is ../shared/tools/vm. It
 * sees the clone, this Deno and its packages on read-only shares. The other
 * variables that scripts/test.ts knows go in as well. Ends with its closing line
 * for each kernel.
 *
 * @module
 */

import { describeFileError } from "../mod/errors.ts";
import { BuildError, ROOT } from "./build.ts";
import { findEnd } from "./test.ts";

const KERNELS = ["6.1", "6.12"];

const USAGE = "deno task vm [--kernel 6.1|6.12] [--all | FILE or DIRECTORY...]";

/** What the guest's environment gets of ours. */
const PASSED = [
  "DENO_JOBS",
  "RUSTYRUN_CYCLES",
  "RUSTYRUN_FAULTS",
  "RUSTYRUN_ROUNDS",
  "RUSTYRUN_SUBMISSIONS",
  "RUSTYRUN_TEST_AGAIN",
  "RUSTYRUN_WARM",
];

/** What `vm` installs in the guest of --all, beside what it has. */
const COMPILER = "gcc libc6-dev";

/** Seconds until a guest is ended: of the tests that CI runs there, and of others. */
const SOON = 2400, LATE = 6 * 3600;

/** `vm` says so when the guest did not start, or died. */
const GUEST_FAILED = 125;

/** How often a guest is started before its failure is one. */
const TRIES = 3;

/** What is asked for. */
export interface Wanted {
  kernels: string[];
  all: boolean;
  /** Relative to the clone; empty: what .ci/guest chooses. */
  files: string[];
}

function refuse(why: string, hint: string): never {
  throw new BuildError(
    `Cannot run tests in a guest: ${why}\n  hint: ${hint}`,
  );
}

/** Whether there is such a file or directory in the clone. */
function isThere(path: string): boolean {
  try {
    return Deno.statSync(ROOT + path) !== undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Reads the arguments.
 *
 * @throws {BuildError} for what is no argument, kernel or file
 */
export function readWanted(args: readonly string[]): Wanted {
  const wanted: Wanted = { kernels: [], all: false, files: [] };
  const words = [...args];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === "--all") wanted.all = true;
    else if (word === "--kernel") {
      const kernel = words.shift();
      if (kernel === undefined) refuse("--kernel needs a value", USAGE);
      if (!KERNELS.includes(kernel)) {
        refuse(`no kernel "${kernel}", but ${KERNELS.join(", ")}`, USAGE);
      }
      wanted.kernels.push(kernel);
    } else if (word.startsWith("-")) {
      refuse(`unknown argument "${word}"`, USAGE);
    } else if (!isThere(word)) {
      refuse(
        `there is no "${word}"`,
        "Name files from the root of the clone, such as tests/integration/exec_test.ts",
      );
    } else wanted.files.push(word);
  }
  if (wanted.all && wanted.files.length > 0) {
    refuse(`--all and "${wanted.files[0]}" exclude each other`, USAGE);
  }
  if (wanted.all) wanted.files = ["tests/integration"];
  if (wanted.kernels.length === 0) {
    wanted.kernels = wanted.all ? KERNELS : KERNELS.slice(0, 1);
  }
  return wanted;
}

/** The path of `vm`.
 *
 * @throws {BuildError} when there is none */
export function findVm(): string {
  const path = Deno.env.get("VM") ?? `${ROOT}../shared/tools/vm`;
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    refuse(
      `"${path}": ${describeFileError(error)}`,
      "Name the program that runs guests: VM=PATH deno task vm",
    );
  }
}

/** Where Deno keeps what it has downloaded. */
function findCache(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), {
    args: ["info", "--json"],
    stderr: "inherit",
  }).outputSync();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}

/**
 * Returns the arguments of `vm` for a guest. What it is given lies below /mnt there.
 *
 * @param env what its environment gets
 */
export function vmWords(
  kernel: string,
  { all, files }: Wanted,
  cache: string,
  env: Readonly<Record<string, string>>,
): string[] {
  const deno = Deno.execPath();
  const slash = deno.lastIndexOf("/");
  const shares = [
    `${ROOT.slice(0, -1)}:/mnt/clone`,
    `${deno.slice(0, slash)}:/mnt/deno`,
    `${cache}:/mnt/cache`,
  ];
  const given = all ? { ...env, RUSTYRUN_WARM: "mixed" } : env;
  return [
    ...["run", "--kernel", kernel, "--workdir", "/"],
    ...["--timeout", `${files.length > 0 ? LATE : SOON}`],
    ...shares.flatMap((it) => ["--share", `${it}:ro:cached`]),
    ...Object.entries(given).flatMap(([key, it]) => ["--env", `${key}=${it}`]),
    ...["--", "bash", "/mnt/clone/.ci/guest", "/mnt/clone"],
    ...[`/mnt/deno${deno.slice(slash)}`, "/mnt/cache", ...files],
  ];
}

/** The environment of `vm`, beside ours. */
export function vmEnv(
  { all }: Pick<Wanted, "all">,
  ours: string | undefined = Deno.env.get("VM_EXTRA_PACKAGES"),
): Record<string, string> {
  return {
    // A guest that is forgotten ends by itself, but not before its tests.
    VM_TTL: `${LATE + 600}`,
    ...(all
      ? { VM_EXTRA_PACKAGES: ours ? `${ours} ${COMPILER}` : COMPILER }
      : {}),
  };
}

/** Runs a program and shows what it prints.
 *
 * @param env what it gets beside ours
 * @returns its exit code, and what its standard output held */
async function runShown(
  program: string,
  args: string[],
  env: Record<string, string>,
): Promise<{ code: number; text: string }> {
  const child = new Deno.Command(program, {
    args,
    env,
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of child.stdout) {
    Deno.stdout.writeSync(bytes);
    text += decoder.decode(bytes, { stream: true });
  }
  return { code: (await child.status).code, text };
}

/** Runs the tests in a guest of that kernel.
 *
 * @returns the exit code, and the line to be read at the end */
async function testKernel(
  vm: string,
  kernel: string,
  args: string[],
  env: Record<string, string>,
): Promise<{ code: number; end: string }> {
  for (let tries = 1;; tries++) {
    const { code, text } = await runShown(vm, args, env);
    if (code === GUEST_FAILED && tries < TRIES) {
      console.error(`The guest failed, try ${tries} of ${TRIES}`);
      continue;
    }
    const end = findEnd(text) ?? `exit code ${code}, and no closing line`;
    return { code, end: `Kernel ${kernel}: ${end}` };
  }
}

async function main(args: readonly string[]): Promise<number> {
  const wanted = readWanted(args);
  const vm = findVm();
  const cache = findCache();
  const env = Object.fromEntries(
    PASSED.flatMap((key) => {
      const it = Deno.env.get(key);
      return it === undefined ? [] : [[key, it]];
    }),
  );
  const ends = [];
  for (const kernel of wanted.kernels) {
    const words = vmWords(kernel, wanted, cache, env);
    ends.push(await testKernel(vm, kernel, words, vmEnv(wanted)));
  }
  console.log(`\n${ends.map(({ end }) => end).join("\n")}`);
  return ends.find(({ code }) => code !== 0)?.code ?? 0;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
