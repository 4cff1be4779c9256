/**
 * A place where starts of containers are kept and replayed, apart from
 * everybody else's: a copy of the bundle, Deno's cache and /run/rustyrun of its
 * own. It tells a start that was replayed from one that went the ordinary way,
 * by a mark that the ordinary code leaves here when it is loaded.
 *
 *     testInRoom("run is replayed", async (room, { rootfs }) => {
 *       const words = ["run", "--rootfs", rootfs, "--", "true"];
 *       await room.keep(words);
 *       assertEquals((await room.run(words)).ordinary, 0);
 *     });
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  cliCommand,
  type CliOptions,
  type CliResult,
  findLeaks,
  makeRootfs,
  ROOT,
  type Running,
  type Snapshot,
  start,
  takeSnapshot,
} from "../harness.ts";
import { hasNeed, type Need, testOn } from "../needs.ts";
import { run } from "../program.ts";
import { waitFor } from "../wait.ts";
import { makeSpec, merge, type Spec } from "./caller.ts";

/** How a command line ended, and how many went the ordinary way meanwhile. */
export interface Outcome extends CliResult {
  ordinary: number;
}

/** A kept start; mod/container/replay.ts writes and reads it. */
export interface Kept {
  words: string[];
  looks: { bytes: string; holes: Record<string, number[]> };
  child: { bytes: string; holes: Record<string, number[]> };
}

/** Where one bundle lives alone. */
export interface ReplayRoom extends AsyncDisposable {
  dir: string;
  /** rustyrun.js; a test may move it. */
  bundle: string;
  denoDir: string;
  /** What this room's commands see as /run/rustyrun. */
  states: string;
  /** A directory for --root: nothing is kept there. */
  other: string;
  start(args: readonly string[], options?: RoomOptions): Running;
  run(args: readonly string[], options?: RoomOptions): Promise<Outcome>;
  /** Runs a command line twice: the second time it is kept.
   *
   * @returns how the first one ended */
  keep(args: readonly string[], options?: RoomOptions): Promise<Outcome>;
  /** How many commands went the ordinary way so far. */
  count(): number;
  /** The files of kept starts, by path. */
  kept(): Map<string, Kept>;
  /** Changes the one kept start that has all of these words. */
  edit(words: readonly string[], change: (text: string) => string): void;
  /** What is left that was not there `before`, once all has had time to go. The
   * cgroups of generated ids are among it, with none of these words. */
  findRest(before: Snapshot, ...words: string[]): Promise<string[]>;
}

/** How a command line is run here. */
export interface RoomOptions extends CliOptions {
  /** Lines of bash before it: "umask 0". */
  first?: string;
  /** The same, of a shell that stays as its parent. */
  parent?: string;
  /** The bundle, where it is another one. */
  bundle?: string;
}

/** Copies the bundle under test, or makes one of the sources. */
export function copyBundle(to: string): void {
  const tested = cliCommand().at(-1)!;
  if (tested.endsWith(".js")) return Deno.copyFileSync(tested, to);
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-build-" });
  try {
    const names = "c deno.json deno.lock ffi main.ts mod scripts types";
    run("cp", "-r", ...names.split(" ").map((it) => `${ROOT}/${it}`), dir);
    const { success, stderr } = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "scripts/bundle.ts"],
      cwd: dir,
    }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    Deno.copyFileSync(`${dir}/dist/rustyrun.js`, to);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/** The file of all code but the entry's, which Deno's directory has. */
export function findRest(denoDir: string): string {
  const names = [...Deno.readDirSync(`${denoDir}/rustyrun`)]
    .map((it) => it.name);
  const [name, ...others] = names;
  if (name === undefined || others.length > 0) {
    throw new Error(`Not one file of code, but ${JSON.stringify(names)}`);
  }
  return `${denoDir}/rustyrun/${name}`;
}

/** Puts a module before the ordinary code that leaves a mark when called. */
function spyOn(denoDir: string, marks: string): void {
  const rest = findRest(denoDir);
  Deno.renameSync(rest, `${denoDir}/ordinary.js`);
  Deno.writeTextFileSync(
    rest,
    `import { main as ordinary } from "../ordinary.js";
export const main = (argv) => {
  Deno.writeTextFileSync(${JSON.stringify(marks)}, "x", { append: true });
  return ordinary(argv);
};
`,
    { mode: 0o600 },
  );
}

