/**
 * Sandboxes that are made before they are asked for.
 *
 * @module
 */

import { EPOLL } from "../../ffi/epoll.ts";
import { closeFd } from "../../ffi/libc.ts";
import { ContainerError } from "../errors.ts";
import { callEngine, callHeld } from "./engine.ts";
import type { StartedSpare } from "./engine/spare.ts";
import { checkOptions, invalidOption } from "./flags.ts";
import type { RunResult, SandboxOptions, SpawnOptions } from "./options.ts";
import { endOne, removeWhole } from "./removal.ts";
import { Run } from "./run.ts";
import { openSandbox, type Sandbox } from "./sandbox.ts";
import { forget, untilReady } from "./watcher.ts";
import { checkCommand, splitSpawn } from "./command.ts";

/** Milliseconds after which a command counts as one that goes on: another
 * container is made beside it, not after it. */
const GOES_ON_MS = 20;

/** One that is being made, or waits. */
interface Waiting {
  made: Promise<StartedSpare>;
  /** It was killed while it waited. */
  gone: boolean;
}

/**
 * Keeps containers of the same options ready, each for one taker: all of one is
 * there, and its first process waits for what it is to do. So a command starts in
 * the time that a program takes to start.
 *
 * @example
 * ```ts
 * await using pool = new SandboxPool({ rootfs: "/", ephemeral: true }, 4);
 * const { stdout } = await pool.run(["hostname"]);
 * await using box = await pool.take();
 * ```
 */
export class SandboxPool implements AsyncDisposable {
  readonly #options: SandboxOptions;
  readonly #size: number;
  #waiting: Waiting[] = [];
  readonly #runs = new Set<Run>();
  /** What is being removed. */
  readonly #removing = new Set<Promise<void>>();
  /** What could not be removed. */
  readonly #failures: unknown[] = [];
  #closing: Promise<void> | undefined;

  /**
   * Begins to make them.
   *
   * @param options of each, as of {@linkcode Sandbox.create}; without a `name`
   * @param size how many wait
   * @throws {ContainerError} `invalid-option`
   */
  constructor(options: SandboxOptions, size = 2) {
    checkOptions(options);
    if (options.name !== undefined) {
      throw invalidOption(
        "name",
        options.name,
        "is a name for one sandbox",
        "Leave it out: each sandbox of a pool gets an id of its own",
      );
    }
    if (!Number.isInteger(size) || size < 1 || size > 1000) {
      throw invalidOption(
        "size",
        size,
        "is not a number of sandboxes",
        "Give a whole number from 1 to 1000",
      );
    }
    this.#options = { ...options };
    this.#size = size;
    this.#fill();
  }

  #make(): Waiting {
    const waiting: Waiting = {
      made: callEngine("createSpare", { ...this.#options }),
      gone: false,
    };
    // Who takes it is told of a failure.
    waiting.made.then((spare) => this.#watch(waiting, spare), () => {});
    return waiting;
  }

  #fill(): void {
    if (this.#closing !== undefined) return;
    while (this.#waiting.length < this.#size) this.#waiting.push(this.#make());
  }

  /** Sees to one that is killed while it waits. */
  async #watch(waiting: Waiting, spare: StartedSpare): Promise<void> {
    const events = await untilReady(spare.box.pidfd, EPOLL.in, false);
    if (events === 0) return;
    waiting.gone = true;
    closeFd(spare.channel);
    this.#remove(spare);
  }

  /** Removes one behind whoever has used it. */
  #remove(spare: StartedSpare): void {
    const removed = removeWhole(spare.box)
      .catch((error) => void this.#failures.push(error))
      .finally(() => this.#removing.delete(removed));
    this.#removing.add(removed);
  }

  /** The next one, which is the taker's to remove.
   *
   * @throws {ContainerError} as {@linkcode Sandbox.create}; `pool-closed` */
  async #next(): Promise<StartedSpare> {
    for (;;) {
      if (this.#closing !== undefined) {
        throw new ContainerError("Cannot take a sandbox: the pool is closed", {
          code: "pool-closed",
          hint: "Make another one",
        });
      }
      // Who asks for more than there are waits for the removal of others, too.
      if (
        this.#waiting.length === 0 && this.#removing.size >= this.#size
      ) {
        await Promise.race(this.#removing);
        continue;
      }
      const waiting = this.#waiting.shift() ?? this.#make();
      const spare = await waiting.made.catch((error) => {
        this.#fill();
        throw error;
      });
      if (waiting.gone) continue;
      forget(spare.box.pidfd);
      return spare;
    }
  }

  /** Goes on with the next one; one that somebody has killed a moment ago is
   * passed over, as many times as there are to wait.
   *
   * @throws {ContainerError} as {@linkcode SandboxPool.take} */
  async #use<T>(
    call: (spare: StartedSpare) => Promise<T>,
  ): Promise<{ spare: StartedSpare; result: T }> {
    for (let left = this.#size;; left--) {
      const spare = await this.#next();
      try {
        return { spare, result: await call(spare) };
      } catch (error) {
        this.#remove(spare);
        const isGone = error instanceof ContainerError &&
          error.code === "not-running";
        if (!isGone || left === 0) throw error;
      }
    }
  }

  /**
   * Takes a sandbox, which is the taker's to close. Another one is made for it.
   *
   * @throws {ContainerError} as {@linkcode Sandbox.create}; `pool-closed`
   */
  async take(): Promise<Sandbox> {
    const { spare } = await this.#use((it) => {
      this.#fill();
      return callEngine("openSpare", it);
    });
    return await openSandbox(spare.box);
  }

