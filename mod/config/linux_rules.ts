/**
 * Rules of `linux` beyond its shape: config-linux.md.
 *
 * @module
 */

import type { Linux, Namespace, NamespaceType, Spec } from "./schema.ts";
import {
  type Add,
  checkMappings,
  isInterfaceName,
  isLongerThan,
  wantAbsolute,
  wantDeviceNumber,
  wantId,
  wantNumberList,
} from "./forms.ts";
import { joinPath, showValue } from "./problem.ts";
import { findSysctlNamespace, readSysctlPath } from "./sysctl.ts";

/** What mount(2) knows; the specification has those without the r. */
const PROPAGATIONS = " shared rshared slave rslave private rprivate " +
  "unbindable runbindable ";

/** The container's namespaces by type. */
type Namespaces = Map<NamespaceType, Namespace>;

/**
 * Adds the problems of `linux`, but for those of resources and seccomp.
 *
 * @param mapsLater the ids of a user namespace are chosen later
 */
export function checkLinux(add: Add, spec: Spec, mapsLater: boolean): void {
  const linux = spec.linux ?? {};
  const namespaces: Namespaces = new Map();
  const listed = linux.namespaces ?? [];
  for (let i = 0; i < listed.length; i++) {
    const namespace = listed[i]!;
    const { type, path } = namespace;
    if (namespaces.has(type)) {
      add(
        `linux.namespaces[${i}].type`,
        `must not come twice: found "${type}" again`,
        "remove one of the entries",
      );
    }
    namespaces.set(type, namespace);
    if (path !== undefined && path !== "") {
      wantAbsolute(add, `linux.namespaces[${i}].path`, path);
    }
  }
  checkHostname(add, spec, namespaces);
  checkIdMaps(add, linux, namespaces, mapsLater);
  if (linux.timeOffsets) checkTimeOffsets(add, linux, namespaces);
  checkDevices(add, linux);
  if (linux.netDevices) checkNetDevices(add, linux.netDevices, namespaces);
  if (linux.cgroupsPath?.split("/").includes("..")) {
    add(
      "linux.cgroupsPath",
      `must not hold "..": found ${showValue(linux.cgroupsPath)}`,
      "write the path of the cgroup from its mount point",
    );
  }
  const propagation = linux.rootfsPropagation ?? "";
  if (
    propagation !== "" &&
    (propagation.includes(" ") || !PROPAGATIONS.includes(` ${propagation} `))
  ) {
    add(
      "linux.rootfsPropagation",
      `must be "shared", "slave", "private" or "unbindable": found ${
        showValue(propagation)
      }`,
      "write one of these words; with an r before it is taken too",
    );
  }
  for (const key of ["maskedPaths", "readonlyPaths"] as const) {
    const paths = linux[key] ?? [];
    for (let i = 0; i < paths.length; i++) {
      const path = paths[i]!;
      wantAbsolute(add, `linux.${key}[${i}]`, path);
    }
  }
  if (linux.sysctl) checkSysctls(add, linux.sysctl, namespaces);
  if (linux.intelRdt) checkIntelRdt(add, linux.intelRdt);
  if (linux.memoryPolicy) checkMemoryPolicy(add, linux.memoryPolicy);
  const flags = linux.personality?.flags ?? [];
  if (flags.length > 0) {
    add(
      "linux.personality.flags",
      `must be empty: found ${showValue(flags[0])}`,
      "remove it: the specification has no flag yet",
    );
  }
}

/** Returns whether the container makes this namespace itself. */
function isOwn(namespaces: Namespaces, type: NamespaceType): boolean {
  const namespace = namespaces.get(type);
  return namespace !== undefined && (namespace.path ?? "") === "";
}

function checkHostname(add: Add, spec: Spec, namespaces: Namespaces): void {
  for (const key of ["hostname", "domainname"] as const) {
    const name = spec[key];
    if (name === undefined || name === "") continue;
    if (!namespaces.has("uts")) {
      add(
        key,
        `must not be set without a UTS namespace: found ${showValue(name)}`,
        'add {"type": "uts"} to linux.namespaces',
      );
    }
    if (isLongerThan(name, 64)) {
      add(
        key,
        `must have at most 64 bytes: found ${showValue(name)}`,
        "write a shorter name",
      );
    }
  }
}

