/**
 * The file system of the states is full, or read-only: what cannot be had is
 * said in words and leaves nothing, and what runs can still be seen, ended and
 * removed.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { cliCommand, runCli, start } from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { run } from "../program.ts";
import { type Caller, makeCaller, QUIET } from "./caller.ts";

const NEEDS: Need[] = ["root", "helper", "busybox", "python3"];

/** A caller whose states are on a small disk. */
interface Disk extends AsyncDisposable {
  caller: Caller;
  /** Takes every inode and every block. */
  fill(): void;
  remount(how: "ro" | "rw"): void;
  /** What is on it. */
  list(): string[];
}

async function makeDisk(): Promise<Disk> {
  const caller = makeCaller();
  const { root } = caller;
  Deno.mkdirSync(root, { mode: 0o700 });
  const options = "size=256k,nr_inodes=64,mode=700,nosuid,nodev,noexec";
  if (!run("mount", "-t", "tmpfs", "-o", options, "disk", root)) {
    await caller[Symbol.asyncDispose]();
    throw new Error("Cannot mount a tmpfs");
  }
  const fillers: string[] = [];
  return {
    caller,
    fill() {
      const block = new Uint8Array(4096);
      for (let i = 0;; i++) {
        const path = `${root}/.fill${i}`;
        try {
          using file = Deno.openSync(path, { createNew: true, write: true });
          fillers.push(path);
          while (file.writeSync(block) > 0);
        } catch (error) {
          if (fillers.at(-1) !== path) break;
          assert(error instanceof Error);
        }
      }
    },
    remount: (how) =>
      assert(run("mount", "-o", `remount,${how}`, root), `remount ${how}`),
    list: () =>
      [...Deno.readDirSync(root)].map((it) => it.name)
        .filter((it) => !it.startsWith(".fill")).sort(),
    async [Symbol.asyncDispose]() {
      run("mount", "-o", "remount,rw", root);
      for (const path of fillers) Deno.removeSync(path);
      await caller.callBare(["delete", "--force", caller.id]);
      run("umount", "-l", root);
      await caller[Symbol.asyncDispose]();
    },
  };
}

const FULL = "no space left on device";
const READ_ONLY = "read-only file system";

/** Its container inherits the pipes, which nobody may wait for. */
async function create(caller: Caller): Promise<void> {
  const { bundle, id } = caller;
  const { code } = await caller.hold(["create", "--bundle", bundle, id]);
  assertEquals(code, 0);
}

/** A failure of one line of cause, of the disk, and one of hint. */
function assertWords(
  { code, stderr }: { code: number; stderr: string },
  want: number,
  words: string,
): void {
  assertEquals(code, want, stderr);
  assertMatch(stderr, /^rustyrun: Cannot [^\n]+\n {2}hint: [^\n]+\n$/);
  assert(stderr.split("\n")[0]!.endsWith(words), stderr);
  assert(!stderr.includes("bug"), stderr);
}

for (const [how, words] of [["full", FULL], ["ro", READ_ONLY]] as const) {
  testOn(
    NEEDS,
    `a new container on a disk that is ${how}: words, and nothing left`,
    async () => {
      await using disk = await makeDisk();
      const { caller, list } = disk;
      if (how === "ro") disk.remount("ro");
      else disk.fill();
      const before = list();
      const { bundle, id, rootfs } = caller;
      for (const command of ["create", "run"]) {
        const words_ = [command, "--bundle", bundle, id];
        assertWords(await caller.callBare(words_), 1, words);
        assertEquals(list(), before);
      }
      const friendly = ["run", "--rootfs", rootfs, "--name", id, "--", "true"];
      assertWords(await caller.callBare(friendly), 125, words);
      assertEquals(list(), before);
      assertEquals(await caller.callBare(["list", "-q"]), QUIET);
    },
  );
}

testOn(NEEDS, "what runs on a disk that is full obeys", async () => {
  await using disk = await makeDisk();
  const { caller } = disk;
  const { id } = caller;
  const call = (...words: string[]) => caller.callBare(words);
  await create(caller);
  disk.fill();
  assertEquals(await call("start", id), QUIET);
  await caller.waitFor("running");
  assertEquals((await call("exec", id, "echo", "in")).stdout, "in\n");
  assertEquals((await call("list", "-q")).stdout, `${id}\n`);
  assertEquals((await call("ps", "--format", "json", id)).code, 0);
  assertEquals(await call("pause", id), QUIET);
  assertEquals(await call("resume", id), QUIET);
  const update = await call("update", "--pids-limit", "50", id);
  // The room of the fifo may be enough for it.
  if (update.code !== 0) assertWords(update, 1, FULL);
  assertEquals((await call("exec", id, "true")).code, 0);
  assertEquals(await call("kill", id, "KILL"), QUIET);
  await caller.waitFor("stopped");
  assertEquals(await call("delete", id), QUIET);
  assertEquals(disk.list(), []);
});

