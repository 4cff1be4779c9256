/**
 * Where a container's cgroups go. Pure but for the looks it is given.
 *
 * v1, name=systemd, and the v2 hierarchy of a hybrid machine: below the
 * caller's own cgroup, because each hierarchy lets a cgroup with processes have
 * children, and the limits around the caller go on holding.
 *
 * v2: a cgroup that holds processes cannot hand controllers to its children
 * (cgroup-v2.rst, "No Internal Process Constraint"), and the caller's own holds
 * at least the caller. The hierarchy's real root alone is exempt. So, in friendly
 * mode:
 *
 *   own cgroup is the real root          below it
 *   no limit asked for                   below the caller's own: no controller
 *                                        is needed, and it stays in its service
 *   a limit asked for                    below the parent of the caller's own,
 *                                        as runc and crun do for relative paths
 *   ... and own is the namespace's root  refused: the processes must move first
 *   ... and own has limits itself        refused as well: the container would be
 *                                        out of them. But for pids.max, which every
 *                                        unit of systemd's has (DefaultTasksMax=):
 *                                        the container gets no more than that
 *
 * A user's session: with `systemd-run --user --scope -p Delegate=yes` (and in
 * most desktop terminals) the own cgroup and its parent app.slice are the user's,
 * below user@UID.service, so both rows work; the kernel lets a process go from
 * the one to the other, as the user owns cgroup.procs of their common ancestor.
 * In an ssh session (session-N.scope) neither is the user's: without a limit no
 * cgroup is made, with one it is an error that says how to get there.
 * systemd 252 leaves such a cgroup in its slices alone, with its controllers, over
 * new units and daemon-reload (tried). Where the user's own systemd can be reached,
 * it makes the cgroup instead (systemd/).
 *
 * config.json: an absolute cgroupsPath counts from the mount point, a relative
 * one as in runc (v1: from the caller's own cgroup; v2: from its parent).
 *
 * @module
 */

import { ContainerError } from "../errors.ts";
import type { CgroupMount } from "../host.ts";
import type { Limit } from "./limits.ts";
import type { CgroupConfig, CgroupLook } from "./model.ts";

/** The caller's own cgroup as a path on the host.
 *
 * @throws {ContainerError} when the mount does not show it
 */
export function ownDirectory(mount: CgroupMount): string {
  const { root, own, path } = mount;
  const below = root === "/"
    ? own
    : own === root || own.startsWith(`${root}/`)
    ? own.slice(root.length)
    : undefined;
  if (below === undefined || below.split("/").includes("..")) {
    throw new ContainerError(
      `Cannot find the caller's cgroup "${own}": "${path}" shows the hierarchy from "${root}" on`,
      {
        code: "cgroup-not-visible",
        hint:
          "In a container, mount the cgroup file system inside its own cgroup namespace",
      },
    );
  }
  return below === "/" || below === "" ? path : path + below;
}

/** What of the machine decides where the v2 cgroup goes. */
export interface V2Need {
  /** A limit asks for a controller on v2. */
  limits: boolean;
  /** The machine has v1 controllers too. */
  hybrid: boolean;
}

/**
 * The directory of the container's cgroup in one hierarchy.
 *
 * @throws {ContainerError} for a cgroupsPath that is the root, and where v2
 * leaves no place
 */
export function placeCgroup(
  config: CgroupConfig,
  mount: CgroupMount,
  token: string,
  need: V2Need,
  look: CgroupLook,
): string {
  const asked = config.spec.linux?.cgroupsPath ?? "";
  if (config.mode === "friendly" && asked === "") {
    // NAME_MAX is 255; the token alone makes it unique.
    const name = `rustyrun-${config.id.slice(0, 200)}-${token}`;
    return `${placeBelow(mount, need, look)}/${name}`;
  }
  const clean = cleanPath(asked === "" ? config.id : asked);
  if (clean === "/") {
    throw new ContainerError(
      `Cannot use linux.cgroupsPath "${asked}": it is the root cgroup, which holds the machine's own processes`,
      { code: "cgroups-path-invalid", hint: "Name a cgroup below it" },
    );
  }
  if (clean.startsWith("/")) return mount.path + clean;
  const own = ownDirectory(mount);
  const from = mount.version === 2 && !need.hybrid
    ? parentOf(own, mount.path)
    : own;
  return `${from}/${clean}`;
}

/**
 * As {@linkcode placeCgroup}; where only counting asks for controllers, the
 * place in which they can be had, else the one without.
 *
 * @throws {ContainerError} as that does
 */
export function placeCounted(
  config: CgroupConfig,
  mount: CgroupMount,
  token: string,
  need: V2Need,
  look: CgroupLook,
): string {
  if (
    config.counted && !need.limits && mount.version === 2 &&
    mount.controllers.length > 0
  ) {
    const counting = { ...need, limits: true };
    try {
      return placeCgroup(config, mount, token, counting, look);
    } catch (error) {
      if (!(error instanceof ContainerError)) throw error;
    }
  }
  return placeCgroup(config, mount, token, need, look);
}

/** As runc cleans a cgroupsPath: ".." cannot leave the start. */
function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return path.startsWith("/") || parts.length === 0
    ? `/${parts.join("/")}`
    : parts.join("/");
}

function parentOf(dir: string, mount: string): string {
  return dir === mount ? mount : dir.slice(0, dir.lastIndexOf("/"));
}