function checkIdMaps(
  add: Add,
  linux: Linux,
  namespaces: Namespaces,
  mapsLater: boolean,
): void {
  const wanted = isOwn(namespaces, "user") &&
    !(mapsLater && !linux.uidMappings?.length && !linux.gidMappings?.length);
  for (const key of ["uidMappings", "gidMappings"] as const) {
    const mappings = linux[key] ?? [];
    if (mappings.length > 0 && !namespaces.has("user")) {
      add(
        `linux.${key}`,
        "must not be set without a user namespace",
        'add {"type": "user"} to linux.namespaces, or remove the mappings',
      );
    }
    if (mappings.length === 0 && wanted) {
      add(
        `linux.${key}`,
        "must be set for a new user namespace: found nothing",
        'write {"containerID": 0, "hostID": ..., "size": ...}',
      );
    }
    checkMappings(add, `linux.${key}`, mappings);
  }
}

function checkTimeOffsets(
  add: Add,
  linux: Linux,
  namespaces: Namespaces,
): void {
  const clocks = Object.entries(linux.timeOffsets ?? {});
  if (clocks.length > 0 && !isOwn(namespaces, "time")) {
    add(
      "linux.timeOffsets",
      "must not be set without a new time namespace: found " +
        (namespaces.has("time") ? "one that is joined by path" : "none"),
      'add {"type": "time"} without a path to linux.namespaces',
    );
  }
  for (const [clock, { nanosecs = 0 }] of clocks) {
    const path = joinPath("linux.timeOffsets", clock);
    if (clock !== "monotonic" && clock !== "boottime") {
      add(
        path,
        `must be named "monotonic" or "boottime": found ${showValue(clock)}`,
        "write one of the two clocks that a time namespace has",
      );
    }
    if (nanosecs > 999999999) {
      add(
        `${path}.nanosecs`,
        `must be from 0 to 999999999: found ${nanosecs}`,
        "write whole seconds in secs",
      );
    }
  }
}

function checkDevices(add: Add, linux: Linux): void {
  const devices = linux.devices ?? [];
  for (let i = 0; i < devices.length; i++) {
    const device = devices[i]!;
    const at = `linux.devices[${i}]`;
    const { type, path } = device;
    wantAbsolute(add, `${at}.path`, path);
    // As under runc: "/dev/fuse/" is "/dev/fuse".
    let end = path.length;
    while (path[end - 1] === "/") end--;
    const name = path.slice(path.lastIndexOf("/", end - 1) + 1, end);
    if (name === "" || name === "." || name === "..") {
      add(
        `${at}.path`,
        `must end in the name of the device: found ${showValue(path)}`,
        'write it like "/dev/fuse"',
      );
    }
    if (type !== "c" && type !== "b" && type !== "u" && type !== "p") {
      add(
        `${at}.type`,
        `must be "c", "b", "u" or "p": found ${showValue(type)}`,
        "write c for character, b for block, u for unbuffered, p for a pipe",
      );
    }
    if (type !== "p") {
      for (const key of ["major", "minor"] as const) {
        if (device[key] === undefined) {
          add(
            `${at}.${key}`,
            'must be set unless the type is "p": found nothing',
            "write the device's number as ls -l shows it",
          );
        }
        wantDeviceNumber(add, `${at}.${key}`, device[key], key);
      }
    }
    wantId(add, `${at}.uid`, device.uid);
    wantId(add, `${at}.gid`, device.gid);
  }
}

function checkNetDevices(
  add: Add,
  devices: NonNullable<Linux["netDevices"]>,
  namespaces: Namespaces,
): void {
  const entries = Object.entries(devices);
  if (entries.length > 0 && !namespaces.has("network")) {
    add(
      "linux.netDevices",
      "must not be set without a network namespace",
      'add {"type": "network"} to linux.namespaces',
    );
  }
  const names = new Set<string>();
  for (const [host, { name: given = "" }] of entries) {
    const path = joinPath("linux.netDevices", host);
    const name = given === "" ? host : given;
    if (!isInterfaceName(host)) {
      add(
        path,
        `must be named after an interface: found ${showValue(host)}`,
        "write 1 to 15 bytes without space, slash and colon",
      );
    } else if (!isInterfaceName(name) || !/^[^%]*(?:%d)?$/.test(name)) {
      add(
        `${path}.name`,
        `must be the name of an interface: found ${showValue(name)}`,
        'write 1 to 15 bytes without space, slash and colon, "%d" only at its end',
      );
    }
    if (names.has(name) && !name.endsWith("%d")) {
      add(
        `${path}.name`,
        `must not come twice: found ${showValue(name)} again`,
        'write another name, or a template like "eth%d"',
      );
    }
    names.add(name);
  }
}

