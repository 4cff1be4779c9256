/**
 * The doctor: what this machine lets this user have, found out by trying each
 * thing in a process of its own, and the narrow fix for what it does not.
 *
 * @module
 */

import { CLONE } from "../ffi/constants.ts";
import { readSubordinateIds } from "./container/properties/id_maps.ts";
import { checkCgroups } from "./doctor/cgroups.ts";
import { checkExec } from "./doctor/exec.ts";
import { asFinding, type Finding, probeConfig } from "./doctor/finding.ts";
import { enterUser, inMounts, mountTree, tryOps, WHY } from "./doctor/probe.ts";
import {
  findProgram,
  fixInside,
  fixUser,
  readSwitches,
} from "./doctor/userns.ts";
import { ContainerError } from "./errors.ts";
import type { Facts } from "./host.ts";
import { areServed, type IdMaps, resolveIdMaps } from "./namespaces/idmaps.ts";
import type { Op } from "./plan.ts";

export type { Finding };

/** Namespaces beside the user's: name, flag, whether a container needs it. */
const NAMESPACES: [string, number][] = [
  ["mount", 0x00020000],
  ["pid", 0x20000000],
  ["network", 0x40000000],
  ["ipc", 0x08000000],
  ["uts", 0x04000000],
  ["cgroup", 0x02000000],
  ["time", 0x00000080],
];

/** What helps where no namespace can be made. */
const NO_NAMESPACES =
  "CAP_SYS_ADMIN is missing: in Docker, start the container with --privileged, or --cap-add SYS_ADMIN and an unconfined AppArmor and seccomp profile";

/** What helps where a user namespace is made, and not what belongs in it. */
const fixWithin = (facts: Facts, other = NO_NAMESPACES): string =>
  fixInside(readSwitches(), facts, findProgram(), other);

/** Ids that a probe maps: as `run` would. */
function probeMaps(facts: Facts): IdMaps | undefined {
  // The root of a user namespace, too, makes no other one.
  if (facts.uid === 0) return undefined;
  return resolveIdMaps(probeConfig({}), facts, readSubordinateIds(facts));
}

function checkKernel(facts: Facts): Finding {
  const { release, major, minor } = facts.kernel;
  const fine = major > 5 || (major === 5 && minor >= 15);
  return fine ? { name: "kernel", verdict: "fine", detail: release } : {
    name: "kernel",
    verdict: "fails",
    detail: `${release}: rustyrun needs 5.15`,
    fix: "use a newer kernel",
  };
}

function checkHelper(): Finding {
  try {
    const failed = tryOps([], undefined);
    if (failed === undefined) {
      return {
        name: "helper",
        verdict: "fine",
        detail: "runs from a file without a name",
      };
    }
    return { name: "helper", verdict: "fails", detail: failed };
  } catch (error) {
    if (!(error instanceof ContainerError)) throw error;
    return asFinding("helper", "fails", error);
  }
}

function checkUser(facts: Facts, maps: IdMaps | undefined): Finding {
  const name = "user-namespace";
  const failed = maps === undefined
    ? tryOps([{ do: "unshare", flags: CLONE.NEWUSER, why: WHY }], undefined)
    : tryOps(enterUser(), maps);
  if (failed === undefined) {
    return { name, verdict: "fine", detail: "can be made and mapped" };
  }
  return {
    name,
    verdict: maps === undefined ? "lacks" : "fails",
    detail: failed,
    fix: fixUser(readSwitches(), facts, findProgram()),
  };
}

function checkSubordinateIds(facts: Facts): Finding {
  const name = "subordinate-ids";
  const found = readSubordinateIds(facts);
  const count = found.uids.reduce((sum, it) => sum + it.size, 0);
  const served = areServed(found, facts) || facts.uid === 0;
  if (count > 0 && found.gids.length > 0 && served) {
    return { name, verdict: "fine", detail: `${count} ids of /etc/subuid` };
  }
  if (count > 0 && found.tools) {
    return {
      name,
      verdict: "lacks",
      detail:
        `newuidmap wants the group of this user's login, ${found.loginGid}, and it is in ${facts.gid}: a container has a single id`,
      fix:
        "call rustyrun in that group (newgrp, sg), or set GRANT_AUX_GROUP_SUBIDS to yes in /etc/login.defs",
    };
  }
  const so = facts.uid === 0
    ? "no --userns auto"
    : "a container has a single id";
  return {
    name,
    verdict: "lacks",
    detail: found.tools
      ? `no range in /etc/subuid and /etc/subgid: ${so}`
      : `newuidmap and newgidmap are not installed: ${so}`,
    fix: found.tools
      ? `${
        facts.uid === 0 ? "" : "sudo "
      }usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)`
      : "install the package uidmap (Debian, Ubuntu) or shadow-utils",
  };
}

