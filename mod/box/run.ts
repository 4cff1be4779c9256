/**
 * A command that runs in a container: its streams, and how it ended.
 *
 * @module
 */

import { EPOLL } from "../../ffi/epoll.ts";
import { closeFd, RUSAGE, trySyscall } from "../../ffi/libc.ts";
import { pollFds } from "../../ffi/poll.ts";
import { parseSize } from "../config/flags/numbers.ts";
import { ContainerError } from "../errors.ts";
import { parseSignal } from "../signals.ts";
import { callEngine, type Held } from "./engine.ts";
import type { EndedRun } from "./engine/end.ts";
import type { StartedRun } from "./engine/start.ts";
import { invalidOption } from "./flags.ts";
import { feed, Sink, streamInto } from "./input.ts";
import type { RunResult, WatchOptions } from "./options.ts";
import { Output, Source } from "./output.ts";
import { reapEnded } from "./reap.ts";
import { judge, type Reason } from "./verdict.ts";
import { forget, untilReady } from "./watcher.ts";

/** What is collected at most where nothing is said. */
const COLLECT_MAX = 16 << 20;
const SIGKILL = 9;
/** As long a start may take at least, where there is a limit of time. */
const START_MS = 5000;

/** How a run is started, and what ends with it. */
export interface RunDoor {
  start(input: boolean, held: Required<Omit<Held, "of">>): Promise<StartedRun>;
  /** Kills what it has left running, and counts. */
  end(started: StartedRun): Promise<EndedRun>;
  /** After its end. */
  ended(started: StartedRun): Promise<void>;
}

function readTimeout(options: WatchOptions): number | undefined {
  const { timeout } = options;
  if (timeout === undefined) return undefined;
  // setTimeout(3) of the web takes no more.
  if (timeout > 0 && timeout <= 0x7fff_ffff) return timeout;
  throw invalidOption(
    "timeout",
    timeout,
    "is not a time in milliseconds",
    "Give a number above 0, at most 2147483647; leave it out for no limit",
  );
}

/** @throws {ContainerError} for what nothing can be read from */
function checkInput({ stdin }: WatchOptions): void {
  if (
    stdin === undefined || stdin === "piped" || stdin === "null" ||
    stdin instanceof Uint8Array || stdin instanceof ReadableStream ||
    typeof stdin?.text === "string"
  ) return;
  throw invalidOption(
    "stdin",
    stdin,
    "is nothing to read",
    'Give "piped", "null", { text: "..." }, a Uint8Array or a ReadableStream',
  );
}

/** @throws {ContainerError} for what is no signal */
export function checkSignal({ signal }: Pick<WatchOptions, "signal">): void {
  if (signal === undefined || signal instanceof AbortSignal) return;
  throw invalidOption(
    "signal",
    signal,
    "is not an AbortSignal",
    "Give AbortSignal.timeout(MS), or the signal of an AbortController",
  );
}

function readMax({ maxOutput }: WatchOptions): number | undefined {
  if (maxOutput === undefined) return undefined;
  const size = parseSize(String(maxOutput));
  if (size !== undefined && size >= 0) return size;
  throw invalidOption(
    "maxOutput",
    maxOutput,
    "is not a size",
    'Give a number of bytes, or a size such as "1m"',
  );
}

/** One output as a stream; who reads one would wait for ever for a process that
 * waits for somebody to read the other. */
function outputOf(source: Source, other: Source): Output {
  return new Output(source, () => void other.collect().catch(() => {}));
}

function killedEarly(): ContainerError {
  return new ContainerError(
    "Cannot say the pid of the command: it was killed before it ran",
    { code: "killed", hint: "Await the run for its result" },
  );
}

/** The CPU time in a struct rusage, in milliseconds. */
function toMs(
  [user = 0n, userMicro = 0n, system = 0n, systemMicro = 0n]: Iterable<bigint>,
): number {
  return Number((user + system) * 1000n + (userMicro + systemMicro) / 1000n);
}

/**
 * A command that runs. Await it for its result; read its streams meanwhile, or
 * not: what nobody reads is collected for the result.
 */
export class Run implements PromiseLike<RunResult> {
  /** Its pid on the host, once it runs; rejects when it cannot be started. */
  readonly started: Promise<number>;
  /** Its end, whether anybody reads what it has written or not. */
  readonly ended: Promise<void>;

