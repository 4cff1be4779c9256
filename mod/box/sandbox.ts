/**
 * A container that lasts, and in which commands are run.
 *
 * @module
 */

import { EPOLL } from "../../ffi/epoll.ts";
import { trySyscall } from "../../ffi/libc.ts";
import type { Finding } from "../doctor.ts";
import { ContainerError } from "../errors.ts";
import type { Explained } from "../explain.ts";
import { signalName } from "../signals.ts";
import { callEngine, callHeld } from "./engine.ts";
import type { CallArgs, CallResult } from "./engine/calls.ts";
import { ONLY, type StartedBox } from "./engine/start.ts";
import { type BoxCall, type Rest, SandboxFiles } from "./files.ts";
import type {
  CreateOptions,
  RunOptions,
  RunResult,
  SandboxOptions,
  SandboxStats,
  SpawnOptions,
} from "./options.ts";
import { type OomWatch, watchOom } from "./oom.ts";
import { reapEnded } from "./reap.ts";
import {
  closeFiles,
  endOne,
  endStarts,
  removeBox,
  removeWhole,
} from "./removal.ts";
import { checkSignal, Run } from "./run.ts";
import { forget, untilReady } from "./watcher.ts";
import { checkCommand, split, splitSpawn } from "./command.ts";
import { checkOptions } from "./flags.ts";

const SIGKILL = 9;
/** What is asked about its cgroups alone, which it cannot hold. */
const WAITS_FOR_NONE: ReadonlySet<BoxCall> = new Set([
  "countBox",
  "pauseBox",
  "resumeBox",
]);

/** How a sandbox ended. */
export interface SandboxExit {
  /** Exit code of its first process; 128 and the signal's number. */
  readonly code: number;
  /** The signal that ended it. */
  readonly signal: string | null;
}

/** What a sandbox tells of. */
export interface SandboxEvents {
  /** It has ended. */
  exit: CustomEvent<SandboxExit>;
  /** It had no memory left, and a process in it was killed. */
  oom: Event;
}

/** Makes a sandbox of a container that is there. */
export let openSandbox: (started: StartedBox) => Promise<Sandbox>;

/**
 * A container in which commands are run, one after the other or at once. It goes,
 * with all that runs in it, when it is disposed of, and when this program ends in
 * any way: a process of its own, the warden, sees to that.
 *
 * @example
 * ```ts
 * await using box = await Sandbox.create({ rootfs: "/", ephemeral: true });
 * const { stdout } = await box.output(["hostname"]);
 * ```
 */
export class Sandbox extends SandboxFiles implements AsyncDisposable {
  /** The container's id: `rustyrun list` shows it. */
  readonly id: string;
  /** Pid of its first process, on the host. */
  readonly pid: number;
  /** What it does not get of what was asked for, and need not. */
  readonly warnings: readonly string[];
  /** Its end: it was closed, or something has killed it. */
  readonly exited: Promise<SandboxExit>;

  readonly #box: StartedBox;
  readonly #runs = new Set<Run>();
  readonly #asked = new Set<Promise<unknown>>();
  #count = 0;
  /** Nothing runs in it any more. */
  #ended = false;
  #closing: Promise<void> | undefined;
  #oom: OomWatch | undefined;

  static {
    openSandbox = async (started) => {
      const box = new Sandbox(started);
      try {
        Object.assign(started, await callEngine("openBox", started));
      } catch (cause) {
        await box.close();
        throw new ContainerError(
          "Cannot open the sandbox's root: its first process has ended",
          { code: "sandbox-closed", hint: "Something has killed it", cause },
        );
      }
      return box;
    };
  }

  private constructor(box: StartedBox) {
    super();
    // Whom no types check.
    if (box?.wardenfd === undefined) {
      throw new TypeError("Use Sandbox.create(): it makes the container");
    }
    this.#box = box;
    this.id = box.id;
    this.pid = box.pid;
    this.warnings = box.warnings;
    this.exited = this.#watch();
  }

