/**
 * Containers that are made before they are asked for: all of one is there, and its
 * first process waits for what it is to do.
 *
 * @module
 */

import { isSameFile } from "../../../ffi/identity.ts";
import { closeFd } from "../../../ffi/libc.ts";
import { duplicateFd } from "../../../ffi/pipe.ts";
import { readInRoot } from "../../../ffi/rootfs.ts";
import type { Config } from "../../config/config.ts";
import type { Process } from "../../config/schema.ts";
import { changeProcess } from "../../container/exec_flags.ts";
import { applyHome, findUserIn } from "../../container/launch/home.ts";
import {
  hasEnded,
  planRest,
  sendRest,
  withCommand,
} from "../../container/launch/rest.ts";
import { loadSaved } from "../../container/kept/saved.ts";
import type { Filter } from "../../container/model.ts";
import { rootReplaced, seeRootfs } from "../../container/properties/rootfs.ts";
import { ContainerError } from "../../errors.ts";
import { wordPlanError } from "../../failure.ts";
import { gatherFacts } from "../../host.ts";
import { CallLeft } from "../../outlet.ts";
import type { Op } from "../../plan.ts";
import { HelperDied } from "../../process.ts";
import type { ReadInRoot } from "../../security.ts";
import { readOptions, SPAWN_FLAGS } from "../flags.ts";
import { Pipes } from "./pipes.ts";
import { callOutlet, placeOf } from "./place.ts";
import {
  cpuLimitOf,
  createBox,
  describeFirst,
  InUnit,
  launch,
  ONLY,
  type Options,
  readConfig,
  type StartedBox,
  type StartedRun,
  startRun,
} from "./start.ts";

/** A container that waits for what it is to do. */
export interface StartedSpare {
  box: StartedBox;
  /** Where it waits. */
  channel: number;
  /** What the rest of its plan is made of: {@linkcode Made}, which is nobody
   * else's. */
  made: unknown;
}

/** What the rest of a plan is made of, when nothing of it is changed: a command is
 * all that is missing. The configuration is where the other commands have it, too:
 * in the state. */
interface Made {
  ops: readonly Op[];
  cpuLimit: number | null;
}

const STREAMS = [0, 1, 2];

/**
 * Makes a container that waits.
 *
 * @throws {ContainerError} when it cannot be made; nothing is left
 */
export function createSpare(options: Options): StartedSpare {
  try {
    return createWaiting(options);
  } catch (error) {
    if (!(error instanceof InUnit)) throw error;
    const box = createBox(options);
    // Who takes it closes its channel, and here nothing waits at one.
    return { box, channel: duplicateFd(box.pidfd), made: undefined };
  }
}

/** One whose first process waits.
 *
 * @throws {InUnit} */
function createWaiting(options: Options): StartedSpare {
  const { config, place } = readConfig(options, undefined);
  const { box, prepared, channel } = launch(config, place, { gate: "rest" });
  const { facts, filter, setgroups } = prepared;
  const ops = planRest(
    withProcess(prepared.config, {
      ...prepared.config.spec.process ?? { cwd: "/" },
      args: ["-"],
    }),
    facts,
    { filter, setgroups, streams: STREAMS },
  );
  const made: Made = { ops, cpuLimit: cpuLimitOf(prepared.config) };
  return { box, channel, made };
}

/** The configuration of a container of one command. */
function withProcess(config: Config, process: Process): Config {
  return { ...config, idle: false, spec: { ...config.spec, process } };
}

/** The filter that a rest has. */
function filterOf(ops: readonly Op[]): Filter | undefined {
  const op = ops.find((it) => it.do === "seccomp");
  return op && { filter: op.filter, flags: Number(op.flags), notify: false };
}

/** Gives it the rest of its plan.
 *
 * @throws {ContainerError} */
