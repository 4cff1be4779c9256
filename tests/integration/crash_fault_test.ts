/**
 * SIGKILL of the host stage and of the child stage at every system call they
 * make, by tests/c/fault.c: afterwards `state` is sane, and `delete --force` or
 * the next command leave nothing.
 *
 * RUSTYRUN_FAULTS says at how many calls of each row (3 unless told; "all" for
 * every one), RUSTYRUN_SEED which.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type CliResult, SLOW } from "../harness.ts";
import { type Need, probe, testOn } from "../needs.ts";
import { type CrashBox, makeCrashBox, settle } from "./crash_box.ts";

const NEEDS: Need[] = ["root", "helper", "busybox", "cc"];
const FAULTS = Deno.env.get("RUSTYRUN_FAULTS") ?? "3";
const SEED = Number(
  Deno.env.get("RUSTYRUN_SEED") ??
    crypto.getRandomValues(new Uint16Array(1))[0],
);

type Mode = "host" | "helper" | "both" | "all";

/** What fault.c reports. */
interface Report {
  count: number;
  killed: boolean;
  /** The host's first flock(2): with it a command begins to change things. */
  first: number;
  /** Which process made which call. */
  where: string;
}

/** mulberry32, a small generator with a seed (public domain, T. Ettinger). */
function makeRandom(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The calls at which to kill: all from `from` to `to`, or one of each of
 * `FAULTS` equal parts. */
function chooseCalls(from: number, to: number, random: () => number): number[] {
  const size = to - from + 1;
  const parts = FAULTS === "all" ? size : Math.min(size, Number(FAULTS));
  return Array.from(
    { length: parts },
    (_, i) => from + Math.floor((i + random()) * size / parts),
  );
}

let built: string | undefined;

function buildFault(): string {
  if (built !== undefined) return built;
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-fault-" });
  addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
  built = `${dir}/fault`;
  const source = `${import.meta.dirname}/../c/fault.c`;
  const { code } = probe("cc", "-O2", "-Wall", "-Werror", "-o", built, source);
  assertEquals(code, 0, "cc tests/c/fault.c");
  return built;
}

/** Runs a command of rustyrun under fault.c. */
async function runFault(
  box: CrashBox,
  mode: Mode,
  k: number,
  ...words: string[]
): Promise<CliResult & { report: Report }> {
  const file = `${box.dir}/report`;
  const result = await box.runApart(
    [buildFault(), mode, String(k), file, ...box.argv(...words)],
    { timeout: 300 },
  );
  return { ...result, report: readReport(file) };
}

function readReport(file: string): Report {
  const [, count, how, first, number, comm] = Deno.readTextFileSync(file)
    .trim().split(" ");
  return {
    count: Number(count),
    killed: how === "killed",
    first: Number(first),
    where: `${comm} before system call ${number}`,
  };
}

/** One kind of command under fire. */
interface Row {
  name: string;
  modes: Mode[];
  /** What the container runs. */
  args: string[];
  /** Before each try. */
  prepare?(box: CrashBox, id: string): Promise<void>;
  words(box: CrashBox, id: string): string[];
  /** What `state` may say after it. */
  sane: string[];
  /** Either the host or a warden is left to clean up at once: no process,
   * mount or cgroup stays even if nobody calls rustyrun again. */
  cleans?: boolean;
  /** What must work after it, whatever `state` has said. */
  again(box: CrashBox, id: string, status: string, k: number): Promise<void>;
}

const create = (box: CrashBox, id: string) => [
  "create",
  "--bundle",
  box.bundle,
  id,
];

const ROWS: Row[] = [
  {
    name: "create",
    modes: ["host", "helper", "all"],
    args: ["sleep", "1000"],
    words: create,
    sane: ["none", "created", "stopped"],
    async again(box, id, status, k) {
      // A create takes over what a killed one left; half of them do.
      if (status !== "none" || k % 2 === 0) {
        await box.callQuiet("delete", "--force", id);
        assertEquals(await box.findRest(), []);
      }
      await box.callQuiet(...create(box, id));
      await box.callQuiet("delete", "--force", id);
    },
  },
  {
    name: "start",
    modes: ["host"],
    args: ["sleep", "1000"],
    prepare: (box, id) => box.callQuiet(...create(box, id)),
    words: (_, id) => ["start", id],
    sane: ["created", "running"],
    async again(box, id, status) {
      // What it said is so: it can be started, or cannot any more. Who was let
      // go may have been on its way when it was looked at.
      const { code, stderr } = await box.call("start", id);
      if (status !== "created" || code !== 0) {
        assertEquals(
          [code, stderr.split("\n")[0]],
          [
            1,
            `rustyrun: Cannot start "${id}": cannot start an already running container`,
          ],
        );
      }
      assertEquals(await box.status(id), "running");
      await box.callQuiet("delete", "--force", id);
    },
  },
  {
    name: "delete --force",
    modes: ["host"],
    args: ["sleep", "1000"],
    async prepare(box, id) {
      await box.callQuiet(...create(box, id));
      await box.callQuiet("start", id);
    },
    words: (_, id) => ["delete", "--force", id],
    sane: ["running", "stopped", "none"],
    async again(box, id, status, k) {
      if (status !== "none" || k % 2 === 0) {
        await box.callQuiet("delete", "--force", id);
        assertEquals(await box.findRest(), []);
      }
      await box.callQuiet(...create(box, id));
      await box.callQuiet("delete", "--force", id);
    },
  },
  {
    name: "run",
    modes: ["host", "helper", "both", "all"],
    args: ["true"],
    words: (box, id) => ["run", "--bundle", box.bundle, id],
    sane: ["none", "running", "stopped"],
    cleans: true,
    async again(box, id, _, k) {
      // A run sweeps what is left of others; half of them do.
      if (k % 2 === 0) await box.callQuiet("delete", "--force", id);
      await box.callQuiet("run", "--bundle", box.bundle, id);
    },
  },
];

/** A host that is killed before it has a warden leaves its directory. */
function isSwept(left: string): boolean {
  return left.startsWith("file ");
}

/** Where a slow machine once made more calls than it does now, nothing was killed:
 * the next is earlier. */
function chooseEarlier(calls: number[], from: number, k: number): void {
  if (k > from) calls.push(from + Math.floor((k - from) / 2));
}

function checkWords({ stderr }: CliResult): void {
  assert(!/\bat file:|Uncaught|undefined/.test(stderr), stderr);
}

for (const row of ROWS) {
  for (const mode of row.modes) {
    testOn(
      NEEDS,
      `SIGKILL of ${mode} in ${row.name} at any system call leaves nothing that delete --force or the next command does not remove`,
      async () => {
        await using box = makeCrashBox({
          process: {
            user: { uid: 0, gid: 0 },
            args: row.args,
            env: ["PATH=/bin"],
            cwd: "/",
          },
        });
        const id = box.name;
        const random = makeRandom(SEED);
        await row.prepare?.(box, id);
        const counted = await runFault(box, mode, 0, ...row.words(box, id));
        assertEquals([counted.code, counted.stderr], [0, ""]);
        await box.callQuiet("delete", "--force", id);
        const { count, first } = counted.report;
        assert(count > 20, `${count} system calls`);
        let kills = 0;
        // The host's start-up changes nothing; a few calls of it are enough.
        const from = mode === "host" ? first - 5 : 1;
        const calls = chooseCalls(from, count, random);
        for (const k of calls) {
          await row.prepare?.(box, id);
          const hit = await runFault(box, mode, k, ...row.words(box, id));
          const { killed, where } = hit.report;
          const at = `seed ${SEED}, call ${k} of ${count}: ${where}`;
          if (killed) kills++;
          if (kills === 0) chooseEarlier(calls, from, k);
          try {
            checkWords(hit);
            if (row.cleans && (mode === "host" || mode === "helper")) {
              const left = await box.findRest(isSwept);
              assertEquals(left.filter((it) => !isSwept(it)), []);
            }
            const status = await box.status(id);
            assert(row.sane.includes(status), `state says "${status}"`);
            // A create that has failed has cleaned up.
            if (mode === "helper" && killed && hit.code !== 0) {
              assertEquals(status, "none");
              // 137 and no word: killed as it called execve, like a command.
              assertMatch(
                hit.stderr,
                row.cleans && hit.code === 137 ? /Cannot |^$/ : /Cannot /,
              );
            }
            // Who outlived the others may still clean up, and has the id.
            if (status === "none" || row.cleans) await settle();
            await row.again(box, id, status, k);
            assertEquals(await box.findRest(), []);
          } catch (error) {
            await box.call("delete", "--force", id);
            throw new Error(`${at}\n${hit.stderr}`, { cause: error });
          }
        }
        console.log(
          `    ${row.name}: ${mode} killed at ${kills} of ${
            count - from + 1
          } system calls`,
        );
        assert(kills > 0, "nothing was killed");
      },
    );
  }
}

for (const mode of ["host", "helper", "both"] as const) {
  testOn(
    NEEDS,
    `SIGKILL of ${mode} in exec at any system call leaves the container as it was`,
    async () => {
      await using box = makeCrashBox();
      const id = box.name;
      const random = makeRandom(SEED);
      await box.callQuiet(...create(box, id));
      await box.callQuiet("start", id);
      try {
        const counted = await runFault(box, mode, 0, "exec", id, "true");
        assertEquals([counted.code, counted.stderr], [0, ""]);
        const { count, first } = counted.report;
        const from = mode === "host" ? first - 5 : 1;
        let kills = 0;
        const calls = chooseCalls(from, count, random);
        for (const k of calls) {
          const hit = await runFault(box, mode, k, "exec", id, "true");
          if (hit.report.killed) kills++;
          if (kills === 0) chooseEarlier(calls, from, k);
          const at = `seed ${SEED}, call ${k} of ${count}: ${hit.report.where}`;
          checkWords(hit);
          assertEquals(await box.status(id), "running", at);
          assertEquals(await waitForAlone(box, id), ["1"], at);
          await box.callQuiet("exec", id, "true");
        }
        console.log(
          `    exec: ${mode} killed at ${kills} of ${
            count - from + 1
          } system calls`,
        );
        assert(kills > 0, "nothing was killed");
      } finally {
        await box.call("delete", "--force", id);
      }
    },
  );
}

/** The pids in the container, once there is one alone, or after a minute. */
async function waitForAlone(box: CrashBox, id: string): Promise<string[]> {
  const until = performance.now() + 60_000 * SLOW;
  for (;;) {
    const { stdout } = await box.call("ps", "--format", "json", id);
    const pids = (JSON.parse(stdout) as number[]).map(readInnerPid);
    if (pids.length === 1 || performance.now() > until) return pids;
  }
}

/** The pid as the container has it. */
function readInnerPid(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/status`)
      .match(/^NSpid:.*\t(\d+)$/m)?.[1] ?? "?";
  } catch {
    return "?"; // It has just ended.
  }
}
