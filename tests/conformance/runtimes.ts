/**
 * The runtimes that the proofs run: rustyrun, and its peers runc and crun.
 * Each is a small script that adds a state directory of its own, so that a
 * run can list and clean up what it made and nothing else.
 *
 * @module
 */

import { isWarm, serveWarm } from "../warm_program.ts";

/** The repository's root, without a slash at the end. */
export const REPOSITORY = decodeURIComponent(
  new URL("../..", import.meta.url).pathname.slice(0, -1),
);

/** Everything that these runs build; `dist/` is not in git. */
export const BUILD_DIR = `${REPOSITORY}/dist/proof`;

/** The names, in the order of the tables' columns. */
export const RUNTIME_NAMES = ["rustyrun", "runc", "crun"] as const;

/** One of {@linkcode RUNTIME_NAMES}, or rustyrun behind a front. */
export type RuntimeName = typeof RUNTIME_NAMES[number] | "front";

/** One runtime that can be run. */
export interface Runtime {
  name: RuntimeName;
  /** The first line of `--version`. */
  version: string;
  /** The script that callers run in place of the runtime. */
  command: string;
  /** The state directory that the script hands over by `--root`. */
  root: string;
}

/** What a program said and how it ended. */
export interface Outcome {
  /** The exit code; 128+n for a signal. */
  code: number;
  stdout: string;
  stderr: string;
  /** It was killed because its time was over. */
  timedOut: boolean;
}

/** How {@linkcode execute} starts a program. */
export interface ExecuteOptions {
  cwd?: string;
  env?: Record<string, string>;
  clearEnv?: boolean;
  /** Milliseconds until SIGKILL; 60 seconds unless told. */
  timeout?: number;
}

/** Runs a program to its end, and never longer than its timeout. */
export async function execute(
  argv: readonly string[],
  options: ExecuteOptions = {},
): Promise<Outcome> {
  // The room's own: crun has given it to the user of another container.
  if (Deno.env.get("RUSTYRUN_PROOF_INSIDE") !== undefined) {
    Deno.chownSync("/dev/null", 0, 0);
  }
  const [program, ...args] = argv;
  const child = new Deno.Command(program ?? "", {
    args,
    cwd: options.cwd ?? ".",
    env: options.env ?? {},
    clearEnv: options.clearEnv ?? false,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const decoder = new TextDecoder();
  let stdout = "";
  let stderr = "";
  const readers = [
    child.stdout.getReader(),
    child.stderr.getReader(),
  ] as const;
  const drain = async (index: 0 | 1) => {
    while (true) {
      const { value, done } = await readers[index].read();
      if (done) return;
      const text = decoder.decode(value);
      if (index === 0) stdout += text;
      else stderr += text;
    }
  };
  const drained = Promise.all([drain(0), drain(1)]);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    try {
      child.kill("SIGKILL");
    } catch {
      // It ended between the timer and the kill.
    }
  }, options.timeout ?? 60_000);
  const status = await child.status;
  clearTimeout(timer);
  // A container that still runs holds the pipe: its output is not waited for.
  // Many short waits, so that what is in the pipe is read even where this
  // process stood still for longer than all of them.
  let ended = false;
  drained.then(() => ended = true);
  for (let i = 0; i < 100 && !ended; i++) {
    await new Promise((done) => setTimeout(done, 10));
  }
  for (const reader of readers) await reader.cancel().catch(() => {});
  return { code: status.code, stdout, stderr, timedOut };
}

/** The path of a program on PATH, or undefined. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const dir of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = `${dir}/${name}`;
    try {
      if ((await Deno.stat(path)).isFile) return path;
    } catch {
      continue;
    }
  }
  return undefined;
}

/** Whether a path exists. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}

/** Builds runc from its pinned module; undefined where Go or a C compiler is
 * missing, with the reason on stderr. */
async function buildRunc(): Promise<string | undefined> {
  const binary = `${BUILD_DIR}/runc`;
  if (await exists(binary)) return binary;
  const go = await findProgram("go");
  if (go === undefined) return undefined;
  await Deno.mkdir(BUILD_DIR, { recursive: true });
  const built = await execute(
    [
      go,
      "build",
      "-trimpath",
      "-ldflags=-s -w",
      "-tags=seccomp urfave_cli_no_docs",
      "-o",
      binary,
      "github.com/opencontainers/runc",
    ],
    {
      cwd: `${REPOSITORY}/tests/conformance/runc`,
      env: { CGO_ENABLED: "1" },
      timeout: 600_000,
    },
  );
  if (built.code === 0) return binary;
  console.error(`runc does not build here: ${built.stderr.trim()}`);
  return undefined;
}

/** Says so when a source is newer than what was built from it. */
async function warnStale(entry: string): Promise<void> {
  const built = (await Deno.stat(`${REPOSITORY}/${entry}`)).mtime ??
    new Date(0);
  const newer = await execute([
    "find",
    ...["mod", "ffi", "c", "main.ts"].map((path) => `${REPOSITORY}/${path}`),
    "-newermt",
    built.toISOString(),
    "-type",
    "f",
  ]);
  const files = newer.stdout.trim();
  if (files !== "") {
    console.error(
      `${entry} is older than its sources (${
        files.split("\n").length
      } files): deno task bundle builds it anew`,
    );
  }
}