  readonly #sources: readonly [Source, Source];
  readonly #sink = new Sink();
  // A stream is made when somebody asks for it.
  #stdin: WritableStream<Uint8Array> | undefined;
  #stdout: Output | undefined;
  #stderr: Output | undefined;
  readonly #max: number | undefined;
  readonly #signal: AbortSignal | undefined;
  #written = 0;
  #truncated = false;
  #reason: Reason | undefined;
  readonly #kills: Promise<unknown>[] = [];
  /** It runs. */
  #process: StartedRun | undefined;
  /** Ends its start: it is killed before it runs. */
  readonly #starting = new AbortController();
  readonly #abort = () => this.#end("abort");
  /** Signals from before it ran. */
  readonly #early: number[] = [];
  /** What it is to read is written. */
  #fed: Promise<void> | undefined;
  #settled: Promise<RunResult> | undefined;
  readonly #result: Promise<Omit<RunResult, OutputKeys>>;

  /** @ignore made by Sandbox */
  constructor(door: RunDoor, options: WatchOptions) {
    checkInput(options);
    checkSignal(options);
    const timeout = readTimeout(options);
    this.#max = readMax(options);
    this.#signal = options.signal;
    const meter = {
      take: (size: number, collected: boolean) => this.#take(size, collected),
    };
    const out = new Source(meter);
    const err = new Source(meter);
    this.#sources = [out, err];
    const { stdin = "null" } = options;
    const starting = this.#start(door, stdin !== "null", timeout);
    this.started = starting.then(({ pid }) => pid);
    this.#result = starting.then(
      (it) => this.#watch(door, it, timeout),
      (error) => this.#judgeUnstarted(error),
    );
    this.ended = this.#result.then(() => {});
    // Whoever awaits the run is told.
    for (const it of [this.started, this.#result, this.ended]) {
      it.catch(() => {});
    }
    if (stdin !== "piped" && stdin !== "null") {
      this.#fed = feed(this.#sink, stdin);
      this.#fed.catch(() => this.kill());
    }
  }

  /** What it reads: with `stdin: "piped"`. */
  get stdin(): WritableStream<Uint8Array> {
    return this.#stdin ??= streamInto(this.#sink);
  }

  /** What it writes to standard output. */
  get stdout(): Output {
    const [out, err] = this.#sources;
    return this.#stdout ??= outputOf(out, err);
  }

  /** What it writes to standard error. */
  get stderr(): Output {
    const [out, err] = this.#sources;
    return this.#stderr ??= outputOf(err, out);
  }

