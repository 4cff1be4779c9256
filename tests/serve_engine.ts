/**
 * An engine for tests, whose calls are a few of its own: it shows who is served,
 * and what becomes of who is not. Run as
 *
 *     deno run -A tests/serve_engine.ts SOCKET LEAST MOST PROGRAM...
 *
 * @module
 */

import { setCloexec } from "../ffi/libc.ts";
import { spawnWithStreams } from "../ffi/spawn.ts";
import { describeSelf, isCurrent } from "../mod/serve/call.ts";
import { keepDesk } from "../mod/serve/desk.ts";
import { GoCold } from "../mod/serve/front.ts";
import { Listener } from "../mod/serve/listener.ts";
import { work } from "../mod/serve/worker.ts";

const DESK = 3;
const encoder = new TextEncoder();
/** The command line that runs this file with these words. */
const self = (words: string[]) => [
  Deno.execPath(),
  "run",
  "-qA",
  import.meta.filename!,
  ...words,
];

const memory: Uint8Array[] = [];

/** What a call may be: its first word. */
const CALLS: Record<string, (word: string) => number> = {
  /** Says in which directory and with which umask it runs. */
  where: () => 0,
  /** Ends the worker that serves it. */
  die: () => Deno.exit(9),
  /** Never comes to an end. */
  hang: () => {
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  },
  /** Waits until there is a file of that name. */
  until: (path) => {
    for (;;) {
      try {
        Deno.statSync(path);
        return 0;
      } catch {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      }
    }
  },
  /** Keeps memory, and nothing else. */
  grow: () => {
    memory.push(new Uint8Array(100 << 20).fill(1));
    return 0;
  },
  /** Leaves a descriptor open. */
  leak: () => {
    Deno.openSync("/dev/null");
    return 0;
  },
  /** Changes its mind. */
  cold: () => {
    throw new GoCold("a test");
  },
};

async function main(args: readonly string[]): Promise<void> {
  const [first = "", least, most, ...program] = args;
  if (first !== "--worker") {
    const streams = self(["--worker", "0", "0", ...program]);
    const me = describeSelf(program);
    using listener = new Listener(first);
    console.log("listens");
    keepDesk({
      listener: listener.fd,
      start: (socket) => {
        const fds = new Map([[DESK, socket]]);
        spawnWithStreams(streams[0]!, streams, [], fds, "/");
      },
      isCurrent: () => isCurrent(me),
      least: Number(least),
      most: Number(most),
      cpus: Number(most),
      idle: 0,
    });
    console.log("ends");
    return;
  }
  setCloexec(DESK, true);
  const { held } = await work(DESK, program, {
    isWarm: ([word = ""]) => word in CALLS,
    run(front, { strings: { words } }) {
      const [word = "", argument = ""] = words;
      const said = `warm ${words.join(" ")} ${Deno.cwd()} ${Deno.umask()}\n`;
      if (word !== "cold") front.write(1, encoder.encode(said));
      return Promise.resolve(CALLS[word]!(argument));
    },
  });
  if (held !== undefined) console.log(`holds ${held}`);
}

if (import.meta.main) await main(Deno.args);
