/**
 * Commands against each other: of one id at the same moment, and a hundred ids
 * at once. Nothing leaks, and nobody is told a wrong status.
 *
 * RUSTYRUN_CYCLES=N also runs N containers through their life one after the
 * other and counts what the machine holds before and after.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type CliResult, SLOW } from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { type CrashBox, makeCrashBox } from "./crash_box.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];
const ROUNDS = Number(Deno.env.get("RUSTYRUN_ROUNDS") ?? 2);
const CYCLES = Number(Deno.env.get("RUSTYRUN_CYCLES") ?? 0);

function create(box: CrashBox, id: string): string[] {
  return ["create", "--bundle", box.bundle, id];
}

/** The first line of stderr, without what program says it. */
function firstLine({ stderr }: CliResult): string {
  return (stderr.split("\n")[0] ?? "").replace("rustyrun: ", "");
}

/** Starts the commands at the same moment; each a little after the one before,
 * by `round`, so that several rounds meet at several points. */
function startRace(
  box: CrashBox,
  round: number,
  ...commands: string[][]
): Promise<CliResult>[] {
  return commands.map(async (words, i) => {
    await new Promise((resolve) => setTimeout(resolve, i * round * 12));
    return await box.call(...words);
  });
}

/** Runs them to their ends. */
function race(
  box: CrashBox,
  round: number,
  ...commands: string[][]
): Promise<CliResult[]> {
  return Promise.all(startRace(box, round, ...commands));
}

function eachRound(
  name: string,
  fn: (box: CrashBox, id: string, round: number) => Promise<void>,
): void {
  testOn(NEEDS, name, async () => {
    await using box = makeCrashBox();
    for (let round = 0; round < ROUNDS; round++) {
      try {
        await fn(box, box.name, round);
      } finally {
        await box.call("delete", "--force", box.name);
      }
      assertEquals(await box.findRest(), [], `round ${round}`);
    }
  });
}

/** A start of the container works and it runs: nothing of it is harmed. */
async function assertWhole(box: CrashBox, id: string): Promise<void> {
  assertEquals(await box.status(id), "created");
  await box.callQuiet("start", id);
  await box.callQuiet("exec", id, "true");
  assertEquals(await box.status(id), "running");
}

eachRound(
  "create() of one id twice at once has one winner, unharmed",
  async (box, id, round) => {
    const results = await race(box, round, create(box, id), create(box, id));
    const losers = results.filter((it) => it.code !== 0);
    assertEquals(losers.map(firstLine), [
      `Cannot create "${id}": container with given ID already exists`,
    ]);
    await assertWhole(box, id);
  },
);

eachRound(
  "create() against delete --force leaves a whole container or none",
  async (box, id, round) => {
    const [made, deleted] = await race(
      box,
      round * 2,
      create(box, id),
      ["delete", "--force", id],
    );
    assertEquals([deleted!.code, deleted!.stderr], [0, ""]);
    const status = await box.status(id);
    if (status === "none") return;
    assertEquals([made!.code, made!.stderr], [0, ""]);
    await assertWhole(box, id);
  },
);

eachRound(
  "create() again against delete --force of the one before has a whole container or says that the id is taken",
  async (box, id, round) => {
    await box.callQuiet(...create(box, id));
    const [deleted, made] = await race(
      box,
      round * 2,
      ["delete", "--force", id],
      create(box, id),
    );
    assertEquals([deleted!.code, deleted!.stderr], [0, ""]);
    if (made!.code === 0) return await assertWhole(box, id);
    assertEquals(
      firstLine(made!),
      `Cannot create "${id}": container with given ID already exists`,
    );
    assertEquals(await box.status(id), "none");
  },
);

