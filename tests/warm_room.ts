/**
 * The warm engine for tests: `rustyrun serve` beside a front that cannot go cold,
 * and a relay between a front and the engine, which sees each packet.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { closeFd } from "../ffi/libc.ts";
import { pollFds } from "../ffi/poll.ts";
import {
  acceptPackets,
  connectPackets,
  listenPackets,
} from "../ffi/listening.ts";
import { receivePacket, sendWithFds } from "../ffi/packets.ts";
import {
  encodeFront,
  FRONT_PACKET,
  REQUEST_SIZE,
  VERB,
} from "../mod/serve/protocol.ts";
import { programPath } from "../scripts/build.ts";
import {
  cliCommand,
  type CliOptions,
  type CliResult,
  type Running,
  start,
} from "./harness.ts";
import { denoWords } from "../mod/program.ts";
import { waitFor } from "./wait.ts";

/** How long a front waits for the engine: a test's machine may be busy. */
const PATIENCE_MS = 60_000;
const RELAYED = REQUEST_SIZE + FRONT_PACKET;

/** Who ends at a packet of the engine's. */
export type Victim = "front" | "worker" | undefined;

/** `rustyrun serve`, and fronts of it. */
export class WarmRoom implements AsyncDisposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-warm-" });
  readonly root = `${this.dir}/root`;
  /** A front for calls that must be warm. */
  readonly front = `${this.dir}/rustyrun`;
  /** One whose packets go through {@linkcode WarmRoom.relay}. */
  readonly relayed = `${this.dir}/relayed`;
  readonly #serve: Deno.ChildProcess;
  readonly #listener: number;
  #calls = 0;

  private constructor(flags: string) {
    const file = cliCommand().at(-1)!;
    // As mod/program.ts calls it again.
    const program = /\.[jt]s$/.test(file)
      ? [Deno.execPath(), ...denoWords(file)]
      : [file];
    const plain = Deno.readFileSync(programPath("front"));
    const write = (path: string, socket: string) =>
      Deno.writeFileSync(
        path,
        encodeFront(plain, { program, socket, patience: PATIENCE_MS }),
        { mode: 0o755 },
      );
    write(this.front, `${this.dir}/s`);
    write(this.relayed, `${this.dir}/r`);
    this.#listener = listenPackets(`${this.dir}/r`, 8);
    const words = ["serve", "--socket", `${this.dir}/s`, "--idle", "0"];
    // Not by the harness: it stays while leaks are looked for.
    this.#serve = new Deno.Command(program[0]!, {
      args: [...program.slice(1), ...words],
      // An empty one is a flag that V8 does not know.
      env: flags === "" ? {} : { DENO_V8_FLAGS: flags },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
  }

  /**
   * Starts the engine, and waits until its workers are there.
   *
   * @param flags of V8's for them
   */
  static async open(flags = ""): Promise<WarmRoom> {
    const room = new WarmRoom(flags);
    await waitFor(() =>
      room.workers().length === 2 && room.workers().every(isWorkerReady)
    );
    return room;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const workers = this.workers();
    this.#serve.kill("SIGTERM");
    const stderr = await new Response(this.#serve.stderr).text();
    await this.#serve.status;
    for (const pid of workers) {
      await waitFor(() => {
        try {
          return !Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes(
            "serve",
          );
        } catch {
          return true;
        }
      });
    }
    closeFd(this.#listener);
    Deno.removeSync(this.dir, { recursive: true });
    assertEquals(stderr, "");
  }

  /** The pids of the workers. */
  workers(): number[] {
    const { pid } = this.#serve;
    return Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`)
      .split(" ").filter(Boolean).map(Number);
  }

  /** A call that must be warm: with a flag that V8 does not know, the full program
   * does not start. */
  call(words: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    return this.start(words, options).done;
  }

  /** Starts such a call. */
  start(words: readonly string[], options: CliOptions = {}) {
    const line = ["env", "DENO_V8_FLAGS=--no-cold-start", this.front];
    return this.#run(line, words, options);
  }

  /** A call of the front that may be cold. */
  any(words: readonly string[]): Promise<CliResult> {
    return this.#run([this.front], words, {}).done;
  }

  /** The same call in a process of its own. */
  cold(words: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    return this.#run(cliCommand(), words, options).done;
  }

  /** A container that stays keeps what it was started with: so that is files. */
  #run(
    program: readonly string[],
    words: readonly string[],
    options: CliOptions,
  ): { pid: number; done: Promise<CliResult>; kill: Running["kill"] } {
    const name = `${this.dir}/${++this.#calls}`;
    const line = 'exec "$@" >"$0.out" 2>"$0.err"';
    const running = start(
      ["sh", "-c", line, name, ...program, "--root", this.root, ...words],
      options,
    );
    const finish = async () => {
      if (options.stdin !== undefined) await running.closeStdin();
      const { code, signal } = await running.done;
      const [stdout, stderr] = ["out", "err"].map((it) => {
        const text = Deno.readTextFileSync(`${name}.${it}`);
        Deno.removeSync(`${name}.${it}`);
        return text;
      });
      return { code, signal, stdout: stdout!, stderr: stderr! };
    };
    return { pid: running.pid, done: finish(), kill: running.kill };
  }

  /**
   * A call whose packets pass through here.
   *
   * @param victim who is killed by SIGKILL instead of the engine's packet number
   * `step`, counted from 0 at "take"
   * @returns how it ended, and how many packets the engine has sent
   */
  async relay(
    words: readonly string[],
    { victim, step = Infinity }: { victim?: Victim; step?: number } = {},
    options: CliOptions = {},
  ): Promise<CliResult & { steps: number }> {
    const running = this.#run([this.relayed], words, options);
    assertEquals(pollFds([this.#listener], PATIENCE_MS).length, 1);
    const front = acceptPackets(this.#listener)!;
    const engine = connectPackets(`${this.dir}/s`);
    let steps = 0;
    const pass = (from: number, to: number): boolean => {
      const buffer = new Uint8Array(RELAYED);
      let packet;
      try {
        packet = receivePacket(from, buffer);
      } catch {
        return false; // ECONNRESET: it has ended with a packet unread
      }
      if (packet === undefined) return false;
      const bytes = buffer.subarray(0, packet.length);
      if (from === engine && bytes[0] !== VERB.queued && steps++ === step) {
        if (victim === "front") running.kill("SIGKILL");
        else this.#killWorker();
      }
      try {
        sendWithFds(to, bytes, packet.fds);
      } catch {
        // EPIPE: the end follows.
      }
      for (const fd of packet.fds) closeFd(fd);
      return true;
    };
    for (;;) {
      const [a = 0, b = 0] = pollFds([front, engine], PATIENCE_MS);
      assert(a || b, "nothing goes on");
      if (a && !pass(front, engine)) break;
      if (b && !pass(engine, front)) break;
    }
    closeFd(engine);
    closeFd(front);
    return { ...await running.done, steps };
  }

  /** The one that serves: it has the relay's connection beside what each has. */
  #killWorker(): void {
    const [one] = this.workers()
      .map((pid) => ({ pid, sockets: countSockets(pid) }))
      .sort((a, b) => b.sockets - a.sockets);
    assert(one !== undefined, "there is no worker");
    Deno.kill(one.pid, "SIGKILL");
  }
}

/** Whether a worker has all that it needs. */
export function isWorkerReady(pid: number): boolean {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].some(({ name }) =>
    Deno.readLinkSync(`/proc/${pid}/fd/${name}`).includes("rustyrun-helper")
  );
}

/** What a worker is between two calls. */
export function describeWorker(pid: number): string {
  const of = (name: string) => `/proc/${pid}/${name}`;
  const fds = [...Deno.readDirSync(of("fd"))].map(({ name }) =>
    `${name} ${Deno.readLinkSync(of(`fd/${name}`))}`
  ).sort();
  const status = Deno.readTextFileSync(of("status"));
  return [
    ...fds,
    Deno.readLinkSync(of("cwd")),
    /^Umask:.*$/m.exec(status)?.[0],
    /^Sig(?:Blk|Ign|Cgt):.*$/gm.exec(status)?.join(),
    Deno.readTextFileSync(of(`task/${pid}/children`)),
  ].join("\n");
}

function countSockets(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].filter(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/fd/${name}`).startsWith("socket:");
    } catch {
      return false;
    }
  }).length;
}
