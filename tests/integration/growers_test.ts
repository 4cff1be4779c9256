/**
 * How many cgroups there are is a container's choice, and while it lives it may
 * make them faster than any walk goes: no walk without a bound stands before its
 * end. These tests count the looks into cgroups before that.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Need, testOn } from "../needs.ts";
import { findWarden, waitFor } from "../wait.ts";
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
    /** Traces a process that runs, until it has ended. */
    async attach(pid: number): Promise<AsyncDisposable> {
      const tracer = new Deno.Command("strace", {
        args: ["-fqqo", trace, "-e", "trace=openat", "-p", `${pid}`],
      }).spawn();
      const status = () => Deno.readTextFileSync(`/proc/${pid}/status`);
      assertMatch(
        await waitFor(status, (it) => /^TracerPid:\t[1-9]/m.test(it)),
        /^TracerPid:\t[1-9]/m,
      );
      return {
        async [Symbol.asyncDispose]() {
          await tracer.status;
        },
      };
    },
    begin: () => wrap.push("strace", "-fqqo", trace, "-e", "trace=openat"),
    end() {
      wrap.length = 0;
      const lines = Deno.readTextFileSync(trace).split("\n");
      const at = lines.findIndex((it) =>
        /"\S*cgroup\.kill"(?!.* = -)/.test(it)
      );
      assert(at >= 0, "nobody has written cgroup.kill");
      const looks = lines.slice(0, at)
        .filter((it) => /cgroup\.(procs|threads)"/.test(it)).length;
      assert(looks < 2 * MOST, `${looks} looks before the kill`);
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
    await using _tracer = await traced.attach(pid);
    if (what === "warden") Deno.kill(keeper, "SIGKILL");
    await running.done;
    assertEquals(await waitFor(room.listIds, (it) => it.length === 0), []);
    traced.end();
  });
}