/** Makes a room; needs root. */
export async function makeReplayRoom(): Promise<ReplayRoom> {
  // A bind mount needs a place.
  Deno.mkdirSync("/run/rustyrun", { recursive: true, mode: 0o700 });
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-replay-" });
  const room = new Room(dir);
  await room.open();
  copyBundle(room.bundle);
  await room.run(["--version"]);
  spyOn(room.denoDir, room.marks);
  return room;
}

/** New cgroups of containers with generated ids that hold no process. */
function listEmpty(before: Snapshot): string[] {
  return [...takeSnapshot().cgroups].filter((it) => {
    if (before.cgroups.has(it) || !it.includes("rustyrun-rr-")) return false;
    try {
      return Deno.readTextFileSync(`${it}/cgroup.procs`) === "";
    } catch {
      // It has just gone.
      return false;
    }
  });
}

class Room implements ReplayRoom {
  readonly dir: string;
  readonly bundle: string;
  readonly denoDir: string;
  readonly states: string;
  readonly other: string;
  readonly marks: string;
  #holder: Deno.ChildProcess | undefined;

  constructor(dir: string) {
    this.dir = dir;
    // A user namespace's root must get to its root file system.
    Deno.chmodSync(dir, 0o711);
    this.bundle = `${dir}/rustyrun.js`;
    this.denoDir = `${dir}/deno`;
    this.states = `${dir}/run`;
    this.other = `${dir}/other`;
    this.marks = `${dir}/marks`;
    Deno.mkdirSync(this.denoDir, { mode: 0o700 });
    Deno.mkdirSync(this.states, { mode: 0o700 });
    Deno.writeTextFileSync(this.marks, "");
  }

  /** Makes the mount namespace, one for all: the ids of its mounts are among
   * what a plan is kept for, and so are the host's users, which somebody may
   * add to. */
  async open(): Promise<void> {
    // Not by start(): it is no leak.
    this.#holder = new Deno.Command("unshare", {
      args: [
        "--mount",
        "sh",
        "-c",
        'mount --bind "$0" /run/rustyrun && cp /etc/passwd "$1" && ' +
        'mount --bind "$1" /etc/passwd && echo ready && exec cat',
        this.states,
        `${this.dir}/passwd`,
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = this.#holder.stdout.getReader();
    const { done } = await reader.read();
    if (done) throw new Error("Cannot make a mount namespace");
    await reader.cancel();
  }

  start(args: readonly string[], options: RoomOptions = {}): Running {
    const { first = ":", parent, bundle = this.bundle, cwd = "/", ...others } =
      options;
    const call = parent === undefined
      ? `${first}\nexec "$@"`
      : `${parent}\n"$@"\nexit $?`;
    const line = [
      "nsenter",
      "--mount",
      `--target=${this.#holder!.pid}`,
      "--",
      "bash",
      "-ec",
      `cd "$0"\n${call}`,
      cwd,
      ...[Deno.execPath(), "run", "-q", "-A", bundle],
      ...args,
    ];
    const env = { DENO_DIR: this.denoDir, ...options.env };
    return start(line, { ...others, env });
  }

  count(): number {
    return Deno.statSync(this.marks).size;
  }

  async run(
    args: readonly string[],
    options: RoomOptions = {},
  ): Promise<Outcome> {
    const before = this.count();
    const running = this.start(args, options);
    if (options.stdin !== undefined) {
      await running.closeStdin().catch(() => {});
    }
    const end = await running.done;
    return { ...end, ordinary: this.count() - before };
  }

  async keep(
    args: readonly string[],
    options: RoomOptions = {},
  ): Promise<Outcome> {
    const first = await this.run(args, options);
    assertEquals(first.ordinary, 1, first.stderr);
    const second = await this.run(args, options);
    assertEquals(second.ordinary, 1, second.stderr);
    return first;
  }

  kept(): Map<string, Kept> {
    const cache = `${this.states}/.cache/run`;
    const found = new Map<string, Kept>();
    for (const { name } of Deno.readDirSync(cache)) {
      const text = Deno.readTextFileSync(`${cache}/${name}`);
      if (text.startsWith("{")) found.set(`${cache}/${name}`, JSON.parse(text));
    }
    return found;
  }

  edit(words: readonly string[], change: (text: string) => string): void {
    const paths = [...this.kept()].filter(([, { words: theirs }]) =>
      words.every((it) => theirs.includes(it))
    ).map(([path]) => path);
    assertEquals(paths.length, 1, `kept starts with ${words.join(" ")}`);
    const text = Deno.readTextFileSync(paths[0]!);
    const changed = change(text);
    if (changed === text) throw new Error("Nothing was changed");
    Deno.writeTextFileSync(paths[0]!, changed);
  }

  /** Directories of states; one without a state in it the next run removes. */
  #states(): string[] {
    return [...Deno.readDirSync(this.states)]
      .filter(({ name }) => !name.startsWith("."))
      .map(({ name }) => `${this.states}/${name}`)
      .filter((it) => {
        try {
          return [...Deno.readDirSync(it)].some((it) =>
            it.name === "state.json"
          );
        } catch {
          return false;
        }
      });
  }