/** The command that starts a runtime, or undefined where it is not at hand.
 * RUSTYRUN, RUNC and CRUN in the environment name other binaries; with
 * RUSTYRUN_WARM=1 rustyrun is a front. */
async function findCommand(name: RuntimeName): Promise<string[] | undefined> {
  const named = Deno.env.get(name.toUpperCase());
  if (named !== undefined) return [named];
  if (name === "runc") {
    const path = await buildRunc() ?? await findProgram("runc");
    return path === undefined ? undefined : [path];
  }
  if (name === "crun") {
    const path = await findProgram("crun");
    return path === undefined ? undefined : [path];
  }
  for (const entry of ["dist/rustyrun.js", "main.ts"]) {
    if (await exists(`${REPOSITORY}/${entry}`)) {
      if (entry !== "main.ts") await warnStale(entry);
      if (name === "front" || isWarm()) {
        return [serveWarm(`${REPOSITORY}/${entry}`)];
      }
      return [
        Deno.execPath(),
        "run",
        "-A",
        `--config=${REPOSITORY}/deno.json`,
        `${REPOSITORY}/${entry}`,
      ];
    }
  }
  return undefined;
}

/** Where the bundle of a create or run is. */
const FIND_BUNDLE = `bundle=. word=
for next in "$@"; do
  case $word in --bundle|-b) bundle=$next;; esac
  word=$next
done
`;

/** crun before 1.9 refuses every ociVersion but 1.0.x ("unknown version
 * specified"), and would fail every program for that alone: its script writes
 * 1.0.2 into config.json first. */
const OLD_CRUN = `case " $* " in *" create "*|*" run "*)
  [ -f "$bundle/config.json" ] && sed -i -E 's/("ociVersion": *")1\\.[1-9][^"]*"/\\11.0.2"/' "$bundle/config.json"
esac
`;

/** The suite gives a hook one second, and sends a signal as soon as the state is
 * "running": a machine that stands still for a second, or runs the suite before
 * the container's shell has come to its trap, fails it. So the script gives a
 * hook a minute, and after a start it waits until the container's process is
 * another program than before, and sleeps, or has ended. */
const PATIENCE = `case " $* " in *" create "*)
  [ -f "$bundle/config.json" ] && sed -i -E 's/("timeout": *)1\\b/\\160/' "$bundle/config.json"
esac
if [ "$1" = start ] && [ $# = 2 ]; then
  pid=$(runtime state "$2" 2>/dev/null | sed -n 's/.*"pid": *\\([0-9]*\\).*/\\1/p' | head -n 1)
  before=$(readlink "/proc/$pid/exe")
  runtime "$@" || exit
  tries=0
  while [ $tries -lt 600 ]; do
    tries=$((tries + 1))
    { read -r line <"/proc/$pid/stat"; } 2>/dev/null || break
    case \${line##*) } in
      Z*|X*) break ;;
      S*) [ "$(readlink "/proc/$pid/exe")" = "$before" ] || break ;;
    esac
    sleep 0.05
  done
  exit 0
fi
`;

/** A word for /bin/sh. */
function quoteWord(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * Finds the runtimes asked for.
 *
 * @param work a directory for the scripts and the state directories
 * @param patient callers have time limits that a busy machine breaks
 * @returns those that are at hand; the others are named on stderr
 */
export async function findRuntimes(
  names: readonly RuntimeName[],
  work: string,
  patient = false,
): Promise<Runtime[]> {
  const found: Runtime[] = [];
  for (const name of names) {
    const argv = await findCommand(name);
    if (argv === undefined) {
      console.error(`${name} is not here: its column stays empty`);
      continue;
    }
    const root = `${work}/state-${name}`;
    const command = `${work}/${name}`;
    const told = await execute([...argv, "--version"]);
    if (told.code !== 0) {
      console.error(
        `${name} cannot be run: ${told.stderr.trim() || told.stdout.trim()}`,
      );
      continue;
    }
    const line = `${argv.map(quoteWord).join(" ")} --root ${quoteWord(root)}`;
    const old = /^crun version 1\.[0-8](\.|$)/m.test(told.stdout);
    await Deno.writeTextFile(
      command,
      [
        "#!/bin/sh",
        FIND_BUNDLE,
        old ? OLD_CRUN : "",
        `runtime() { ${line} "$@"; }`,
        patient ? PATIENCE : "",
        `exec ${line} "$@"\n`,
      ].join("\n"),
      { mode: 0o755 },
    );
    found.push({
      name,
      version: told.stdout.split("\n")[0]?.trim() ?? "",
      command,
      root,
    });
  }
  return found;
}

/** Removes the containers that a runtime still knows of, then its state.
 * @returns the ids that were left */
export async function cleanState(runtime: Runtime): Promise<string[]> {
  const left: string[] = [];
  try {
    for await (const entry of Deno.readDir(runtime.root)) {
      if (!entry.isDirectory || entry.name.startsWith(".")) continue;
      left.push(entry.name);
      await execute([runtime.command, "delete", "--force", entry.name], {
        timeout: 120_000,
      });
    }
    await Deno.remove(runtime.root, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return left;
}
