/**
 * The room in which an engine's test runs: mount, network and pid namespaces of
 * its own, storage that goes with them, one image, and rustyrun as one
 * executable file. Its disposal fails when the engine's containers left
 * anything behind.
 *
 * RUSTYRUN_BIN names the runtime under test (runc's path, to tell our fault
 * from the machine's); else it is a script around dist/rustyrun.js. With
 * RUSTYRUN_WARM=1 it is a front, whose warm engine runs in the room.
 *
 * @module
 */

import { denoWords } from "../../mod/program.ts";
import { ROOT, SLOW } from "../harness.ts";
import {
  formatServed,
  isWarm,
  readServed,
  type Served,
  type WarmProgram,
  writeFront,
} from "../warm_program.ts";
import { findCgroups, isConmons } from "./cgroups.ts";
import { writeImage } from "./image.ts";

const decoder = new TextDecoder();

/** What is typed to a shell to see its terminal: engines set the size a moment
 * after the start. */
export const LOOK =
  "echo $((6*7)); tty; until stty size 2>&1 | grep '31 97'; do sleep 0.1; done\n";

/** What is typed to a shell to see that it reads and writes; it ends when its
 * answer has been seen. */
export const SUM: readonly (readonly [string, string])[] = [
  ["#", "echo $((6*7))\n"],
  ["\n42", "exit 6\n"],
];

/** How a command in the room ended; stdout and stderr without blanks around. */
export interface RoomResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** How a command in the room is run. */
export interface RoomOptions {
  env?: Record<string, string>;
  /** Until it counts as hung. */
  seconds?: number;
}

/** Seconds until a command in the room counts as hung, on a machine that has
 * other work, or stands still for a while; one on a terminal is ended before
 * that, and says what it showed. */
const HUNG = 240 * SLOW;
const LATE = 120 * SLOW;

/** Seconds in which something must have come about. */
const SOON = 120 * SLOW;

/** How often a daemon is started that ends at its start: dockerd gives its
 * containerd 15 seconds. */
const STARTS = 3;

