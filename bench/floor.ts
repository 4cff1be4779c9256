/**
 * The floor: what is left of a start when nothing has to be planned any more.
 * floor.c runs the helper with a plan that is made here. On cgroup v2 it attaches
 * no program for devices.
 *
 * @module
 */

import { type Caller, readCaller } from "../mod/caller.ts";
import { parseArgs } from "../mod/cli/parse.ts";
import { configFromBundle } from "../mod/config/from_bundle.ts";
import type { CgroupPlan } from "../mod/cgroups.ts";
import { prepare } from "../mod/container/launch/prepare.ts";
import { gatherFacts } from "../mod/host.ts";
import { encodePlan } from "../mod/plan/encode.ts";
import { DIALECT, programPath, ROOT, WARNINGS } from "../scripts/build.ts";
import { findProgram } from "../tests/needs.ts";
import { mustRun, type Room } from "./room.ts";

/** The channel's descriptor, as in floor.c. */
const CHANNEL = 3;

/** What makes the cgroups, line by line; floor.c says how it is read. */
function listSteps({ dirs, inherit, devices, writes }: CgroupPlan): string[] {
  const all = [...devices?.writes ?? [], ...writes];
  return dirs.flatMap(({ path }) => {
    const above = path.slice(0, path.lastIndexOf("/"));
    const copied = inherit.includes(path)
      ? ["cpuset.cpus", "cpuset.mems"].map((name) =>
        `W ${path}/${name} ${Deno.readTextFileSync(`${above}/${name}`).trim()}`
      )
      : [];
    return [`D ${path}`, ...copied];
  }).concat(all.map(({ file, value }) => `W ${file} ${value}`));
}

/** Compiles floor.c.
 *
 * @returns the program's path
 * @throws {BuildError} */
export function buildFloor(room: Room): string {
  const program = `${room.dir}/floor`;
  const compiler = findProgram("musl-gcc") ?? findProgram("cc") ?? "cc";
  const flags = [...DIALECT, ...WARNINGS, "-O2", "-static", "-s"];
  mustRun([compiler, ...flags, "-o", program, `${ROOT}bench/floor.c`]);
  return program;
}

/**
 * Plans a container for the floor.
 *
 * @param program that {@linkcode buildFloor} made
 * @returns a command line that runs /bin/true in it again and again
 */
export function planFloor(
  room: Room,
  program: string,
  options: { cgroups: boolean },
): string[] {
  // The floor's own streams are the null device.
  const caller: Caller = {
    ...readCaller(),
    streams: ["null", "null", "null"],
  };
  const bundle = room.makeBundle();
  const config = configFromBundle(
    parseArgs(["run", "--bundle", bundle, "floor"]),
    caller,
  );
  if (!options.cgroups) {
    config.cgroupManager = "disabled";
    // They need a cgroup.
    delete config.spec.linux?.resources?.devices;
  }
  const { ops, cgroup } = prepare(config, gatherFacts(caller), {
    place: { root: room.makeDir("floor-state"), caller },
    gate: "keeper",
    token: "00000000",
  });
  Deno.writeFileSync(
    `${bundle}/plan`,
    encodePlan(ops, new Map([["channel", CHANNEL]])),
  );
  Deno.writeTextFileSync(`${bundle}/cgroups`, listSteps(cgroup).join("\n"));
  return [program, programPath("helper"), bundle];
}