function placeBelow(
  mount: CgroupMount,
  need: V2Need,
  look: CgroupLook,
): string {
  const own = ownDirectory(mount);
  if (mount.version === 1 || !need.limits) return own;
  // Only the real root has no cgroup.type; a cgroup namespace's root has one.
  if (look.read(`${own}/cgroup.type`) === undefined) return own;
  if (own !== mount.path) {
    refuseLimited(own, look);
    return parentOf(own, mount.path);
  }
  // Emptied by whoever made this container (docker:dind does so).
  if (look.read(`${own}/cgroup.procs`) === "") return own;
  throw new ContainerError(
    `Cannot limit the container: the caller is in the topmost cgroup it can see ("${own}"), and cgroup v2 hands out no controllers from a cgroup that holds processes`,
    {
      code: "cgroup-no-place",
      hint: hintMove(own),
    },
  );
}

const hintMove = (own: string) =>
  `Move the processes into a child first: mkdir ${own}/init && for p in $(cat ${own}/cgroup.procs); do echo $p > ${own}/init/cgroup.procs; done`;

/** Limits of v2, and how none is written; cgroup-v2.rst. */
const LIMIT_FILES: readonly [string, RegExp][] = [
  ["memory.max", /^max$/],
  ["memory.high", /^max$/],
  ["memory.swap.max", /^max$/],
  ["cpu.max", /^max /],
  ["cpuset.cpus", /^$/],
  ["cpuset.mems", /^$/],
  ["io.max", /^$/],
];

/** Throws where a container beside the caller's cgroup would be out of limits that
 * the caller is in. */
function refuseLimited(own: string, look: CgroupLook): void {
  for (const [file, none] of LIMIT_FILES) {
    const value = look.read(`${own}/${file}`)?.trim();
    if (value === undefined || none.test(value)) continue;
    throw new ContainerError(
      `Cannot limit the container: it must stay within the limits of the caller's own cgroup ("${own}": ${file} is ${value}), and cgroup v2 hands out no controllers from a cgroup that holds processes`,
      {
        code: UNIT_LIMITED,
        hint: `${
          hintMove(own)
        }. In a unit of systemd's, set Delegate=yes too; DelegateSubgroup=init (systemd 254) moves them`,
      },
    );
  }
}

/** The error of a container that would be out of the limits of the caller's. */
export const UNIT_LIMITED = "cgroup-unit-limited";

/**
 * Keeps a container beside the caller's cgroup to as many processes as may be in
 * that.
 *
 * @param mine the limits that are asked for
 * @param path of the container's cgroup
 * @returns these, and that one where it is the smaller one
 */
export function boundTasks(
  mine: readonly Limit[],
  mount: CgroupMount,
  path: string,
  look: CgroupLook,
): readonly Limit[] {
  if (mine.length === 0 || !mount.controllers.includes("pids")) return mine;
  const own = ownDirectory(mount);
  if (path.startsWith(`${own}/`)) return mine;
  const most = look.read(`${own}/pids.max`)?.trim() ?? "";
  if (!/^\d+$/.test(most)) return mine;
  const asked = mine.find((it) => it.file === "pids.max");
  if (asked !== undefined && Number(asked.value) <= Number(most)) return mine;
  return [...mine.filter((it) => it !== asked), {
    file: "pids.max",
    value: most,
    why: "processes that the cgroup of the caller may have",
    from: "linux.resources.pids.limit",
    controller: "pids",
    version: 2,
  }];
}

/**
 * Whether the caller may make a cgroup at `dir` and send a process there: the
 * nearest directory above that exists, and its cgroup.procs, are its own; on v2
 * also cgroup.procs of what `dir` and the caller's cgroup have in common
 * (cgroup-v2.rst, "Delegation Containment").
 */
export function isDelegated(
  dir: string,
  mount: CgroupMount,
  uid: number,
  look: Pick<CgroupLook, "stat">,
): boolean {
  const owns = (path: string) => {
    const info = look.stat(path);
    return info && info.uid === uid && (info.mode & 0o200) !== 0;
  };
  if (
    mount.version === 2 &&
    !owns(`${commonParent(dir, ownDirectory(mount))}/cgroup.procs`)
  ) return false;
  let at = dir;
  while (at !== mount.path) {
    at = at.slice(0, at.lastIndexOf("/"));
    const mine = owns(at);
    if (mine !== undefined) return mine && owns(`${at}/cgroup.procs`) === true;
  }
  return false;
}

function commonParent(a: string, b: string): string {
  const [x, y] = [a.split("/"), b.split("/")];
  let same = 0;
  while (same < x.length && x[same] === y[same]) same++;
  return x.slice(0, same).join("/");
}

/** How a user comes to a cgroup; sd_booted(3), pam_systemd(8). */
export function hintDelegation(
  { version, path }: CgroupMount,
  uid: number,
  look: CgroupLook,
): string {
  const systemd = look.stat("/run/systemd/system") !== undefined;
  const runtime = `/run/user/${uid}`;
  if (version === 1) {
    return `Cgroup v1 is not handed to users: run as root${
      systemd ? ", or boot with systemd.unified_cgroup_hierarchy=1" : ""
    }`;
  }
  // Without it neither rustyrun nor systemd-run finds the user's systemd.
  if (systemd && look.stat(`${runtime}/systemd`) !== undefined) {
    return `Start it as: XDG_RUNTIME_DIR=${runtime} systemd-run --user --scope -p Delegate=yes rustyrun ... (rustyrun doctor shows which controllers you get)`;
  }
  return systemd
    ? `This user's own systemd does not run: log in (ssh, machinectl shell; su and sudo do not start it), or have root call loginctl enable-linger ${uid}; then try again with XDG_RUNTIME_DIR=${runtime}`
    : `Run as root, or have root make a cgroup below ${path}, chown it to user ${uid} and start rustyrun in it`;
}
