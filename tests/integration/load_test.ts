/**
 * The packed part of a bundle, which is kept beside what Deno compiles: where,
 * for whom, and what happens where it cannot be.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { runToEnd } from "../harness.ts";
import { asUser, type Need, testOn, USERS } from "../needs.ts";
import { findPlaces, otherUser, run } from "../program.ts";
import { copyBundle } from "./replay_room.ts";

/** A bundle alone, for root or an unprivileged user. */
interface Place extends Disposable {
  dir: string;
  denoDir: string;
  /** Where the text belongs, below `denoDir`. */
  kept: string;
  /** Runs it with nothing in the environment but these; DENO_DIR unless told. */
  run(env?: Record<string, string>, ...before: string[]): Promise<void>;
}

/** What every run of it must print. */
const ARGS = ["--version"];

let copy: string | undefined;

/** The bundle under test: made once. */
function findCopy(): string {
  if (copy === undefined) {
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-load-" });
    Deno.chmodSync(dir, 0o755);
    addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
    copy = `${dir}/rustyrun.js`;
    copyBundle(copy);
    Deno.chmodSync(copy, 0o644);
  }
  return copy;
}

function makePlace(user = false, program = Deno.execPath()): Place {
  const other = otherUser(user);
  const deno = other ? findPlaces(other).deno : program;
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-load-" });
  if (other) Deno.chownSync(dir, USERS[other], USERS[other]);
  const denoDir = `${dir}/deno`;
  return {
    dir,
    denoDir,
    kept: `${denoDir}/rustyrun`,
    async run(env = { DENO_DIR: denoDir }, ...before) {
      const line = ["env", "-i"];
      line.push(
        ...Object.entries(env).map(([key, value]) => `${key}=${value}`),
      );
      line.push(...before, deno, "run", "-q", "-A", findCopy(), ...ARGS);
      const { code, stdout, stderr } = await runToEnd(
        other ? asUser(line, other) : line,
      );
      assertEquals([code, stderr], [0, ""]);
      assertMatch(stdout, /^rustyrun version \d/);
    },
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}

/** The files of a directory: name, mode, owner, inode and time of change. */
function list(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map(({ name }) => {
      const { mode, uid, ino, mtime } = Deno.lstatSync(`${dir}/${name}`);
      return `${name} ${mode?.toString(8)} ${uid} ${ino} ${mtime?.getTime()}`;
    }).sort();
  } catch {
    return [];
  }
}

const PRIVATE = /^[0-9a-f]+\.js 100600 \d+ \d+ \d+$/;

for (
  const [name, user, needs] of [
    ["root", false, ["root"]],
    ["a user", true, ["user"]],
  ] as [string, boolean, Need[]][]
) {
  testOn(
    needs,
    `the packed part is kept privately for ${name}, and used again`,
    async () => {
      using place = makePlace(user);
      await place.run();
      const first = list(place.kept);
      assertEquals(first.length, 1);
      assertMatch(first[0]!, PRIVATE);
      assertEquals(Deno.statSync(place.kept).mode! & 0o777, 0o700);
      await place.run();
      assertEquals(list(place.kept), first);
    },
  );

  testOn(
    needs,
    `a DENO_DIR that is not there is made for ${name}`,
    async () => {
      using place = makePlace(user);
      await place.run({ DENO_DIR: `${place.dir}/a/b` });
      assertEquals(list(`${place.dir}/a/b/rustyrun`).length, 1);
    },
  );

  testOn(
    needs,
    `two at once keep the packed part whole for ${name}`,
    async () => {
      using place = makePlace(user);
      for (let round = 0; round < 3; round++) {
        await Promise.all([place.run(), place.run(), place.run()]);
        const files = list(place.kept);
        assertEquals(files.length, 1, files.join("\n"));
        Deno.removeSync(place.kept, { recursive: true });
      }
    },
  );
}

/** The one file that is kept. */
const fileOf = ({ kept }: Place) =>
  `${kept}/${[...Deno.readDirSync(kept)][0]!.name}`;

/** What must never run: another exit code, and no version. */
const EVIL = "export const main = () => 66;";

