/**
 * Sandboxes that are made before they are asked for.
 *
 * @module
 */

import { ContainerError } from "../errors.ts";
import { invalidOption } from "./flags.ts";
import type { SandboxOptions } from "./options.ts";
import { Sandbox } from "./sandbox.ts";

/** One that is being made, or waits. */
interface Waiting {
  made: Promise<Sandbox>;
  /** It was killed while it waited. */
  gone: boolean;
}

/**
 * Keeps sandboxes of the same options ready, each for one taker: who takes one
 * waits for a command to start, not for a container to be made.
 *
 * @example
 * ```ts
 * await using pool = new SandboxPool({ rootfs: "/", ephemeral: true }, 4);
 * await using box = await pool.take();
 * ```
 */
export class SandboxPool implements AsyncDisposable {
  readonly #options: SandboxOptions;
  readonly #size: number;
  #waiting: Waiting[] = [];
  #closed = false;

  /**
   * Begins to make them.
   *
   * @param options of each, as of {@linkcode Sandbox.create}; without a `name`
   * @param size how many wait
   * @throws {ContainerError} `invalid-option`
   */
  constructor(options: SandboxOptions, size = 2) {
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
        "is no number of sandboxes",
        "Give a whole number from 1 to 1000",
      );
    }
    this.#options = { ...options };
    this.#size = size;
    this.#fill();
  }

  #fill(): void {
    while (this.#waiting.length < this.#size) {
      const waiting: Waiting = {
        made: Sandbox.create(this.#options),
        gone: false,
      };
      // Who takes it is told of a failure.
      waiting.made.then(
        (box) => box.exited.then(() => waiting.gone = true),
        () => {},
      );
      this.#waiting.push(waiting);
    }
  }

  /**
   * Takes a sandbox, which is the taker's to close. Another one is made for it.
   *
   * @throws {ContainerError} as {@linkcode Sandbox.create}; `pool-closed`
   */
  async take(): Promise<Sandbox> {
    for (;;) {
      if (this.#closed) {
        throw new ContainerError("Cannot take a sandbox: the pool is closed", {
          code: "pool-closed",
          hint: "Make another one",
        });
      }
      const waiting = this.#waiting.shift()!;
      this.#fill();
      const box = await waiting.made;
      if (!waiting.gone) return box;
    }
  }

  /** Closes those that wait.
   *
   * @throws {ContainerError} when something of one stays */
  async close(): Promise<void> {
    this.#closed = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    const made = await Promise.allSettled(waiting.map((it) => it.made));
    await Promise.all(
      made.map((it) =>
        it.status === "fulfilled" ? it.value.close() : undefined
      ),
    );
  }

  /** {@linkcode SandboxPool.close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
