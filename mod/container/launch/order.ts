/**
 * The one order of a plan: what the managers planned, step by step, with the
 * two-sided steps between.
 *
 * @module
 */

import { AT, MOUNT_ATTR, OPEN_TREE_CLONE } from "../../../ffi/constants.ts";
import type { Config } from "../../config/config.ts";
import { keepLast } from "../../config/environment.ts";
import { namespaceUse } from "../../config/namespaces.ts";
import type { Facts } from "../../host.ts";
import { type Op, type Phased, PHASES, SYNC } from "../../plan.ts";
import { FD_TAG, type Filter, type Gate, type Step } from "../model.ts";

/** Sorts what the managers planned into the order of PHASES; steps with
 * nothing to do are left out. */
export function orderPlan(parts: readonly Phased[]): Step[] {
  const steps: Step[] = [];
  for (const phase of PHASES) {
    const ops = parts.flatMap((part) => part[phase] ?? []);
    if (ops.length > 0) steps.push([phase, ops]);
  }
  return steps;
}

/** How a process enters its cgroups. */
export interface Joins {
  /** Files that take "0", which is whoever writes it. */
  tasks: readonly string[];
  /** The v2 directory for CLONE_INTO_CGROUP. */
  v2?: string;
}

/**
 * Returns how a process enters its cgroups. In another user namespace not by
 * clone3(2), which looks at the ids of that moment (EACCES); a write to
 * cgroup.procs is judged by who opened it (kernel 5.15.14, 5.16). Nor by a
 * caller in one, who may own no mount namespace: {@linkcode planSteps} clones
 * the directory's mount.
 */
export function chooseJoins(
  config: Config,
  facts: Pick<Facts, "inUserns">,
  joins: Joins,
): Joins {
  const { tasks, v2 } = joins;
  const alone = namespaceUse(config, "user") === "inherit" && !facts.inUserns;
  if (v2 === undefined || alone) return joins;
  return { tasks: [...tasks, `${v2}/cgroup.procs`] };
}

/** The steps that belong to no manager: cgroups, gates, the end. */
export function planSteps(options: {
  config: Config;
  gate: Gate;
  /** v1 `tasks` files to join, and the v2 directory. */
  tasks: readonly string[];
  unified?: string | undefined;
  /** `tasks` files of resctrl. */
  classes?: readonly string[] | undefined;
  filter?: Filter | undefined;
  /** Which of them are given: in the slots of {@linkcode streamSlot}. */
  streams?: readonly number[];
}): Phased {
  const { config, gate, filter } = options;
  const phased: Phased = {};
  planStreams(phased, options.streams ?? []);
  planCgroupJoin(phased, [
    ...options.tasks.map(cgroupTasks),
    ...(options.classes ?? []).map(classTasks),
  ], options.unified);
  phased.ready = [{
    do: "sync",
    id: SYNC.ready,
    why: "be limited from outside, and known to the other commands",
  }];
  planHooks(phased, config);
  if (filter !== undefined) planFilter(phased, config, filter);
  phased.close = [];
  if (gate === "fifo") {
    // Before any filter, which may have an agent asked that is not there yet.
    phased.close.push({
      do: "signals",
      end: 1,
      why: "end by SIGTERM and its like while it waits for rustyrun start",
    });
  }
  phased.close.push({
    do: "closeFds",
    keep: config.preserveFds,
    fifo: gate === "fifo" ? "fifo" : "",
    why: "close everything that is not the command's",
  });
  if (gate === "rest") {
    phased.rest = [{
      do: "rest",
      why: "wait until it is known what will run",
    }];
  }
  if (gate === "keeper") {
    // A listener has to reach the host while that is still Deno.
    const phase = filter?.notify ? "waitStart" : "gate";
    (phased[phase] ??= []).push({
      do: "sync",
      id: SYNC.start,
      why: "run nothing while nobody passes on signals and cleans up",
    });
  }
  if (gate === "fifo") {
    phased.waitStart = [{
      do: "waitStart",
      fifo: "fifo",
      why: "wait for rustyrun start",
    }];
  }
  planExec(phased, config);
  return phased;
}

/** The slot that holds what becomes standard stream `fd`. */
export function streamSlot(fd: number): string {
  return `stream${fd}`;
}

function planStreams(phased: Phased, streams: readonly number[]): void {
  if (streams.length === 0) return;
  phased.console = [
    ...phased.console ?? [],
    ...streams.map((fd): Op => ({
      do: "dup",
      slot: streamSlot(fd),
      fd,
      why: `make it descriptor ${fd}, whose bytes are counted`,
    })),
  ];
}

/** A list of tasks that the container's first process enters itself into. */
interface Tasks {
  path: string;
  of: string;
  why: string;
  from: string;
}

const cgroupTasks = (path: string): Tasks => ({
  path,
  of: "the cgroup",
  why: `join the cgroup ${path.slice(0, path.lastIndexOf("/"))}`,
  from: "linux.cgroupsPath",
});

const classTasks = (path: string): Tasks => ({
  path,
  of: "the class of service",
  why: `join the resctrl group ${path.slice(0, path.lastIndexOf("/"))}`,
  from: "linux.intelRdt",
});

