/**
 * Replayed starts under attack: what the keeper shows of its caller, ids that
 * are words of the plan, no room for an environment, directories of somebody
 * else, a root file system that changes, commands in the window before the
 * gate.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { run } from "../program.ts";
import { type Running, takeSnapshot } from "../harness.ts";
import { readProcessState, waitFor } from "../wait.ts";
import {
  type Image,
  type ReplayRoom,
  type RoomOptions,
  testInRoom,
} from "./replay_room.ts";

/** Waits for what a file holds once it is there. */
const waitForFile = (path: string): Promise<string> =>
  waitFor(() => Deno.readTextFileSync(path), () => true);

/** The pid of a running container's first process. */
async function readPid(room: ReplayRoom, id: string): Promise<number> {
  const text = await waitForFile(`${room.states}/${id}/state.json`);
  return JSON.parse(text).pid;
}

testInRoom(
  "the keeper of a replayed start shows nobody its caller's words and variables",
  async (room, image) => {
    image.configure({
      process: { args: ["sh", "/script"] },
      linux: { namespaces: [{ type: "mount" }] },
    });
    image.script("echo ready; cat >/dev/null");
    const options: RoomOptions = {
      env: { HIDDEN_WORD: "hidden-value" },
      stdin: "",
    };
    await room.keep(image.words(), options);
    const count = room.count();
    const running = room.start(image.words(), options);
    await running.waitFor("ready");
    assertEquals(room.count(), count);
    const pid = await readPid(room, image.id);
    const keeper = Deno.readTextFileSync(`/proc/${pid}/status`)
      .match(/^PPid:\t(\d+)/m)![1];
    const words = Deno.readTextFileSync(`/proc/${keeper}/cmdline`);
    assertMatch(words, /^rustyrun-keeper\0keeper\0\d+\0+$/);
    const variables = Deno.readTextFileSync(`/proc/${keeper}/environ`);
    assertEquals(variables.replaceAll("\0", ""), "");
    // Not dumpable: its files belong to root, whoever it is.
    for (const name of ["mem", "environ"]) {
      assertEquals(Deno.statSync(`/proc/${keeper}/${name}`).uid, 0);
    }
    await running.closeStdin();
    assertEquals((await running.done).code, 0);
  },
);

/** Ids that stand elsewhere in a plan, or are as short or long as can be. */
const IDS = ["a", "J", "XQ", "x.1-_", "run", "proc", "state", "dev", "true"];

for (const id of [...IDS, "i".repeat(200)]) {
  const shown = id.length > 20 ? `of ${id.length} letters` : `"${id}"`;
  testInRoom(
    `a container of the id ${shown} is its own`,
    async (room, image) => {
      image.configure({
        hostname: "fixed-JQXZ-KVWY",
        process: { args: ["sh", "/script"], env: ["PATH=/bin", "J=Q", "X=XQ"] },
        linux: { cgroupsPath: `/${image.id}` },
      });
      image.script("hostname; echo $J $X; cat /proc/self/comm");
      const { stdout } = await room.keep(image.words(id));
      assertEquals(stdout, "fixed-JQXZ-KVWY\nQ XQ\ncat\n");
      for (const other of [id, [...id].reverse().join("")]) {
        const end = await room.run(image.words(other));
        assertEquals([end.code, end.stdout, end.stderr], [0, stdout, ""]);
      }
      image.configure({ hostname: `now-${id.slice(0, 9).toLowerCase()}-x` });
      const { stdout: now } = await room.run(image.words(id));
      assert(now.startsWith("now-"), now);
    },
  );
}

testInRoom("thousands of words are replayed", async (room, image) => {
  image.script('echo $# "${5000}"; cat /proc/self/cmdline | wc -c');
  const words = ["run", "--rootfs", image.rootfs, "--", "sh", "/script"];
  for (let i = 1; i <= 5000; i++) words.push(`ä\n ${i}`);
  const { stdout } = await room.keep(words);
  assertMatch(stdout, /^5000 ä\n 5000\n/);
  const end = await room.run(words);
  assertEquals([end.code, end.stdout, end.stderr], [0, stdout, ""]);
});

