/**
 * The engine of the library: what the commands do, in a thread of the caller's
 * program. It starts and ends; what lasts is waited for by the program itself.
 * Descriptors and children belong to the process, so their numbers are handed to
 * its other threads.
 *
 * @module
 */

import { syscall } from "../../../ffi/libc.ts";
import { duplicateFd } from "../../../ffi/pipe.ts";
import type { CgroupDir } from "../../cgroups.ts";
import type { Config } from "../../config/config.ts";
import { flagsHost } from "../../config/flags/here.ts";
import { configFromFlags } from "../../config/from_flags.ts";
import { sweep } from "../../container/delete.ts";
import { launchExec } from "../../container/exec.ts";
import { changeProcess } from "../../container/exec_flags.ts";
import { launchWarded, leaveLaunch } from "../../container/launched.ts";
import type { Launched } from "../../container/launched.ts";
import { dismissWarden } from "../../container/launch/warden.ts";
import {
  FD_TAG,
  type Gate,
  type KeptUpper,
  type Place,
  type SeenRoot,
} from "../../container/model.ts";
import { gatherFacts } from "../../host.ts";
import { readOptions, SANDBOX_FLAGS, SPAWN_FLAGS } from "../flags.ts";
import { wordForProgram } from "../words.ts";
import { makeRunCgroups, readCounts, removeRunCgroups } from "./count.ts";
import { Pipes } from "./pipes.ts";
import {
  isStrong,
  mayMount,
  type MountPlaces,
  ownerIn,
  sortMounts,
} from "./owner.ts";
import { libraryPlace, placeOf, type Streams } from "./place.ts";

/** A container of this program. */
export interface StartedBox {
  id: string;
  /** Directory of its state, and of the others'. */
  root: string;
  /** Its first process, and its pidfd. */
  pid: number;
  pidfd: number;
  /** Its warden, its pidfd, and the socket whose end makes it remove all. */
  warden: number;
  wardenfd: number;
  control: number;
  /** Its root, O_PATH, once somebody has opened it: its mounts are seen through
   * it. */
  files: number;
  /** The directory of what it changes, O_PATH; -1: it has none of its own. */
  upper: number;
  /** The root file system, as it was looked at. */
  lower: SeenRoot;
  /** How the upper directory is read. */
  kept: KeptUpper | undefined;
  /** Its user on the host: who owns what is made in it. */
  owner: { uid: number; gid: number };
  /** It may do with files what this program may. */
  strong: boolean;
  /** Commands have run in it as another user. */
  others: boolean;
  /** It may mount. */
  mounts: boolean;
  /** Where it has mounts. */
  places: MountPlaces;
  /** Mounts that are its own, by their ids, once it was opened. */
  own: readonly number[];
  /** Its cgroups. */
  dirs: CgroupDir[];
  /** What it does not get of what was asked for, and need not. */
  warnings: string[];
}

/** A process of this program's, in a container. */
export interface StartedRun {
  pid: number;
  pidfd: number;
  /** Our ends of its standard streams; the first is -1 where it reads nothing. */
  streams: Streams;
  /** Cgroups that it alone is in. */
  dirs: CgroupDir[];
  /** Those of its container. */
  above: CgroupDir[];
  /** Forks that its container had been refused before. */
  refusedBefore: number | null;
  /** Its hard limit of CPU time, in milliseconds. */
  cpuLimit: number | null;
  /** When it started; milliseconds since the epoch. */
  began: number;
}

/** A container of one command. */
export interface StartedOne {
  box: StartedBox;
  /** Absent: its first process idles, and the command is still to be started beside
   * it ({@linkcode InUnit}). */
  run: StartedRun | undefined;
}

/** Options as they cross to the engine. */
export type Options = Readonly<Record<string, unknown>>;

/** The cgroup of a container's only run, below the container's. */
export const ONLY = "run";

/** Now; milliseconds since the epoch. */
const now = () => performance.timeOrigin + performance.now();