  async findRest(before: Snapshot, ...words: string[]): Promise<string[]> {
    const left = await findLeaks(before, ...words);
    const states = await waitFor(
      () => this.#states(),
      (them) => them.length === 0,
    );
    // Other tests, which run at the same time, generate ids as well: theirs are
    // empty for a moment only.
    let empty = listEmpty(before);
    await waitFor(() => {
      const now = new Set(listEmpty(before));
      return empty = empty.filter((it) => now.has(it));
    }, (them) => them.length === 0);
    return [
      ...left,
      ...states.map((it) => `state ${it}`),
      ...empty.map((it) => `cgroup ${it}`),
    ];
  }

  async [Symbol.asyncDispose]() {
    await this.#holder?.stdin.close();
    await this.#holder?.status;
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/** A root file system, and a bundle with it. */
export interface Image extends Disposable {
  rootfs: string;
  bundle: string;
  /** The id and the cgroup of its container. */
  id: string;
  /** Lays this over the configuration of a container that runs `/bin/sh
   * /script`. */
  configure(over: Spec): void;
  /** Writes /script. */
  script(text: string): void;
  /** `run --bundle BUNDLE ID`. */
  words(id?: string): string[];
}

let images = 0;

/** Makes an image in a room. */
function makeImage(room: ReplayRoom): Image {
  const bundle = `${room.dir}/image-${++images}`;
  const id = `rrreplay${Deno.pid}x${images}`;
  const made = makeRootfs();
  Deno.mkdirSync(bundle);
  Deno.renameSync(made, `${bundle}/rootfs`);
  const image: Image = {
    rootfs: `${bundle}/rootfs`,
    bundle,
    id,
    configure(over) {
      const spec = makeSpec(id, { process: { args: ["sh", "/script"] } });
      Deno.writeTextFileSync(
        `${bundle}/config.json`,
        JSON.stringify(merge(spec, over)),
      );
    },
    script: (text) => Deno.writeTextFileSync(`${bundle}/rootfs/script`, text),
    words: (other = id) => ["run", "--bundle", bundle, other],
    [Symbol.dispose]() {
      Deno.removeSync(bundle, { recursive: true });
    },
  };
  image.configure({});
  return image;
}

const NEEDS: Need[] = ["root", "helper", "busybox"];

let shared: ReplayRoom | undefined;
let hooked = false;

/** Making a room takes as long as a test in it: a file's tests have one. */
function shareRoom(): void {
  if (hooked) return;
  hooked = true;
  Deno.test.beforeAll(async () => {
    if (NEEDS.every(hasNeed)) shared = await makeReplayRoom();
  });
  Deno.test.afterAll(async () => await shared?.[Symbol.asyncDispose]());
}

/**
 * Registers a test in the room of its file, with an image of its own. It fails
 * when anything is left.
 *
 * @param needs what must be there beside root and busybox
 */
export function testInRoom(
  name: string,
  fn: (room: ReplayRoom, image: Image) => Promise<void>,
  needs: readonly Need[] = [],
): void {
  shareRoom();
  testOn([...NEEDS, ...needs], name, async () => {
    const room = shared ??= await makeReplayRoom();
    using image = makeImage(room);
    const before = takeSnapshot();
    await fn(room, image);
    const left = await room.findRest(before, image.id);
    assertEquals(left, []);
  });
}