eachRound(
  "exec() against delete --force runs, or says that the container is gone",
  async (box, id, round) => {
    await box.callQuiet(...create(box, id));
    await box.callQuiet("start", id);
    const [ran, deleted] = await race(
      box,
      round,
      ["exec", id, "sleep", "1000"],
      ["delete", "--force", id],
    );
    assertEquals([deleted!.code, deleted!.stderr], [0, ""]);
    // Killed with the container, or never begun.
    if (ran!.code !== 137) assertMatch(ran!.stderr, /^rustyrun: Cannot /);
    assert(ran!.code !== 0);
    assert(!/Uncaught|at file:/.test(ran!.stderr), ran!.stderr);
    assertEquals(await box.status(id), "none");
  },
);

eachRound(
  "start() against kill ends as stopped, whoever is first",
  async (box, id, round) => {
    await box.callQuiet(...create(box, id));
    const [started, killed] = await race(
      box,
      round,
      ["start", id],
      ["kill", id, "KILL"],
    );
    assertEquals([killed!.code, killed!.stderr], [0, ""]);
    if (started!.code !== 0) {
      assertMatch(
        firstLine(started!),
        /^Cannot start ".*": (cannot start a container that has stopped|its first process died before the command ran)$/,
      );
    }
    await waitForStatus(box, id, "stopped");
    await box.callQuiet("delete", id);
  },
);

eachRound(
  "start() twice at once starts it once",
  async (box, id, round) => {
    await box.callQuiet(...create(box, id));
    const results = await race(box, round, ["start", id], ["start", id]);
    const losers = results.filter((it) => it.code !== 0);
    assertEquals(losers.map(firstLine), [
      `Cannot start "${id}": cannot start an already running container`,
    ]);
    assertEquals(await box.status(id), "running");
  },
);

eachRound(
  "exec() while the first process dies ends, and says why",
  async (box, id, round) => {
    await box.callQuiet(...create(box, id));
    await box.callQuiet("start", id);
    const [killed, ran] = await race(
      box,
      round,
      ["kill", id, "KILL"],
      ["exec", id, "sleep", "1000"],
    );
    assertEquals([killed!.code, killed!.stderr], [0, ""]);
    assert(ran!.code !== 0);
    if (ran!.code !== 137) assertMatch(ran!.stderr, /^rustyrun: Cannot /);
    assert(!/Uncaught|at file:/.test(ran!.stderr), ran!.stderr);
    await waitForStatus(box, id, "stopped");
  },
);

eachRound(
  "kill(), pause() and delete --force at once leave nothing",
  async (box, id, round) => {
    await box.callQuiet(...create(box, id));
    await box.callQuiet("start", id);
    const [killed, paused, deleted] = await race(
      box,
      round,
      ["kill", id, "TERM"],
      ["pause", id],
      ["delete", "--force", id],
    );
    assertEquals([deleted!.code, deleted!.stderr], [0, ""]);
    for (const it of [killed!, paused!]) {
      if (it.code !== 0) assertMatch(it.stderr, /^rustyrun: Cannot /);
      assert(!/Uncaught|at file:/.test(it.stderr), it.stderr);
    }
    assertEquals(await box.status(id), "none");
  },
);

testOn(
  NEEDS,
  "delete --force ends an exec that waits in a paused container, and does not wait for it",
  async () => {
    await using box = makeCrashBox();
    const id = box.name;
    const times: number[] = [];
    // It gives up after 10 s. A machine that stands still may take as long, but
    // not again and again.
    while (times.length < 4 && !times.some((took) => took < 5000 * SLOW)) {
      await box.callQuiet(...create(box, id));
      await box.callQuiet("start", id);
      await box.callQuiet("pause", id);
      const exec = box.call("exec", "--ignore-paused", id, "true");
      await new Promise((resolve) => setTimeout(resolve, 300 * SLOW));
      assertEquals(await box.status(id), "paused");
      const from = performance.now();
      await box.callQuiet("delete", "--force", id);
      times.push(performance.now() - from);
      const { code, stderr } = await exec;
      assert(code !== 0);
      assert(!/Uncaught|at file:/.test(stderr), stderr);
    }
    assert(times.some((took) => took < 5000 * SLOW), `${times} ms`);
  },
);

