/**
 * The doctor's check of exec: a process enters the cgroup and the namespaces of
 * another, each made as `run` makes them.
 *
 * @module
 */

import { makeCgroups, planCgroups } from "../cgroups.ts";
import { joinCgroups } from "../cgroups/join.ts";
import type { Config } from "../config/config.ts";
import type { NamespaceType } from "../config/schema.ts";
import { removeCgroups } from "../container/kept/removal.ts";
import {
  chooseJoins,
  type Joins,
  orderPlan,
  planSteps,
} from "../container/launch/order.ts";
import { makeToken } from "../container/launch/prepare.ts";
import {
  judgeNamespaces,
  NAMESPACE_FILES,
} from "../container/properties/joined.ts";
import type { Facts } from "../host.ts";
import { type IdMaps, planNamespaces } from "../namespaces.ts";
import { type Op, type Phase, SYNC } from "../plan.ts";
import { type Finding, probeConfig } from "./finding.ts";
import { tryOps } from "./probe.ts";

/** What a container from flags has of its own. */
const TYPES: readonly NamespaceType[] = [
  "pid",
  "mount",
  "network",
  "ipc",
  "uts",
  "cgroup",
];

/** What comes behind: there is no root file system and no command. */
const LEFT_OUT: ReadonlySet<Phase> = new Set(["close", "exec"]);

/** The operations up to where a process is in its cgroup and namespaces. */
function planProcess(config: Config, facts: Facts, found: Joins): Op[] {
  const judged = judgeNamespaces(config, facts.proc);
  const { tasks, v2 } = chooseJoins(config, facts, found);
  return orderPlan([
    planSteps({ config, gate: "none", tasks, unified: v2 }),
    planNamespaces(config, facts, {
      judged,
      ...(v2 === undefined ? {} : { cgroup: "cgroup" }),
    }),
  ]).filter(([phase]) => !LEFT_OUT.has(phase)).flatMap(([, ops]) => ops);
}

function withNamespaces(
  maps: IdMaps | undefined,
  pathOf: (file: string) => string | undefined,
): Config {
  const config = probeConfig({});
  config.spec.linux = {
    namespaces: NAMESPACE_FILES
      .filter(([type]) =>
        TYPES.includes(type) || type === "user" && maps !== undefined
      )
      .map(([type, file]) => {
        const path = pathOf(file);
        return path === undefined ? { type } : { type, path };
      }),
    ...(maps === undefined
      ? {}
      : { uidMappings: maps.uidMappings, gidMappings: maps.gidMappings }),
  };
  return config;
}

/**
 * Whether a second process can enter a container.
 *
 * @param maps the ids of a user namespace that containers have; undefined: none
 * @throws {ContainerError} when not even the cgroup of the first one can be made
 */
export function checkExec(facts: Facts, maps: IdMaps | undefined): Finding {
  const name = "exec";
  const first = withNamespaces(maps, () => undefined);
  const plan = planCgroups(first, facts, makeToken());
  const { tasks, v2 } = plan.joins;
  const found = v2 === undefined ? { tasks } : { tasks, v2 };
  let failed: string | undefined;
  let entered = false;
  try {
    failed = tryOps(planProcess(first, facts, found), maps, (step, pid) => {
      if (step === SYNC.cgroups) makeCgroups(plan, 0);
      if (step !== SYNC.ready) return;
      const seen = { process: `/proc/${pid}`, proc: facts.proc };
      const second = withNamespaces(maps, (it) => `${seen.process}/ns/${it}`);
      const joined = joinCgroups(plan.dirs, [], seen);
      const refused = tryOps(planProcess(second, facts, joined), maps);
      if (refused !== undefined) failed = refused;
      entered = refused === undefined;
    }) ?? failed;
  } finally {
    removeCgroups(plan, "/tmp");
  }
  return entered && failed === undefined
    ? { name, verdict: "fine", detail: "enters a cgroup and namespaces" }
    : {
      name,
      verdict: "lacks",
      detail: `exec does not work: ${failed}`,
      fix:
        "run works all the same; please report what rustyrun doctor says, and the kernel's version",
    };
}