for (
  const [name, change] of [
    ["belongs to another user", (file) => Deno.chownSync(file, 61234, 0)],
    ["another group may write", (file) => {
      Deno.chownSync(file, 0, 61234);
      Deno.chmodSync(file, 0o620);
    }],
    ["everybody may write", (file) => Deno.chmodSync(file, 0o602)],
    ["is a link", (file) => {
      Deno.renameSync(file, `${file}.txt`);
      Deno.chownSync(`${file}.txt`, 61234, 0);
      Deno.symlinkSync(`${file}.txt`, file);
    }],
    ["lies in another's directory", (_, dir) => Deno.chownSync(dir, 61234, 0)],
    ["lies where everybody may write", (_, dir) => Deno.chmodSync(dir, 0o777)],
    ["lies where a group may write", (_, dir) => {
      Deno.chownSync(dir, 0, 61234);
      Deno.chmodSync(dir, 0o770);
    }],
    ["lies behind another's link", (_, dir) => {
      Deno.renameSync(dir, `${dir}.real`);
      Deno.symlinkSync(`${dir}.real`, dir);
      run("chown", "-h", "61234", dir);
    }],
  ] as [string, (file: string, dir: string) => void][]
) {
  testOn(["root"], `the packed part is not used where it ${name}`, async () => {
    using place = makePlace();
    await place.run();
    const file = fileOf(place);
    Deno.writeTextFileSync(file, EVIL);
    change(file, place.kept);
    await place.run();
    await place.run();
  });
}

testOn(["root"], "a DENO_DIR that is read-only serves", async () => {
  using place = makePlace();
  Deno.mkdirSync(place.denoDir);
  const script = 'mount -t tmpfs -o ro none "$0" && exec "$@"';
  const before = ["unshare", "-m", "sh", "-c", script, place.denoDir];
  await place.run(
    { DENO_DIR: place.denoDir, PATH: "/usr/bin:/bin" },
    ...before,
  );
  assertEquals(list(place.denoDir), []);
});

testOn(["user"], "a DENO_DIR that a user may not write serves", async () => {
  using place = makePlace(true);
  Deno.mkdirSync(place.denoDir);
  Deno.chmodSync(place.denoDir, 0o555);
  Deno.chmodSync(place.dir, 0o755);
  await place.run();
  assertEquals(list(place.kept), []);
});

/** A user that has an entry in /etc/passwd, and no home: without one, Deno does
 * not start. */
const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

testOn(
  ["root", "user"],
  "a user without HOME has it in XDG_RUNTIME_DIR, or nowhere",
  async () => {
    using place = makePlace(false, findPlaces("single").deno);
    Deno.chownSync(place.dir, 65534, 65534);
    await place.run({}, ...NOBODY);
    await place.run({ XDG_RUNTIME_DIR: place.dir }, ...NOBODY);
    const files = list(`${place.dir}/rustyrun/.cache/rustyrun`);
    assertEquals(files.length, 1);
    assertMatch(files[0]!, PRIVATE);
  },
);

testOn(["root"], "root without HOME has it beside the states", async () => {
  using place = makePlace();
  Deno.mkdirSync("/run/rustyrun", { recursive: true, mode: 0o700 });
  const states = `${place.dir}/run`;
  Deno.mkdirSync(states, { mode: 0o700 });
  const script = 'mount --bind "$0" /run/rustyrun && exec "$@"';
  const before = ["unshare", "-m", "sh", "-c", script, states];
  await place.run({ PATH: "/usr/bin:/bin" }, ...before);
  const first = list(`${states}/.cache/rustyrun`);
  assertEquals(first.length, 1);
  assertMatch(first[0]!, PRIVATE);
  await place.run({ PATH: "/usr/bin:/bin" }, ...before);
  assertEquals(list(`${states}/.cache/rustyrun`), first);
});

testOn(["root"], "old builds go when a new one comes", async () => {
  using place = makePlace();
  await place.run();
  const file = fileOf(place);
  const now = Date.now() / 1000, day = 24 * 3600;
  for (const [name, days] of [["old", 31], ["new", 29]] as const) {
    Deno.writeTextFileSync(`${place.kept}/${name}.js`, "");
    Deno.utimeSync(`${place.kept}/${name}.js`, now, now - days * day);
  }
  await place.run();
  assertEquals(list(place.kept).length, 3);
  Deno.removeSync(file);
  await place.run();
  const names = [...Deno.readDirSync(place.kept)].map((it) => it.name).sort();
  assertEquals(names, [file.slice(place.kept.length + 1), "new.js"].sort());
});