function checkNamespaces(
  base: Op[],
  maps: IdMaps | undefined,
  facts: Facts,
): Finding[] {
  return NAMESPACES.map(([kind, flag]) => {
    const failed = tryOps(
      [...base, { do: "unshare", flags: flag, why: WHY }],
      maps,
    );
    const name = `${kind}-namespace`;
    if (failed === undefined) {
      return { name, verdict: "fine", detail: "can be made" };
    }
    return {
      name,
      verdict: kind === "time" ? "lacks" : "fails",
      detail: failed,
      fix: failed.includes("ENOSPC")
        ? "raise the sysctls user.max_*_namespaces"
        : fixWithin(facts),
    };
  });
}

function checkMounts(
  base: Op[],
  maps: IdMaps | undefined,
  facts: Facts,
): Finding {
  const failed = tryOps(inMounts(base, []), maps);
  return failed === undefined
    ? { name: "mounts", verdict: "fine", detail: "the mount API works" }
    : {
      name: "mounts",
      verdict: "fails",
      detail: failed,
      fix: fixWithin(facts, "in Docker, start the container with --privileged"),
    };
}

function checkOverlay(
  base: Op[],
  maps: IdMaps | undefined,
  facts: Facts,
): Finding {
  const userns = maps !== undefined || facts.inUserns;
  const directory = (name: string): Op => ({
    do: "mkdir",
    at: "tmp",
    name,
    mode: 0o755,
    why: WHY,
  });
  const overlay = (options: string[]): string | undefined =>
    tryOps(
      inMounts(base, [
        directory("lower"),
        directory("upper"),
        directory("work"),
        mountTree("overlay", "overlay", [
          "lowerdir=/tmp/lower",
          "upperdir=/tmp/upper",
          "workdir=/tmp/work",
          ...options,
        ]),
      ]),
      maps,
    );
  const failed = overlay(userns ? ["userxattr"] : []);
  return failed === undefined
    ? { name: "overlay", verdict: "fine", detail: "--ephemeral works" }
    : {
      name: "overlay",
      verdict: "lacks",
      detail: `--ephemeral does not work: ${failed}`,
      fix: !failed.startsWith("fsmount")
        ? fixWithin(facts)
        : userns
        ? "use a kernel >= 6.6, or --ephemeral=DIR"
        : "load the kernel module: modprobe overlay",
    };
}

function checkProc(
  base: Op[],
  maps: IdMaps | undefined,
  facts: Facts,
): Finding {
  const failed = tryOps([
    ...base,
    { do: "fork", flags: 0x20000000 + 0x00020000, cgroup: "", why: WHY },
    mountTree("proc", "proc", []),
  ], maps);
  return failed === undefined
    ? { name: "proc", verdict: "fine", detail: "a new one can be mounted" }
    : {
      name: "proc",
      verdict: "fails",
      detail: `a new proc cannot be mounted: ${failed}`,
      fix: !failed.startsWith("fsmount")
        ? fixWithin(facts)
        : "this container's /proc is masked: start it with --security-opt systempaths=unconfined (Docker), unmask=ALL (Podman) or procMount: Unmasked (Kubernetes)",
    };
}

function checkSeccomp(): Finding {
  // BPF_RET | BPF_K, SECCOMP_RET_ALLOW
  const allow = new Uint8Array(
    new Uint32Array([0x00000006, 0x7fff0000]).buffer,
  );
  const failed = tryOps([
    { do: "prctl", option: 38, a: 1, b: 0, c: 0, d: 0, why: WHY },
    { do: "seccomp", filter: allow, flags: 0, into: "", why: WHY },
  ], undefined);
  return failed === undefined
    ? { name: "seccomp", verdict: "fine", detail: "filters can be loaded" }
    : {
      name: "seccomp",
      verdict: "fails",
      detail: failed,
      fix: "use a kernel with CONFIG_SECCOMP_FILTER",
    };
}

/**
 * Examines this machine for this user.
 *
 * @returns what was found, in the order in which a container needs it
 */
export function examine(facts: Facts): Finding[] {
  const helper = checkHelper();
  const first = [checkKernel(facts), helper];
  if (helper.verdict === "fails") return first;
  const maps = probeMaps(facts);
  const user = checkUser(facts, maps);
  const findings = [...first, user, checkSubordinateIds(facts)];
  // Without a user namespace an unprivileged user has nothing to try further.
  if (user.verdict === "fails") return [...findings, ...checkCgroups(facts)];
  const base = maps === undefined ? [] : enterUser();
  const all = [
    ...findings,
    ...checkNamespaces(base, maps, facts),
    checkMounts(base, maps, facts),
    checkProc(base, maps, facts),
    checkOverlay(base, maps, facts),
    checkSeccomp(),
    ...checkCgroups(facts),
  ];
  // Where nothing runs, nothing can be entered.
  const works = all.every((it) => it.verdict !== "fails");
  return works ? [...all, checkExec(facts, maps)] : all;
}