  async #watch(): Promise<SandboxExit> {
    await untilReady(this.#box.pidfd, EPOLL.in, false);
    forget(this.#box.pidfd);
    this.#ended = true;
    const status = await reapEnded(this.pid);
    // What could not be removed is told to who closes it.
    this.close().catch(() => {});
    const signal = status & 0x7f;
    const exit = {
      code: signal === 0 ? status >> 8 & 0xff : 128 + signal,
      signal: signal === 0 ? null : signalName(signal),
    };
    this.dispatchEvent(new CustomEvent("exit", { detail: exit }));
    return exit;
  }

  /**
   * Hears of its end (`exit`, with a {@linkcode SandboxExit} as `detail`), and of
   * each time that it runs out of memory and the kernel kills a process in it
   * (`oom`).
   *
   * @throws {ContainerError} for `oom` where it has no memory cgroup
   */
  override addEventListener<K extends keyof SandboxEvents>(
    type: K,
    listener: ((event: SandboxEvents[K]) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    if (type === "oom" && this.#closing === undefined) {
      this.#oom ??= watchOom(
        this.#box.dirs,
        () => void this.dispatchEvent(new Event("oom")),
      );
    }
    super.addEventListener(type, listener as (event: Event) => void, options);
  }

  /**
   * Makes a container.
   *
   * @throws {ContainerError} when it cannot be made as asked for; nothing is left
   * @throws the signal's reason; nothing is left
   */
  static async create(options: CreateOptions): Promise<Sandbox> {
    checkOptions(options);
    const { signal, ...own } = options;
    checkSignal(options);
    const held = signal === undefined ? {} : { signal };
    const box = await openSandbox(await callHeld(held, "createBox", own));
    if (!signal?.aborted) return box;
    // It was there before that was heard.
    await box.close();
    throw signal.reason;
  }

  /**
   * Runs one command in a container of its own.
   *
   * @returns the run; await it for its result
   * @throws {ContainerError} `invalid-option`
   */
  static run(options: RunOptions): Run {
    checkOptions(options);
    const { command, ...rest } = options;
    const words = checkCommand(command);
    const { own, watch } = split(rest);
    let box: StartedBox;
    return new Run({
      end: (started) => endOne(started, box),
      async start(input, held) {
        const started = await callHeld(held, "startOne", own, words, input);
        box = started.box;
        if (started.run !== undefined) return started.run;
        try {
          return await callHeld(held, "startRun", box, ONLY, words, {}, input);
        } catch (error) {
          await removeWhole(box).catch((failure) => {
            if (!(error instanceof ContainerError)) throw failure;
            error.suppressed.push(failure);
          });
          throw error;
        }
      },
      ended: ({ pid }) =>
        pid === box.pid
          ? removeBox(box, () => Promise.resolve())
          : removeWhole(box),
    }, watch);
  }

  /**
   * Says what would be done for a container, step by step, and why; makes none.
   *
   * @throws {ContainerError} as {@linkcode Sandbox.create}
   */
  static explain(
    options: SandboxOptions & { command?: readonly string[] },
  ): Promise<Explained[]> {
    checkOptions(options);
    const { command, ...rest } = options;
    return callEngine("explainBox", split(rest).own, command);
  }

  /**
   * Runs a command in the container.
   *
   * @returns the run; await it for its result
   * @throws {ContainerError} `invalid-option`
   */
  spawn(command: readonly string[], options: SpawnOptions = {}): Run {
    const words = checkCommand(command);
    const { own, watch } = splitSpawn(options);
    const name = `run-${++this.#count}`;
    const run: Run = new Run({
      end: (started) => callEngine("endRun", started),
      start: (input, held) => {
        this.#check();
        const box = this.#box;
        // From here on a link may be theirs.
        if (options.user !== undefined) box.others = true;
        return callHeld(
          { of: this.id, ...held },
          "startRun",
          box,
          name,
          words,
          own,
          input,
        ).catch((cause) => this.#word(cause));
      },
      ended: () => Promise.resolve(),
    }, watch);
    this.#runs.add(run);
    run.ended.catch(() => {}).finally(() => this.#runs.delete(run));
    return run;
  }

  /**
   * Runs a command in the container to its end.
   *
   * @throws {ContainerError} when it cannot be started
   */
  async output(
    command: readonly string[],
    options: SpawnOptions = {},
  ): Promise<RunResult> {
    return await this.spawn(command, options);
  }

  /** What it uses now. */
  async stats(): Promise<SandboxStats> {
    const { oomKills: _, forksRefused: __, ...stats } = await this.ask(
      "countBox",
    );
    return stats;
  }

  /**
   * Stops all that runs in it, until {@linkcode Sandbox.resume}.
   *
   * @throws {ContainerError} where it has no cgroup with a freezer
   */
  async pause(): Promise<void> {
    await this.ask("pauseBox");
  }

  /** Lets it go on. */
  async resume(): Promise<void> {
    await this.ask("resumeBox");
  }

  /** @ignore what is asked has its answer before the container is gone */
  protected override ask<K extends BoxCall>(
    name: K,
    ...args: Rest<CallArgs<K>>
  ): Promise<CallResult<K>> {
    this.#check();
    const all = [this.#box, ...args] as unknown as CallArgs<K>;
    const held = WAITS_FOR_NONE.has(name) ? {} : { of: `files of ${this.id}` };
    const answer = callHeld(held, name, ...all).then(
      (it) => {
        // Its file systems may have gone while they were looked at.
        this.#check();
        return it;
      },
      (cause) => {
        this.#check();
        this.#word(cause);
      },
    );
    this.#asked.add(answer);
    answer.catch(() => {}).finally(() => this.#asked.delete(answer));
    return answer;
  }

  #check(): void {
    if (this.#closing !== undefined) throw this.#closed();
  }

  #closed(cause?: unknown): ContainerError {
    return new ContainerError(
      `Cannot use the sandbox "${this.id}": it is closed`,
      { code: "sandbox-closed", hint: "Make another one", cause },
    );
  }

  /** It has ended, and the news of that is on its way. */
  #word(cause: unknown): never {
    const ended = cause instanceof ContainerError &&
      cause.code === "not-running";
    throw ended ? this.#closed(cause) : cause;
  }

  /**
   * Ends all that runs in it and removes it.
   *
   * @throws {ContainerError} when something stays
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    // Its end would be told as an event, too.
    this.#oom?.close();
    const runs = [...this.#runs];
    // What it holds of the engine it lets go then. When it has ended by itself,
    // each start says so.
    if (!this.#ended) {
      if (this.#asked.size === 0) closeFiles(this.#box);
      for (const run of runs) run.kill();
      trySyscall("pidfd_send_signal", this.#box.pidfd, SIGKILL, null, 0);
    }
    await Promise.allSettled(this.#asked);
    await endStarts(this.#box, runs.map((it) => it.started));
    const ended = Promise.allSettled(runs.map((it) => it.ended));
    const gone = removeBox(this.#box, () => this.exited, ended);
    await Promise.allSettled([ended, gone]);
    await gone;
  }

  /** {@linkcode Sandbox.close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** What this machine allows, each found out by trying. */
export function doctor(): Promise<Finding[]> {
  return callEngine("examineMachine");
}
