/**
 * What a container may leave behind is removed however deep it is, by whoever
 * comes; and what cannot be removed is told, and stops no other container.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Running, SLOW, start } from "../harness.ts";
import { hasNeed, probe, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { makeCrashBox } from "./crash_box.ts";
import {
  findCgroups,
  killKeepers,
  listPids,
  makeRubbishRoom,
  nest,
  type RubbishRoom,
} from "./rubbish_room.ts";
import { deleteByForce, DEPTH, NEEDS, QUIET, sweep } from "./rubbish_calls.ts";

/** Longer than PATH_MAX, by names of this length. */
const LONG = "n".repeat(200);

const PAST_PATH_MAX = 40;

/** Who comes after a keeper and a warden that were killed. */
const LATER: [string, (room: RubbishRoom) => Promise<void>][] = [
  ["the run of another id", sweep],
  ["delete --force", deleteByForce],
];

for (const [who, come] of LATER) {
  testOn(NEEDS, `${who} removes an upper layer of any depth`, async () => {
    await using room = makeRubbishRoom();
    const running = await room.start("exec sleep 1000");
    nest(room.upper(), DEPTH, "d");
    await killKeepers(running);
    await come(room);
    assertEquals([room.listIds(), room.listUppers()], [[], []]);
    await running.done;
  });
}

testOn(
  NEEDS,
  "few descriptors are enough to remove what is deep",
  async () => {
    await using room = makeRubbishRoom({ wrap: ["prlimit", "--nofile=40:40"] });
    const running = await room.start("exec sleep 1000");
    nest(room.upper(), 3000, "d");
    for (const cgroup of findCgroups(room.id)) nest(cgroup, 200, LONG);
    await killKeepers(running);
    await sweep(room);
    await running.done;
  },
);

for (const [who, come] of LATER) {
  testOn(
    [...NEEDS, "subuid"],
    `${who} removes what is of a user's subordinate ids`,
    async () => {
      await using room = makeRubbishRoom({ user: "subuid" });
      const running = await room.start(
        "mkdir -p /tmp/a/b; chmod 700 /tmp/a; chown -R 1000:1000 /tmp/a;" +
          " echo done; exec sleep 1000",
      );
      await running.waitFor("done");
      const { uid } = Deno.statSync(`${room.upper()}/tmp/a`);
      assert(uid !== null && uid >= 100_000, `${uid}`);
      await killKeepers(running);
      await come(room);
      assertEquals([room.listIds(), room.listUppers()], [[], []]);
      await running.done;
    },
  );
}

/** Puts a process of the container far below each of its cgroups, by ways that
 * make it hard to kill there.
 *
 * @param files written in the innermost cgroup where it has them */
async function hide(
  room: Pick<RubbishRoom, "id">,
  files: Record<string, string>,
) {
  const cgroups = findCgroups(room.id);
  assert(cgroups.length > 0);
  const pids = await waitFor(
    () => listPids(cgroups[0]!),
    (them) => them.length > 1,
  );
  const pid = pids.at(-1)!;
  for (const cgroup of cgroups) {
    const has = (name: string) => {
      try {
        return Deno.lstatSync(`${cgroup}/${name}`).isFile;
      } catch {
        return false;
      }
    };
    // A new cpuset has no CPUs: nobody may join it.
    if (has("cpuset.cpus") && !has("cgroup.controllers")) {
      nest(cgroup, PAST_PATH_MAX, LONG);
      continue;
    }
    nest(
      cgroup,
      PAST_PATH_MAX,
      LONG,
      `cgroup.procs=${pid}`,
      ...Object.entries(files).filter(([name]) => has(name))
        .map(([name, text]) => `${name}=${text}`),
    );
  }
}

const HIDDEN: [string, Record<string, string>][] = [
  ["past PATH_MAX", {}],
  ["past PATH_MAX, and frozen there", {
    "freezer.state": "FROZEN",
    "cgroup.freeze": "1",
  }],
];

/** Two processes, of which one is moved. */
const TWO = "sleep 1001 & exec sleep 1000";

for (const [how, files] of HIDDEN) {
  for (const [who, come] of LATER) {
    testOn(NEEDS, `${who} removes cgroups ${how}`, async () => {
      await using room = makeRubbishRoom();
      const running = await room.start(TWO);
      await hide(room, files);
      await killKeepers(running);
      await come(room);
      assertEquals(findCgroups(room.id), []);
      await running.done;
    });
  }

  testOn(
    NEEDS,
    `delete --force and the container's own keeper remove cgroups ${how}`,
    async () => {
      await using room = makeRubbishRoom();
      const running = await room.start(TWO);
      await hide(room, files);
      await deleteByForce(room);
      const { code, stderr } = await running.done;
      assertEquals({ code, stderr }, { code: 137, stderr: "" });
    },
  );
}

