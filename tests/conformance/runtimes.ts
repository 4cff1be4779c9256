/**
 * The runtimes that the proofs run: rustyrun, and its peers runc and crun.
 * Each is a small script that adds a state directory of its own, so that a
 * run can list and clean up what it made and nothing else.
 *
 * @module
 */

/** The repository's root, without a slash at the end. */
export const REPOSITORY = decodeURIComponent(
  new URL("../..", import.meta.url).pathname.slice(0, -1),
);

/** Everything that these runs build; `dist/` is not in git. */
export const BUILD_DIR = `${REPOSITORY}/dist/proof`;

/** The names, in the order of the tables' columns. */
export const RUNTIME_NAMES = ["rustyrun", "runc", "crun"] as const;

/** One of {@linkcode RUNTIME_NAMES}. */
export type RuntimeName = typeof RUNTIME_NAMES[number];

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
  let grace: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([
    drained,
    new Promise((done) => grace = setTimeout(done, 1000)),
  ]);
  clearTimeout(grace);
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
 * RUSTYRUN, RUNC and CRUN in the environment name other binaries. */
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

/** crun before 1.9 refuses every ociVersion but 1.0.x ("unknown version
 * specified"), and would fail every program for that alone: its script writes
 * 1.0.2 into config.json first. */
const OLD_CRUN = `bundle=. word=
for next in "$@"; do
  case $word in --bundle|-b) bundle=$next;; esac
  word=$next
done
case " $* " in *" create "*|*" run "*)
  [ -f "$bundle/config.json" ] && sed -i -E 's/("ociVersion": *")1\\.[1-9][^"]*"/\\11.0.2"/' "$bundle/config.json"
esac
`;

/** A word for /bin/sh. */
function quoteWord(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * Finds the runtimes asked for.
 *
 * @param work a directory for the scripts and the state directories
 * @returns those that are at hand; the others are named on stderr
 */
export async function findRuntimes(
  names: readonly RuntimeName[],
  work: string,
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
    const old = /^crun version 1\.[0-8](\.|$)/m.test(told.stdout);
    await Deno.writeTextFile(
      command,
      `#!/bin/sh\n${old ? OLD_CRUN : ""}exec ${
        argv.map(quoteWord).join(" ")
      } --root ${quoteWord(root)} "$@"\n`,
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
        timeout: 20_000,
      });
    }
    await Deno.remove(runtime.root, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return left;
}

/** The mounted cgroup hierarchies: name, mount point, the caller's own cgroup
 * ("" for the root). */
export function listHierarchies(): {
  name: string;
  path: string;
  own: string;
}[] {
  const own = new Map<string, string>();
  for (const line of Deno.readTextFileSync("/proc/self/cgroup").split("\n")) {
    const [id, names = "", path = ""] = line.split(":");
    for (const name of id === "0" ? ["unified"] : names.split(",")) {
      own.set(name.replace("name=", ""), path === "/" ? "" : path);
    }
  }
  const found: { name: string; path: string; own: string }[] = [];
  for (const line of Deno.readTextFileSync("/proc/self/mounts").split("\n")) {
    const [, path = "", type] = line.split(" ");
    if (type === "cgroup" || type === "cgroup2") {
      const name = path.slice(path.lastIndexOf("/") + 1);
      found.push({ name, path, own: own.get(name) ?? "" });
    }
  }
  return found;
}

/** Removes a cgroup and everything below it from every hierarchy, killing the
 * processes that are still in it. The path must be one that the caller made. */
export function removeCgroup(path: string): void {
  if (!/^\/(testdir|cgrouptest|proof-)/.test(path)) {
    throw new RangeError(`Cannot remove the cgroup "${path}": it is not ours`);
  }
  const walk = (dir: string) => {
    let entries: Deno.DirEntry[];
    try {
      entries = [...Deno.readDirSync(dir)];
    } catch {
      return;
    }
    for (const entry of entries) {
      if (entry.isDirectory) walk(`${dir}/${entry.name}`);
    }
    try {
      const pids = Deno.readTextFileSync(`${dir}/cgroup.procs`);
      for (const pid of pids.split("\n")) {
        if (Number(pid) > 1) Deno.kill(Number(pid), "SIGKILL");
      }
    } catch {
      // The cgroup is gone or its process is: what was wanted.
    }
    for (let i = 0; i < 50; i++) {
      try {
        Deno.removeSync(dir);
        return;
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      }
    }
  };
  for (const mount of listHierarchies()) {
    walk(mount.path + path);
    // A relative cgroupsPath: runtimes put it below the caller's own cgroup.
    if (mount.own !== "") walk(mount.path + mount.own + path);
  }
}

