/**
 * From a configuration to a plan: what the host must be asked, then the
 * managers, in the one order. Nothing is made here, so `--explain` is this.
 *
 * @module
 */

import { readTextFileSync } from "../../../ffi/files.ts";
import { limitProcess } from "../../../ffi/libc.ts";
import { readInRoot } from "../../../ffi/rootfs.ts";
import { type CgroupPlan, planCgroups } from "../../cgroups.ts";
import type { Config } from "../../config/config.ts";
import { keepLast } from "../../config/environment.ts";
import { namespaceUse } from "../../config/namespaces.ts";
import { setUser } from "../../config/from_flags.ts";
import type { Facts } from "../../host.ts";
import { isNull, readParentFiles } from "../../host/self.ts";
import {
  type ClassPlan,
  gatherResctrl,
  planIntelRdt,
} from "../../intel_rdt.ts";
import { inspectMounts, ownerOfUpper, planMounts } from "../../mounts.ts";
import { planNamespaces } from "../../namespaces.ts";
import { type IdMaps, resolveIdMaps } from "../../namespaces/idmaps.ts";
import { type Op } from "../../plan.ts";
import { encodePlan } from "../../plan/encode.ts";
import {
  type FileLimit,
  planSecurity,
  resolveCapabilities,
  resolveUser,
  type ResourceLimit,
  rlimitsOf,
  type Warning,
} from "../../security.ts";
import { applyListenFds } from "../properties/activation.ts";
import { expandDevices } from "../properties/device_dirs.ts";
import { loadFilter } from "../properties/seccomp.ts";
import { judgeNamespaces } from "../properties/joined.ts";
import { readSubordinateIds } from "../properties/id_maps.ts";
import type { Place } from "./serve.ts";
import {
  inspectNetDevices,
  type NetDevice,
  planNetDevices,
} from "../properties/net_devices.ts";
import { type OwnedTree, planLeftovers } from "../kept/leftovers.ts";
import { lookAtGroup, readBandwidthStep } from "../properties/resctrl.ts";
import {
  chooseJoins,
  type Filter,
  type Gate,
  orderPlan,
  planSteps,
  type Step,
} from "./order.ts";
import { type SeenRoot, seeRootfs } from "../properties/rootfs.ts";
import type { SharedRoot } from "../properties/shared_root.ts";

/** RLIMIT_NOFILE of prlimit(2). */
const RLIMIT_NOFILE = 7;

/** A configuration that is ready to run. */
export interface Prepared {
  config: Config;
  facts: Facts;
  /** The plan by steps, and all of it in a row. */
  steps: Step[];
  ops: Op[];
  cgroup: CgroupPlan;
  resctrl: ClassPlan | undefined;
  idMaps: IdMaps | undefined;
  /** Whether setgroups(2) is allowed in the container's user namespace;
   * undefined outside of any. */
  setgroups: IdMaps["setgroups"] | undefined;
  rlimits: readonly ResourceLimit[];
  filter: Filter | undefined;
  /** The directory of the root file system, as it was looked at. */
  root: SeenRoot;
  netDevices: readonly NetDevice[];
  /** Directory for the upper layer of a throw-away root, to be made. */
  upper: OwnedTree | undefined;
  /** What the container does not get of what was asked for, and need not. */
  warnings: readonly Warning[];
  /** Its root, once it is taken in hand: in the caller's mount namespace. */
  sharedRoot?: SharedRoot;
}

/** How a plan is going to be run. */
export interface PrepareOptions {
  /** Where the state is kept, and the caller's environment. */
  place: Place;
  gate: Gate;
  /** Nobody reads what the command writes. */
  detached?: boolean;
  /** 8 hex digits that no other container has. */
  token: string;
}

/** Name of the subdirectory for a throw-away root's upper layer. */
function upperOf(
  { ephemeral, id, spec }: Config,
  facts: Facts,
  token: string,
): OwnedTree | undefined {
  return ephemeral?.kind === "directory"
    ? {
      parent: ephemeral.dir,
      name: `rustyrun-${id}-${token}`,
      owner: ownerOfUpper(facts, spec.linux?.uidMappings),
    }
    : undefined;
}

/** Looks up a user that was given by name, and HOME, in the root file system. */
function applyUser(config: Config, rootfs: string): void {
  const { process } = config.spec;
  if (process === undefined) return;
  const user = resolveUser(
    config,
    (path) => readInRoot(rootfs, path),
  );
  if (config.userName !== undefined) {
    setUser(config.spec, user.uid, user.gid, user.additionalGids);
  }
  const env = keepLast(process.env ?? []);
  process.env = env;
  if (!env.some((it) => it.startsWith("HOME=") && it !== "HOME=")) {
    process.env = [
      ...env.filter((it) => it !== "HOME="),
      `HOME=${user.home}`,
    ];
  }
}

