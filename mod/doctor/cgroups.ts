/**
 * The doctor's checks of cgroups: by making them as `run` would.
 *
 * @module
 */

import { statSync } from "../../ffi/files.ts";
import { makeCgroups, planCgroups } from "../cgroups.ts";
import { stopUnit } from "../cgroups/systemd/stop.ts";
import { Manager } from "../cgroups/systemd/manager.ts";
import { removeCgroups } from "../container/kept/removal.ts";
import { makeToken } from "../container/launch/prepare.ts";
import { ContainerError } from "../errors.ts";
import { cgroupLayout, type Facts } from "../host.ts";
import { asFinding, type Finding, probeConfig } from "./finding.ts";
import { withProcess } from "./probe.ts";

const LIMITS: [string, Record<string, unknown>][] = [
  ["memory", { memory: { limit: 64 << 20 } }],
  ["cpu", { cpu: { quota: 50000, period: 100000 } }],
  ["pids", { pids: { limit: 100 } }],
  ["cpuset", { cpu: { cpus: "0" } }],
];

/** Makes cgroups as `run` would, and removes them.
 *
 * @returns undefined when that works, else what failed */
function tryCgroups(
  resources: Record<string, unknown>,
  facts: Facts,
): ContainerError | undefined {
  try {
    const plan = planCgroups(probeConfig(resources), facts, makeToken());
    try {
      // A unit of systemd's needs a process.
      if (plan.unit === undefined) makeCgroups(plan, 0);
      else withProcess((pid) => makeCgroups(plan, pid));
    } finally {
      removeCgroups(plan, "/tmp");
      if (plan.made) stopUnit(plan.unit);
    }
    return undefined;
  } catch (error) {
    if (error instanceof ContainerError) return error;
    throw error;
  }
}

/** Whether a container gets a cgroup, and each limit. */
export function checkCgroups(facts: Facts): Finding[] {
  const layout = cgroupLayout(facts);
  const findings: Finding[] = [];
  // As root the device rules always are, and so must be a cgroup for them.
  const failed = tryCgroups({}, facts);
  if (failed !== undefined) {
    findings.push(asFinding("cgroups", "fails", failed));
  } else if (layout === "none") {
    findings.push({
      name: "cgroups",
      verdict: "lacks",
      detail: "no hierarchy is mounted",
      fix: "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
    });
  } else if (planCgroups(probeConfig({}), facts, makeToken()).dirs.length < 1) {
    findings.push({
      name: "cgroups",
      verdict: "lacks",
      detail:
        `${layout}, but none for this user: what a container without a pid namespace of its own leaves behind is not found`,
    });
  } else findings.push({ name: "cgroups", verdict: "fine", detail: layout });
  for (const [controller, resources] of LIMITS) {
    const name = `limit-${controller}`;
    const failed = tryCgroups(resources, facts);
    findings.push(
      failed === undefined
        ? { name, verdict: "fine", detail: "can be set" }
        : asFinding(name, "lacks", failed),
    );
  }
  return [...findings, checkManager(facts)];
}

/** sd_booted(3) */
function isBooted(): boolean {
  try {
    return statSync("/run/systemd/system").isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Which driver engines ask for here: podman and Docker take systemd where it has
 * started the machine, with cgroup v2. */
function checkManager(facts: Facts): Finding {
  const name = "cgroup-manager";
  if (cgroupLayout(facts) !== "v2" || !isBooted()) {
    return { name, verdict: "fine", detail: "engines take cgroupfs here" };
  }
  const buses = facts.buses!;
  try {
    using _manager = new Manager(buses);
  } catch (error) {
    if (!(error instanceof ContainerError)) throw error;
    return asFinding(name, "lacks", error);
  }
  return {
    name,
    verdict: "fine",
    detail: `engines take systemd here, and ${
      buses.kind === "user" ? "the user's" : "it"
    } answers`,
  };
}