  /**
   * Runs one command in a container of its own, as {@linkcode Sandbox.run} does.
   * Its result is there when it has ended; its container is removed behind it, and
   * then another one made.
   *
   * @returns the run; await it for its result
   * @throws {ContainerError} `invalid-option`
   */
  run(command: readonly string[], options: SpawnOptions = {}): Run {
    const words = checkCommand(command);
    const { own, watch } = splitSpawn(options);
    let spare: StartedSpare | undefined;
    const run: Run = new Run({
      end: (started) => endOne(started),
      start: async (input, { signal, begun }) => {
        const used = await this.#use(async (next) => {
          let isOver = false;
          const held = {
            signal,
            begun() {
              isOver = true;
              begun();
            },
          };
          try {
            return await callHeld(held, "startSpare", next, words, own, input);
          } finally {
            // Whoever goes on with it closes that.
            if (!isOver) closeFd(next.channel);
          }
        });
        spare = used.spare;
        return used.result;
      },
      ended: () => Promise.resolve(),
    }, watch);
    this.#runs.add(run);
    const goesOn = setTimeout(() => this.#fill(), GOES_ON_MS);
    Deno.unrefTimer(goesOn);
    run.ended.catch(() => {}).finally(async () => {
      clearTimeout(goesOn);
      this.#runs.delete(run);
      if (spare !== undefined) this.#remove(spare);
      await Promise.allSettled(this.#removing);
      this.#fill();
    });
    return run;
  }

  /**
   * Runs one command to its end.
   *
   * @throws {ContainerError} when it cannot be started
   */
  async output(
    command: readonly string[],
    options: SpawnOptions = {},
  ): Promise<RunResult> {
    return await this.run(command, options);
  }

  /**
   * Waits until what has ended is removed, and as many wait as there are to be:
   * for who wants no start to share the machine with that.
   *
   * @throws {ContainerError} as {@linkcode Sandbox.create}
   */
  async ready(): Promise<void> {
    while (this.#removing.size > 0) await Promise.all(this.#removing);
    this.#fill();
    await Promise.all(this.#waiting.map((it) => it.made));
  }

  /**
   * Closes those that wait, kills what {@linkcode SandboxPool.run} still runs, and
   * waits until all of it is removed. Those that were taken are their takers'.
   *
   * @throws {ContainerError} when something of one stays
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    const runs = [...this.#runs];
    for (const run of runs) run.kill();
    for (const it of waiting) {
      it.made.then((spare) => {
        if (it.gone) return;
        closeFd(spare.channel);
        forget(spare.box.pidfd);
        this.#remove(spare);
      }, () => {});
    }
    await Promise.allSettled(waiting.map((it) => it.made));
    await Promise.allSettled(runs.map((it) => it.ended));
    while (this.#removing.size > 0) await Promise.all(this.#removing);
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  /** {@linkcode SandboxPool.close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
