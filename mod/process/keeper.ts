/**
 * Becoming the keeper: the caller's process goes on as the helper, same pid.
 *
 * @module
 */

import { closeFd, fillMemfd, makeMemfd } from "../../ffi/libc.ts";
import type { Outlet } from "../outlet.ts";
import type { Op } from "../plan.ts";
import { encodePlan } from "../plan/encode.ts";
import { lendAll } from "./helper.ts";
import { PLAN } from "./run.ts";

/** A keeper that is ready to be: its plan, and what goes along, are lent. It is
 * made while the child stage works, so that nobody waits for it. */
export class Keeper implements Disposable {
  readonly #outlet: Outlet;
  readonly #memfd: number;
  readonly #lent: ReturnType<typeof lendAll>;

  /**
   * @param place whose process becomes it, and the directory of the states, see
   * {@linkcode lendAll}
   * @param ops its plan
   * @param inherited slot name -> descriptor that goes along
   * @throws {SyscallError}
   */
  constructor(
    { outlet, root }: { outlet: Outlet; root: string },
    ops: readonly Op[],
    inherited: ReadonlyMap<string, number>,
  ) {
    this.#outlet = outlet;
    this.#memfd = makeMemfd(PLAN);
    try {
      this.#lent = lendAll(outlet, root, this.#memfd, inherited);
      fillMemfd(this.#memfd, encodePlan(ops, this.#lent.slots));
    } catch (error) {
      closeFd(this.#memfd);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    closeFd(this.#memfd);
  }

  /** @returns as {@linkcode Outlet.become}
   * @throws {SyscallError} when the exec fails */
  become(): number {
    const { helper, plan, slots } = this.#lent;
    return this.#outlet.become(
      helper,
      ["rustyrun-keeper", "keeper", String(plan)],
      [plan, ...slots.values()],
    );
  }
}
