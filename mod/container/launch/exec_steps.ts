/**
 * The steps that `exec` has and a first process has not, or has otherwise: a
 * terminal of the container's own devpts, the CPUs, the joined root.
 *
 * @module
 */

import { MAGIC, MOUNT_ATTR, O, RESOLVE, S_IF } from "../../../ffi/constants.ts";
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
      at: "",
      below: "",
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
