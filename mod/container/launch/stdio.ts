/**
 * What becomes 0, 1 and 2 of a process where that is a device which everybody
 * has: never the host's own node. Whoever is root in the container could give
 * that one another mode or owner through the descriptor, for the whole machine.
 *
 * @module
 */

import { findBelow, reopen, statFd } from "../../../ffi/at.ts";
import { isType } from "../../../ffi/identity.ts";
import {
  AT,
  MOUNT_ATTR,
  O,
  O_BY_ARCH,
  OPEN_TREE_CLONE,
  RESOLVE,
  S_IF,
} from "../../../ffi/constants.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import { closeFd, openFd } from "../../../ffi/libc.ts";
import type { Caller } from "../../caller.ts";
import {
  COMMON_DEVICES,
  type CommonDevice,
  rdevOf,
} from "../../caller/status.ts";
import type { Config } from "../../config/config.ts";
import { sharesMounts } from "../../config/namespaces.ts";
import { ContainerError } from "../../errors.ts";
import { type Facts, takesEarly } from "../../host.ts";
import { findOwned } from "../../host/owners.ts";
import type { Op, Phased } from "../../plan.ts";

/** Which device becomes which of 0, 1 and 2. */
export type Devices = ReadonlyMap<number, CommonDevice>;

const CAP_MKNOD = 1n << 27n;
const STREAMS = [0, 1, 2] as const;

/** What gets a terminal has none of the caller's streams until then: whoever may
 * trace it would type into the caller's terminal. */
function findDevices(
  config: Config,
  streams: Caller["streams"],
): Map<number, CommonDevice> {
  const devices = new Map<number, CommonDevice>();
  for (const fd of STREAMS) {
    const kind = config.spec.process?.terminal || fd === 0 && !config.stdin
      ? "null"
      : streams[fd] ?? "other";
    if (kind in COMMON_DEVICES) devices.set(fd, kind as CommonDevice);
  }
  return devices;
}

const slotOf = (device: CommonDevice): string => `stdio.${device}`;

/** Opens one, and makes sure that it is one. */
function planOpen(
  device: CommonDevice,
  at: string,
  path: string,
  resolve: number,
): Op[] {
  return [{
    do: "open",
    into: slotOf(device),
    at,
    path,
    flags: O.RDWR,
    mode: 0,
    resolve,
    why: device === "null"
      ? "have something empty to read and write"
      : `have a ${device} device that is not the host's`,
  }, {
    do: "verify",
    slot: slotOf(device),
    type: S_IF.CHR,
    rdev: rdevOf(device),
    magic: 0,
    why: `make sure that it is the ${device} device`,
  }];
}

function planDups(devices: Devices): Op[] {
  return [...devices].map(([fd, device]): Op => ({
    do: "dup",
    slot: slotOf(device),
    fd,
    why: `make it descriptor ${fd}`,
  }));
}

/** Opens devices with nodes of their own, or such that nobody in the container
 * can change: before any namespace is entered. */
function planOwn(
  devices: readonly CommonDevice[],
  config: Config,
  facts: Facts,
): Op[] {
  if (devices.length === 0) return [];
  if (takesEarly(facts) && !facts.inUserns && (facts.caps & CAP_MKNOD) !== 0n) {
    return planMade(devices, facts);
  }
  const paths = devices.map((it) => `/dev/${it}`);
  const [owned] = findOwned(paths, config, facts);
  // With a terminal they are there until that is, and never the command's.
  const brief = config.spec.process?.terminal && !takesEarly(facts);
  if (owned === undefined || brief) {
    return devices.flatMap((it) => planOpen(it, "", `/dev/${it}`, 0));
  }
  if (!takesEarly(facts)) {
    throw new ContainerError(
      `Cannot give the command a device of its own: it could change the host's "${owned}", whose owner it may be`,
      {
        code: "device-owner",
        hint:
          `Mount a tmpfs on /dev (rustyrun run --rootfs does), or give the device back to root: chown root ${owned}`,
      },
    );
  }
  return planReadonly(devices);
}

/** In a file system that nobody ever sees, as /dev/NAME: what a program finds in
 * /proc/self/fd. */
function planMade(
  devices: readonly CommonDevice[],
  { arch }: Pick<Facts, "arch">,
): Op[] {
  return [
    {
      do: "fsmount",
      into: "devices",
      fstype: "tmpfs",
      options: ["source=tmpfs", "mode=0755"],
      attr: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NOEXEC,
      flags: 0,
      why: "have a place for devices that are not the host's",
    },
    {
      do: "mkdir",
      at: "devices",
      name: "dev",
      mode: 0o755,
      why: "have them by their usual names",
    },
    {
      do: "open",
      into: "dev",
      at: "devices",
      path: "dev",
      flags: O.PATH | O_BY_ARCH[arch].DIRECTORY,
      mode: 0,
      resolve: RESOLVE.NO_SYMLINKS,
      why: "find their directory",
    },
    ...devices.flatMap((it): Op[] => [
      {
        do: "mknod",
        at: "dev",
        name: it,
        mode: S_IF.CHR | 0o666,
        rdev: rdevOf(it),
        uid: 0,
        gid: 0,
        why: `make a ${it} device of its own`,
      },
      ...planOpen(it, "dev", it, RESOLVE.NO_SYMLINKS),
    ]),
  ];
}

