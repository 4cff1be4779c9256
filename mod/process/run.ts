/**
 * A plan that runs: the report channel, and the answers that the child stage
 * waits for.
 *
 * @module
 */

import { closeFd, trySyscall } from "../../ffi/libc.ts";
import { pollFds } from "../../ffi/poll.ts";
import { type Packet, receiveLast, receivePacket } from "../../ffi/packets.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { CallerGone, type Outlet } from "../outlet.ts";
import { type Op, SYNC } from "../plan.ts";
import {
  decodeReport,
  REPORT,
  type Report,
  REPORT_SIZE,
} from "../plan/report.ts";
import { forged, HelperDied, OperationError } from "./errors.ts";

/** What the host stage does while a plan runs. */
export interface PlanHandlers {
  /** `sync` waits; when this returns, the child stage goes on. `pid` is its own
   * word for itself: before `fork` the pid on the host. */
  sync?: (id: number, pid: number) => void;
  /** The child stage goes on from a `sync`: time for what it does not wait for. */
  released?: (id: number) => void;
  /** The container's first process is there and goes on by itself: time for
   * what does not need its answer. */
  forked?: () => void;
  /** `remove` goes on, but what that operation names stays. */
  stays?: (op: Op, report: Report) => void;
}

/** The name of its memfd. */
export const PLAN = "rustyrun-plan";

const SIGKILL = 9;
const SHUT_WR = 1;
/** How long the news of the first process's pid may take, in milliseconds. */
const FORK_MS = 10_000;
const TICK_MS = 100;

/** What the helper's own process waits for, before there is another. */
const BEFORE_FORK: ReadonlySet<number> = new Set([
  SYNC.cgroups,
  SYNC.idMaps,
]);

/** A plan that runs. */
export class PlanRun {
  readonly ops: readonly Op[];
  /** Host's end of the report channel. */
  readonly channel: number;
  /** pid of the helper (the warden, where the plan has one). */
  readonly helper: number;
  /** pid of the container's first process, once `fork` has run. */
  pid = 0;
  /** Its pidfd, -1 before. */
  pidfd = -1;
  /** Descriptors that `sendFd` sent, by tag. */
  readonly received: Map<number, number> = new Map();
  #buffer = new Uint8Array(REPORT_SIZE);
  #closed = false;
  /** The process that forks the first one: the helper, or, where the plan has a
   * warden, what its report names. */
  #forker: number | undefined;
  /** Whose children they all are. */
  readonly #outlet: Outlet;

  constructor(
    ops: readonly Op[],
    channel: number,
    helper: number,
    outlet: Outlet,
  ) {
    this.ops = ops;
    this.channel = channel;
    this.helper = helper;
    this.#outlet = outlet;
    this.#forker = ops[0]?.do === "warden" ? undefined : helper;
  }

  /** Lets the child stage go on from a `sync`. */
  release(): void {
    const sent = trySyscall("write", this.channel, new Uint8Array([1]), 1);
    // EPIPE: it died; the next packet, or its lack, says how.
    if (sent < 0 && sent !== -32) throw new SyscallError("write", -sent);
  }

  /**
   * Serves the child stage.
   *
   * @returns how it got to its end: "start" (it waits in the sync of that
   * name), "waiting" (at the fifo), "exec" (the command runs), "end" (a plan
   * without exec ran to its end)
   * @throws {OperationError} when an operation fails
   * @throws {HelperDied} when it dies instead
   */
  serve(handlers: PlanHandlers): "start" | "waiting" | "exec" | "end" {
    let exec = false;
    // What comes from the first process may overtake the news of its pid.
    let held: Report | undefined;
    for (;;) {
      if (held !== undefined) this.#awaitFork();
      this.#awaitPacket();
      const packet = receivePacket(this.channel, this.#buffer);
      if (packet === undefined) return exec ? "exec" : this.#ended();
      let report: Report;
      try {
        report = this.#read(packet);
        switch (report.kind) {
          case REPORT.split:
            // The first packet of all.
            this.#forker ??= packet.pid;
            break;
          case REPORT.error: {
            const failed = new OperationError(this.#operation(report), report);
            this.#learnPid();
            throw failed;
          }
          case REPORT.forked:
            this.#checkSender(packet);
            this.#know(report, packet);
            handlers.forked?.();
            if (held === undefined) break;
            report = held;
            held = undefined;
            break;
          case REPORT.fd:
            this.#keep(report.detail, packet.fds);
            break;
          case REPORT.aboutToExec:
            exec = true;
            break;
          case REPORT.stays:
            handlers.stays?.(this.#operation(report), report);
            break;
        }
      } finally {
        // Whoever traces the first process sends what it wants.
        packet.fds.forEach(closeFd);
      }
      const before = report.kind === REPORT.sync &&
        BEFORE_FORK.has(report.detail);
      if (before) this.#checkSender(packet);
      const early = report.kind === REPORT.waiting ||
        report.kind === REPORT.sync && !before;
      if (early && this.pid === 0) {
        held = report;
      } else if (report.kind === REPORT.waiting) {
        return "waiting";
      } else if (report.kind === REPORT.sync) {
        if (report.detail === SYNC.start) return "start";
        handlers.sync?.(report.detail, report.errno);
        this.release();
        handlers.released?.(report.detail);
      }
    }
  }

  /** Who called may end, or give up, meanwhile.
   *
   * @returns whether there is one, after that many milliseconds
   * @throws {CallerGone} */
  #awaitPacket(milliseconds = -1): boolean {
    const { end } = this.#outlet;
    const ends = end === undefined ? [] : [end];
    if (ends.length === 0 && milliseconds < 0) return true;
    const [news, gone] = pollFds([this.channel, ...ends], milliseconds);
    if (!news && gone) throw new CallerGone("it has ended");
    return Boolean(news);
  }

  /** Whoever may trace the first process speaks for it on this channel: a pid is
   * believed of the process that forks alone, which is outside of the container;
   * SO_PASSCRED of unix(7).
   *
   * @throws {ContainerError} when another one sent the packet */
  #checkSender({ pid }: Packet): void {
    if (pid === this.#forker && this.pid === 0) return;
    throw forged("it names a process, which only rustyrun itself may");
  }

  /** A descriptor that the plan sends, once. */
  #keep(tag: number, fds: number[]): void {
    const isAsked = !this.received.has(tag) &&
      this.ops.some((it) => it.do === "sendFd" && it.tag === tag);
    const fd = isAsked ? fds.shift() : undefined;
    if (fd !== undefined) {
      this.received.set(tag, fd);
      return;
    }
    throw forged("it sends a descriptor that nobody has asked for");
  }

  #read({ length }: Packet): Report {
    if (length === REPORT_SIZE) return decodeReport(this.#buffer);
    throw forged(`it has ${length} bytes, not ${REPORT_SIZE}`);
  }

  #operation(report: Report): Op {
    const op = this.ops[report.index];
    if (op !== undefined) return op;
    throw forged(`it names an operation ${report.index}, and there is none`);
  }

