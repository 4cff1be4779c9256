/**
 * From a configuration to a plan: what the host must be asked, then the
 * managers, in the one order. Nothing is made here, so `--explain` is this.
 *
 * @module
 */

import { readTextFileSync } from "../../../ffi/files.ts";
import { readInRoot } from "../../../ffi/rootfs.ts";
import { planCgroups } from "../../cgroups.ts";
import type { Config } from "../../config/config.ts";
import { keepLast } from "../../config/environment.ts";
import { namespaceUse } from "../../config/namespaces.ts";
import { setUser } from "../../config/flags/users.ts";
import type { Facts } from "../../host.ts";
import { gatherResctrl, planIntelRdt } from "../../intel_rdt.ts";
import { inspectMounts, ownerOfUpper, planMounts } from "../../mounts.ts";
import { planNamespaces } from "../../namespaces.ts";
import { resolveIdMaps } from "../../namespaces/idmaps.ts";
import {
  planSecurity,
  resolveCapabilities,
  resolveUser,
  rlimitsOf,
} from "../../security.ts";
import { applyListenFds } from "../properties/activation.ts";
import { expandDevices } from "../properties/device_dirs.ts";
import { loadFilter } from "../properties/seccomp.ts";
import { judgeNamespaces } from "../properties/joined.ts";
import { readSubordinateIds } from "../properties/id_maps.ts";
import {
  inspectNetDevices,
  planNetDevices,
} from "../properties/net_devices.ts";
import { lookAtGroup, readBandwidthStep } from "../properties/resctrl.ts";
import { refuseBare } from "./bare.ts";
import { planKeptUpper } from "./kept_upper.ts";
import { chooseJoins, orderPlan, planSteps } from "./order.ts";
import { cutAtRest } from "./rest.ts";
import { planStdio } from "./stdio.ts";
import { seeRootfs } from "../properties/rootfs.ts";
import type { Gate, OwnedTree, Place, Prepared } from "../model.ts";

/** How a plan is going to be run. */
export interface PrepareOptions {
  place: Pick<Place, "root" | "caller">;
  gate: Gate;
  /** Nobody reads what the command writes. */
  detached?: boolean;
  /** The standard streams that are given by slot (order.ts). */
  streams?: readonly number[];
  /** 8 hex digits that no other container has. */
  token: string;
  /** The upper layer of a throw-away root is handed over to the host. */
  keepUpper?: boolean;
}

/** Returns 8 hex digits at random: what makes a cgroup's or a directory's name
 * ours. */
export function makeToken(): string {
  return crypto.getRandomValues(new Uint8Array(4)).toHex();
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

/** A caller's own user namespace may have given up setgroups(2), as that of
 * `unshare -r` has; user_namespaces(7). */
function inheritSetgroups(facts: Facts): "deny" | undefined {
  return facts.inUserns &&
      readTextFileSync(`${facts.proc}/setgroups`).startsWith("deny")
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
  const { caller } = options.place;
  const root = seeRootfs(config, (directory) => {
    applyUser(config, directory);
    refuseBare(config, directory);
  });
  // One name for it, whatever the caller's was: "/." and a link to "/" are "/".
  config.rootfs = root.path;
  const judged = judgeNamespaces(config, facts.proc);
  config.hostDevices = expandDevices(config.hostDevices);
  applyListenFds(
    config,
    caller,
    // Our parent is the same command line: mod/cli/detach.ts.
    options.detached ? caller.parent : caller.pid,
  );
  const resctrl = planIntelRdt(
    config,
    () => facts.resctrl ?? gatherResctrl(facts.proc),
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
  const kept = options.keepUpper
    ? planKeptUpper(config, mountHost, facts)
    : undefined;
  const netDevices = inspectNetDevices(config);
  const all = orderPlan([
    planSteps({
      config,
      gate: options.gate,
      tasks: joins.tasks,
      unified: joins.v2,
      classes: resctrl?.tasks,
      filter,
      streams: options.streams ?? [],
    }),
    planStdio(
      config,
      facts,
      caller.streams.map((it, fd) =>
        options.streams?.includes(fd) ? "other" : options.detached ? "null" : it
      ),
    ),
    planNamespaces(config, facts, {
      judged,
      ...(joins.v2 === undefined ? {} : { cgroup: "cgroup" }),
    }),
    planNetDevices(netDevices),
    planMounts(config, facts, mountHost),
    kept?.phased ?? {},
    planSecurity(config, facts, {
      ...(setgroups === undefined ? {} : { setgroups }),
    }),
  ]);
  const steps = options.gate === "rest" ? cutAtRest(all) : all;
  return {
    config,
    facts,
    steps,
    ops: steps.flatMap(([, ops]) => ops),
    cgroup,
    resctrl,
    idMaps,
    setgroups,
    rlimits: rlimitsOf(config, facts, caller.fileLimit),
    filter,
    upper,
    keptUpper: kept?.kept,
    root,
    netDevices,
    warnings: resolveCapabilities(config, facts).warnings,
  };
}