  async #start(
    door: RunDoor,
    input: boolean,
    timeout: number | undefined,
  ): Promise<StartedRun> {
    const { signal } = this.#starting;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const begun = () => {
      if (timeout === undefined) return;
      const time = Math.max(timeout, START_MS);
      timer ??= setTimeout(() => this.#end("time"), time);
    };
    try {
      this.#signal?.throwIfAborted();
      this.#signal?.addEventListener("abort", this.#abort);
      const started = await door.start(input, { signal, begun });
      const [stdin, stdout, stderr] = started.streams;
      this.#process = started;
      this.#sink.open(stdin);
      this.#sources[0].open(stdout);
      this.#sources[1].open(stderr);
      for (const number of this.#early) this.#send(started, number);
      if (signal.aborted) this.#kill();
      return started;
    } catch (error) {
      this.#signal?.removeEventListener("abort", this.#abort);
      // By that it may have failed in some other way.
      if (signal.aborted) {
        this.#sink.open(-1);
        for (const source of this.#sources) source.end();
        throw signal.reason;
      }
      this.#sink.fail(error);
      for (const source of this.#sources) source.fail(error);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** One that was killed before it ran is as one that was killed. */
  #judgeUnstarted(error: unknown): Omit<RunResult, OutputKeys> {
    if (error !== this.#starting.signal.reason) throw error;
    const verdict = judge({
      status: SIGKILL,
      reason: this.#reason,
      oomKilled: false,
      forkRefused: false,
      cpuLimit: null,
      usedMs: 0,
    });
    const used = { cpuMs: 0, wallMs: 0, peakBytes: null };
    return { ...verdict, truncated: false, ...used };
  }

  /** Waits for its end. */
  async #watch(
    door: RunDoor,
    run: StartedRun,
    timeout: number | undefined,
  ): Promise<Omit<RunResult, OutputKeys>> {
    const timer = timeout === undefined
      ? undefined
      : setTimeout(() => this.#end("time"), timeout);
    // What is short has ended before the news of its start was here.
    if (pollFds([run.pidfd], 0).length === 0) {
      await untilReady(run.pidfd, EPOLL.in);
    }
    const now = performance.timeOrigin + performance.now();
    const wallMs = Math.floor(now - run.began);
    clearTimeout(timer);
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#process = undefined;
    const ending = door.end(run);
    await Promise.allSettled([ending, ...this.#kills]);
    // Until here the pid, which is given to kill(2), could be nobody else's.
    const usage = new BigInt64Array(RUSAGE);
    const status = await reapEnded(run.pid, usage);
    try {
      for (const source of this.#sources) source.finish();
      const { counts, refused } = await ending;
      const usedMs = toMs(usage);
      return {
        ...judge({
          status,
          reason: this.#reason,
          oomKilled: Boolean(counts.oomKills),
          forkRefused: refused > 0,
          cpuLimit: run.cpuLimit,
          usedMs,
        }),
        truncated: this.#truncated,
        cpuMs: counts.cpuMs ?? usedMs,
        wallMs,
        peakBytes: counts.peakBytes,
      };
    } finally {
      this.#sink.close();
      for (const source of this.#sources) source.close();
      forget(run.pidfd);
      closeFd(run.pidfd);
      await door.ended(run);
    }
  }

  /** Takes output into account; how much of it may be kept. */
  #take(size: number, collected: boolean): number {
    const max = this.#max ?? (collected ? COLLECT_MAX : Infinity);
    const room = Math.max(0, max - this.#written);
    this.#written += size;
    if (size <= room) return size;
    this.#truncated = true;
    this.#end("output");
    return room;
  }

  /** Kills it, for the first reason that there is. */
  #end(reason: Reason): void {
    this.#reason ??= reason;
    this.#kill();
  }

  #kill(): void {
    const run = this.#process;
    if (run === undefined) {
      this.#starting.abort(killedEarly());
      return;
    }
    trySyscall("kill", run.pid, SIGKILL);
    // What it has started goes the same way. An error is that of the run's end,
    // which does the same once more.
    this.#kills.push(callEngine("killRun", run).catch(() => {}));
  }

  #send({ pidfd }: StartedRun, number: number): void {
    trySyscall("pidfd_send_signal", pidfd, number, null, 0);
  }

  /**
   * Sends it a signal; without one, kills it and all that it has started.
   *
   * @param signal its name, with or without "SIG": "TERM"
   * @throws {ContainerError} for a name that is none
   */
  kill(signal?: string): void {
    if (signal === undefined) return this.#kill();
    if (typeof signal !== "string") {
      throw invalidOption(
        "signal",
        signal,
        "is not the name of a signal",
        'Give one: "TERM"',
      );
    }
    const number = parseSignal(signal);
    // One that is not there yet gets it when it is.
    if (this.#process === undefined) this.#early.push(number);
    else this.#send(this.#process, number);
  }

  async #settle(): Promise<RunResult> {
    const [out, err] = this.#sources;
    const [result] = await Promise.all([
      this.#result,
      out.collect(),
      err.collect(),
    ]);
    await this.#fed;
    if (this.#reason === "abort") throw this.#signal!.reason;
    const stdoutBytes = out.bytes;
    const stderrBytes = err.bytes;
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return {
      ...result,
      stdout: text(stdoutBytes),
      stderr: text(stderrBytes),
      stdoutBytes,
      stderrBytes,
    };
  }

  /**
   * Its result; a command that fails is no error.
   *
   * @throws {ContainerError} when it cannot be started; its signal's reason
   */
  then<A = RunResult, B = never>(
    done?: ((result: RunResult) => A | PromiseLike<A>) | null,
    // deno-lint-ignore no-explicit-any -- as PromiseLike has it
    failed?: ((reason: any) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return (this.#settled ??= this.#settle()).then(done, failed);
  }

  /** Its result, or what `failed` makes of an error. */
  catch<B = never>(
    // deno-lint-ignore no-explicit-any -- as Promise has it
    failed?: ((reason: any) => B | PromiseLike<B>) | null,
  ): Promise<RunResult | B> {
    return this.then(undefined, failed);
  }

  /** Its result, once `done` was called. */
  finally(done?: (() => void) | null): Promise<RunResult> {
    return this.then().finally(done);
  }
}

type OutputKeys = "stdout" | "stderr" | "stdoutBytes" | "stderrBytes";
