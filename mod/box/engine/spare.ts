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
import { changeProcess } from "../../container/exec_flags.ts";
import { applyHome, findUserIn } from "../../container/launch/home.ts";
import { hasEnded, planRest, sendRest } from "../../container/launch/rest.ts";
import type { Prepared } from "../../container/model.ts";
import { rootReplaced, seeRootfs } from "../../container/properties/rootfs.ts";
import { ContainerError } from "../../errors.ts";
import { wordPlanError } from "../../failure.ts";
import { gatherFacts } from "../../host.ts";
import type { Op } from "../../plan.ts";
import { HelperDied } from "../../process.ts";
import type { ReadInRoot } from "../../security.ts";
import { readOptions, SPAWN_FLAGS } from "../flags.ts";
import { Pipes } from "./pipes.ts";
import { libraryPlace, placeOf } from "./place.ts";
import {
  cpuLimitOf,
  launch,
  now,
  type Options,
  readConfig,
  type StartedBox,
  type StartedRun,
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

/** What the rest of a plan is made of. */
type Made = Pick<Prepared, "config" | "filter" | "setgroups">;

/**
 * Makes a container that waits.
 *
 * @throws {ContainerError} when it cannot be made; nothing is left
 */
export function createSpare(options: Options): StartedSpare {
  const { config, global } = readConfig(options, undefined);
  const { box, prepared, channel } = launch(config, libraryPlace(global), {
    gate: "rest",
  });
  const { config: made, filter, setgroups } = prepared;
  return {
    box,
    channel,
    made: { config: made, filter, setgroups } satisfies Made,
  };
}

/** Gives it the rest of its plan.
 *
 * @throws {ContainerError} */
function goOn(
  { box, channel }: StartedSpare,
  config: Config,
  ops: readonly Op[],
  streams: readonly number[] = [],
): void {
  const waiting = { channel, pid: box.pid, warden: box.warden };
  const { caller } = placeOf(box);
  try {
    sendRest(waiting, ops, streams).serve({});
  } catch (error) {
    if (!hasEnded(error) && !(error instanceof HelperDied)) {
      throw wordPlanError(error, config, gatherFacts(caller));
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
  const { config, filter, setgroups } = spare.made as Made;
  try {
    const facts = gatherFacts(placeOf(spare.box).caller);
    const ops = planRest(config, facts, { filter, setgroups, streams: [] });
    goOn(spare, config, ops);
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
  const { config: own, filter, setgroups } = spare.made as Made;
  const pipes = new Pipes(input);
  try {
    const { flags } = readOptions(options, SPAWN_FLAGS);
    const { caller } = placeOf(box);
    const facts = gatherFacts(caller);
    const read = readLower(own, box.lower);
    const config: Config = { ...own, idle: false, spec: { ...own.spec } };
    config.spec.process = changeProcess(
      { flags, args: command, caller },
      own.spec.process ?? { cwd: "/" },
      {
        mode: own.mode,
        findUser: (name) => findUserIn(own, read, name),
      },
    );
    applyHome(config, read);
    pipes.give(config);
    const ops = planRest(config, facts, {
      filter,
      setgroups,
      streams: [0, 1, 2],
    });
    goOn(spare, config, ops, pipes.theirs);
    return {
      pid: box.pid,
      pidfd: duplicateFd(box.pidfd),
      streams: pipes.ours,
      dirs: box.dirs,
      above: [],
      refusedBefore: null,
      cpuLimit: cpuLimitOf(config),
      began: now(),
    };
  } catch (error) {
    pipes.closeOurs();
    throw error;
  } finally {
    pipes.closeTheirs();
    closeFd(channel);
  }
}
