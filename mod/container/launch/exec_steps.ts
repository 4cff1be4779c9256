/**
 * The steps that `exec` has and a first process has not, or has otherwise: a
 * terminal of the container's own devpts, the CPUs, the joined root.
 *
 * @module
 */

import { MAGIC, MOUNT_ATTR, O, RESOLVE, S_IF } from "../../../ffi/constants.ts";
import { findBelow, isType, reopen, statFd } from "../../../ffi/at.ts";
import { SyscallError } from "../../../ffi/errno.ts";
import { closeFd, openFd } from "../../../ffi/libc.ts";
import type { Caller } from "../../caller.ts";
import type { Thaw } from "../../cgroups/join.ts";
import type { Config } from "../../config/config.ts";
import { hasUserNamespace, sharesMounts } from "../../config/namespaces.ts";
import type { Facts } from "../../host.ts";
import type { Op, Phased } from "../../plan.ts";
import { planCpus } from "../../security.ts";
import { encodePlan } from "../../plan/encode.ts";
import { planLeftovers } from "../kept/leftovers.ts";
import { FD_TAG } from "../model.ts";

const FROM = "process.terminal";
/** 1:3, as st_rdev has it. */
const RDEV_NULL = 0x103;

/** A terminal of the container's devpts. */
export function planTerminal(config: Config): Phased {
  const process = config.spec.process!;
  if (!process.terminal) return {};
  const uid = process.user?.uid ?? 0;
  const console: Op[] = [
    {
      do: "open",
      into: "root",
      at: "",
      path: "/",
      flags: 0o10000000,
      mode: 0,
      resolve: 0,
      why: "hold the container's root",
      from: FROM,
    },
    {
      do: "target",
      into: "devpts",
      root: "root",
      path: "/dev/pts",
      kind: 0,
      mode: 0,
      why: "find the container's devpts",
      from: FROM,
    },
    {
      do: "verify",
      slot: "devpts",
      type: 0o40000,
      rdev: 0,
      magic: 0x1cd1,
      why: "make sure that it is a devpts",
      from: FROM,
    },
    {
      do: "pty",
      master: "master",
      peer: "peer",
      devpts: "devpts",
      rows: process.consoleSize?.height ?? 0,
      cols: process.consoleSize?.width ?? 0,
      why: "open a terminal in the container",
      from: FROM,
    },
  ];
  if (uid !== 0) {
    console.push({
      do: "chown",
      slot: "peer",
      uid,
      gid: -1,
      why: "give the terminal to the process's user",
      from: FROM,
    });
  }
  console.push(
    {
      do: "sendFd",
      slot: "master",
      tag: FD_TAG.master,
      why: "hand the terminal's other end to the host",
      from: FROM,
    },
    {
      do: "ctty",
      slot: "peer",
      why: "make it the controlling terminal",
      from: FROM,
    },
    ...[0, 1, 2].map((fd): Op => ({
      do: "dup",
      slot: "peer",
      fd,
      why: `make it descriptor ${fd}`,
      from: FROM,
    })),
  );
  return { console };
}

const NULL = "dev/null";

/** Opens the null device of a container; undefined where it has none. What is
 * opened is what was looked at: the container may put another device there. */
