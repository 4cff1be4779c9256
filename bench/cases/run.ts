/**
 * `run`: one command line for one container.
 *
 * @module
 */

import { findProgram } from "../../tests/needs.ts";
import { type Act, interleave, type Series } from "../measure.ts";
import { buildFloor, planFloor } from "../floor.ts";
import type { Bench, Case } from "./case.ts";

/** With and without cgroups. */
const FLOORS = [["floor", true], ["floor-bare", false]] as const;

async function measure(
  bench: Bench,
  name: string,
  docker: boolean,
): Promise<Series[]> {
  const { starter } = bench.room;
  const acts = new Map<string, Act>();
  for (const runtime of bench.field.runtimes) {
    const words = ["run", "--bundle", bench.room.makeBundle({ docker }), "run"];
    acts.set(
      runtime.name,
      async () => ({ run: await bench.field.step(runtime, words) }),
    );
  }
  const { library } = bench.field;
  const job = docker ? "docker" : "run";
  acts.set("library", async () => ({ run: await library.do(job) }));
  if (!docker) {
    acts.set("library-bare", async () => ({ run: await library.do("bare") }));
    acts.set("pool", async () => ({ run: await library.do("pool") }));
    acts.set("pool-bare", async () => ({ run: await library.do("poolBare") }));
    const bwrap = findProgram("bwrap");
    if (bwrap === undefined) bench.field.leaveOut("bwrap", "not installed");
    else {
      const flags = "--unshare-all --proc /proc --dev /dev".split(" ");
      const line = [bwrap, "--bind", bench.room.rootfs, "/", ...flags];
      line.push("/bin/true");
      acts.set("bwrap", async () => ({ run: await starter.step(line) }));
    }
    const floor = buildFloor(bench.room);
    for (const [name, cgroups] of FLOORS) {
      const line = planFloor(bench.room, floor, { cgroups });
      acts.set(name, async () => ({ run: await starter.step(line) }));
    }
    for (const { name, line } of bench.field.empties) {
      acts.set(name, async () => ({ run: await starter.step(line) }));
    }
  }
  return await interleave(name, acts, bench.rounds, starter);
}

const run: Case = {
  name: "run",
  title: "run",
  job:
    "run of what `runc spec` writes, with /bin/true, until it has ended and everything is removed. The library makes its own container of the same root, with the same namespaces, read-only and here without a filter, and collects what the command writes; a pool has made it before: its time ends with the result, and its CPU time has what comes behind that, the removal and the next container. bwrap has the namespaces, but no cgroups, masked paths or device rules.",
  run: (bench) => measure(bench, "run", false),
};

const docker: Case = {
  name: "docker",
  title: "run with Docker's filter",
  job:
    "The same with the seccomp filter that dockerd writes; the library with its own, which is like it.",
  run: (bench) => measure(bench, "docker", true),
};

export const CASES: readonly Case[] = [run, docker];
