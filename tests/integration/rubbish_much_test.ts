/**
 * Much that a container has left is removed behind the next run.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { readProcessState, waitFor } from "../wait.ts";
import {
  killKeepers,
  makeRubbishRoom,
  nest,
  type RubbishRoom,
} from "./rubbish_room.ts";
import {
  deleteByForce,
  DEPTH,
  isEmpty,
  NEEDS,
  QUIET,
  sweep,
} from "./rubbish_calls.ts";

/** The processes that remove what nobody waits for of this room's: they hold
 * the lock of a state in it. */
function findRemovers(room: RubbishRoom): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const comm = Deno.readTextFileSync(`/proc/${name}/comm`);
      if (comm !== "rustyrun-remove\n") continue;
      const held = [...Deno.readDirSync(`/proc/${name}/fd`)].some((it) =>
        Deno.readLinkSync(`/proc/${name}/fd/${it.name}`).startsWith(
          `${room.root}/`,
        )
      );
      if (held) found.push(Number(name));
    } catch {
      // It has just ended.
    }
  }
  return found;
}

/** Runs another container, and stops who removes what it did not wait for. */
async function runAndStop(room: RubbishRoom): Promise<number> {
  const [next, pid] = await Promise.all([
    room.run("--name", `${room.id}-next`, "--", "echo", "next"),
    waitFor(() => {
      const [pid] = findRemovers(room);
      if (pid === undefined) return undefined;
      Deno.kill(pid, "SIGSTOP");
      return readProcessState(pid) === "T" ? pid : undefined;
    }),
  ]);
  assertEquals(next, { ...QUIET, stdout: "next\n" });
  assert(pid !== undefined);
  assertEquals([room.listIds(), room.listUppers().length], [[room.id], 1]);
  return pid;
}

/** Directories and files that take more steps than anybody waits for. */
const MUCH =
  "mkdir /tmp/much; chmod 700 /tmp/much; i=0; while [ $i -lt 16000 ]; do" +
  " : > /tmp/much/$i; i=$((i + 1)); done;";

testOn(
  NEEDS,
  "a run waits for some steps of what another left; one process alone does the rest",
  async () => {
    await using room = makeRubbishRoom();
    const running = await room.start("exec sleep 1000");
    nest(room.upper(), DEPTH, "d");
    await killKeepers(running);
    const pid = await runAndStop(room);
    const again = await room.run("--name", `${room.id}-2`, "--", "echo", "2");
    assertEquals(again, { ...QUIET, stdout: "2\n" });
    assertEquals([findRemovers(room), room.listIds()], [[pid], [room.id]]);
    // It has nothing of the caller's: a pipe to who has waited, and directories.
    const held = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) =>
      Deno.readLinkSync(`/proc/${pid}/fd/${name}`)
    );
    const rest = held.filter((it) =>
      ![room.root, room.uppers, "/sys/fs/cgroup"].some((dir) =>
        `${it}/`.startsWith(`${dir}/`)
      )
    );
    assertMatch(rest.join(), /^pipe:\[\d+\]$/);
    const deleting = deleteByForce(room);
    Deno.kill(pid, "SIGCONT");
    await deleting;
    assertEquals([room.listIds(), room.listUppers()], [[], []]);
    await running.done;
  },
);

testOn(
  NEEDS,
  "what a killed remover has left is removed by the next",
  async () => {
    await using room = makeRubbishRoom();
    const running = await room.start("exec sleep 1000");
    nest(room.upper(), DEPTH, "d");
    await killKeepers(running);
    const pid = await runAndStop(room);
    Deno.kill(pid, "SIGKILL");
    await waitFor(() => /^[ZX]?$/.test(readProcessState(pid)));
    await sweep(room);
    assertEquals(room.listUppers(), []);
    await running.done;
  },
);

testOn(
  NEEDS,
  "who wants the id of what was left gets it, and nothing is in the way",
  async () => {
    await using room = makeRubbishRoom();
    const running = await room.start("exec sleep 1000");
    nest(room.upper(), 3000, "d");
    await killKeepers(running);
    const next = await room.run("--name", room.id, "--", "echo", "next");
    assertEquals(next, { ...QUIET, stdout: "next\n" });
    assertEquals([room.listIds(), room.listUppers()], [[], []]);
    await running.done;
  },
);

testOn(
  [...NEEDS, "subuid"],
  "much of a user's subordinate ids is removed behind the next run",
  async () => {
    await using room = makeRubbishRoom({ user: "subuid" });
    const running = await room.start(
      `${MUCH} chown -R 1000:1000 /tmp/much; echo done; exec sleep 1000`,
    );
    await running.waitFor("done");
    const { uid } = Deno.statSync(`${room.upper()}/tmp/much`);
    assert(uid !== null && uid >= 100_000, `${uid}`);
    await killKeepers(running);
    const pid = await runAndStop(room);
    Deno.kill(pid, "SIGCONT");
    await waitFor(() => readProcessState(pid), (it) => it === "");
    assertEquals(await waitFor(() => room.listIds(), isEmpty), []);
    assertEquals(room.listUppers(), []);
    await running.done;
  },
);