/** The configuration that options describe, and where its container lives: for
 * one call, which asks but once who calls.
 *
 * @param streams what becomes 0, 1 and 2; absent: the null device
 * @throws {ContainerError} for a value that cannot be */
export function readConfig(
  options: Options,
  command: readonly string[] | undefined,
  streams?: Streams,
): { config: Config; place: Place } {
  const { global, flags } = readOptions(options, SANDBOX_FLAGS);
  const place = libraryPlace(global, streams);
  if (command !== undefined) {
    flags.set("interactive", [{ value: true, typed: "" }]);
  }
  const host = flagsHost(place.root, place.caller);
  const config = configFromFlags({ global, flags, args: command ?? [] }, host);
  config.counted = true;
  if (command === undefined) {
    config.idle = true;
    delete config.spec.process!.args;
  }
  return { config, place };
}

const swept = new Set<string>();

/** Removes what killed programs have left: once, for a program that starts many
 * containers. */
function sweepOnce(
  place: Place,
  warn: (text: string) => void,
  own: string,
): void {
  if (swept.has(place.root)) return;
  swept.add(place.root);
  sweep(place, warn, own);
}

function openPidfd(pid: number): number {
  return syscall("pidfd_open", pid, 0);
}

/** Takes what this program goes on with of a launch, and closes the rest. */
function takeBox(
  launched: Launched,
  place: Place,
  warnings: string[],
): StartedBox {
  const { run, control, prepared } = launched;
  run.reapForker();
  const upper = run.received.get(FD_TAG.upper);
  const box = {
    id: prepared.config.id,
    root: place.root,
    pid: run.pid,
    pidfd: openPidfd(run.pid),
    warden: run.helper,
    wardenfd: openPidfd(run.helper),
    control: duplicateFd(control),
    files: -1,
    upper: upper === undefined ? -1 : duplicateFd(upper),
    lower: prepared.root,
    kept: prepared.keptUpper,
    owner: ownerIn(prepared.config),
    strong: isStrong(prepared.config, place),
    others: false,
    mounts: mayMount(prepared.config),
    places: sortMounts(prepared.config),
    own: [],
    dirs: prepared.cgroup.dirs,
    warnings,
  };
  leaveLaunch(launched);
  return box;
}

/** Systemd makes the container's cgroup, and takes it away with the last process in
 * it: nobody could read then what was counted, nor which limit was met. So its first
 * process idles, and the command is one beside it. */
export class InUnit extends Error {
  override name = "InUnit";
}

/** A container that was launched. */
export interface LaunchedBox {
  box: StartedBox;
  prepared: Launched["prepared"];
  /** With the gate "rest": where it waits for that. */
  channel: number;
}

/** Launches a container up to its gate.
 *
 * @throws {ContainerError} when it cannot be made; nothing is left
 * @throws {InUnit} for one whose first process is to be a command; nothing is made */
export function launch(
  config: Config,
  place: Place,
  { gate = "none", planned }: {
    gate?: Gate;
    /** Once it is planned: nothing is made yet. */
    planned?: (config: Config) => void;
  } = {},
): LaunchedBox {
  const warnings: string[] = [];
  const warn = (text: string, quiet = false) => {
    if (!quiet) warnings.push(wordForProgram(text));
  };
  sweepOnce(place, warn, config.id);
  const launched = launchWarded(config, gatherFacts(place.caller), {
    place,
    gate,
    keepUpper: config.idle === true,
    kind: { foreground: true, waits: false },
    warn,
    planned({ cgroup, config }) {
      const isOfCommand = gate === "rest" || config.idle !== true;
      if (isOfCommand && cgroup.unit !== undefined) throw new InUnit();
      planned?.(config);
    },
  });
  const { prepared, run } = launched;
  const channel = gate === "rest" ? duplicateFd(run.channel) : -1;
  return { box: takeBox(launched, place, warnings), prepared, channel };
}

