/**
 * /dev: the default devices, those of the configuration, and the links that
 * the specification wants (config-linux.md#default-devices, #dev-symbolic-links).
 * Everything is made by a single name on a directory's descriptor: a link that
 * the image has for /dev leads nowhere else (CVE-2026-41579).
 *
 * @module
 */

import { makedev, MOUNT_ATTR, MS, S_IF } from "../../ffi/constants.ts";
import type { Config } from "../config/config.ts";
import type { Device } from "../config/schema.ts";
import { ContainerError } from "../errors.ts";
import { type Op, TARGET } from "../plan.ts";
import {
  cloneTree,
  type MountContext,
  takeInTurn,
  takeTree,
} from "./context.ts";
import { parseMountOptions } from "./options.ts";
import { joinPath, splitPath } from "./path.ts";
import { placeIn } from "./place.ts";
import { setAttr } from "./attributes.ts";
import { findTarget } from "./target.ts";

const DEFAULTS: readonly (readonly [string, number, number])[] = [
  ["null", 1, 3],
  ["zero", 1, 5],
  ["full", 1, 7],
  ["random", 1, 8],
  ["urandom", 1, 9],
  ["tty", 5, 0],
];

/** The host's devices that a container with a user namespace sees, by path. */
export function listBound(
  config: Config,
  hostDevices: readonly { source: string }[],
): string[] {
  return [
    ...DEFAULTS.map(([name]) => `/dev/${name}`),
    ...(config.spec.linux?.devices ?? []).map((it) => joinPath("/", it.path)),
    ...hostDevices.map((it) => it.source),
  ];
}

const LINKS: readonly (readonly [string, string])[] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
];

const TYPES: ReadonlyMap<string, number> = new Map([
  ["c", S_IF.CHR],
  ["u", S_IF.CHR],
  ["b", S_IF.BLK],
  ["p", S_IF.IFO],
]);

interface Node {
  path: string;
  type: number;
  rdev: bigint;
  mode: number;
  uid: number;
  gid: number;
  /** The mode, where one is asked for. */
  asked?: number;
  /** Path on the host, for where none can be made. */
  source: string;
  from?: string;
}

/** Whether /dev is the host's or another directory, bound: it is left alone. */
function isBound(context: MountContext): boolean {
  return (context.config.spec.mounts ?? []).some((it) =>
    joinPath("/", it.destination) === "/dev" &&
    parseMountOptions(it.options ?? []).bind
  );
}

/**
 * Plans the devices.
 *
 * @throws {ContainerError} for a type of device that is none
 */
export function planDevices(context: MountContext): Op[] {
  if (isBound(context)) return [];
  const ops: Op[] = [findTarget(context, "/dev", {
    into: "dev",
    kind: TARGET.directory,
    why: "find /dev",
  })];
  for (const node of listNodes(context)) {
    const { parent, name } = splitPath(node.path);
    const note = node.from === undefined ? {} : { from: node.from };
    checkOpens(context, node);
    let at = "dev";
    if (parent !== "/dev") {
      at = "parent";
      ops.push(findTarget(context, parent, {
        into: at,
        kind: TARGET.directory,
        why: `find the place of "${node.path}"`,
        ...note,
      }));
    }
    if (context.userns && node.type !== S_IF.IFO) {
      ops.push(...planBound(context, node, at, name));
    } else {
      ops.push({
        do: "mknod",
        at,
        name,
        mode: node.type | node.mode,
        rdev: node.rdev,
        uid: node.uid,
        gid: node.gid,
        why: `make the device "${node.path}"`,
        ...note,
      });
    }
  }
  const links = [...LINKS];
  if (context.host.kcore) links.push(["core", "/proc/kcore"]);
  links.push(["ptmx", "pts/ptmx"]);
  for (const [name, target] of links) {
    ops.push({
      do: "symlink",
      at: "dev",
      name,
      target,
      why: `make "/dev/${name}" lead to "${target}"`,
    });
  }
  return ops;
}

/** Whether a node that is made can be opened: the root file system is nodev where
 * there are no device rules. */
function checkOpens(context: MountContext, node: Node): void {
  const { unruled, userns } = context;
  if (!unruled || userns || node.path.startsWith("/dev/")) return;
  throw new ContainerError(
    `Cannot make the device "${node.path}": without device rules (--cgroup-manager disabled) none can be opened outside of /dev (${
      context.config.flags.get(node.from ?? "") ?? node.from
    })`,
    {
      code: "device-place",
      hint:
        `Write --device ${node.source}:/dev/NAME, or leave --cgroup-manager disabled out`,
    },
  );
}

/** The host's own device has the host's mode. Its owner is left alone: engines
 * write the host's ids there, which may be nobody's in the container. */
function checkMode(context: MountContext, node: Node): void {
  const mode = context.host.modes.get(node.source);
  if (node.asked === undefined || mode === undefined || node.asked === mode) {
    return;
  }
  const [asked, own] = [node.asked, mode].map((it) =>
    `0${it.toString(8).padStart(3, "0")}`
  );
  throw new ContainerError(
    `Cannot make the device "${node.path}" with the mode ${asked}: with a user namespace it is the host's own, whose mode is ${own} (${node.from})`,
    {
      code: "device-mode",
      hint: "Leave fileMode out, or give the host's device that mode",
    },
  );
}

