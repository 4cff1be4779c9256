/**
 * A helper that is started while its plan is still made: until then it waits for
 * it on its report channel, and is nothing but a process of the caller's. That it
 * starts takes as long as half of the planning.
 *
 * @module
 */

import { closeFd, fillMemfd, makeMemfd } from "../../ffi/libc.ts";
import { askForSender, packetPair, sendWithFds } from "../../ffi/packets.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { CallerGone, type Outlet } from "../outlet.ts";
import type { Op } from "../plan.ts";
import { encodePlan } from "../plan/encode.ts";
import { wordStart } from "./errors.ts";
import { openHelper } from "./helper.ts";
import { PLAN, PlanRun } from "./run.ts";

/** A helper of one call. One that gets no plan ends with this, and is reaped. */
export class Helper implements Disposable {
  readonly #outlet: Outlet;
  readonly #channel: number;
  /** Its pid, once whoever has started it has said so. */
  readonly #pid: () => number;
  #runs = false;

  /**
   * @param place whose child it is, and the directory of the states, see
   * {@linkcode openHelper}
   * @throws {ContainerError} when it cannot be started; or that is said by
   * {@linkcode run}
   */
  constructor({ outlet, root }: { outlet: Outlet; root: string }) {
    const [channel, child] = packetPair();
    this.#outlet = outlet;
    this.#channel = channel;
    try {
      askForSender(channel);
      const [helper = -1, end = -1] = outlet.lend([openHelper(root), child]);
      const argv = ["rustyrun-helper", "await", String(end)];
      this.#pid = spawnSoon(outlet, helper, argv, [end]);
    } catch (cause) {
      closeFd(channel);
      throw wordStart(cause);
    } finally {
      closeFd(child);
    }
  }

  [Symbol.dispose](): void {
    if (this.#runs) return;
    closeFd(this.#channel);
    try {
      this.#outlet.wait(this.#pid());
    } catch (error) {
      // It has not started, or there is nobody whose child it is.
      if (error instanceof SyscallError || error instanceof CallerGone) return;
      throw error;
    }
  }

  /**
   * Gives it its plan.
   *
   * @param inherited slot name -> descriptor that goes along, behind the channel
   * @throws {ContainerError} when it could not be started
   */
  run(
    ops: readonly Op[],
    inherited: readonly (readonly [string, number])[],
  ): PlanRun {
    const names = ["channel", ...inherited.map(([name]) => name)];
    const memfd = makeMemfd(PLAN);
    try {
      // By their places; c/child.c.
      const slots = new Map(names.map((name, at) => [name, at]));
      fillMemfd(memfd, encodePlan(ops, slots));
      const pid = this.#pid();
      const fds = [memfd, ...inherited.map(([, fd]) => fd)];
      sendWithFds(this.#channel, new Uint8Array(1), fds);
      this.#runs = true;
      return new PlanRun(ops, this.#channel, pid, this.#outlet);
    } catch (cause) {
      throw wordStart(cause);
    } finally {
      closeFd(memfd);
    }
  }
}

function spawnSoon(
  outlet: Outlet,
  ...words: Parameters<Outlet["spawn"]>
): () => number {
  if (outlet.spawnSoon !== undefined) return outlet.spawnSoon(...words);
  const pid = outlet.spawn(...words);
  return () => pid;
}
