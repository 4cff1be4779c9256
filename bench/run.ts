/**
 * Times one container from start to end, rustyrun beside its peers: every round
 * runs each command once, so that a busy moment hits all of them alike. Compare
 * figures of one table only.
 *
 *     deno task bench [--rounds N]
 *
 * Needs root, runc (it writes the bundle) and a static busybox; crun and bwrap
 * are timed where they are. dist/rustyrun is timed when `deno task compile` has
 * made it.
 *
 * @module
 */

import { readCaller } from "../mod/caller.ts";
import { cgroupLayout, gatherFacts } from "../mod/host.ts";
import { BuildError, ROOT } from "../scripts/build.ts";
import { BUNDLE, bundle } from "../scripts/bundle.ts";
import { enterRoom } from "../tests/conformance/room.ts";
import { makeRootfs } from "../tests/harness.ts";
import { findProgram, hasNeed } from "../tests/needs.ts";

/** Rounds before those that count. */
const WARM_UP = 3;

/** One row of the table. */
interface Contender {
  name: string;
  command: string[];
  /** Milliseconds of each round. */
  times: number[];
  /** CPU milliseconds of each round, the children's included. */
  cpu: number[];
}

/** Milliseconds of CPU that waited-for children of this process have used. */
function childCpu(): number {
  const stat = Deno.readTextFileSync("/proc/self/stat");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // cutime and cstime are fields 16 and 17 of proc_pid_stat(5), in ticks of 10 ms.
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

function runOnce(contender: Contender, denoDir: string): void {
  const [program, ...args] = contender.command;
  const cpu = childCpu();
  const start = performance.now();
  const { code, stderr } = new Deno.Command(program!, {
    args,
    // A cache of its own: another version of Deno empties the shared one.
    env: { DENO_DIR: denoDir },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).outputSync();
  contender.times.push(performance.now() - start);
  contender.cpu.push(childCpu() - cpu);
  if (code !== 0) {
    throw new BuildError(
      `Cannot time ${contender.name}: it exited with ${code}\n${
        new TextDecoder().decode(stderr).trimEnd()
      }`,
    );
  }
}

/** The middle value; the mean of the two in the middle of an even number. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Writes what `runc spec` writes, for /bin/true without a terminal. */
function makeBundle(dir: string, rootfs: string, seccomp?: unknown): string {
  Deno.mkdirSync(dir);
  const { success } = new Deno.Command(findProgram("runc")!, {
    args: ["spec", "--bundle", dir],
  }).outputSync();
  if (!success) throw new BuildError("Cannot make a bundle: runc spec failed");
  const path = `${dir}/config.json`;
  const spec = JSON.parse(Deno.readTextFileSync(path));
  spec.root = { path: rootfs, readonly: true };
  spec.process.args = ["/bin/true"];
  spec.process.terminal = false;
  // Without it runc and crun on cgroup v1 nest under the caller's cgroup.
  spec.linux.cgroupsPath = `/rustyrun-bench-${Deno.pid}`;
  if (seccomp !== undefined) spec.linux.seccomp = seccomp;
  Deno.writeTextFileSync(path, JSON.stringify(spec));
  return dir;
}

function listContenders(work: string, rootfs: string): Contender[] {
  const plain = makeBundle(`${work}/plain`, rootfs);
  // The filter that dockerd writes into a config.json.
  const docker = JSON.parse(
    Deno.readTextFileSync(`${ROOT}tests/testdata/config/docker_run.json`),
  );
  const filtered = makeBundle(
    `${work}/filtered`,
    rootfs,
    docker.linux.seccomp,
  );
  const deno = [Deno.execPath(), "run", "-q", "-A", "--no-config", BUNDLE];
  const id = `rrbench-${Deno.pid}`;
  const list: [string, string[]][] = [
    ["rustyrun run --bundle", [...deno, "run", "--bundle", plain, id]],
    ["runc run", [findProgram("runc")!, "run", "--bundle", plain, id]],
    [
      "rustyrun run --rootfs (its seccomp filter)",
      [...deno, "run", "--rootfs", rootfs, "--", "/bin/true"],
    ],
  ];
  const executable = `${ROOT}dist/rustyrun`;
  try {
    Deno.statSync(executable);
    list.push([
      "rustyrun, executable, run --bundle",
      [executable, "run", "--bundle", plain, id],
    ]);
  } catch {
    // deno task compile has not been run.
  }
  const crun = findProgram("crun");
  if (crun) list.push(["crun run", [crun, "run", "--bundle", plain, id]]);
  const runtimes: [string, string[]][] = [
    ["rustyrun", deno],
    ["runc", [findProgram("runc")!]],
    ...(crun ? [["crun", [crun]] as [string, string[]]] : []),
  ];
  for (const [name, command] of runtimes) {
    list.push([
      `${name} run, docker's filter`,
      [...command, "run", "--bundle", filtered, id],
    ]);
  }
  const bwrap = findProgram("bwrap");
  if (bwrap) {
    const flags = "--unshare-all --proc /proc --dev /dev".split(" ");
    list.push([
      "bwrap (no cgroup, no filter)",
      [bwrap, "--bind", rootfs, "/", ...flags, "/bin/true"],
    ]);
  }
  const hello = `${work}/hello.js`;
  Deno.writeTextFileSync(hello, "");
  list.push(["deno run, an empty program", [
    Deno.execPath(),
    "run",
    "-A",
    hello,
  ]]);
  return list.map(([name, command]) => ({ name, command, times: [], cpu: [] }));
}

function printTable(contenders: readonly Contender[], rounds: number): void {
  const runc = contenders.find((c) => c.name === "runc run")!;
  const base = median(runc.times);
  console.log(
    `\n${rounds} rounds, interleaved; Linux ${Deno.osRelease()}, ${navigator.hardwareConcurrency} cores, cgroups ${
      cgroupLayout(gatherFacts(readCaller()))
    }, Deno ${Deno.version.deno}\n`,
  );
  console.log("| /bin/true | median ms | min ms | CPU ms | of runc |");
  console.log("| --- | ---: | ---: | ---: | ---: |");
  for (const { name, times, cpu } of contenders) {
    const mean = cpu.reduce((sum, ms) => sum + ms, 0) / cpu.length;
    console.log(
      `| ${name} | ${median(times).toFixed(1)} | ${
        Math.min(...times).toFixed(1)
      } | ${mean.toFixed(0)} | ${(median(times) / base).toFixed(2)} |`,
    );
  }
}

function showLoad(load: readonly number[]): string {
  return load[0]!.toFixed(1);
}

function bench(args: readonly string[]): void {
  let rounds = 30;
  for (let i = 0; i < args.length; i++) {
    const value = Number(args[i + 1]);
    if (args[i] !== "--rounds" || !Number.isInteger(value) || value < 1) {
      throw new BuildError(
        `Cannot bench: unknown argument "${
          args[i]
        }"\n  hint: deno task bench [--rounds N]`,
      );
    }
    rounds = value;
    i++;
  }
  for (const need of ["root", "runc", "busybox"] as const) {
    if (!hasNeed(need)) {
      throw new BuildError(`Cannot bench: this machine lacks ${need}`);
    }
  }
  bundle();
  const work = Deno.makeTempDirSync({ prefix: "rustyrun-bench-" });
  const rootfs = makeRootfs();
  try {
    const contenders = listContenders(work, rootfs);
    const denoDir = `${work}/deno`;
    const load = Deno.loadavg();
    // Not counted: the first fills the caches, Deno's of compiled code too.
    for (let i = 0; i < WARM_UP; i++) {
      for (const contender of contenders) runOnce(contender, denoDir);
    }
    for (const contender of contenders) {
      contender.times = [];
      contender.cpu = [];
    }
    for (let i = 0; i < rounds; i++) {
      for (const contender of contenders) runOnce(contender, denoDir);
    }
    printTable(contenders, rounds);
    console.log(
      `\nLoad ${showLoad(load)} before, ${showLoad(Deno.loadavg())} after`,
    );
  } finally {
    Deno.removeSync(work, { recursive: true });
    Deno.removeSync(rootfs, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    // crun asks for it, and then all of them get it.
    const code = await enterRoom();
    if (code !== undefined) Deno.exit(code);
    bench(Deno.args);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
