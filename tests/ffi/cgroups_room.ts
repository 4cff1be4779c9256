/**
 * A cgroup on this machine, and a process in it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { readCaller } from "../../mod/caller.ts";
import {
  type CgroupPlan,
  makeCgroups,
  planCgroups,
} from "../../mod/cgroups.ts";
import { removeCgroups } from "../../mod/container/kept/removal.ts";
import { readPids } from "../../mod/cgroups/control.ts";
import type { Resources } from "../../mod/config/schema.ts";
import { gatherFacts } from "../../mod/host.ts";
import { friendly } from "../cgroups/machines.ts";
import type { Need } from "../needs.ts";
import { waitFor } from "../wait.ts";

export const V1: Need[] = ["root", "cgroup-v1", "helper"];

export const decoder = new TextDecoder();

let serial = 0;

/** A number that no other cgroup here has. */
export const nextSerial = () => serial++;

export function planOf(resources: Resources): CgroupPlan {
  return planCgroups(
    friendly(resources),
    gatherFacts(readCaller()),
    `test${Deno.pid}.${nextSerial()}`,
  );
}

export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Waits for the end of processes that were killed and are not our children. */
async function waitEmpty(plan: CgroupPlan): Promise<void> {
  await waitFor(() => readPids(plan.dirs), (them) => them.length === 0);
}

/** Makes the cgroups of a plan for the time of a test. */
export function withCgroups(
  resources: Resources,
  fn: (plan: CgroupPlan) => void | Promise<void>,
): () => Promise<void> {
  return async () => {
    const plan = planOf(resources);
    makeCgroups(plan, 0);
    try {
      await fn(plan);
    } finally {
      await waitEmpty(plan);
      removeCgroups(plan, "/tmp");
    }
    assertEquals(plan.dirs.filter((d) => exists(d.path)), []);
  };
}

export const dirOf = (plan: CgroupPlan, controller: string) =>
  plan.dirs.find((d) => d.controllers.includes(controller))!.path;

export const read = (path: string) => Deno.readTextFileSync(path).trim();

/** A shell inside the cgroups, as the child stage joins the v1 ones. */
export function spawnInside(
  plan: CgroupPlan,
  script: string,
): Deno.ChildProcess {
  const joins = plan.joins.tasks.map((file) => `echo 0 > ${file}`);
  if (plan.joins.v2) joins.push(`echo 0 > ${plan.joins.v2}/cgroup.procs`);
  return new Deno.Command("sh", {
    args: ["-ec", `${joins.join("\n")}\n${script}`],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Waits for the line that a script prints when it is ready. */
export async function readLine(child: Deno.ChildProcess): Promise<string> {
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return decoder.decode(value).trim();
}

export async function endOf(
  child: Deno.ChildProcess,
): Promise<Deno.CommandStatus> {
  await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
  return await child.status;
}
