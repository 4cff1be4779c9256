/**
 * Who is measured: rustyrun in each of its forms, and its peers. One that is not
 * there, or does not work here, is left out, and it is said why.
 *
 * @module
 */

import { BuildError, ROOT } from "../scripts/build.ts";
import { compileLine } from "../scripts/compile.ts";
import { BUNDLE } from "../scripts/bundle.ts";
import { denoWords } from "../mod/program.ts";
import { findProgram, isFile, probe } from "../tests/needs.ts";
import { Library } from "./library.ts";
import { CpuMeter } from "./processes.ts";
import { mustRun, type Room } from "./room.ts";
import type { Sample } from "./starter.ts";

/** Every contender, and how a table names it. */
export const TITLES = {
  cold: "rustyrun, cold",
  executable: "rustyrun, executable",
  front: "rustyrun, front + serve",
  library: "rustyrun, library",
  "library-bare": "rustyrun, library, no cgroups",
  pool: "rustyrun, pool",
  "pool-bare": "rustyrun, pool, no cgroups",
  runc: "runc",
  crun: "crun",
  bwrap: "bwrap",
  floor: "C floor",
  "floor-bare": "C floor, no cgroups",
  empty: "deno, empty program",
  "empty-executable": "executable, empty program",
} as const;

/** The name of a contender. */
export type Name = keyof typeof TITLES;

/** A runtime that runs bundles. */
export interface Runtime {
  name: Name;
  /** The program, and the flags before a command; the states have a directory of
   * their own. */
  command: readonly string[];
  /** One file that an engine can be told. */
  program: string;
  /** Directory of the states. */
  root: string;
}

/** Why a contender, or one of its cases, is not there. */
export interface Absent {
  what: string;
  why: string;
}

/** How long the warm engine may take until it listens. */
const LISTENS_TRIES = 1000, TICK_MS = 10;
/** Containers that warm an engine up. */
const WARM_UP = 20;

/** Deno, for an empty program and for rustyrun. */
const EMPTY = [Deno.execPath(), "run", "-q", "-A", "--no-config"];
const COLD = [Deno.execPath(), ...denoWords(BUNDLE)];

/** The contenders of one run. */
export class Field {
  readonly runtimes: Runtime[] = [];
  readonly absent: Absent[] = [];
  /** Empty programs: the floors of what is cold. */
  readonly empties: { name: Name; line: readonly string[] }[] = [];
  readonly #room: Room;
  readonly #empty: string;
  /** The program that uses the library. */
  readonly library: Library;
  /** The warm engine. */
  #engine: CpuMeter | undefined;