testInRoom(
  "a start runs where the environment leaves no room for the keeper's words",
  async (room, image) => {
    image.script("echo ran");
    const words = image.words();
    await room.keep(words);
    // execve(2): a quarter of the stack's limit, 2 MiB, for words and variables.
    const fill = (rest: number) => ({
      first: `word=$(head -c 120000 /dev/zero | tr '\\0' x)
for i in $(seq 10 26); do export "FILL$i=$word"; done
export FILL_REST=$(head -c ${rest} /dev/zero | tr '\\0' x)
[ $# -lt 3 ] || command -v true >/dev/null`,
    });
    let [low, high] = [0, 400_000];
    while (high - low > 8) {
      const middle = (low + high) >> 1;
      const { code, stderr } = await room.run(["--version"], fill(middle));
      if (code === 0) low = middle;
      else {
        assertMatch(stderr, /Argument list too long/);
        high = middle;
      }
    }
    // As many words as `run` has more are missing from what --version found.
    const extra = words.join(" ").length + 8 * words.length - 8 - 9;
    const ordinary: number[] = [];
    for (const less of [0, 8, 16, 32, 48, 64, 96, 128, 192, 400]) {
      const end = await room.run(words, fill(low - extra - less));
      if (/Argument list too long/.test(end.stderr) && end.code === 126) {
        continue;
      }
      assertEquals([end.code, end.stdout, end.stderr], [0, "ran\n", ""]);
      ordinary.push(end.ordinary);
    }
    // With just not enough room, and with enough.
    assertEquals([...new Set(ordinary)], [1, 0], ordinary.join(" "));
  },
);

testInRoom(
  "code is not kept, and nothing removed, in a directory that others can exchange",
  async (room) => {
    const cache = `${room.dir}/shared`;
    const victim = `${room.dir}/victim`;
    Deno.mkdirSync(victim);
    Deno.writeTextFileSync(`${victim}/old`, "kept");
    const old = new Date(Date.now() - 400 * 24 * 3600 * 1000);
    Deno.utimeSync(`${victim}/old`, old, old);
    const look = () => [...Deno.readDirSync(victim)].map((it) => it.name);
    const call = async () => {
      const end = await room.run(["--version"], { env: { DENO_DIR: cache } });
      assertEquals([end.code, end.stderr], [0, ""]);
      assertMatch(end.stdout, /rustyrun/);
      assertEquals(look(), ["old"]);
    };
    for (
      const change of [
        // Everybody may write where the link is.
        () => {
          Deno.mkdirSync(cache);
          Deno.chmodSync(cache, 0o777);
          Deno.symlinkSync(victim, `${cache}/rustyrun`);
        },
        // Somebody else's directory.
        () => {
          Deno.mkdirSync(cache);
          Deno.chownSync(cache, 61234, 61234);
          Deno.symlinkSync(victim, `${cache}/rustyrun`);
        },
        // The directory above is a link of somebody else's.
        () => {
          Deno.symlinkSync(victim, cache);
          run("chown", "-h", "61234", cache);
          Deno.chownSync(victim, 61234, 61234);
        },
      ]
    ) {
      change();
      // Deno itself puts its own caches there, whoever's it is.
      if (Deno.lstatSync(cache).isSymlink) {
        await room.run(["--version"], { env: { DENO_DIR: cache } });
        assert(!look().includes("rustyrun"), look().join(" "));
        assert(look().includes("old"));
      } else await call();
      Deno.removeSync(cache, { recursive: true });
    }
  },
);

testInRoom(
  "what was read of a caller's own descriptor is never kept",
  async (room, image) => {
    image.script("echo $WORD");
    const file = `${room.dir}/variables`;
    Deno.writeTextFileSync(file, "WORD=first\n");
    const words = ["run", "--env-file", "/dev/stdin", "--rootfs", image.rootfs];
    words.push("--", "sh", "/script");
    for (let i = 0; i < 3; i++) {
      const end = await room.run(words, { first: `exec <${file}` });
      assertEquals([end.code, end.stdout, end.ordinary], [0, "first\n", 1]);
    }
    const end = await room.run(words, {
      first: "exec < <(echo WORD=second)",
    });
    assertEquals([end.code, end.stdout], [0, "second\n"]);
  },
);

testInRoom(
  "a root file system that changes between the looks and their use leads nowhere else",
  async (room, image) => {
    image.script("echo ran");
    const target = `${room.dir}/outside`;
    Deno.mkdirSync(target, { recursive: true });
    await room.keep(image.words());
    const before = takeSnapshot();
    const swap = new Deno.Command("bash", {
      args: [
        "-c",
        `cd "$0"; while [ ! -e "$2" ]; do
for it in proc dev etc; do
  mv -T $it $it.old 2>/dev/null && ln -s "$1" $it 2>/dev/null
  rm -f $it 2>/dev/null; mv -T $it.old $it 2>/dev/null
done; sleep 0.002; done`,
        image.rootfs,
        target,
        `${room.dir}/stop`,
      ],
      stderr: "null",
    }).spawn();
    try {
      for (let i = 0; i < 12; i++) {
        const end = await room.run(image.words());
        assertEquals(await room.findRest(before, image.id), []);
        if (end.code === 0) assertEquals(end.stdout, "ran\n");
        else assertMatch(end.stderr, /^rustyrun: Cannot /);
        assert(!/at file:|Uncaught/.test(end.stderr), end.stderr);
        assertEquals([...Deno.readDirSync(target)], []);
      }
    } finally {
      // Not by a signal: its mv would go on while all is removed.
      Deno.writeTextFileSync(`${room.dir}/stop`, "");
      await swap.status;
    }
  },
);