function planCgroupJoin(
  phased: Phased,
  tasks: readonly Tasks[],
  unified: string | undefined,
): void {
  if (tasks.length === 0 && unified === undefined) return;
  const from = "linux.cgroupsPath";
  phased.cgroupOpen = [{
    do: "sync",
    id: SYNC.cgroups,
    why: "be counted from the beginning",
    from,
  }];
  phased.cgroupJoin = [];
  if (unified !== undefined) {
    // The fork copies it, and whoever in the container may trace the process
    // can open it there. So it is a copy of the mount: ".." of its root is
    // itself, and no limit in it can be written.
    const why = "hold the cgroup that the fork goes into, and nothing above it";
    phased.cgroupOpen.push({
      do: "openTree",
      into: "cgroup",
      at: "",
      path: unified,
      flags: OPEN_TREE_CLONE | AT.RECURSIVE,
      why,
      from,
    }, {
      do: "mountSetattr",
      slot: "cgroup",
      path: "",
      flags: AT.RECURSIVE,
      set: MOUNT_ATTR.RDONLY,
      clear: 0,
      propagation: 0,
      userns: "",
      why: "let nobody write into it by this descriptor",
      from,
    });
    phased.cgroupJoin.push({
      do: "close",
      slot: "cgroup",
      why: "hold the host's cgroups no longer",
      from,
    });
  }
  tasks.forEach(({ path, of, why, from }, i) => {
    // Opened with the host's rights; "0" is whoever writes it.
    phased.cgroupOpen!.push({
      do: "open",
      into: `tasks${i}`,
      at: "",
      path,
      flags: 1,
      mode: 0,
      resolve: 0,
      why: `hold the list of ${of}'s tasks`,
      from,
    });
    phased.cgroupJoin!.push({
      do: "writeFd",
      slot: `tasks${i}`,
      data: new Uint8Array([0x30]),
      why,
      from,
    });
  });
}

/** With no_new_privs the filter goes in as late as it can; without, it needs
 * CAP_SYS_ADMIN, and so goes in before the capabilities go; seccomp(2). */
function planFilter(phased: Phased, config: Config, filter: Filter): void {
  const early = config.spec.process?.noNewPrivileges !== true;
  const from = config.seccompProfile === undefined
    ? config.mode === "oci" ? "linux.seccomp" : undefined
    : "seccompProfile";
  const ops: Op[] = [{
    do: "seccomp",
    filter: filter.filter,
    flags: filter.flags,
    into: filter.notify ? "listener" : "",
    why: "allow only the listed system calls",
    ...(from === undefined ? {} : { from }),
  }];
  if (filter.notify) {
    // It is close-on-exec: closing it here would be one more call to allow.
    ops.push({
      do: "sendFd",
      slot: "listener",
      tag: FD_TAG.listener,
      why: "hand the filter's listener to the host",
      from: "linux.seccomp.listenerPath",
    });
  }
  phased[early ? "seccompEarly" : "seccomp"] = ops;
}

/** Hooks: those of the runtime's namespaces run at a sync, those of the
 * container's are spawned by its first process. */
function planHooks(phased: Phased, config: Config): void {
  const { hooks, process } = config.spec;
  if (hooks === undefined) return;
  const host = (hooks.prestart?.length ?? 0) +
    (hooks.createRuntime?.length ?? 0);
  phased.hooks = host === 0 ? [] : [{
    do: "sync",
    id: SYNC.hooks,
    why: "let the host run its hooks",
    from: "hooks.createRuntime",
  }];
  // The child stage adds the pid, as the container sees it.
  const state = (status: string): Uint8Array => {
    const { ociVersion, annotations } = config.spec;
    const text = JSON.stringify({
      ociVersion,
      id: config.id,
      status,
      bundle: config.bundle,
      annotations,
    });
    return new TextEncoder().encode(`${text.slice(0, -1)},"pid":`);
  };
  // Never the caller's, which would lie in the container's first process. A
  // createContainer hook is a program of the host with rights that the container
  // has not: what the container's image says (LD_PRELOAD) is not for it.
  const env = {
    createContainer: [],
    startContainer: process?.env ?? [],
  };
  const spawn = (kind: "createContainer" | "startContainer", status: string) =>
    (hooks[kind] ?? []).map((hook, at): Op => ({
      do: "spawn",
      path: hook.path,
      argv: hook.args?.length ? hook.args : [hook.path],
      env: keepLast(hook.env ?? env[kind]),
      stdin: state(status),
      timeout: hook.timeout ?? 0,
      dir: kind === "createContainer" ? "root" : "",
      why: `run the ${kind} hook "${hook.path}"`,
      from: `hooks.${kind}[${at}]`,
    }));
  const inside = spawn("createContainer", "created");
  if (inside.length > 0) {
    const umask = (mask: number, why: string): Op => ({
      do: "umask",
      mask,
      why,
      from: "hooks.createContainer",
    });
    phased.hooks.push(
      umask(0o022, "have the hooks make files that not everybody can write"),
      ...inside,
      umask(0, "make files with the modes that the plan says"),
    );
  }
  phased.startHooks = spawn("startContainer", "created");
}

function planExec(phased: Phased, config: Config): void {
  if (config.idle) {
    phased.exec = [{
      do: "init",
      idle: 1,
      why: "stay as pid 1 and reap what is started beside it",
    }];
    return;
  }
  phased.exec = [];
  if (config.init) {
    phased.exec.push({
      do: "init",
      idle: 0,
      why: "stay as pid 1, forward signals and reap",
      from: "init",
    });
  }
  phased.exec.push(
    { do: "signals", end: 0, why: "give the command a clean signal mask" },
    {
      do: "exec",
      argv: config.spec.process?.args ?? [],
      env: config.spec.process?.env ?? [],
      why: "run the command",
      from: "process.args",
    },
  );
}