function goOn(
  { box, channel }: StartedSpare,
  ops: readonly Op[],
  streams: readonly number[] = [],
): void {
  const waiting = { channel, pid: box.pid, warden: box.warden };
  try {
    sendRest(waiting, ops, streams, callOutlet()).serve({});
  } catch (error) {
    if (error instanceof CallLeft) throw error;
    if (!hasEnded(error) && !(error instanceof HelperDied)) {
      const { config } = loadSaved(box.root, box.id);
      const args = ops.flatMap((it) => it.do === "exec" ? it.argv : []);
      const process = config.spec.process ?? { cwd: "/" };
      throw wordPlanError(
        error,
        withProcess(config, { ...process, args }),
        gatherFacts(placeOf(box).caller),
      );
    }
    throw new ContainerError(
      `Cannot use the sandbox "${box.id}": it has ended`,
      {
        code: "not-running",
        hint: "Something has killed it",
        cause: error,
      },
    );
  }
}

/**
 * Makes it a container in which commands can be run. Its channel is closed.
 *
 * @throws {ContainerError} when it has ended
 */
export function openSpare(spare: StartedSpare): void {
  const { box } = spare;
  if (spare.made === undefined) return closeFd(spare.channel);
  const { ops } = spare.made as Made;
  try {
    const { config, setgroups } = loadSaved(box.root, box.id);
    goOn(
      spare,
      planRest(config, gatherFacts(placeOf(box).caller), {
        filter: filterOf(ops),
        setgroups,
        streams: [],
      }),
    );
  } finally {
    closeFd(spare.channel);
  }
}

/** Reads passwd or group in the root file system that the container was made of:
 * its process is closed to this user, as to who would trace it. */
function readLower(config: Config, lower: StartedBox["lower"]): ReadInRoot {
  return (path) => {
    let text: string | undefined;
    const seen = seeRootfs(config, (it) => text = readInRoot(it, path));
    if (!isSameFile(seen, lower)) throw rootReplaced(config);
    return text;
  };
}

/** The rest of its plan for a command that has options of its own: planned anew,
 * as that of an exec is. */
function planChanged(
  { box, made }: StartedSpare,
  args: readonly string[],
  options: Options,
  pipes: Pipes,
): Op[] {
  const { flags } = readOptions(options, SPAWN_FLAGS);
  const { caller } = placeOf(box);
  const { config: own, setgroups } = loadSaved(box.root, box.id);
  const read = readLower(own, box.lower);
  const process = changeProcess(
    { flags, args, caller },
    own.spec.process ?? { cwd: "/" },
    { mode: own.mode, findUser: (name) => findUserIn(own, read, name) },
  );
  const config = withProcess(own, process);
  applyHome(config, read);
  pipes.give(config);
  return planRest(config, gatherFacts(caller), {
    filter: filterOf((made as Made).ops),
    setgroups,
    streams: STREAMS,
  });
}

/**
 * Makes it the container of one command. Its channel is closed.
 *
 * @param input whether somebody writes what it reads
 * @throws {ContainerError} when the command cannot be run; the container has ended
 * then
 */
export function startSpare(
  spare: StartedSpare,
  command: readonly string[],
  options: Options,
  input: boolean,
): StartedRun {
  const { box, channel } = spare;
  if (spare.made === undefined) {
    closeFd(channel);
    return startRun(box, ONLY, command, options, input);
  }
  const { ops, cpuLimit } = spare.made as Made;
  const pipes = new Pipes(input);
  try {
    const isOwn = Object.values(options).every((it) => it === undefined);
    if (isOwn) pipes.giveTo(box.owner.uid);
    const rest = isOwn
      ? withCommand(ops, command)
      : planChanged(spare, command, options, pipes);
    goOn(spare, rest, pipes.theirs);
    return describeFirst(box, pipes, cpuLimit);
  } catch (error) {
    pipes.closeOurs();
    throw error;
  } finally {
    pipes.closeTheirs();
    closeFd(channel);
  }
}
