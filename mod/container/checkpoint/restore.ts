/**
 * `restore`: a container of an image that `checkpoint` has written.
 *
 * @module
 */

import { closeFd, openFd, syscall } from "../../../ffi/libc.ts";
import type { Config } from "../../config/config.ts";
import { namespaceUse, sharesMounts } from "../../config/namespaces.ts";
import { ContainerError } from "../../errors.ts";
import { wordPlanError } from "../../failure.ts";
import { hookState, runHooks } from "../../hooks.ts";
import type { Facts } from "../../host.ts";
import { Keeper } from "../../process/keeper.ts";
import { publishState, type StateDir, writeLeftovers } from "../../state.ts";
import { discardNew } from "../create.ts";
import { claimContainer, planNoted } from "../kept/reclaim.ts";
import { makeGroups } from "../launch/groups.ts";
import { type KeeperWords, planEnd, planWatch } from "../launch/keeper.ts";
import { makeToken, prepare } from "../launch/prepare.ts";
import { sayWarnings, stageContainer, writePidFile } from "../launch/serve.ts";
import { FD_TAG, type Place, type Prepared, type Warn } from "../model.ts";
import { handOver } from "../properties/handover.ts";
import { keepingCgroup2 } from "./cgroup2.ts";
import {
  askCriu,
  checkCriu,
  type Criu,
  findCriu,
  giveUp,
  passedFd,
  startCriu,
} from "./criu.ts";
import { findIdmapped, keyOf, matchSources, placesOf } from "./external.ts";
import {
  type ImageDirectory,
  openImage,
  readNotes,
  readReason,
} from "./images.ts";
import { judgePlace, judgeRights } from "./judge.ts";
import { commonFields, type CriuOptions, needRoot } from "./model.ts";
import type { Notes } from "./notes.ts";
import { resolverOf } from "./places.ts";
import {
  closeSources,
  giveAttributes,
  type OpenSource,
  openSources,
} from "./sources.ts";
import { HIDING, planRestore, ROOT, WORK } from "./stage.ts";
import { CGROUPS_MODE, type Field, OPTION, REQUEST } from "./wire.ts";

/** What `restore` is asked for. */
export interface RestoreOptions extends CriuOptions {
  /** "apparmor:NAME" or "selinux:LABEL". */
  lsmProfile?: string;
  lsmMountContext?: string;
  /** Absent: this process returns once the container runs. */
  foreground?: { words: KeeperWords; poststop: readonly string[] };
}

const LOG = "restore.log";
/** fcntl(2) */
const F_DUPFD_CLOEXEC = 1030;

function cannot(id: string, why: string, hint: string): ContainerError {
  return new ContainerError(`Cannot restore "${id}": ${why}`, {
    code: "restore",
    hint,
    exitCode: 1,
  });
}

/** What criu has no way to restore as it is asked for. */
function checkRestorable(config: Config): void {
  if (sharesMounts(config)) {
    throw cannot(
      config.id,
      "it has no mount namespace of its own",
      'Add {"type":"mount"} to linux.namespaces',
    );
  }
  const mapped = findIdmapped(config);
  if (mapped !== undefined) {
    throw cannot(
      config.id,
      `criu does not keep the ids that the mount at "${mapped}" maps`,
      "Leave idmap and uidMappings out of that mount",
    );
  }
  for (const type of ["mount", "cgroup", "time"] as const) {
    if (namespaceUse(config, type) !== "joined") continue;
    throw cannot(
      config.id,
      `criu cannot join a ${type} namespace`,
      "Leave the path of that namespace out of linux.namespaces",
    );
  }
}

/** Namespaces that are joined: those of the image that criu leaves out are given
 * by descriptor, others by path. */
interface Joined {
  fields: Field[];
  slots: [string, number][];
}

const SHORT: Record<string, string> = { network: "net", pid: "pid" };

function openJoined(config: Config): Joined {
  const joined: Joined = { fields: [], slots: [] };
  for (const { type, path } of config.spec.linux?.namespaces ?? []) {
    if (!path || namespaceUse(config, type) !== "joined") continue;
    const short = SHORT[type];
    if (short === undefined) {
      joined.fields.push([OPTION.joinNs, [[1, type], [2, path]]]);
      continue;
    }
    joined.fields.push([OPTION.inheritFd, [
      [1, short],
      [2, passedFd(joined.slots.length)],
    ]]);
    joined.slots.push([`ns:${short}`, openFd(path, 0)]);
  }
  return joined;
}