/** RLIMIT_NOFILE as the caller had it, as far as that can be known. */
export function readFileLimit(): FileLimit {
  const parent = readParentFiles();
  const [, hard] = limitProcess(0, RLIMIT_NOFILE);
  return { hard, ...(parent === undefined ? {} : { parent }) };
}

/** A caller's own user namespace may have given up setgroups(2), as that of
 * `unshare -r` has; user_namespaces(7). */
function inheritSetgroups(facts: Facts): "deny" | undefined {
  return facts.inUserns &&
      readTextFileSync("/proc/self/setgroups").startsWith("deny")
    ? "deny"
    : undefined;
}

/**
 * Plans a container.
 *
 * @throws {ContainerError} for whatever this machine or the configuration
 * cannot have
 */
export function prepare(
  config: Config,
  facts: Facts,
  options: PrepareOptions,
): Prepared {
  const root = seeRootfs(config, (directory) => applyUser(config, directory));
  // One name for it, whatever the caller's was: "/." and a link to "/" are "/".
  config.rootfs = root.path;
  const judged = judgeNamespaces(config);
  config.hostDevices = expandDevices(config.hostDevices);
  applyListenFds(
    config,
    options.place,
    // Our parent is the same command line: mod/cli/detach.ts.
    options.detached ? Deno.ppid : Deno.pid,
  );
  const resctrl = planIntelRdt(
    config,
    () => facts.resctrl ?? gatherResctrl(),
    lookAtGroup,
    readBandwidthStep,
  );
  const idMaps = namespaceUse(config, "user") === "new"
    ? resolveIdMaps(config, facts, readSubordinateIds(facts))
    : undefined;
  if (idMaps !== undefined) {
    config.spec.linux = {
      ...config.spec.linux,
      uidMappings: idMaps.uidMappings,
      gidMappings: idMaps.gidMappings,
    };
  }
  // A child of a namespace that denied them denies them too.
  const setgroups = inheritSetgroups(facts) ?? idMaps?.setgroups;
  const cgroup = planCgroups(config, facts, options.token);
  const joins = chooseJoins(config, facts, cgroup.joins);
  const filter = loadFilter(config, facts, options.place.root);
  const upper = upperOf(config, facts, options.token);
  const mountHost = inspectMounts(
    config,
    facts,
    {
      root,
      state: `${options.place.root}/${config.id}`,
      cgroups: new Map(cgroup.dirs.map((it) => [it.mount, it.path])),
      ...(upper === undefined
        ? {}
        : { upper: `${upper.parent}/${upper.name}` }),
    },
  );
  const netDevices = inspectNetDevices(config);
  const steps = orderPlan([
    planSteps({
      config,
      gate: options.gate,
      tasks: joins.tasks,
      unified: joins.v2,
      classes: resctrl?.tasks,
      filter,
      nulls: [0, 1, 2].filter((fd) => options.detached || isNull(fd)),
    }),
    planNamespaces(config, facts, {
      judged,
      ...(joins.v2 === undefined ? {} : { cgroup: "cgroup" }),
    }),
    planNetDevices(netDevices),
    planMounts(config, facts, mountHost),
    planSecurity(config, facts, {
      ...(setgroups === undefined ? {} : { setgroups }),
    }),
  ]);
  return {
    config,
    facts,
    steps,
    ops: steps.flatMap(([, ops]) => ops),
    cgroup,
    resctrl,
    idMaps,
    setgroups,
    rlimits: rlimitsOf(config, facts, readFileLimit()),
    filter,
    upper,
    root,
    netDevices,
    warnings: resolveCapabilities(config, facts).warnings,
  };
}

/**
 * Puts the warden in front of a plan: it must be there before anything exists
 * that could be left behind.
 *
 * @param stateFd descriptor of the state directory, which holds its lock
 */
export function addWarden(
  prepared: Prepared,
  place: Place,
  stateFd: number,
): void {
  const { config, cgroup, resctrl, sharedRoot, upper } = prepared;
  const left = planLeftovers({
    cgroups: cgroup.dirs,
    parents: cgroup.parents,
    resctrl,
    state: { root: place.root, id: config.id },
    trees: upper === undefined ? [] : [upper],
    mount: sharedRoot !== undefined,
    sharesPids: namespaceUse(config, "pid") !== "new",
    also: {
      terminal: config.spec.process?.terminal === true &&
        config.consoleSocket === undefined,
    },
  });
  const slots = new Map([["state", stateFd]]);
  if (sharedRoot !== undefined) slots.set("root", sharedRoot.tree);
  const warden: Op = {
    do: "warden",
    control: "control",
    config: encodePlan(left, slots),
    why: "leave a process that cleans up if this one is killed",
  };
  prepared.steps.unshift(["warden", [warden]]);
  prepared.ops.unshift(warden);
}