testOn(
  NEEDS,
  "a run that finds who is frozen behind poststop hooks has them run once, and does not wait for them",
  async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-hooked-" });
    const hook =
      `until [ -e ${dir}/go ]; do sleep 0.1; done; echo >>${dir}/hooked`;
    try {
      await using box = makeCrashBox({
        process: { args: ["sh", "-c", `echo ready; ${TWO}`] },
        hooks: { poststop: [{ path: "/bin/sh", args: ["sh", "-c", hook] }] },
      });
      const running = start(box.argv("run", "--bundle", box.bundle, box.name));
      await running.waitFor("ready");
      await hide({ id: box.name }, HIDDEN[1]![1]);
      await killKeepers(running);
      const rootfs = `${box.dir}/rootfs`;
      for (let i = 0; i < 3; i++) {
        await box.callQuiet("run", "--rootfs", rootfs, "--", "true");
      }
      Deno.writeTextFileSync(`${dir}/go`, "");
      const left = await waitFor(
        () => [...Deno.readDirSync(box.root)].map((it) => it.name),
        (names) => !names.includes(box.name),
      );
      assert(!left.includes(box.name), `${left}`);
      assertEquals(
        [Deno.readTextFileSync(`${dir}/hooked`), findCgroups(box.name)],
        ["\n", []],
      );
      await running.done;
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

testOn(
  NEEDS,
  "delete --force of a container whose keeper is stopped removes all; the keeper finds nothing to do",
  async () => {
    await using room = makeRubbishRoom();
    const running = await room.start("exec sleep 1000");
    nest(room.upper(), 300, "d");
    running.kill("SIGSTOP");
    await deleteByForce(room);
    assertEquals([room.listIds(), room.listUppers()], [[], []]);
    running.kill("SIGCONT");
    const { code, stderr } = await running.done;
    assertEquals({ code, stderr }, { code: 137, stderr: "" });
  },
);

/** Makes a file that even root cannot remove, until it is undone.
 *
 * @returns whether this file system can do that */
function setImmutable(path: string, on: boolean): boolean {
  return probe("chattr", on ? "+i" : "-i", path).code === 0;
}

testOn(
  NEEDS,
  "what cannot be removed is told, and the next container runs",
  async () => {
    await using room = makeRubbishRoom();
    const running = await room.start("exec sleep 1000");
    const file = `${room.upper()}/kept`;
    Deno.writeTextFileSync(file, "");
    const [upper] = room.listUppers();
    const stuck = setImmutable(file, true);
    if (!stuck) {
      // A mount is as good where the file system has no such flag.
      assertEquals(probe("mount", "--bind", "/proc/self/status", file).code, 0);
    }
    const path = `${room.uppers}/${upper}`;
    try {
      await killKeepers(running);
      const next = await room.run("--", "echo", "next");
      assertEquals([next.code, next.stdout], [0, "next\n"]);
      assert(
        next.stderr.includes(`"${room.id}"`) &&
          next.stderr.includes(`Cannot remove "${path}"`),
        next.stderr,
      );
      const deleted = await room.call("delete", "--force", room.id);
      assertEquals(deleted.code, 1);
      assertMatch(deleted.stderr, /^rustyrun: Cannot remove "/);
      assert(deleted.stderr.includes(path), deleted.stderr);
      assertEquals(room.listIds(), [room.id]);
    } finally {
      if (stuck) {
        const [left] = findFiles(path, "kept");
        assert(left !== undefined);
        setImmutable(left, false);
      } else probe("umount", file);
    }
    await deleteByForce(room);
    await running.done;
  },
);

/** The files of that name below a directory: what is removed half way may have
 * moved. */
function findFiles(dir: string, name: string): string[] {
  return new TextDecoder().decode(
    new Deno.Command("find", { args: [dir, "-name", name] }).outputSync()
      .stdout,
  ).trim().split("\n").filter((it) => it !== "");
}

testOn(
  NEEDS,
  "rubbish of every kind stops no other container",
  async () => {
    await using room = makeRubbishRoom();
    // Not what rustyrun writes; a state of another version, or half of one.
    const states: Record<string, string> = {
      null: "null",
      empty: "{}",
      odd: '{"foreground":true,"cgroup":[]}',
    };
    for (const [id, text] of Object.entries(states)) {
      Deno.mkdirSync(`${room.root}/${id}`, { mode: 0o700 });
      Deno.writeTextFileSync(`${room.root}/${id}/state.json`, text);
    }
    Deno.mkdirSync(`${room.root}/dir/state.json`, { recursive: true });
    // A sweep takes 300 ms at most: on a slow machine the next one goes on.
    for (let runs = 0; runs === 0 || runs < SLOW && room.listIds()[1]; runs++) {
      const next = await room.run("--", "echo", "next");
      assertEquals([next.code, next.stdout], [0, "next\n"], next.stderr);
    }
    // What is no state is rubbish; what others may read is none of rustyrun's.
    assertEquals(room.listIds(), ["dir"]);
    Deno.removeSync(`${room.root}/dir`, { recursive: true });
  },
);

testOn(
  NEEDS,
  "delete removes the upper layer of run --detach; one that fails leaves none",
  async () => {
    await using room = makeRubbishRoom();
    const flags = ["--name", room.id, "--detach", `--ephemeral=${room.uppers}`];
    const line = ["sh", "-c", "exec sleep 1000 >/dev/null 2>&1"];
    Deno.writeTextFileSync(`${room.dir}/rootfs/etc/odd`, "\x7fELF", {
      mode: 0o755,
    });
    const started = await room.run(...flags, "--", ...line);
    assertEquals(started, { ...QUIET, stdout: `${room.id}\n` });
    nest(room.upper(), 3000, "d");
    await deleteByForce(room);
    assertEquals([room.listIds(), room.listUppers()], [[], []]);

    // Its state tells how it ended; its files are of no use to anybody.
    const failed = await room.run(...flags, "--", "/etc/odd");
    assertEquals(failed.code, 126, failed.stderr);
    assertMatch(failed.stderr, /^rustyrun: Cannot /);
    assertEquals(room.listUppers(), []);
    await deleteByForce(room);
  },
);

testOn(
  NEEDS,
  "run --detach of a bundle whose command cannot be started leaves nothing",
  async () => {
    await using box = makeCrashBox({ process: { args: ["/bin/odd"] } });
    Deno.writeTextFileSync(`${box.dir}/rootfs/bin/odd`, "\x7fELF", {
      mode: 0o755,
    });
    const { code, stderr } = await box.call(
      "run",
      "--detach",
      "--bundle",
      box.bundle,
      box.name,
    );
    assert(code !== 0);
    assertMatch(stderr, /^rustyrun: Cannot /);
    assertEquals(await box.findRest(), []);
  },
);

/** A process with a thread in a threaded cgroup; v2 has those. */
testOn(
  NEEDS,
  "threads in a cgroup of their own end with their container",
  async () => {
    await using room = makeRubbishRoom();
    const running = await room.start(TWO);
    const unified = findCgroups(room.id).find((it) => {
      try {
        return Deno.statSync(`${it}/cgroup.type`).isFile;
      } catch {
        return false;
      }
    });
    assert(unified !== undefined || !hasNeed("cgroup-v2"));
    if (unified !== undefined) {
      const pid = listPids(unified).at(-1)!;
      Deno.mkdirSync(`${unified}/domain/threads`, { recursive: true });
      Deno.writeTextFileSync(`${unified}/domain/cgroup.procs`, `${pid}`);
      Deno.writeTextFileSync(
        `${unified}/domain/threads/cgroup.type`,
        "threaded",
      );
      Deno.writeTextFileSync(
        `${unified}/domain/threads/cgroup.threads`,
        `${pid}`,
      );
    }
    await killKeepers(running);
    await sweep(room);
    await running.done;
  },
);

/** Forks without end, as far as its limit lets it. */
const BOMB =
  ": > /tmp/go; b() { b & b & wait; }; b 2>/dev/null; exec sleep 1000";

async function startBomb(room: RubbishRoom): Promise<Running> {
  const running = await room.start(BOMB, "--pids-limit", "60");
  await waitFor(
    () => listPids(findCgroups(room.id)[0]!),
    (them) => them.length > 20,
  );
  return running;
}

for (const [who, come] of LATER) {
  testOn(NEEDS, `${who} ends processes that fork all the time`, async () => {
    await using room = makeRubbishRoom();
    const running = await startBomb(room);
    await killKeepers(running);
    await come(room);
    assertEquals(findCgroups(room.id), []);
    await running.done;
  });
}