/** The cgroups that take the place of those in the image. */
function cgroupRoots({ cgroup }: Prepared): Field[] {
  return cgroup.dirs.flatMap(({ path, mount, version, controllers }) => {
    const below = path.slice(mount.length) || "/";
    const alone = cgroup.dirs.length === 1 && version === 2;
    const names = version === 2 ? [""] : controllers;
    return alone
      ? [[OPTION.cgRoot, [[2, below]]] as Field]
      : names.map((it): Field => [OPTION.cgRoot, [[1, it], [2, below]]]);
  });
}

function requestOf(
  options: RestoreOptions,
  { prepared, state, notes, fds, joined, sources }: {
    prepared: Prepared;
    state: string;
    notes: Notes;
    sources: readonly OpenSource[];
    fds: { image: number; work: number };
    joined: Joined;
  },
): Field[] {
  const { cgroupsMode, lsmProfile, lsmMountContext } = options;
  return [
    [1, REQUEST.restore],
    [2, [
      [OPTION.imagesDirFd, fds.image],
      [OPTION.workDirFd, fds.work],
      [OPTION.root, `${state}/${ROOT}`],
      [OPTION.rstSibling, true],
      [OPTION.evasiveDevices, true],
      [
        OPTION.manageCgroupsMode,
        // "strict" wants the cgroups to be missing, and ours are there by now.
        CGROUPS_MODE[cgroupsMode === "strict" ? "soft" : cgroupsMode ?? "soft"],
      ],
      ...commonFields(options, LOG),
      [OPTION.lsmProfile, lsmProfile],
      [OPTION.lsmMountContext, lsmMountContext],
      ...cgroupRoots(prepared),
      ...joined.fields,
      ...sources.map(({ path }, at): Field => [OPTION.extMnt, [
        [1, keyOf(at)],
        [2, path],
      ]]),
      ...notes.pipes.map(({ fd, key }): Field => [OPTION.inheritFd, [
        [1, key],
        [2, fd],
      ]]),
    ]],
  ];
}

/** What happens while criu restores. */
interface Restoring {
  criu: Criu;
  prepared: Prepared;
  dir: StateDir;
  place: Place;
  options: RestoreOptions;
  sources: readonly OpenSource[];
}

/** Answers what criu has come to. */
function follow(restoring: Restoring): (
  script: string,
  pid: number,
  fds: readonly number[],
) => void {
  const { criu: { run }, prepared, dir, place, options, sources } = restoring;
  const { config } = prepared;
  const { proc } = place.caller;
  const state = (pid: number) =>
    hookState(
      { ...config.spec, id: config.id, bundle: config.bundle },
      "created",
      pid,
    );
  return (script, pid, fds) => {
    switch (script) {
      case "setup-namespaces": {
        const { hooks } = config.spec;
        runHooks("prestart", hooks?.prestart, state(pid));
        runHooks("createRuntime", hooks?.createRuntime, state(pid));
        break;
      }
      case "orphan-pts-master":
        run.received.set(
          FD_TAG.master,
          syscall("fcntl", fds[0] ?? -1, F_DUPFD_CLOEXEC, 3),
        );
        break;
      case "post-restore":
        run.pid = pid;
        run.pidfd = syscall("pidfd_open", pid, 0);
        giveAttributes(
          run.pidfd,
          sources,
          config.spec.root?.readonly === true,
          place,
        );
        judgePlace(pid, prepared, {
          own: proc,
          sources,
          resolve: resolverOf(config.rootfs),
        });
        stageContainer(prepared, dir, {
          foreground: options.foreground !== undefined,
          waits: false,
        }, pid);
        publishState(dir);
        break;
      case "pre-resume":
        // They have their rights by now, and have not run yet.
        judgeRights(
          run.pid,
          prepared,
          proc,
          options.lsmProfile?.replace(/^[a-z]+:/, ""),
        );
        handOver(run, config, "standard", state(run.pid));
        writePidFile(config, run.pid);
        break;
    }
  };
}