  private constructor(room: Room) {
    this.#room = room;
    this.#empty = `${room.dir}/empty.js`;
    Deno.writeTextFileSync(this.#empty, "");
    this.empties.push({ name: "empty", line: [...EMPTY, this.#empty] });
    this.library = new Library(room);
  }

  /** Finds them, starts the warm engine, and tries each one. */
  static async gather(room: Room): Promise<Field> {
    const field = new Field(room);
    const cold = field.#add("cold", COLD);
    // Engines take one file.
    cold.program = `${room.dir}/cold`;
    const line = COLD.join(" ");
    Deno.writeTextFileSync(
      cold.program,
      `#!/bin/sh\nDENO_DIR=${room.dir}/deno exec ${line} "$@"\n`,
      { mode: 0o755 },
    );
    field.#addExecutable();
    await field.#addFront();
    for (const name of ["runc", "crun"] as const) {
      const path = findProgram(name);
      if (path === undefined) field.leaveOut(name, "it is not installed");
      else field.#add(name, [path]);
    }
    await field.#tryAll();
    return field;
  }

  #add(name: Name, command: readonly string[]): Runtime {
    const root = this.#room.makeDir(`states/${name}`);
    const runtime = {
      name,
      command: [...command, "--root", root],
      program: command[0]!,
      root,
    };
    this.runtimes.push(runtime);
    return runtime;
  }

  /** Notes that one does not take part. */
  leaveOut(name: Name, why: string): void {
    this.absent.push({ what: TITLES[name], why });
  }

  /** The executable, and an empty one that is compiled alike: its floor. */
  #addExecutable(): void {
    const executable = `${ROOT}dist/rustyrun`;
    if (!isFile(executable)) {
      this.leaveOut("executable", "there is no dist/rustyrun: see Recipe");
      return;
    }
    this.#add("executable", [executable]);
    const empty = `${this.#room.dir}/empty`;
    const flags = ["--no-code-cache", "--no-config", "--no-lock", "--no-check"];
    const [deno, ...words] = compileLine();
    const line = [
      ...words,
      "compile",
      "-q",
      "-A",
      ...flags,
      `--output=${empty}`,
    ];
    if (probe(deno!, ...line, this.#empty).code === 0) {
      this.empties.push({ name: "empty-executable", line: [empty] });
    } else this.leaveOut("empty-executable", "it cannot be compiled");
  }

  async #addFront(): Promise<void> {
    const { dir, starter } = this.#room;
    const [deno, ...words] = COLD;
    if (probe(deno!, ...words, "serve", "--help").code !== 0) {
      this.leaveOut("front", "this rustyrun has no serve");
      return;
    }
    const socket = `${this.#room.makeDir("serve")}/socket`;
    const front = `${dir}/rustyrun`;
    mustRun([deno!, ...words, "front", "--socket", socket, front]);
    const serve = [...COLD, "serve", "--socket", socket];
    const { pid } = starter.start(serve);
    this.#engine = new CpuMeter(pid, { reaps: false });
    for (let i = 0; !exists(socket); i++) {
      if (i === LISTENS_TRIES) throw new BuildError("serve does not listen");
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      await starter.check();
    }
    this.#add("front", [front]);
  }

  /** A peer that cannot run a container here is left out; ours has to. */
  async #tryAll(): Promise<void> {
    const bundle = this.#room.makeBundle();
    for (const runtime of [...this.runtimes]) {
      try {
        await this.step(runtime, ["run", "--bundle", bundle, "try"]);
      } catch (error) {
        const peer = runtime.name === "runc" || runtime.name === "crun";
        if (!(error instanceof BuildError) || !peer) throw error;
        const words = error.message.split("\n");
        this.leaveOut(runtime.name, words.slice(0, 2).join(": "));
        this.runtimes.splice(this.runtimes.indexOf(runtime), 1);
      }
    }
    await this.#warmUp(bundle);
    for (let i = 0; i < WARM_UP; i++) await this.library.do("run");
    await this.clear();
  }

  /** Warms the engine up, and sees that it is the one that works: a front that is
   * cold is slow, but right. */
  async #warmUp(bundle: string): Promise<void> {
    const front = this.find("front");
    if (front === undefined) return;
    const alone: number[] = [];
    for (let i = 0; i < WARM_UP; i++) {
      const words = ["run", "--bundle", bundle, "try"];
      const argv = [...front.command, ...words];
      alone.push((await this.#room.starter.step(argv)).cpu);
    }
    const deno = await this.#room.starter.step(this.empties[0]!.line);
    if (Math.min(...alone) < deno.cpu) return;
    this.leaveOut("front", "every call is cold: serve does not serve it");
    this.runtimes.splice(this.runtimes.indexOf(front), 1);
    this.#engine = undefined;
  }

  /** Ends all containers and forgets their states. */
  async clear(): Promise<void> {
    await this.library.do("close");
    this.#room.sweep(this.servantPids);
    for (const { root } of this.runtimes) {
      Deno.removeSync(root, { recursive: true });
      Deno.mkdirSync(root, { mode: 0o700 });
    }
  }

  /** The runtime of that name, if it takes part. */
  find(name: Name): Runtime | undefined {
    return this.runtimes.find((it) => it.name === name);
  }

  /** What works for a contender and lives on, by its name. */
  get servants(): { what: string; cpu: CpuMeter }[] {
    const library = {
      what: "a program with the library",
      cpu: this.library.cpu,
    };
    return this.#engine === undefined
      ? [library]
      : [{ what: "rustyrun serve", cpu: this.#engine }, library];
  }

  get servantPids(): number[] {
    return this.servants.map((it) => it.cpu.pid);
  }

  /** CPU time of the warm engine so far, in milliseconds. */
  engineCpu(): number {
    return this.#engine?.read() ?? 0;
  }

  /** CPU time of the servants so far, in milliseconds. */
  servantsCpu(): number {
    return this.servants.reduce((sum, { cpu }) => sum + cpu.read(), 0);
  }

  /** Runs a command of a runtime's to its end. The CPU time is that of the command
   * and of the engine that worked for it. */
  async step(runtime: Runtime, words: readonly string[]): Promise<Sample> {
    const served = runtime.name === "front";
    const before = served ? this.engineCpu() : 0;
    const { ms, cpu } = await this.#room.starter.step([
      ...runtime.command,
      ...words,
    ]);
    return { ms, cpu: served ? cpu + this.engineCpu() - before : cpu };
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