/** The host's, by a copy of its mount that is read-only for ever: no mode, owner
 * or time can be changed by it, mount_setattr(2). A device is written all the
 * same. */
function planReadonly(devices: readonly CommonDevice[]): Op[] {
  return [
    {
      do: "openTree",
      into: "devices",
      at: "",
      path: "/dev",
      flags: OPEN_TREE_CLONE | AT.RECURSIVE,
      why: "have the host's devices by a mount of its own",
    },
    {
      do: "mountSetattr",
      slot: "devices",
      path: "",
      flags: AT.RECURSIVE,
      set: MOUNT_ATTR.RDONLY,
      clear: 0,
      propagation: 0,
      userns: "",
      why: "keep their modes and owners the host's",
    },
    ...devices.flatMap((it) =>
      planOpen(it, "devices", it, RESOLVE.NO_SYMLINKS)
    ),
  ];
}

/** Whether the container's own devices can be opened: those of a /dev that is
 * made for it, and those that are bound from the host in a user namespace's
 * mounts. Nodes in an image's /dev may lie on a file system without devices. */
function hasOwnDev(config: Config, facts: Facts): boolean {
  const mounts =
    config.spec.mounts?.filter((it) => /^\/*dev\/*$/.test(it.destination)) ??
      [];
  return mounts.length === 0
    ? !takesEarly(facts)
    : mounts.some((it) => it.type === "tmpfs");
}

/**
 * The streams of a first process: its container's own devices where /dev is made
 * for it, else such as {@linkcode planOwn} has.
 *
 * @param streams what they would be else
 * @throws {ContainerError} where the host's device would be the container's to
 * change
 */
export function planStdio(
  config: Config,
  facts: Facts,
  streams: Caller["streams"],
): Phased {
  const devices = findDevices(config, streams);
  if (devices.size === 0) return {};
  const names = [...new Set(devices.values())];
  const dups = planDups(devices);
  if (config.spec.process?.terminal || !hasOwnDev(config, facts)) {
    return { sources: [...planOwn(names, config, facts), ...dups] };
  }
  const resolve = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS;
  return {
    console: [
      ...names.flatMap((it) => planOpen(it, "root", `dev/${it}`, resolve)),
      ...dups,
    ],
  };
}

/** Opens a device of a container; undefined where it has none. What is opened is
 * what was looked at: the container may put another device there. */
function openInside(dir: number, device: CommonDevice): number | undefined {
  const found = findBelow(dir, `dev/${device}`);
  if (found < 0) return undefined;
  try {
    const { mode, rdev } = statFd(found);
    const isIt = isType({ mode }, S_IF.CHR) && rdev === rdevOf(device);
    return isIt ? reopen(found, O.RDWR) : undefined;
  } catch (error) {
    // EACCES: its file system has no devices.
    if (error instanceof SyscallError && error.code === "EACCES") {
      return undefined;
    }
    throw error;
  } finally {
    closeFd(found);
  }
}

/** Devices for the streams of a process, and the steps that put them there. */
export interface TakenDevices extends Disposable {
  plan: Phased;
  slots: [string, number][];
}

/**
 * The streams of a process in a container that is there: the container's own
 * devices. Before the fork, so that nobody in it sees the host's; with a terminal
 * that is what is there until the terminal is. Where the container has none, or
 * no root that is joined, as {@linkcode planStdio}.
 *
 * @throws {ContainerError} where the host's device would be the container's to
 * change
 */
export function takeDevices(
  config: Config,
  facts: Facts,
  { saved, first, streams }: {
    saved: Config;
    /** Directory in /proc of the container's first process. */
    first: string;
    streams: Caller["streams"];
  },
): TakenDevices {
  const devices = findDevices(config, streams);
  const names = [...new Set(devices.values())];
  const slots: [string, number][] = [];
  const taken = {
    slots,
    [Symbol.dispose]: () => slots.forEach(([, fd]) => closeFd(fd)),
  };
  try {
    if (names.length > 0 && !sharesMounts(saved)) {
      const root = openFd(`${first}/root`, O.PATH);
      for (const it of names) {
        const fd = openInside(root, it);
        if (fd !== undefined) slots.push([slotOf(it), fd]);
      }
      closeFd(root);
    }
    const has = new Set(slots.map(([slot]) => slot));
    const missing = names.filter((it) => !has.has(slotOf(it)));
    const sources = [
      ...planOwn(missing, config, facts),
      ...planDups(devices),
    ];
    return { ...taken, plan: sources.length > 0 ? { sources } : {} };
  } catch (error) {
    taken[Symbol.dispose]();
    throw error;
  }
}
