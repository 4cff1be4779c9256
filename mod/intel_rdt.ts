/**
 * linux.intelRdt: the class of service that a container's processes belong to, a
 * directory of the resctrl file system (the kernel's
 * filesystems/resctrl.rst); runtime-spec config-linux.md "IntelRdt".
 *
 * @module
 */

import { readDirSync, readTextFileSync } from "../ffi/files.ts";
import type { Config } from "./config/config.ts";
import { ContainerError } from "./errors.ts";
import { type Resctrl, unescapeMountinfo } from "./host.ts";

const FROM = "linux.intelRdt";

/** A group of resctrl as it is now. */
export interface Group {
  schemata: string;
  /** Pids, one a line; empty for nobody. */
  tasks: string;
}

/** Looks at a directory of resctrl.
 *
 * @returns undefined when it does not exist, "other" when it is no group of the
 * kind that is asked for */
export type LookAtGroup = (
  path: string,
  kind: "class" | "monitor",
  mount: string,
) => Group | "other" | undefined;

/** What is done about a container's class of service. */
export interface ClassPlan {
  /** Where resctrl is mounted. */
  mount: string;
  /** The group's directory, absolute: the mount itself for closID "/". */
  group: string;
  /** It is there already. */
  exists: boolean;
  /** closID names it: then it stays when the container is deleted. */
  named: boolean;
  /** Lines for its `schemata`, each a write of its own: two lines about one
   * resource in one write are EINVAL. */
  lines: readonly string[];
  /** The container's own MON group. */
  monitor?: string;
  /** Files that the container's process writes "0" into, in this order: a MON
   * group takes only processes of the class above it. */
  tasks: readonly string[];
  /** Directories that go with the container, inner ones first. */
  remove: readonly string[];
  /** Directories that were made, in that order: see
   * container/properties/resctrl.ts. */
  made?: readonly string[];
}

/** Where resctrl is mounted: by the text of mountinfo, proc_pid_mountinfo(5). What lies on it, or is only a part of it, does not
 * count. */
export function findResctrl(mountinfo: string): string | undefined {
  const types = new Map<string, string>();
  for (const line of mountinfo.split("\n")) {
    const [, , , root = "", path = ""] = line.split(" ");
    const type = line.slice(line.indexOf(" - ") + 3).split(" ")[0] ?? "";
    types.set(unescapeMountinfo(path), root === "/" ? type : "");
  }
  return [...types].find(([, type]) => type === "resctrl")?.[0];
}

/** Looks for resctrl on this machine.
 *
 * @param proc where /proc shows the caller */
export function gatherResctrl(proc: string): Resctrl {
  const path = findResctrl(readTextFileSync(`${proc}/mountinfo`));
  const known = /^nodev\tresctrl$/m.test(
    readTextFileSync("/proc/filesystems"),
  );
  if (path === undefined) return { known, resources: [] };
  const resources = readDirSync(`${path}/info`)
    .filter((it) => it.isDirectory).map((it) => it.name);
  return { known, path, resources };
}

function refuse(why: string, hint: string, code = "intel-rdt"): ContainerError {
  return new ContainerError(`Cannot apply ${FROM}: ${why}`, { code, hint });
}

/** Where resctrl is.
 *
 * @throws {ContainerError} when nobody has mounted it, or the kernel lacks it */
function pathOf(resctrl: Resctrl): string {
  if (resctrl.path !== undefined) return resctrl.path;
  throw resctrl.known
    ? refuse(
      "the resctrl file system is not mounted",
      "As root: mount -t resctrl resctrl /sys/fs/resctrl",
      "resctrl-not-mounted",
    )
    : refuse(
      "this kernel has no resctrl file system",
      "It takes a processor with Intel RDT, AMD QoS or Arm MPAM, and a kernel with CONFIG_X86_CPU_RESCTRL or CONFIG_ARM64_MPAM: grep resctrl /proc/filesystems. Else leave linux.intelRdt out",
      "resctrl-missing",
    );
}

/** The lines for `schemata`, in the order in which the specification wants them
 * written, with the property that each comes from. */
function linesOf(
  intelRdt: NonNullable<NonNullable<Config["spec"]["linux"]>["intelRdt"]>,
): [key: string, line: string][] {
  const { l3CacheSchema, memBwSchema, schemata = [] } = intelRdt;
  const lines: [string, string | undefined][] = [
    ["l3CacheSchema", l3CacheSchema],
    ["memBwSchema", memBwSchema],
    ...schemata.map((line, i): [string, string] => [`schemata[${i}]`, line]),
  ];
  return lines.filter((it): it is [string, string] => !!it[1]);
}

/** The resource of a schemata line: "L3" of "L3:0=ff". */
const resourceOf = (line: string): string => line.split(":")[0]!.trim();

/** What a resource is called by people. */
const NAMES: Record<string, string> = {
  L2: "cache allocation on L2",
  L3: "cache allocation on L3",
  MB: "memory bandwidth allocation",
};

function checkResources(
  lines: readonly [key: string, line: string][],
  resctrl: Resctrl,
): void {
  const known = resctrl.resources.filter((it) => !it.endsWith("_MON"));
  for (const [key, line] of lines) {
    const resource = resourceOf(line);
    if (known.includes(resource)) continue;
    const split = known.includes(`${resource}CODE`);
    const name = NAMES[resource];
    throw refuse(
      `linux.intelRdt.${key} is "${line}", and resctrl has no resource "${resource}" here${
        name === undefined || split ? "" : ` (${name})`
      }`,
      split
        ? `It is mounted with cdp: write the lines ${resource}CODE and ${resource}DATA into linux.intelRdt.schemata, or mount it without`
        : `It has ${known.join(", ") || "none"}: ls ${resctrl.path}/info`,
      "resctrl-resource",
    );
  }
}