/**
 * Starts a container in which commands can be run.
 *
 * @throws {ContainerError} when it cannot be made; nothing is left
 */
export function createBox(options: Options): StartedBox {
  const { config, place } = readConfig(options, undefined);
  return launch(config, place).box;
}

/** RLIMIT_CPU's hard limit in milliseconds. */
export function cpuLimitOf({ spec }: Config): number | null {
  const limit = spec.process?.rlimits?.find((it) => it.type === "RLIMIT_CPU");
  return limit === undefined ? null : Number(limit.hard) * 1000;
}

/** Starts a container whose first process is a command.
 *
 * @throws {ContainerError} when it cannot be made or run; nothing is left
 * @throws {InUnit} */
function startFirst(
  options: Options,
  command: readonly string[],
  input: boolean,
): StartedOne {
  const pipes = new Pipes(input);
  try {
    const { config, place } = readConfig(options, command, pipes.theirs);
    const { box, prepared } = launch(config, place, {
      planned: (it) => pipes.give(it),
    });
    return { box, run: describeFirst(box, pipes, cpuLimitOf(prepared.config)) };
  } catch (error) {
    pipes.closeOurs();
    throw error;
  } finally {
    pipes.closeTheirs();
  }
}

/** A command that is the first process of its container. */
export function describeFirst(
  box: StartedBox,
  pipes: Pipes,
  cpuLimit: number | null,
): StartedRun {
  return {
    pid: box.pid,
    pidfd: duplicateFd(box.pidfd),
    streams: pipes.ours,
    dirs: box.dirs,
    above: [],
    refusedBefore: null,
    cpuLimit,
    began: now(),
  };
}

/**
 * Starts a container of one command: as its first process, where that can be.
 *
 * @param input whether somebody writes what it reads
 * @throws {ContainerError} when it cannot be made or run; nothing is left
 */
export function startOne(
  options: Options,
  command: readonly string[],
  input: boolean,
): StartedOne {
  try {
    return startFirst(options, command, input);
  } catch (error) {
    if (!(error instanceof InUnit)) throw error;
    return { box: createBox(options), run: undefined };
  }
}

/**
 * Starts a process in a container.
 *
 * @param name of its cgroup below the container's
 * @param input whether somebody writes what it reads
 * @throws {ContainerError} when it cannot be run; nothing is left
 */
export function startRun(
  box: Pick<StartedBox, "id" | "root" | "dirs">,
  name: string,
  command: readonly string[],
  options: Options,
  input: boolean,
): StartedRun {
  const { flags } = readOptions(options, SPAWN_FLAGS);
  const pipes = new Pipes(input);
  let own: CgroupDir[] = [];
  try {
    const place = placeOf(box, pipes.theirs);
    const words = { flags, args: command, caller: place.caller };
    const cgroups = makeRunCgroups(box.dirs, name);
    own = cgroups.dirs;
    let cpuLimit: number | null = null;
    const refusedBefore = readCounts(box.dirs).forksRefused;
    const { started } = launchExec(
      box.id,
      {
        process: (process, container) =>
          changeProcess(words, process, container),
        detach: true,
        interactive: false,
        ignorePaused: false,
        cgroups: [],
        joins: cgroups.joins,
        preserveFds: 0,
        planned(config) {
          pipes.give(config);
          cpuLimit = cpuLimitOf(config);
        },
      },
      gatherFacts(place.caller),
      place,
      () => {},
    );
    const { run } = started;
    const began = now();
    run.reapForker();
    const pidfd = openPidfd(run.pid);
    // With this program the container's warden ends all that is in it.
    dismissWarden(started);
    return {
      pid: run.pid,
      pidfd,
      streams: pipes.ours,
      dirs: own,
      above: box.dirs,
      refusedBefore,
      cpuLimit,
      began,
    };
  } catch (error) {
    pipes.closeOurs();
    removeRunCgroups(own);
    throw error;
  } finally {
    pipes.closeTheirs();
  }
}
