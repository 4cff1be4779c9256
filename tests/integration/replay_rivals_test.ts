/**
 * Replayed starts that meet somebody: another start of the same container, many
 * at once, a cgroup that is there, another user.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { type Image, testInRoom } from "./replay_room.ts";

const isTaken = ({ id }: Image) =>
  `rustyrun: Cannot create "${id}": container with given ID already exists\n` +
  `  hint: Choose another id, or remove it first: rustyrun delete ${id}\n`;

testInRoom("run says that the id is taken, as before", async (room, image) => {
  image.script("[ ! -e /stay ] || { echo ready; exec sleep 1000; }");
  await room.keep(image.words());
  Deno.writeTextFileSync(`${image.rootfs}/stay`, "");
  const first = room.start(image.words());
  await first.waitFor("ready");
  const { code, stdout, stderr } = await room.run(image.words());
  assertEquals([code, stdout, stderr], [1, "", isTaken(image)]);
  first.kill("SIGKILL");
  await first.done;
});

testInRoom("of replayed starts of one id one wins", async (room, image) => {
  // It stays until the others have ended, however late they come.
  image.script("[ ! -e /stay ] || while [ ! -e /go ]; do sleep 0.05; done");
  await room.keep(image.words());
  Deno.writeTextFileSync(`${image.rootfs}/stay`, "");
  for (let round = 0; round < 3; round++) {
    let ended = 0;
    const ends = await Promise.all(
      [1, 2, 3].map(async () => {
        const end = await room.start(image.words()).done;
        if (++ended === 2) Deno.writeTextFileSync(`${image.rootfs}/go`, "");
        return end;
      }),
    );
    Deno.removeSync(`${image.rootfs}/go`);
    const shown = ends.map(({ code, stderr }) => [code, stderr]).sort();
    const taken = [1, isTaken(image)];
    assertEquals(shown, [[0, ""], taken, taken]);
  }
});

testInRoom("run is replayed ten times at once", async (room, image) => {
  image.script("hostname; echo $1; cat /proc/self/cgroup >/dev/null");
  const words = ["run", "--rootfs", image.rootfs, "--memory", "64m"];
  words.push("--", "sh", "/script", "word");
  const { stdout } = await room.keep(words);
  // One that sees another's directory before its lock lets the ordinary way
  // look into it.
  let ordinary = 10;
  for (let round = 0; round < 20 && ordinary === 10; round++) {
    const before = room.count();
    const ends = await Promise.all(
      Array.from({ length: 10 }, () => room.start(words).done),
    );
    for (const end of ends) {
      assertEquals([end.code, end.stdout, end.stderr], [0, stdout, ""]);
    }
    ordinary = room.count() - before;
  }
  assert(ordinary < 10);
});

/** Directories of a cgroup that the image names. */
function makeCgroups(id: string): string[] {
  return [...Deno.readDirSync("/sys/fs/cgroup")]
    .filter((it) => it.isDirectory)
    .map((it) => `/sys/fs/cgroup/${it.name}/${id}`)
    .filter((it) => {
      try {
        Deno.mkdirSync(it);
        return true;
      } catch {
        return false;
      }
    });
}

testInRoom(
  "run takes an empty cgroup, and leaves one with a stranger in it",
  async (room, image) => {
    image.script("echo fine");
    await room.keep(image.words());
    assertEquals((await room.run(image.words())).ordinary, 0);
    const dirs = makeCgroups(image.id);
    assert(dirs.length > 0);
    const sleep = new Deno.Command("sleep", { args: ["1000"] }).spawn();
    try {
      const fine = await room.run(image.words());
      assertEquals([fine.code, fine.stdout, fine.stderr], [0, "fine\n", ""]);
      makeCgroups(image.id);
      for (const dir of dirs.filter((it) => it.includes("/pids/"))) {
        Deno.writeTextFileSync(`${dir}/cgroup.procs`, String(sleep.pid));
      }
      const busy = await room.run(image.words());
      const plain = await room.run(["--root", room.other, ...image.words()]);
      assertEquals([busy.code, busy.stdout, busy.stderr], [
        plain.code,
        plain.stdout,
        plain.stderr,
      ]);
      assertEquals([busy.code, busy.stdout], [1, ""]);
      // It lives.
      Deno.statSync(`/proc/${sleep.pid}/exe`);
    } finally {
      sleep.kill("SIGKILL");
      await sleep.status;
      for (const dir of dirs) {
        try {
          Deno.removeSync(dir);
        } catch {
          // The container's end has removed it.
        }
      }
    }
  },
  ["cgroup-v1"],
);

for (
  const [name, mode, owner] of [
    ["others may write", 0o777, 0],
    ["another user has", 0o700, 61234],
  ] as const
) {
  testInRoom(`run refuses /run/rustyrun that ${name}`, async (room, image) => {
    image.script("echo fine");
    await room.keep(image.words());
    Deno.chmodSync(room.states, mode);
    Deno.chownSync(room.states, owner, 0);
    try {
      const end = await room.run(image.words());
      const words = ["--root=/run/rustyrun", ...image.words()];
      const plain = await room.run(words);
      assertEquals(end, plain);
      assertEquals([end.code, end.stdout, end.ordinary], [1, "", 1]);
      assert(end.stderr.includes('"/run/rustyrun"'), end.stderr);
    } finally {
      Deno.chownSync(room.states, 0, 0);
      Deno.chmodSync(room.states, 0o700);
    }
    const end = await room.run(image.words());
    assertEquals([end.stdout, end.ordinary], ["fine\n", 0]);
  });
}