/** What a value of a schemata line comes to: bit masks are hexadecimal, and a
 * bandwidth is rounded up to the next step. */
function readValue(resource: string, value: string, step: number): string {
  const isMask = /^L\d/.test(resource);
  const digits = value.trim().toLowerCase().replace(/^0x/, "");
  if (isMask) {
    return /^[0-9a-f]+$/.test(digits) ? String(BigInt(`0x${digits}`)) : value;
  }
  return resource === "MB" && /^[0-9]+$/.test(digits)
    ? String(Math.ceil(Number(digits) / step) * step)
    : value.trim();
}

/** The settings of schemata lines: "L3:0" -> value; a later one wins. */
function readSchemata(
  lines: readonly string[],
  step: number,
): Map<string, string> {
  const settings = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const resource = resourceOf(line);
    for (const part of line.slice(colon + 1).split(";")) {
      const [domain = "", value = ""] = part.split("=");
      settings.set(
        `${resource}:${domain.trim()}`,
        readValue(resource, value, step),
      );
    }
  }
  return settings;
}

/**
 * The first setting that a group has otherwise than lines want it.
 *
 * @param step the steps of memory bandwidth (info/MB/bandwidth_gran)
 */
export function compareSchemata(
  wanted: readonly string[],
  schemata: string,
  step = 1,
): string | undefined {
  const has = readSchemata(schemata.split("\n"), step);
  for (const [key, value] of readSchemata(wanted, step)) {
    if (has.get(key) !== value) return key;
  }
  return undefined;
}

/** What the closID says about a group that is, or is not, there. */
function checkNamed(
  closID: string,
  lines: readonly string[],
  found: Group | undefined,
  path: string,
  step: number,
): void {
  if (found === undefined) {
    if (lines.length > 0) return;
    throw refuse(
      `there is no class "${closID}" (linux.intelRdt.closID), and no schemata that would make one`,
      `Make it first: mkdir ${path}, or set linux.intelRdt.schemata`,
      "resctrl-class-missing",
    );
  }
  const other = compareSchemata(lines, found.schemata, step);
  if (other === undefined) return;
  throw refuse(
    `the class "${closID}" (linux.intelRdt.closID) exists, and its schemata says something else of "${other}"`,
    `cat ${path}/schemata shows what it says: ask for that, for nothing, or for another closID`,
    "resctrl-class-differs",
  );
}

/** The container's own MON group: a stale one of its name is taken over. */
function planMonitor(
  group: string,
  id: string,
  resctrl: Resctrl,
  lookAt: LookAtGroup,
): string {
  if (!resctrl.resources.some((it) => it.endsWith("_MON"))) {
    throw refuse(
      "linux.intelRdt.enableMonitoring is set, and resctrl cannot monitor here",
      `No ${resctrl.path}/info/L3_MON: the processor cannot, or the kernel was booted with rdt=!cmt,!mbmtotal,!mbmlocal`,
      "resctrl-resource",
    );
  }
  const path = `${group}/mon_groups/${id}`;
  const found = lookAt(path, "monitor", resctrl.path!);
  if (found === undefined) return path;
  if (found !== "other" && found.tasks.trim() === "") return path;
  throw refuse(
    `the monitoring group "${path}" is another container's`,
    "Choose another id for the container, or another closID",
    "resctrl-monitor-used",
  );
}

/**
 * Plans a container's class of service.
 *
 * @param lookAt looks at a group that may be there
 * @param step the steps of memory bandwidth (info/MB/bandwidth_gran)
 * @returns undefined when the configuration asks for none
 * @throws {ContainerError} for what this machine cannot do, and for a class that
 * is not as the specification wants it
 */
export function planIntelRdt(
  config: Config,
  gather: () => Resctrl,
  lookAt: LookAtGroup,
  step: (mount: string) => number = () => 1,
): ClassPlan | undefined {
  const intelRdt = config.spec.linux?.intelRdt;
  if (intelRdt === undefined) return undefined;
  const resctrl = gather();
  const mount = pathOf(resctrl);
  const keyed = linesOf(intelRdt);
  checkResources(keyed, resctrl);
  const lines = keyed.map(([, line]) => line);
  const closID = intelRdt.closID ?? "";
  const named = closID !== "";
  const group = closID === "/" ? mount : `${mount}/${closID || config.id}`;
  const found = lookAt(group, "class", mount);
  if (found === "other") {
    throw refuse(
      `"${group}" is no class of service`,
      named
        ? "Choose another linux.intelRdt.closID"
        : "Choose another id for the container, or set linux.intelRdt.closID",
    );
  }
  if (named) {
    const bandwidth = lines.some((it) => resourceOf(it) === "MB");
    checkNamed(closID, lines, found, group, bandwidth ? step(mount) : 1);
  }
  const monitor = intelRdt.enableMonitoring
    ? planMonitor(group, config.id, resctrl, lookAt)
    : undefined;
  const exists = found !== undefined;
  const groups = [...monitor === undefined ? [] : [monitor]];
  return {
    mount,
    group,
    exists,
    named,
    lines,
    ...(monitor === undefined ? {} : { monitor }),
    tasks: [group, ...groups].map((it) => `${it}/tasks`),
    remove: named || exists ? groups : [...groups, group],
  };
}
