/**
 * The library as a contender: a program that uses it stays, and is asked for one
 * job after the other.
 *
 * @module
 */

import { openFd, readFd, writeFd } from "../ffi/libc.ts";
import { pollFds } from "../ffi/poll.ts";
import { BuildError, ROOT } from "../scripts/build.ts";
import { CpuMeter } from "./processes.ts";
import { mustRun, type Room } from "./room.ts";
import { reap, type Sample, wait } from "./starter.ts";

const O_RDWR = 2;
/** How long SIGINT may go unseen, in milliseconds. */
const TICK_MS = 100;

/** What it can be asked for. */
export type Job =
  | "run"
  | "bare"
  | "docker"
  | "exec"
  /** Runs in a container that is ready; its time ends with the result. */
  | "pool"
  | "poolBare"
  /** Makes a container that stays, or 20 at once. */
  | "open"
  | "crowd"
  /** Removes the last one, or all. */
  | "closeLast"
  | "close";

/** The command line that gives a program Deno's own cache back: it holds the
 * packages. */
function withCache(): string[] {
  const cache = Deno.env.get("DENO_DIR");
  return cache === undefined
    ? ["/usr/bin/env", "-u", "DENO_DIR", `HOME=${Deno.env.get("HOME")}`]
    : ["/usr/bin/env", `DENO_DIR=${cache}`];
}

/** A program that uses the library. */
export class Library {
  readonly cpu: CpuMeter;
  readonly #room: Room;
  readonly #jobs: number;
  readonly #answers: number;

  constructor(room: Room) {
    this.#room = room;
    const dir = room.makeDir("library");
    const fifos = [`${dir}/jobs`, `${dir}/answers`];
    mustRun(["mkfifo", ...fifos]);
    const [jobs, answers] = fifos.map((it) => openFd(it, O_RDWR));
    this.#jobs = jobs!;
    this.#answers = answers!;
    const { pid } = room.starter.start([
      ...withCache(),
      ...[Deno.execPath(), "run", "-q", "-A", `--config=${ROOT}deno.json`],
      `${ROOT}bench/library_program.ts`,
      ...[...fifos, room.rootfs, room.makeDir("states/library")],
    ]);
    room.moveInto(pid);
    this.cpu = new CpuMeter(pid, { reaps: true });
  }

  /**
   * Does a job.
   *
   * @returns the time that the program itself has measured, and the CPU time of it
   * and of all that worked for it
   * @throws {BuildError} when it fails
   */
  async do(job: Job): Promise<Sample> {
    const before = this.cpu.read();
    writeFd(this.#jobs, new TextEncoder().encode(`${job}\n`));
    while (pollFds([this.#answers], TICK_MS).length === 0) {
      await this.#room.starter.check();
      if (wait(this.cpu.pid, false) === undefined) continue;
      throw new BuildError(
        `Cannot measure the library: ${job} failed\n${this.#room.starter.readErrors()}`,
      );
    }
    const ms = Number(new TextDecoder().decode(readFd(this.#answers, 64)));
    return { ms, cpu: this.cpu.read() - before + reap() };
  }
}