function checkSysctls(
  add: Add,
  sysctl: NonNullable<Linux["sysctl"]>,
  namespaces: Namespaces,
): void {
  for (const key of Object.keys(sysctl)) {
    const at = joinPath("linux.sysctl", key);
    const path = readSysctlPath(key);
    const owner = path === undefined ? undefined : findSysctlNamespace(path);
    if (path === undefined) {
      add(
        at,
        `must be the name of a kernel parameter: found ${showValue(key)}`,
        'write it like "net.ipv4.ip_forward"',
      );
    } else if (path === "kernel/hostname") {
      add(
        at,
        "must not be set: the property hostname is there for it",
        "write hostname instead",
      );
    } else if (owner === undefined) {
      add(
        at,
        "must belong to a namespace of the container: this one is the host's",
        "set it on the host",
      );
    } else if (!namespaces.has(owner)) {
      add(
        at,
        `must not be set without a namespace of type "${owner}": ` +
          "it would change the host",
        `add {"type": "${owner}"} to linux.namespaces`,
      );
    }
  }
}

function checkIntelRdt(
  add: Add,
  intelRdt: NonNullable<Linux["intelRdt"]>,
): void {
  const { closID = "", l3CacheSchema = "", memBwSchema = "" } = intelRdt;
  if (closID !== "/" && (/[\s/]/.test(closID) || /^\.{1,2}$/.test(closID))) {
    add(
      "linux.intelRdt.closID",
      `must be the name of one directory, or "/": found ${showValue(closID)}`,
      "write the name of a directory of /sys/fs/resctrl",
    );
  }
  if (memBwSchema !== "" && !memBwSchema.startsWith("MB:")) {
    add(
      "linux.intelRdt.memBwSchema",
      `must start with "MB:": found ${showValue(memBwSchema)}`,
      'write it like "MB:0=20;1=70"',
    );
  }
  const lines: [string, string][] = [
    ["l3CacheSchema", l3CacheSchema],
    ["memBwSchema", memBwSchema],
    ...(intelRdt.schemata ?? []).map((line, i): [string, string] => [
      `schemata[${i}]`,
      line,
    ]),
  ];
  for (const [key, line] of lines) {
    if (line.includes("\n")) {
      add(
        `linux.intelRdt.${key}`,
        `must be one line: found ${showValue(line)}`,
        "write each line as an entry of linux.intelRdt.schemata",
      );
    }
  }
}

/** set_mempolicy(2): what the kernel would answer with EINVAL. */
function checkMemoryPolicy(
  add: Add,
  policy: NonNullable<Linux["memoryPolicy"]>,
): void {
  const { mode, nodes = "", flags = [] } = policy;
  const path = "linux.memoryPolicy";
  wantNumberList(add, `${path}.nodes`, nodes);
  const none = mode === "MPOL_DEFAULT" || mode === "MPOL_LOCAL";
  if (none && nodes !== "") {
    add(
      `${path}.nodes`,
      `must be empty for ${mode}: found ${showValue(nodes)}`,
      "remove it, or write the mode MPOL_BIND",
    );
  }
  if (!none && mode !== "MPOL_PREFERRED" && nodes === "") {
    add(
      `${path}.nodes`,
      `must be set for ${mode}: found nothing`,
      'write the memory nodes like "0-3,7"',
    );
  }
  if (
    flags.includes("MPOL_F_STATIC_NODES") &&
    flags.includes("MPOL_F_RELATIVE_NODES")
  ) {
    add(
      `${path}.flags`,
      "must not hold both MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES",
      "remove one of the two",
    );
  }
  if (
    flags.includes("MPOL_F_NUMA_BALANCING") && mode !== "MPOL_BIND" &&
    mode !== "MPOL_PREFERRED_MANY"
  ) {
    add(
      `${path}.flags`,
      `must not hold MPOL_F_NUMA_BALANCING for ${mode}`,
      "remove it, or write the mode MPOL_BIND",
    );
  }
}