testOn(
  NEEDS,
  "what runs on a disk that is read-only obeys; its state goes later",
  async () => {
    await using disk = await makeDisk();
    const { caller } = disk;
    const { id } = caller;
    const call = (...words: string[]) => caller.callBare(words);
    await create(caller);
    disk.remount("ro");
    assertEquals((await caller.state())["status"], "created");
    assertEquals(await call("start", id), QUIET);
    await caller.waitFor("running");
    assertEquals((await call("exec", id, "echo", "in")).stdout, "in\n");
    assertEquals((await call("list", "-q")).stdout, `${id}\n`);
    assertWords(await call("update", "--pids-limit", "50", id), 1, READ_ONLY);
    assertWords(await call("delete", "--force", id), 1, READ_ONLY);
    assertEquals((await caller.state())["status"], "stopped");
    assertEquals(await caller.ask({ do: "descendants" }), { left: [] });
    disk.remount("rw");
    assertEquals(await call("delete", id), QUIET);
    assertEquals(disk.list(), []);
  },
);

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

testOn(
  NEEDS,
  "a run whose disk becomes read-only ends as its command does",
  async () => {
    await using disk = await makeDisk();
    const { id, root, rootfs } = disk.caller;
    const running = start([
      ...cliCommand(),
      "--root",
      root,
      ...["run", "-i", "--rootfs", rootfs, "--name", id, "--", "sh", "-c"],
      "echo ready; cat; exit 7",
    ], { stdin: "" });
    await running.waitFor("ready");
    disk.remount("ro");
    await running.closeStdin();
    const { code, stderr } = await running.done;
    assertEquals(code, 7, stderr);
    assertMatch(stderr, /^rustyrun: Cannot remove [^\n]+\n$/);
    disk.remount("rw");
    const next = await disk.caller.callBare(
      ["run", "--rootfs", rootfs, "--", "true"],
    );
    assertEquals(next, QUIET);
    assertEquals(disk.list(), [".cache"]);
  },
);

testOn(
  NEEDS,
  "a seccomp filter that was cut off in its cache is made anew",
  async () => {
    await using caller = makeCaller();
    const { root, rootfs } = caller;
    const words = ["run", "--rootfs", rootfs, "--", "true"];
    assertEquals(await caller.callBare(words), QUIET);
    const cache = `${root}/.cache/seccomp`;
    const [{ name } = { name: "" }] = [...Deno.readDirSync(cache)];
    const { size } = Deno.statSync(`${cache}/${name}`);
    for (const rest of [0, 8, size - 8]) {
      Deno.truncateSync(`${cache}/${name}`, rest);
      assertEquals(await caller.callBare(words), QUIET);
      assertEquals(Deno.statSync(`${cache}/${name}`).size, size);
    }
  },
);

testOn(
  NEEDS,
  "an id that begins with a dot is refused by every command",
  async () => {
    await using caller = makeCaller();
    const { bundle, rootfs } = caller;
    for (
      const [words, want] of [
        [["create", "--bundle", bundle, ".x"], 1],
        [["run", "--bundle", bundle, ".cache"], 1],
        [["run", "--rootfs", rootfs, "--name", ".x", "--", "true"], 125],
        [["state", ".x"], 1],
        [["start", ".x"], 1],
        [["kill", ".x"], 1],
        [["exec", ".x", "true"], 255],
        [["delete", ".x"], 1],
        [["delete", "--force", ".cache"], 1],
      ] as const
    ) {
      assertWords(
        await caller.callBare([...words]),
        want,
        "invalid container ID format",
      );
    }
    assert(!exists(`${caller.root}/.x`));
  },
);

testOn([...NEEDS, "user"], "another user's states: words", async () => {
  await using caller = makeCaller();
  Deno.mkdirSync(caller.root, { mode: 0o700 });
  Deno.chmodSync(caller.dir, 0o755);
  for (
    const words of [["list"], ["state", "x"], ["kill", "x"], [
      "delete",
      "--force",
      "x",
    ]]
  ) {
    const end = await runCli(["--root", caller.root, ...words], { user: true });
    assertWords(end, 1, "permission denied");
  }
});