  /** Hears of the first process, if there is one: an error, of its or of ours, may
   * have overtaken that. Whoever sends one ends, and so does the process that
   * forks. */
  #learnPid(): void {
    while (this.pid === 0) {
      const packet = receiveLast(this.channel, this.#buffer);
      if (packet === undefined) return;
      // A forged one is no reason not to kill and reap.
      if (packet.length === REPORT_SIZE) {
        const report = decodeReport(this.#buffer);
        if (report.kind === REPORT.split) this.#forker ??= packet.pid;
        if (report.kind === REPORT.forked && packet.pid === this.#forker) {
          this.#know(report, packet);
        }
      }
      packet.fds.forEach(closeFd);
    }
  }

  #know({ detail }: Report, { fds }: Packet): void {
    this.pid = detail;
    this.pidfd = fds.shift() ?? -1;
  }

  /** The process that forks tells of the first one right after; killed in
   * between, it never will, while the first one waits for us. */
  #awaitFork(): void {
    const end = performance.now() + FORK_MS;
    while (!this.#awaitPacket(TICK_MS)) {
      const status = this.#forker === undefined
        ? undefined
        : this.#outlet.wait(this.#forker, false);
      // What it sent before its end is there by now.
      if (status !== undefined && pollFds([this.channel], 0).length > 0) return;
      if (status !== undefined || performance.now() > end) {
        throw new HelperDied((status ?? SIGKILL) & 0x7f);
      }
    }
  }

  #ended(): "end" {
    const last = this.pid === 0 ? this.#forker : this.pid;
    const status = last === undefined ? SIGKILL : this.#waitFor(last);
    if (status === 0) return "end";
    throw new HelperDied((status ?? SIGKILL) & 0x7f);
  }

  /** Reaps one that ends. A tracer in the container has the first process to
   * itself until it looks, and need not: then nobody waits, and how it ended is
   * not known. */
  #waitFor(pid: number): number | undefined {
    const isFirst = pid === this.pid && this.pidfd >= 0;
    // Whoever reaps it: what is removed next must have nobody in it.
    if (isFirst) pollFds([this.pidfd]);
    return this.#outlet.wait(pid, !isFirst);
  }

  /** Kills what the plan has started. */
  kill(): void {
    if (this.pidfd >= 0) {
      trySyscall("pidfd_send_signal", this.pidfd, SIGKILL, null, 0);
    } else if (this.pid > 0) {
      trySyscall("kill", this.pid, SIGKILL);
    }
  }

  /** Kills what the plan has started and reaps it: for failures. */
  abort(): void {
    // Whoever waits for an answer has none.
    trySyscall("shutdown", this.channel, SHUT_WR);
    this.#learnPid();
    this.kill();
    if (this.pid > 0) this.#waitFor(this.pid);
    this.close();
    if (this.#forker !== this.helper) this.reapForker();
  }

  /** Reaps the process that has forked the first one, and so ended: for a
   * caller that lives on. */
  reapForker(): void {
    if (this.#forker !== undefined) this.#outlet.wait(this.#forker);
  }

  /** Waits for the helper's end.
   *
   * @returns its wait status */
  reap(): number | undefined {
    return this.#outlet.wait(this.helper);
  }

  /** Closes what this process has of it; what runs goes on. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFd(this.channel);
    if (this.pidfd >= 0) closeFd(this.pidfd);
    for (const fd of this.received.values()) closeFd(fd);
  }
}
