/**
 * A warm engine with a place of its own.
 *
 * @module
 */

import { FrontRoom } from "../front_room.ts";
import { type CliOptions, ROOT, type Running, start } from "../harness.ts";

/** A room with an engine in it. */
export class ServedRoom implements AsyncDisposable {
  readonly room: FrontRoom;
  readonly engine: Running;
  #ended = false;

  private constructor(room: FrontRoom, engine: Running) {
    this.room = room;
    this.engine = engine;
    engine.done.then(() => this.#ended = true);
  }

  static async open(
    { least = 1, most = 2, program = ["/bin/echo", "cold"] } = {},
    caller: readonly string[] = [],
  ): Promise<ServedRoom> {
    // The engine may be slow on a busy machine; a front that waits is not cold.
    const room = new FrontRoom(program);
    const engine = start([
      ...caller,
      Deno.execPath(),
      "run",
      "-qA",
      `${ROOT}/tests/serve_engine.ts`,
      room.socket,
      String(least),
      String(most),
      ...program,
    ]);
    await engine.waitFor("listens");
    return new ServedRoom(room, engine);
  }

  /** Runs the front, in a caller of its own where there is one. */
  async call(
    words: readonly string[],
    caller: readonly string[] = [],
    options: CliOptions = {},
  ): Promise<string> {
    const line = [...caller, this.room.path, ...words];
    const { stdout, stderr } = await start(line, options).done;
    return stdout + stderr;
  }

  workers(): number[] {
    const path = `/proc/${this.engine.pid}/task/${this.engine.pid}/children`;
    return Deno.readTextFileSync(path).split(" ").filter(Boolean).map(Number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.engine.kill("SIGKILL");
    await this.engine.done;
    this.room[Symbol.dispose]();
  }
}

export const PROGRAM = ["/bin/echo", "cold"];