/** Has criu restore it; when this returns, it runs. */
function restore(
  restoring: Restoring,
  request: readonly Field[],
  logs: ImageDirectory,
): void {
  const { criu, prepared: { config } } = restoring;
  const heard = follow(restoring);
  let resumes = false;
  const answer = askCriu(criu, request, (script, pid, fds) => {
    heard(script, pid, fds);
    if (script === "pre-resume") resumes = true;
  });
  closeFd(criu.socket);
  criu.socket = -1;
  const status = criu.run.reap();
  if (answer.success && resumes && status === 0) return;
  const reason = readReason(logs, LOG) ?? answer.message ??
    `errno ${answer.errno}`;
  throw cannot(
    config.id,
    `criu failed: ${reason}`,
    `${logs.path}/${LOG} says more`,
  );
}

/** Hands on a container in the foreground; as `runForeground()`. */
function becomeKeeper(
  { criu: { run }, prepared, dir, place }: Restoring,
  { words, poststop }: NonNullable<RestoreOptions["foreground"]>,
): number {
  const slots = new Map([["state", dir.fd]]);
  const master = run.received.get(FD_TAG.master);
  if (master !== undefined) slots.set("master", master);
  const plan = [
    ...planWatch(run, { runs: true, warden: 0 }),
    ...planEnd(prepared, place.root, words, false),
  ];
  if (prepared.config.spec.hooks?.poststop?.length) {
    plan.push({
      do: "kDelete",
      argv: poststop,
      env: place.caller.environment,
      why: "run the poststop hooks",
    });
  }
  // Not with `using`: see scripts/bundle.ts.
  const keeper = new Keeper(place, plan, slots);
  try {
    return keeper.become();
  } finally {
    keeper[Symbol.dispose]();
  }
}

/**
 * Restores a container.
 *
 * @returns 0; in the foreground as `Outlet.become`
 * @throws {ContainerError} when it cannot be; nothing is left
 */
export function restoreContainer(
  config: Config,
  facts: Facts,
  options: RestoreOptions,
  place: Place,
  warn: Warn,
): number {
  needRoot(facts, "restore");
  checkRestorable(config);
  const program = findCriu();
  const { uid } = place.caller;
  const { lazyPages } = options;
  const image = openImage(options.imagePath, { uid, make: false, lazyPages });
  let logs: ImageDirectory | undefined;
  let dir: StateDir | undefined;
  let prepared: Prepared | undefined;
  let joined: Joined | undefined;
  let sources: OpenSource[] = [];
  let criu: Criu | undefined;
  try {
    logs = openImage(options.workPath ?? options.imagePath, {
      uid,
      make: true,
      logs: true,
    });
    const notes = readNotes(image);
    checkCriu(place, program, { lazyPages });
    dir = claimContainer(place.root, config.id);
    const made = prepared = prepare(config, facts, {
      place,
      gate: "fifo",
      token: makeToken(),
    });
    sources = openSources(
      notes.external,
      matchSources(
        notes.external,
        placesOf(config, resolverOf(config.rootfs)),
      ),
      `${dir.path}/${HIDING}`,
    );
    writeLeftovers(dir, planNoted(prepared));
    joined = openJoined(config);
    criu = startCriu({
      place,
      program,
      before: planRestore(prepared, dir.path),
      streams: true,
      slots: [[WORK, logs.fd], ...joined.slots],
      passed: joined.slots.map(([name]) => name),
      makeGroups: (pid) => makeGroups(made, pid),
    });
    const restoring = { criu, prepared, dir, place, options, sources };
    const request = requestOf(options, {
      prepared,
      state: dir.path,
      notes,
      fds: { image: image.fd, work: criu.run.received.get(FD_TAG.work)! },
      joined,
      sources,
    });
    const log = logs;
    keepingCgroup2(place, () => restore(restoring, request, log));
    sayWarnings(prepared.warnings, warn);
    return options.foreground === undefined
      ? 0
      : becomeKeeper(restoring, options.foreground);
  } catch (error) {
    if (criu !== undefined) giveUp(criu);
    const worded = wordPlanError(error, config, facts);
    if (dir !== undefined) discardNew(dir, prepared, worded);
    throw worded;
  } finally {
    criu?.run.close();
    closeSources(sources);
    for (const [, fd] of joined?.slots ?? []) closeFd(fd);
    for (const it of [image, logs, dir]) if (it !== undefined) closeFd(it.fd);
  }
}
