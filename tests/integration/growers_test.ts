/**
 * How many cgroups there are is a container's choice, and while it lives it may
 * make them faster than any walk goes: no walk without a bound stands before its
 * end. These tests count the looks into cgroups before that.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { makeRootfs, ROOT as TOP, start } from "../harness.ts";
import { isFile, type Need, testOn } from "../needs.ts";
import { findWarden, waitFor } from "../wait.ts";
import { type CrashBox, makeCrashBox } from "./crash_box.ts";
import { NEEDS as ROOT } from "./rubbish_calls.ts";
import { findCgroups } from "./rubbish_room.ts";
import { makeUserRoom, NEEDS, type UserRoom } from "./user_room.ts";

const TRACED: Need[] = [...NEEDS, "strace", "cold"];

/** So many steps a walk may have: calm.ts, kill.ts, c/cgroup.c. */
const MOST = 512;

/** What a container gives to an id that is not its user's. */
const HIDES = {
  "its cgroup.kill": `for f in kill freeze procs threads; do
    chown 1:1 $c/cgroup.$f; chmod 0 $c/cgroup.$f
  done`,
  "its cgroup": "chown 1:1 $c; chmod 0 $c",
};

/** Traces a process that runs, until it has ended. */
async function attach(trace: string, pid: number): Promise<AsyncDisposable> {
  const tracer = new Deno.Command("strace", {
    args: ["-fqqo", trace, "-e", "trace=openat", "-p", `${pid}`],
  }).spawn();
  const status = () => Deno.readTextFileSync(`/proc/${pid}/status`);
  const traced = /^TracerPid:\t[1-9]/m;
  assertMatch(await waitFor(status, (it) => traced.test(it)), traced);
  return {
    async [Symbol.asyncDispose]() {
      await tracer.status;
    },
  };
}

/** Checks how many looks into cgroups a trace has before the end of a container. */
function check(trace: string, look: RegExp, end: RegExp): void {
  const lines = Deno.readTextFileSync(trace).split("\n");
  const at = lines.findIndex((it) => end.test(it));
  assert(at >= 0, "nothing has ended it");
  const looks = lines.slice(0, at).filter((it) => look.test(it)).length;
  assert(looks < 2 * MOST, `${looks} looks before its end`);
}