/** Unmounts what is mounted below a directory: a container without a mount
 * namespace of its own mounts on its caller's.
 * @returns whether nothing is mounted there any more */
export async function unmountBelow(dir: string): Promise<boolean> {
  const list = () =>
    Deno.readTextFileSync("/proc/self/mounts").split("\n")
      .map((line) => line.split(" ")[1] ?? "")
      .filter((path) => path.startsWith(`${dir}/`)).reverse();
  for (const path of list()) await execute(["umount", "-l", path]);
  return list().length === 0;
}

/** Removes a directory of ours, unless something is still mounted in it: a
 * walk through a mounted /proc or /dev would delete what is not ours. */
export async function removeTree(dir: string): Promise<void> {
  if (await unmountBelow(dir)) await Deno.remove(dir, { recursive: true });
  else console.error(`${dir} stays: something is mounted in it`);
}

/** Waits until no other proof runs on this machine: they share cgroup names
 * and the hugetlb hierarchy. Released when the process ends. */
export async function lockProofs(): Promise<Deno.FsFile> {
  const file = await Deno.open("/run/lock/rustyrun-proof.lock", {
    create: true,
    write: true,
  });
  await file.lock(true);
  return file;
}

/** Mounts a v1 hugetlb hierarchy, runs the rest of the command line, and makes
 * the hierarchy go: it is global to the kernel, outlives an umount while a
 * removed cgroup of it is still being freed, and then the only cure is to
 * mount and unmount it again. */
const WITH_HUGETLB = `dir=/sys/fs/cgroup/hugetlb
mkdir -p $dir
mount -t cgroup -o hugetlb cgroup $dir || exit 3
"$@"
code=$?
for try in 1 2 3 4 5 6 7 8 9 10; do
  umount $dir
  sleep 1
  read -r _ id _ <<END
$(grep ^hugetlb /proc/cgroups)
END
  [ "$id" = 0 ] && break
  mount -t cgroup -o hugetlb cgroup $dir || break
done
rmdir $dir 2>/dev/null
exit $code`;

/**
 * Runs this script again in a mount namespace with a cgroup v1 hugetlb
 * hierarchy: crun refuses a cgroup2 mount that has controllers, and on a
 * hybrid machine hugetlb may be the one controller left in it.
 *
 * @returns the exit code of the second run; undefined in the second run
 * itself, and where no such hierarchy is wanted
 */
export async function enterHugetlb(): Promise<number | undefined> {
  const mounts = await Deno.readTextFile("/proc/self/mounts");
  if (
    Deno.env.get("RUSTYRUN_PROOF_INSIDE") !== undefined ||
    !mounts.includes(" /sys/fs/cgroup/unified cgroup2 ") ||
    mounts.includes(" /sys/fs/cgroup/hugetlb ") ||
    !/^hugetlb\t/m.test(await Deno.readTextFile("/proc/cgroups"))
  ) return undefined;
  const status = await new Deno.Command("unshare", {
    args: [
      "-m",
      "/bin/sh",
      "-c",
      WITH_HUGETLB,
      "sh",
      Deno.execPath(),
      "run",
      "-A",
      `--config=${REPOSITORY}/deno.json`,
      Deno.mainModule,
      ...Deno.args,
    ],
    env: { RUSTYRUN_PROOF_INSIDE: "1" },
  }).spawn().status;
  return status.code;
}

/** Makes a work directory that every user can pass through: the root of a
 * container with a user namespace is nobody here. */
export async function makeWorkDir(prefix: string): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix });
  await Deno.chmod(dir, 0o755);
  return dir;
}