testInRoom(
  "of replayed starts into one cgroup none harms the other",
  async (room, image) => {
    image.configure({
      process: { args: ["sh", "/script"] },
      linux: { cgroupsPath: `/${image.id}` },
    });
    image.script("sleep 0.1; echo ran");
    const words = ["a", "b", "c"].map((it) => image.words(image.id + it));
    await room.keep(words[0]!);
    const before = takeSnapshot();
    for (let round = 0; round < 6; round++) {
      const ends = await Promise.all(words.map((it) => room.start(it).done));
      for (const end of ends) {
        if (end.code === 0) {
          assertEquals([end.stdout, end.stderr], ["ran\n", ""]);
        } else assertMatch(end.stderr, /^rustyrun: Cannot [^\n]*cgroup/);
      }
      assert(ends.some((it) => it.code === 0));
      assertEquals(await room.findRest(before, image.id), []);
    }
  },
);

/** Holds a replayed start right before its root file system is the new one, for
 * ten minutes or until it is let go. */
const HELD = "set -- strace -D -f -o /dev/null -e trace=pivot_root " +
  '-e inject=pivot_root:delay_enter=600000000 "$@"';

/** Starts that; it is before its pivot_root(2), or on the way there. */
async function startHeld(room: ReplayRoom, image: Image): Promise<Running> {
  const count = room.count();
  const running = room.start(image.words(), { first: HELD });
  await waitForFile(`${room.states}/${image.id}/config.json`);
  assertEquals(room.count(), count);
  return running;
}

/** Ends strace: what it traces and holds goes on. */
function letGo({ pid }: Running): void {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  Deno.kill(Number(/^TracerPid:\t(\d+)/m.exec(status)![1]), "SIGKILL");
}

async function callInWindow(
  room: ReplayRoom,
  image: Image,
  words: readonly string[],
): Promise<[code: number, stderr: string]> {
  const running = await startHeld(room, image);
  const { code, stderr } = await room.run(words);
  letGo(running);
  const end = await running.done;
  assertEquals([end.code, end.stdout, end.stderr], [0, "ran\n", ""]);
  return [code, stderr.split("\n")[0]!];
}

testInRoom(
  "other commands see no container before its gate, and do it no harm",
  async (room, image) => {
    image.script("echo ran");
    await room.keep(image.words());
    const { id } = image;
    const missing = `Cannot find "${id}": container does not exist`;
    for (
      const [words, code, message] of [
        [["delete", "--force", id], 0, ""],
        [["delete", id], 1, missing],
        [["kill", id, "KILL"], 1, missing],
        [["state", id], 1, missing],
        [["exec", id, "true"], 1, missing],
        [["list"], 0, ""],
      ] as const
    ) {
      const [exit, stderr] = await callInWindow(room, image, words);
      assertEquals(
        [words, exit === 0, stderr.replace(/^.*?(?=Cannot|$)/, "")],
        [words, code === 0, message],
      );
    }
  },
  ["strace"],
);

testInRoom(
  "a keeper that is stopped before the gate lets nothing through",
  async (room, image) => {
    image.script("echo ran");
    await room.keep(image.words());
    const running = await startHeld(room, image);
    const exe = await waitFor(
      () => Deno.readLinkSync(`/proc/${running.pid}/exe`),
      (it) => it.includes("rustyrun-helper"),
    );
    assertMatch(exe, /rustyrun-helper/);
    running.kill("SIGSTOP");
    // "t": strace has seen it, and it is stopped.
    await waitFor(() => /[tT]/.test(readProcessState(running.pid)));
    letGo(running);
    running.kill("SIGSTOP");
    const stopped = () => readProcessState(running.pid);
    assertEquals(await waitFor(stopped, (it) => it === "T"), "T");
    await new Promise((resolve) => setTimeout(resolve, 2000));
    assertEquals(stopped(), "T");
    const names = [...Deno.readDirSync(`${room.states}/${image.id}`)];
    assertEquals(names.map((it) => it.name).sort(), [
      "config.json",
      "leftovers.json",
    ]);
    running.kill("SIGCONT");
    const end = await running.done;
    assertEquals([end.code, end.stdout, end.stderr], [0, "ran\n", ""]);
  },
  ["strace"],
);