/** A room, and where its calls are traced once they are to be. */
function makeTraced(hides: keyof typeof HIDES = "its cgroup.kill") {
  const wrap: string[] = [];
  const room = makeUserRoom({ wrap });
  room.write(
    `for i in $(seq ${2 * MOST}); do mkdir $c/$i; done
    sleep 1000 & ${HIDES[hides]}
    echo ready; exec sleep 1000`,
  );
  const trace = `${room.dir}/trace`;
  return {
    room,
    trace,
    begin: () => wrap.push("strace", "-fqqo", trace, "-e", "trace=openat"),
    end() {
      wrap.length = 0;
      check(trace, /cgroup\.(procs|threads)"/, /"\S*cgroup\.kill"(?!.* = -)/);
    },
  };
}

async function hasStopped({ call, id }: UserRoom): Promise<void> {
  const read = async () => JSON.parse((await call("state", id)).stdout).status;
  assertEquals(await waitFor(read, (it) => it === "stopped"), "stopped");
}

const CASES: [string[], keyof typeof HIDES][] = [
  [["kill"], "its cgroup.kill"],
  [["kill", "--all"], "its cgroup.kill"],
  [["delete", "--force"], "its cgroup.kill"],
  [["kill"], "its cgroup"],
  [["delete", "--force"], "its cgroup"],
];

for (const [words, hides] of CASES) {
  testOn(
    TRACED,
    `${
      words.join(" ")
    } ends a user's container that hides ${hides} before it walks`,
    async () => {
      const traced = makeTraced(hides);
      await using room = traced.room;
      await room.startUp();
      traced.begin();
      const signal = words[0] === "kill" ? ["KILL"] : [];
      await room.callQuiet(...words, room.id, ...signal);
      traced.end();
      if (words[0] !== "kill") return;
      await hasStopped(room);
      await room.callQuiet("delete", room.id);
    },
  );
}

for (const what of ["keeper", "warden"]) {
  testOn(TRACED, `the ${what} of one kills before it walks, too`, async () => {
    const traced = makeTraced();
    await using room = traced.room;
    const limit = what === "keeper" ? ["--timeout=20s"] : [];
    const bundle = `${room.dir}/bundle`;
    const running = room.start("run", ...limit, "--bundle", bundle, room.id);
    await running.waitFor("ready");
    const keeper = running.pid;
    const warden = (await waitFor(() => findWarden(keeper)))!;
    const pid = what === "keeper" ? keeper : warden;
    await using _tracer = await attach(traced.trace, pid);
    if (what === "warden") Deno.kill(keeper, "SIGKILL");
    await running.done;
    assertEquals(await waitFor(room.listIds, (it) => it.length === 0), []);
    traced.end();
  });
}

const FROZEN: Need[] = [...ROOT, "strace", "cold", "cgroup-v1"];

/** Makes many cgroups in a container's freezer, and freezes its first process in
 * one of them, as it could itself. */
async function freezeFirst({ call, name }: CrashBox): Promise<void> {
  const read = async () => JSON.parse((await call("state", name)).stdout);
  const { pid } = await waitFor(read, (it) => it.status === "running");
  const top = findCgroups(name).find((it) => isFile(`${it}/freezer.state`));
  for (let i = 0; i < 2 * MOST; i++) Deno.mkdirSync(`${top}/${i}`);
  Deno.mkdirSync(`${top}/last`);
  Deno.writeTextFileSync(`${top}/last/cgroup.procs`, `${pid}`);
  Deno.writeTextFileSync(`${top}/last/freezer.state`, "FROZEN");
  const state = () => Deno.readTextFileSync(`${top}/last/freezer.state`);
  assertEquals(await waitFor(state, (it) => it === "FROZEN\n"), "FROZEN\n");
}

/** It dies at the top. */
const checkFreed = (trace: string) =>
  check(trace, /freezer\.state"/, /cgroup\.procs", O_WRONLY/);

testOn(
  FROZEN,
  "kill frees a first process that is frozen before it walks",
  async () => {
    await using box = makeCrashBox();
    await box.callQuiet("create", "--bundle", box.bundle, box.name);
    await box.callQuiet("start", box.name);
    await freezeFirst(box);
    const trace = `${box.dir}/trace`;
    const strace = ["strace", "-fqqo", trace, "-e", "trace=openat"];
    const line = [...strace, ...box.argv("kill", box.name, "KILL")];
    assertEquals((await box.runApart(line)).code, 0);
    checkFreed(trace);
    assertEquals(
      await waitFor(() => box.status(box.name), (it) => it === "stopped"),
      "stopped",
    );
    await box.callQuiet("delete", box.name);
  },
);

for (const what of ["keeper", "warden"]) {
  testOn(FROZEN, `the ${what} frees one before it walks, too`, async () => {
    await using box = makeCrashBox();
    const limit = what === "keeper" ? ["--timeout=15s"] : [];
    const words = ["run", ...limit, "--bundle", box.bundle, box.name];
    const running = start(box.argv(...words));
    await freezeFirst(box);
    const warden = (await waitFor(() => findWarden(running.pid)))!;
    const trace = `${box.dir}/trace`;
    const traced = what === "keeper" ? running.pid : warden;
    {
      await using _tracer = await attach(trace, traced);
      if (what === "warden") running.kill("SIGKILL");
      await running.done;
    }
    checkFreed(trace);
    assertEquals(await box.status(box.name), "none");
  });
}

/** Closes a sandbox once it is told to. */
const PROGRAM = `import { Sandbox } from "${TOP}/mod/mod.ts";
const [name, rootfs] = Deno.args;
const box = await Sandbox.create({ rootfs, name });
const run = box.spawn(["sleep", "1000"]);
await box.output(["true"]);
console.log("up");
await Deno.stdin.read(new Uint8Array(1));
await box.close();
await run;`;

testOn(
  FROZEN,
  "the library's engine does not walk for a sandbox that is closed",
  async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-close-" });
    const name = `rrclose-${Deno.pid}`;
    try {
      const [rootfs, program, trace] = ["rootfs", "program.ts", "trace"]
        .map((it) => `${dir}/${it}`) as [string, string, string];
      Deno.renameSync(makeRootfs(), rootfs);
      Deno.writeTextFileSync(program, PROGRAM);
      const line = ["run", "-A", "--no-check", program, name, rootfs];
      const running = start([Deno.execPath(), ...line], { stdin: "" });
      await running.waitFor("up");
      const top = findCgroups(name).find((it) => isFile(`${it}/freezer.state`));
      for (let i = 0; i < 2 * MOST; i++) Deno.mkdirSync(`${top}/${i}`);
      {
        await using _tracer = await attach(trace, running.pid);
        await running.write("\n");
        assertEquals((await running.done).stderr, "");
      }
      const looks = Deno.readTextFileSync(trace).split("\n")
        .filter((it) => /freezer\.state"/.test(it)).length;
      assertEquals(looks, 0);
      assertEquals(findCgroups(name), []);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);
