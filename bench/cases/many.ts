/**
 * Many containers: what one more costs while others live, and the list of all.
 *
 * @module
 */

import type { Name, Runtime } from "../contenders.ts";
import { type Act, interleave, type Series } from "../measure.ts";
import { mustRun } from "../room.ts";
import { BuildError } from "../../scripts/build.ts";
import type { Sample } from "../starter.ts";
import type { Bench, Case } from "./case.ts";
import { Life } from "./life.ts";

/** How many containers are alive. */
const CROWDS = [1, 10, 100, 500], QUICK_CROWDS = [1, 10];
/** How many are listed. */
const LISTED = 1000, QUICK_LISTED = 100;

/** The metric of a start while so many are alive. */
export const startAmong = (alive: number) => `start, ${alive} alive`;

/** One contender's way to many containers. */
interface Crowd {
  name: Name;
  /** Starts one more, which stays. */
  grow(): Promise<unknown>;
  /** Starts one more, and removes it again.
   *
   * @returns the start */
  next(): Promise<Sample>;
}

function crowdOf(bench: Bench, runtime: Runtime): Crowd {
  const one = new Life(bench, runtime, "next");
  let alive = 0;
  return {
    name: runtime.name,
    async grow() {
      const other = new Life(bench, runtime, `alive${alive++}`);
      await other.create();
      await other.start();
    },
    async next() {
      const create = await one.create();
      const start = await one.start();
      await one.kill();
      await one.delete();
      return { ms: create.ms + start.ms, cpu: create.cpu + start.cpu };
    },
  };
}

function libraryCrowd({ field: { library } }: Bench): Crowd {
  return {
    name: "library",
    grow: () => library.do("open"),
    async next() {
      const start = await library.do("open");
      await library.do("closeLast");
      return start;
    },
  };
}

/** What the next container costs while more and more live. */
async function growCrowd(
  { quick, rounds, field, room: { starter } }: Bench,
  { name, grow, next }: Crowd,
): Promise<Series[]> {
  const found: Series[] = [];
  let alive = 0;
  for (const size of quick ? QUICK_CROWDS : CROWDS) {
    for (; alive < size; alive++) {
      await grow();
      await starter.check();
    }
    const act = async () => ({ [startAmong(size)]: await next() });
    const acts = new Map([[name, act]]);
    found.push(...await interleave("alive", acts, rounds, starter));
  }
  await field.clear();
  return found;
}

const alive: Case = {
  name: "alive",
  title: "One more, while others live",
  job:
    "create and start of one more container while 1, 10, 100 and 500 of the runtime's own are alive; of the library, its container that lasts. One runtime after another, not interleaved: compare the columns of a row.",
  async run(bench): Promise<Series[]> {
    const found: Series[] = [];
    const { field } = bench;
    // Of ours in processes of its own, one: they differ in their start alone.
    const own = field.find("front") ?? field.find("cold");
    for (const runtime of field.runtimes) {
      const ours = runtime.name !== "runc" && runtime.name !== "crun";
      if (ours && runtime !== own) continue;
      found.push(...await growCrowd(bench, crowdOf(bench, runtime)));
    }
    found.push(...await growCrowd(bench, libraryCrowd(bench)));
    return found;
  },
};

/** Copies the directory of a state under another id, which stands in its files. */
function copyState(runtime: Runtime, id: string, other: string): void {
  Deno.mkdirSync(`${runtime.root}/${other}`, { mode: 0o700 });
  for (const { name, isFile } of Deno.readDirSync(`${runtime.root}/${id}`)) {
    if (!isFile) continue;
    const text = Deno.readTextFileSync(`${runtime.root}/${id}/${name}`);
    Deno.writeTextFileSync(
      `${runtime.root}/${other}/${name}`,
      text.replaceAll(id, other),
    );
  }
}

const list: Case = {
  name: "list",
  title: "list",
  job:
    `list of ${LISTED} containers: one that is running, and copies of its state under other ids.`,
  async run(bench): Promise<Series[]> {
    const count = bench.quick ? QUICK_LISTED : LISTED;
    const acts = new Map<string, Act>();
    for (const runtime of bench.field.runtimes) {
      const one = new Life(bench, runtime, "listed0");
      await one.create();
      await one.start();
      for (let i = 1; i < count; i++) {
        copyState(runtime, one.id, `listed${i}`);
      }
      const seen = mustRun([...runtime.command, "list"]).split("\n")
        .filter((line) => /^listed\d+ .*\brunning\b/.test(line)).length;
      if (seen !== count) {
        throw new BuildError(
          `${runtime.name} lists ${seen} running containers of ${count}`,
        );
      }
      acts.set(
        runtime.name,
        async () => ({
          [`list of ${count}`]: await bench.field.step(runtime, ["list"]),
        }),
      );
    }
    return await interleave("list", acts, bench.rounds, bench.room.starter);
  },
};

export const CASES: readonly Case[] = [alive, list];