eachRound(
  "run() of one name twice at once has one winner",
  async (box, id, round) => {
    const bundle = `${box.dir}/run-${round}`;
    Deno.mkdirSync(bundle);
    const spec = JSON.parse(
      Deno.readTextFileSync(`${box.bundle}/config.json`),
    );
    // Until the other one has lost.
    const go = `${box.dir}/rootfs/go`;
    spec.process.args = ["sh", "-c", "until [ -e /go ]; do sleep 0.05; done"];
    Deno.writeTextFileSync(`${bundle}/config.json`, JSON.stringify(spec));
    const words = ["run", "--bundle", bundle, id];
    const ends = startRace(box, round, words, words);
    const first = await Promise.race(ends);
    Deno.writeTextFileSync(go, "");
    const results = await Promise.all(ends);
    Deno.removeSync(go);
    assert(first.code !== 0, "who ran ended before the other one had lost");
    const losers = results.filter((it) => it.code !== 0);
    assertEquals(losers.map(firstLine), [
      `Cannot create "${id}": container with given ID already exists`,
    ]);
    assertEquals(await box.status(id), "none");
  },
);

async function waitForStatus(
  box: CrashBox,
  id: string,
  wanted: string,
): Promise<void> {
  const until = performance.now() + 60_000 * SLOW;
  let status: string;
  do status = await box.status(id); while (
    status !== wanted && performance.now() < until
  );
  assertEquals(status, wanted);
}

/** Takes a container through its life; each step must say nothing, and each
 * status be right. */
async function live(box: CrashBox, id: string): Promise<void> {
  const bundle = box.addBundle(id);
  await box.callQuiet("create", "--bundle", bundle, id);
  await box.callQuiet("start", id);
  assertEquals(await box.status(id), "running");
  await box.callQuiet("kill", id, "KILL");
  await waitForStatus(box, id, "stopped");
  await box.callQuiet("delete", id);
}

testOn(
  NEEDS,
  `${50 * ROUNDS} containers at once, 8 at a time, leave nothing`,
  async () => {
    await using box = makeCrashBox();
    let next = 0;
    const work = async () => {
      while (next < 50 * ROUNDS) await live(box, `${box.name}-${next++}`);
    };
    await Promise.all(Array.from({ length: 8 }, work));
    assertEquals(await box.findRest(), []);
  },
);

/** How much of everything the machine has that a container may leave. */
function countHeld(): Record<string, number> {
  const count = (file: string) =>
    Deno.readTextFileSync(file).trim().split("\n").length;
  let cgroups = 0;
  const walk = (dir: string) => {
    for (const it of Deno.readDirSync(dir)) {
      if (!it.isDirectory) continue;
      cgroups++;
      walk(`${dir}/${it.name}`);
    }
  };
  walk("/sys/fs/cgroup");
  return {
    mounts: count("/proc/self/mountinfo"),
    cgroups,
    descriptors: Number(
      Deno.readTextFileSync("/proc/sys/fs/file-nr").split("\t")[0],
    ),
    keys: count("/proc/keys"),
    run: [...Deno.readDirSync("/run")].length,
  };
}

if (CYCLES > 0) {
  testOn(
    NEEDS,
    `${CYCLES} containers one after the other leave nothing`,
    async () => {
      await using box = makeCrashBox();
      const id = box.name;
      const cycle = async () => {
        await box.callQuiet(...create(box, id));
        await box.callQuiet("start", id);
        await box.callQuiet("kill", id, "KILL");
        await waitForStatus(box, id, "stopped");
        await box.callQuiet("delete", id);
      };
      await cycle();
      const before = countHeld();
      for (let i = 0; i < CYCLES; i++) await cycle();
      assertEquals(await box.findRest(), []);
      console.log(`    before ${JSON.stringify(before)}`);
      console.log(`    after  ${JSON.stringify(countHeld())}`);
    },
  );
}
