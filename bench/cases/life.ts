/**
 * What an engine asks of its runtime: a container's whole life and its parts,
 * exec, and many creates at once.
 *
 * @module
 */

import type { Runtime } from "../contenders.ts";
import { type Act, interleave, type Series } from "../measure.ts";
import { reap, type Sample, wait } from "../starter.ts";
import type { Bench, Case } from "./case.ts";

/** A command that goes on until it is killed. */
export const STAYS = ["/bin/sleep", "1000000"];
/** Creates at once. */
const CROWD = 20;

/** Returns the pid that a runtime has written to its --pid-file. */
function readPid(file: string): number {
  return Number(Deno.readTextFileSync(file));
}

function sum(samples: Iterable<Sample>): Sample {
  const all = { ms: 0, cpu: 0 };
  for (const { ms, cpu } of samples) {
    all.ms += ms;
    all.cpu += cpu;
  }
  return all;
}

/** One container of a runtime, made and removed again and again. */
export class Life {
  readonly #bench: Bench;
  readonly #runtime: Runtime;
  readonly #bundle: string;
  readonly #pidFile: string;
  readonly id: string;

  constructor(bench: Bench, runtime: Runtime, id: string) {
    this.#bench = bench;
    this.#runtime = runtime;
    this.id = id;
    this.#bundle = bench.room.makeBundle({ args: STAYS });
    this.#pidFile = `${this.#bundle}/pid`;
  }

  /** The words of create, after the runtime's own. */
  get createWords(): string[] {
    const { id } = this;
    const flags = ["--bundle", this.#bundle, "--pid-file", this.#pidFile];
    return ["create", ...flags, id];
  }

  #step(...words: string[]): Promise<Sample> {
    return this.#bench.field.step(this.#runtime, words);
  }

  create(): Promise<Sample> {
    return this.#step(...this.createWords);
  }

  start(): Promise<Sample> {
    return this.#step("start", this.id);
  }

  state(): Promise<Sample> {
    return this.#step("state", this.id);
  }

  exec(): Promise<Sample> {
    return this.#step("exec", this.id, "/bin/true");
  }

  /** SIGKILL; the time ends when the command does, and the process is then reaped,
   * as an engine does. */
  async kill(): Promise<Sample> {
    const pid = readPid(this.#pidFile);
    const { ms, cpu } = await this.#step("kill", this.id, "KILL");
    return { ms, cpu: cpu + (wait(pid)?.cpu ?? 0) };
  }

  delete(): Promise<Sample> {
    return this.#step("delete", this.id);
  }
}

/** Starts a command of each at the same moment.
 *
 * @returns the time until the last one has ended */
async function atOnce(
  { room, field }: Bench,
  runtime: Runtime,
  lines: readonly (readonly string[])[],
): Promise<Sample> {
  const before = runtime.name === "front" ? field.engineCpu() : 0;
  const children = lines.map((words) =>
    room.starter.start([...runtime.command, ...words])
  );
  let [ms, cpu] = [0, 0];
  for (const child of children) {
    const sample = await room.starter.finish(child);
    ms = performance.now() - children[0]!.began;
    cpu += sample.cpu;
  }
  cpu += reap();
  if (runtime.name === "front") cpu += field.engineCpu() - before;
  return { ms, cpu };
}

const life: Case = {
  name: "life",
  title: "An engine's life of a container",
  job:
    "create, start, state, kill, delete of what `runc spec` writes, with /bin/sleep; life is their sum. The process is reaped after kill, uncounted.",
  async run(bench): Promise<Series[]> {
    const acts = new Map<string, Act>();
    for (const runtime of bench.field.runtimes) {
      const one = new Life(bench, runtime, "life");
      acts.set(runtime.name, async () => {
        const parts = {
          create: await one.create(),
          start: await one.start(),
          state: await one.state(),
          kill: await one.kill(),
          delete: await one.delete(),
        };
        return { ...parts, life: sum(Object.values(parts)) };
      });
    }
    // The floors of each command.
    for (const { name, line } of bench.field.empties) {
      acts.set(name, async () => {
        const start = await bench.room.starter.step(line);
        const small = { start, state: start, kill: start, delete: start };
        return { create: start, ...small };
      });
    }
    return await interleave("life", acts, bench.rounds, bench.room.starter);
  },
};

const exec: Case = {
  name: "exec",
  title: "exec",
  job:
    "exec of /bin/true in a running container of the runtime's own; the library collects what it writes.",
  async run(bench): Promise<Series[]> {
    const acts = new Map<string, Act>();
    for (const runtime of bench.field.runtimes) {
      const one = new Life(bench, runtime, "exec");
      await one.create();
      await one.start();
      acts.set(runtime.name, async () => ({ exec: await one.exec() }));
    }
    const { library } = bench.field;
    await library.do("open");
    acts.set("library", async () => ({ exec: await library.do("exec") }));
    const { starter } = bench.room;
    for (const { name, line } of bench.field.empties) {
      acts.set(name, async () => ({ exec: await starter.step(line) }));
    }
    return await interleave("exec", acts, bench.rounds, starter);
  },
};

const burst: Case = {
  name: "burst",
  title: `${CROWD} at once`,
  job:
    `${CROWD} creates started at the same moment, until the last one has ended; then, all killed and reaped, ${CROWD} deletes. The library's run already when they are made, and are killed by being closed.`,
  async run(bench): Promise<Series[]> {
    const acts = new Map<string, Act>();
    for (const runtime of bench.field.runtimes) {
      const crowd = Array.from(
        { length: CROWD },
        (_, i) => new Life(bench, runtime, `burst${i}`),
      );
      acts.set(runtime.name, async () => {
        const create = await atOnce(
          bench,
          runtime,
          crowd.map((it) => it.createWords),
        );
        for (const it of crowd) await it.kill();
        const words = crowd.map((it) => ["delete", it.id]);
        return { create, delete: await atOnce(bench, runtime, words) };
      });
    }
    const { library } = bench.field;
    acts.set("library", async () => ({
      create: await library.do("crowd"),
      delete: await library.do("close"),
    }));
    const rounds = {
      before: Math.ceil(bench.rounds.before / 6),
      count: Math.ceil(bench.rounds.count / 3),
    };
    return await interleave("burst", acts, rounds, bench.room.starter);
  },
};

export const CASES: readonly Case[] = [life, exec, burst];
