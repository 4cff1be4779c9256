/**
 * Memory: what stays on the host while a container runs in the foreground, and
 * what lives on for all of them.
 *
 * @module
 */

import { BuildError } from "../../scripts/build.ts";
import { findProgram } from "../../tests/needs.ts";
import type { Series } from "../measure.ts";
import {
  listDescendants,
  type Memory,
  memoryOf,
  nameOf,
} from "../processes.ts";
import type { Bench, Case } from "./case.ts";
import { STAYS } from "./life.ts";

/** Waits for a command in a container: so often, so many milliseconds. */
const TRIES = 2000, TICK_MS = 5;

/** Returns the processes between a command line and the command that it runs. */
async function findWaiting(bench: Bench, pid: number): Promise<number[]> {
  for (let i = 0; i < TRIES; i++) {
    const all = [pid, ...listDescendants(pid)];
    const waiting = all.filter((it) => nameOf(it) !== "sleep");
    if (waiting.length < all.length && waiting.length > 0) return waiting;
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    await bench.room.starter.check();
  }
  throw new BuildError("Cannot measure memory: no command runs");
}

function tell(contender: string, memory: Memory): Series[] {
  return (["resident", "anonymous"] as const).map((metric) => ({
    case: "memory",
    metric,
    contender,
    unit: "KiB",
    values: [memory[metric]],
    cpu: [],
  }));
}

async function measure(bench: Bench): Promise<Series[]> {
  const { room, field } = bench;
  const found: Series[] = [];
  const look = async (contender: string, argv: readonly string[]) => {
    const { pid } = room.starter.start(argv);
    found.push(...tell(contender, memoryOf(await findWaiting(bench, pid))));
    await field.clear();
  };
  for (const { name, command } of field.runtimes) {
    const bundle = room.makeBundle({ args: STAYS });
    await look(name, [...command, "run", "--bundle", bundle, "memory"]);
  }
  const bwrap = findProgram("bwrap");
  if (bwrap !== undefined) {
    const flags = "--unshare-all --proc /proc --dev /dev".split(" ");
    await look("bwrap", [
      bwrap,
      "--bind",
      room.rootfs,
      "/",
      ...flags,
      ...STAYS,
    ]);
  }
  for (const { what, cpu } of field.servants) {
    const workers = listDescendants(cpu.pid).map((it) => memoryOf([it]));
    const [largest] = workers.toSorted((a, b) => b.anonymous - a.anonymous);
    found.push(...tell(what, memoryOf([cpu.pid])));
    if (largest === undefined) continue;
    found.push(...tell(`${what}, largest of ${workers.length} more`, largest));
  }
  return found;
}

export const CASES: readonly Case[] = [{
  name: "memory",
  title: "Memory",
  job:
    `All processes that wait while \`run\` has a command that goes on, without the command; then what lives on for all calls, at this point of the bench.`,
  run: measure,
}];