function openNull(first: string): number | undefined {
  const root = openFd(`${first}/root`, O.PATH);
  const found = findBelow(root, NULL);
  closeFd(root);
  if (found < 0) return undefined;
  try {
    const { mode, rdev } = statFd(found);
    const isNull = isType({ mode }, S_IF.CHR) && Number(rdev) === RDEV_NULL;
    return isNull ? reopen(found, O.RDWR) : undefined;
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

/** The container's null device, open, and the steps that put it where the
 * command's streams are the host's. */
export interface TakenNull extends Disposable {
  plan: Phased;
  slots: [string, number][];
}

/**
 * What is the host's null device becomes the container's own, as for a first
 * process: whoever has the host's open may change its mode and owner. Before the
 * fork, so that nobody in the container sees the other one; with a terminal that
 * is what is there until the terminal is. Where the container has none, or no
 * root that is joined, it stays as it is.
 */
export function takeNull(
  config: Config,
  { saved, first, streams }: {
    saved: Config;
    /** Directory in /proc of the container's first process. */
    first: string;
    streams: Caller["streams"];
  },
): TakenNull {
  const fds = [0, 1, 2].filter((fd) =>
    config.spec.process?.terminal || streams[fd] === "null"
  );
  const open = fds.length === 0 || sharesMounts(saved)
    ? undefined
    : openNull(first);
  if (open === undefined) {
    return { plan: {}, slots: [], [Symbol.dispose]() {} };
  }
  const sources = fds.map((fd): Op => ({
    do: "dup",
    slot: "null",
    fd,
    why: `make the container's null device descriptor ${fd}`,
  }));
  return {
    plan: { sources },
    slots: [["null", open]],
    [Symbol.dispose]: () => closeFd(open),
  };
}

/** process.execCPUAffinity.initial: before the cgroup is joined. */
export function planAffinity(config: Config): Phased {
  const list = config.spec.process?.execCPUAffinity?.initial;
  return list
    ? { cgroupOpen: [planCpus(list, "process.execCPUAffinity.initial")] }
    : {};
}

/** Where the container has the caller's mount namespace, its root is its first
 * process's alone: nothing that is joined leads there.
 *
 * @param first that process's directory in /proc */
export function planRoot(saved: Config, first: string): Phased {
  if (!sharesMounts(saved)) return {};
  const from = "linux.namespaces";
  return {
    sources: [{
      do: "open",
      into: "inside",
      at: "",
      path: `${first}/root`,
      flags: 0o10000000,
      mode: 0,
      resolve: 0,
      why: "hold the root of the container's first process",
      from,
    }],
    root: [{
      do: "enter",
      root: "inside",
      why: "make it the root of this process as well",
      from,
    }],
  };
}

/** A process that the container holds ends all the same, c/held.c. */
export function planHeld(thaw: Thaw = { freezer: "", thaw: "" }): Op {
  return {
    do: "kExec",
    ...thaw,
    why: "end the process also where the container holds it",
  };
}

/** A SIGKILL of this process ends the other as well, also one that is held before
 * it has run anything.
 *
 * @param held {@linkcode planHeld}'s */
export function planWarden(config: Config, held: Op): Phased {
  const terminal = config.spec.process?.terminal === true &&
    config.consoleSocket === undefined;
  const flags = planLeftovers({
    cgroups: [],
    sharesPids: false,
    also: { terminal },
  });
  return {
    warden: [{
      do: "warden",
      control: "control",
      config: encodePlan([held, ...flags], new Map()),
      why: "leave a process that ends the command if this one is killed",
    }],
  };
}

/**
 * Slot "proc": what labels are written through. Nothing of the host's procfs,
 * which whoever may trace the process would find open in it (CVE-2016-9962).
 * In a user namespace the kernel may refuse a new one where the container's own
 * is masked (mount_too_revealing()); then it is that one: what the container has
 * mounted in it is refused when the file is opened (RESOLVE_NO_XDEV), and no
 * other directory of a procfs has a "self".
 */
export function planProc(
  config: Config,
  facts: Pick<Facts, "inUserns">,
): Phased {
  const { apparmorProfile, selinuxLabel } = config.spec.process ?? {};
  if (!apparmorProfile && !selinuxLabel) return {};
  if (!hasUserNamespace(config) && !facts.inUserns) {
    return {
      labels: [{
        do: "fsmount",
        into: "proc",
        fstype: "proc",
        options: ["subset=pid"],
        attr: MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC,
        flags: 0,
        why: "hold a private procfs for the labels",
      }],
    };
  }
  return {
    labels: [{
      do: "open",
      into: "proc",
      at: "",
      path: "/proc",
      flags: O.PATH,
      mode: 0,
      resolve: RESOLVE.NO_SYMLINKS,
      why: "hold the container's procfs",
    }, {
      do: "verify",
      slot: "proc",
      type: S_IF.DIR,
      rdev: 0,
      magic: MAGIC.PROC,
      why: "make sure that it is a procfs",
    }],
  };
}