/** In a user namespace a node made by mknod(2) could not be opened: the host's
 * is bound instead. Read-only where somebody inside is its owner: a device is
 * written all the same. */
function planBound(
  context: MountContext,
  node: Node,
  at: string,
  name: string,
): Op[] {
  checkMode(context, node);
  const slot = `device.${node.path}`;
  const note = node.from === undefined ? {} : { from: node.from };
  const again = takeInTurn(
    context,
    { slot, path: node.source },
    cloneTree(slot, "", node.source, false, {
      why: `take the host's "${node.source}"`,
      ...note,
    }),
    {
      do: "verify",
      slot,
      type: node.type,
      rdev: node.rdev,
      magic: 0,
      why: `make sure that "${node.source}" is that device`,
      ...note,
    },
    makePrivate(slot, note),
    ...context.host.owned.has(node.source)
      ? [setAttr(slot, { set: MOUNT_ATTR.RDONLY }, {
        why: `keep the mode and owner of the host's "${node.source}"`,
        ...note,
      })]
      : [],
  );
  return [
    ...again,
    {
      do: "target",
      into: "target",
      ...placeIn(at, name),
      kind: TARGET.file,
      mode: 0o644,
      why: `find the place of "${node.path}"`,
      ...note,
    },
    {
      do: "moveMount",
      tree: slot,
      onto: "target",
      why: `mount the host's device on "${node.path}"`,
      ...note,
    },
  ];
}

function listNodes(context: MountContext): Node[] {
  const nodes = new Map<string, Node>();
  for (const [name, major, minor] of DEFAULTS) {
    const path = `/dev/${name}`;
    nodes.set(path, {
      path,
      type: S_IF.CHR,
      rdev: makedev(major, minor),
      mode: 0o666,
      uid: 0,
      gid: 0,
      source: path,
    });
  }
  const add = (device: Device, source: string, from: string) => {
    const node = toNode(device, source, from);
    // The links lead to the container's own.
    if (node.path === "/dev/ptmx") return;
    nodes.delete(node.path);
    nodes.set(node.path, node);
  };
  for (
    const [at, device] of (context.config.spec.linux?.devices ?? []).entries()
  ) {
    add(device, joinPath("/", device.path), `linux.devices[${at}]`);
  }
  for (const device of context.host.devices) {
    add(device, device.source, "hostDevices");
  }
  return [...nodes.values()];
}

function toNode(device: Device, source: string, from: string): Node {
  const type = TYPES.get(device.type);
  if (type === undefined) {
    throw new ContainerError(
      `Cannot make the device "${device.path}": the type "${device.type}" is none of c, b, u and p (${from})`,
      { code: "device-type", hint: 'Use "c" for a character device' },
    );
  }
  if (
    type !== S_IF.IFO &&
    (device.major === undefined || device.minor === undefined)
  ) {
    throw new ContainerError(
      `Cannot make the device "${device.path}": it has no major and minor number (${from})`,
      { code: "device-number", hint: "ls -l shows both for a device" },
    );
  }
  return {
    path: joinPath("/", device.path),
    type,
    rdev: type === S_IF.IFO
      ? 0n
      : makedev(Number(device.major), Number(device.minor)),
    mode: (device.fileMode ?? 0o666) & 0o7777,
    ...(device.fileMode === undefined
      ? {}
      : { asked: device.fileMode & 0o7777 }),
    uid: device.uid ?? 0,
    gid: device.gid ?? 0,
    source,
    from,
  };
}

/** Slot "null": the host's null device, for masks; taken before anything of the
 * container's is there and verified (CVE-2025-31133). Whoever is root in there
 * could give it another mode or owner, for the whole machine. */
export function planNull(context: MountContext): void {
  if (context.trees.some((it) => it.slot === "null")) return;
  takeTree(
    context,
    "null",
    cloneTree("null", "", "/dev/null", false, {
      why: "take the host's null device for what is masked",
      from: "linux.maskedPaths",
    }),
    {
      do: "verify",
      slot: "null",
      type: S_IF.CHR,
      rdev: makedev(1, 3),
      magic: 0,
      why: "make sure that it is the null device",
      from: "linux.maskedPaths",
    },
    setAttr("null", { set: MOUNT_ATTR.RDONLY, propagation: MS.PRIVATE }, {
      why: "keep its mode and owner, and what is mounted on it, the host's",
      from: "linux.maskedPaths",
    }),
  );
}

/** A copy of a mount of the host is in its peer group: what the container
 * mounts over it would lie on the host's own device as well. */
function makePrivate(slot: string, note: { from?: string }): Op {
  return setAttr(slot, { propagation: MS.PRIVATE }, {
    why: "keep what is mounted on it from the host",
    ...note,
  });
}