/** One engine's surroundings. */
export interface Room extends AsyncDisposable {
  /** Nobody else's: for cgroup parents and containerd's namespaces. */
  name: string;
  /** A directory that only the room has; `image.tar` is next to it. */
  dir: string;
  /** The image, as `docker save` would write it. */
  image: string;
  /** The runtime under test. */
  runtime: string;
  /** Runs a command in the room. One that hangs is the room's end: its
   * descendants may hold its output for ever.
   *
   * @throws {Error} for one that hangs
   */
  run(argv: readonly string[], options?: RoomOptions): Promise<RoomResult>;
  /** The same on a terminal of 31 lines of 97 characters: waits for a text,
   * types a line, and so on.
   *
   * @throws {Error} when a text, or the end, does not come; what the engine left
   * is gone
   */
  type(
    argv: readonly string[],
    steps: readonly (readonly [string, string])[],
    options?: RoomOptions,
  ): Promise<RoomResult>;
  /** Starts a daemon and waits until a file is there. */
  serve(argv: readonly string[], socket: string): Promise<void>;
  /** Stops the daemons. */
  stop(): Promise<void>;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** The runtime as one executable file; engines give it no environment. */
function findRuntime(
  dir: string,
  warm: boolean,
): { runtime: string; warm?: WarmProgram } {
  const named = Deno.env.get("RUSTYRUN_BIN");
  if (named !== undefined && !named.endsWith(".js")) return { runtime: named };
  const bundle = named ?? `${ROOT}/dist/rustyrun.js`;
  if (!isFile(bundle)) {
    throw new Error(`Cannot find "${bundle}": deno task bundle makes it`);
  }
  if (warm) {
    const front = writeFront(dir, bundle);
    return { runtime: front.front, warm: front };
  }
  const path = `${dir}/rustyrun`;
  const cache = `${dir}/deno`;
  Deno.mkdirSync(cache, { mode: 0o700 });
  Deno.writeTextFileSync(
    path,
    `#!/bin/sh\nDENO_DIR=${cache} exec ${Deno.execPath()} ${
      denoWords(bundle).join(" ")
    } "$@"\n`,
  );
  Deno.chmodSync(path, 0o755);
  return { runtime: path };
}

async function pause(seconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** Looks again and again until what is seen is what is wanted.
 *
 * @returns what was seen last, for an assertion that says what it was
 */
export async function waitFor<T>(
  see: () => Promise<T>,
  wanted: (seen: T) => boolean,
): Promise<T> {
  const end = performance.now() + SOON * 1000;
  while (true) {
    const seen = await see();
    if (wanted(seen) || performance.now() > end) return seen;
    await pause(0.1);
  }
}

/** Removes a directory, of which the last processes may be just about to end. */
async function removeDirectory(path: string): Promise<void> {
  const end = performance.now() + SOON * 1000;
  while (true) {
    try {
      return Deno.removeSync(path, { recursive: true });
    } catch (error) {
      if (performance.now() > end) throw error;
      await pause(0.1);
    }
  }
}

/** Removes what is left of the room's cgroups; its processes may be just about
 * to end. */
async function removeCgroups(name: string): Promise<void> {
  for (let i = 0; i < 300 * SLOW; i++) {
    const paths = findCgroups(name);
    if (paths.length === 0) return;
    if (i > 0) await pause(0.1);
    for (const path of paths.toReversed()) {
      // podman makes plain files where a directory looks like a hierarchy
      // and none is mounted: they go recursively, a cgroup does not.
      for (const recursive of [false, true]) {
        try {
          Deno.removeSync(path, { recursive });
        } catch {
          // Not empty yet: what the room says was left is worth more than this.
        }
      }
    }
  }
}

/** Whose room it is. */
export interface RoomOf {
  /** Instead of the runtime under test. */
  runtime?: string | undefined;
  /** Whether it is a front, with a warm engine; RUSTYRUN_WARM says it else. */
  warm?: boolean;
}

/** Makes a room. */
export async function makeRoom(engine: string, of: RoomOf = {}): Promise<Room> {
  // Short: the paths of sockets in it must fit 108 bytes.
  const outside = await Deno.makeTempDir({ prefix: "rr-eng-" });
  Deno.chmodSync(outside, 0o755);
  const name = `rrtest-${engine}-${Deno.pid}`;
  const dir = `${outside}/in`;
  const image = `${outside}/image.tar`;
  Deno.mkdirSync(dir);
  const { runtime, warm }: { runtime: string; warm?: WarmProgram } =
    of.runtime === undefined
      ? findRuntime(outside, of.warm ?? isWarm())
      : { runtime: of.runtime };
  await writeImage(image);

  const holder = new Deno.Command("unshare", {
    args: [
      "-mnpf",
      "--mount-proc",
      "--kill-child",
      "python3",
      `${import.meta.dirname}/room.py`,
      dir,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = holder.stdout.getReader();
  const { value } = await reader.read();
  if (value === undefined) throw new Error("Cannot make the engine's room");
  const children = `/proc/${holder.pid}/task/${holder.pid}/children`;
  const first = Deno.readTextFileSync(children).trim();

  const enter = (argv: readonly string[], options: RoomOptions) => ({
    args: ["-t", first, "-m", "-n", "-p", "--", ...argv],
    clearEnv: true,
    env: {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: dir,
      TERM: "dumb",
      LANG: "C.UTF-8",
      ...options.env,
    },
    cwd: "/",
  });

  const run: Room["run"] = async (argv, options = {}) => {
    const child = new Deno.Command("nsenter", {
      ...enter(argv, options),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let hung = false;
    const timer = setTimeout(() => {
      hung = true;
      holder.kill("SIGKILL");
    }, (options.seconds ?? HUNG) * 1000);
    const { code, stdout, stderr } = await child.output();
    clearTimeout(timer);
    const result = {
      code,
      stdout: decoder.decode(stdout).trim(),
      stderr: decoder.decode(stderr).trim(),
    };
    if (!hung) return result;
    throw new Error(
      `It hung: ${JSON.stringify(argv)}: ${JSON.stringify(result)}`,
    );
  };

  const daemons: { child: Deno.ChildProcess; pidFile: string }[] = [];
  const stop = async () => {
    for (const { child, pidFile } of daemons.toReversed()) {
      const timer = setTimeout(() => child.kill("SIGKILL"), SOON * 1000);
      await run(["sh", "-c", `kill $(cat ${pidFile})`]);
      await child.status;
      clearTimeout(timer);
    }
    daemons.length = 0;
  };

  /** The states of containers, wherever an engine has them kept. */
  const findStates = async (): Promise<string[]> => {
    const found = await run(["find", "/run", "-name", "state.json"]);
    return found.stdout.split("\n").filter((line) => line !== "");
  };

  /** Removes the containers that an engine which was ended has left. */
  const discard = async (before: readonly string[]): Promise<void> => {
    for (const path of await findStates()) {
      const [, root = "", id = ""] =
        /^(.*)\/([^/]+)\/state\.json$/.exec(path) ??
          [];
      if (before.includes(path)) continue;
      await run([runtime, "--root", root, "delete", "--force", id]);
    }
  };

  /** What is left in the room: processes, mounts, state. */
  const look = async (): Promise<string[]> => {
    const script = `cd /proc
for pid in [0-9]*; do
  read -r _ comm state _ <$pid/stat || continue
  case "$comm $state $(tr '\\0' ' ' <$pid/cmdline)" in
    *" Z "*|*room.py*|"(sh) "*) ;;
    *) echo "process $pid $comm $(tr '\\0' ' ' <$pid/cmdline)" ;;
  esac
done 2>/dev/null
while read -r _ _ _ _ point _; do
  case $point in ${dir}/*) echo "mount $point" ;; esac
done </proc/self/mountinfo
find /run/rustyrun -mindepth 1 -path '*/.cache' -prune -o -mindepth 1 -print 2>/dev/null | sed 's/^/state /'
find ${dir} /run -name exec.fifo 2>/dev/null | sed 's/^/state /'
true`;
    const { stdout } = await run(["sh", "-c", script]);
    return [
      ...stdout.split("\n").filter((line) => line !== ""),
      ...findCgroups(name).filter((path) => !isConmons(path)).map((path) =>
        `cgroup ${path}`
      ),
    ];
  };

  const room: Room = {
    name,
    dir,
    image,
    runtime,
    run,
    stop,
    async type(argv, steps, options = {}) {
      const before = await findStates();
      const result = await run([
        "python3",
        `${import.meta.dirname}/terminal.py`,
        `${LATE}`,
        JSON.stringify(steps),
        ...argv,
      ], options);
      if (result.code !== 124) {
        return { ...result, stdout: result.stdout.replaceAll("\r", "") };
      }
      await discard(before);
      throw new Error(
        `${result.stderr}; the terminal shows ${JSON.stringify(result.stdout)}`,
      );
    },
    async serve(argv, socket) {
      const log = `${outside}/daemon${daemons.length}.log`;
      const pidFile = `${log}.pid`;
      const script = `echo $$ >${pidFile}; exec "$@" >>${log} 2>&1`;
      for (let start = 0; start < STARTS; start++) {
        const child = new Deno.Command("nsenter", {
          ...enter(["sh", "-c", script, "sh", ...argv], {}),
          stdin: "null",
          stdout: "null",
          stderr: "null",
        }).spawn();
        let ended = false;
        child.status.then(() => ended = true);
        daemons.push({ child, pidFile });
        const ready = await waitFor(
          async () => ended || (await run(["test", "-e", socket])).code === 0,
          (seen) => seen,
        );
        if (ready && !ended) return;
        if (!ended) break;
        daemons.pop();
      }
      throw new Error(
        `Cannot start ${argv[0]}: ${Deno.readTextFileSync(log).slice(-2000)}`,
      );
    },
    async [Symbol.asyncDispose]() {
      let left: string[] = [];
      let served: Served | undefined;
      try {
        await stop();
        if (warm !== undefined) {
          served = readServed(Deno.readTextFileSync(`${outside}/daemon0.log`));
        }
        left = await waitFor(look, (seen) => seen.length === 0);
      } finally {
        holder.kill("SIGKILL");
        await reader.cancel();
        await holder.status;
        await removeCgroups(name);
        if (Deno.env.get("RUSTYRUN_KEEP") === undefined) {
          await removeDirectory(outside);
        }
      }
      if (left.length > 0) throw new Error(`Left behind: ${left.join("; ")}`);
      if (served !== undefined) console.log(formatServed(served));
    },
  };
  if (warm !== undefined) await room.serve(warm.engine, warm.socket);
  return room;
}
