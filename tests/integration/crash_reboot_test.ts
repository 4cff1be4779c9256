/**
 * A state that outlived its container: of another boot, or with a pid that
 * somebody else has by now. It counts as stopped, can be deleted, and nobody is
 * signalled for it.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { type Need, testOn } from "../needs.ts";
import { type CrashBox, makeCrashBox } from "./crash_box.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];

/** A running container whose state.json is changed behind its back: the
 * container itself is gone by then. */
async function outlive(
  box: CrashBox,
  change: Record<string, unknown>,
): Promise<void> {
  const id = box.name;
  await box.callQuiet("create", "--bundle", box.bundle, id);
  await box.callQuiet("start", id);
  const file = `${box.root}/${id}/state.json`;
  const state = JSON.parse(Deno.readTextFileSync(file));
  Deno.kill(state.pid, "SIGKILL");
  while ((await box.status(id)) !== "stopped");
  Deno.writeTextFileSync(file, JSON.stringify({ ...state, ...change }));
}

/** Field 22 of /proc/PID/stat. */
function startTime(pid: number): string {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

const ROWS: { name: string; change(pid: number): Record<string, unknown> }[] = [
  {
    name: "of another boot, whose pid and start time fit a stranger",
    change: (pid) => ({
      pid,
      startTime: startTime(pid),
      bootId: "00000000-0000-4000-8000-000000000000",
    }),
  },
  {
    name: "whose pid another process has by now",
    change: (pid) => ({ pid, startTime: "1" }),
  },
  {
    name: "whose process was gone before its start time was read",
    change: (pid) => ({ pid, startTime: "" }),
  },
];

for (const { name, change } of ROWS) {
  testOn(
    NEEDS,
    `a state ${name} is stopped, and the stranger is never signalled`,
    async () => {
      await using box = makeCrashBox();
      const id = box.name;
      const stranger = new Deno.Command("sleep", { args: ["1000"] }).spawn();
      try {
        await outlive(box, change(stranger.pid));
        assertEquals(await box.status(id), "stopped");
        for (
          const [words, message] of [
            [
              ["kill", id, "KILL"],
              `Cannot send a signal to "${id}": container not running`,
            ],
            [
              ["start", id],
              `Cannot start "${id}": cannot start a container that has stopped`,
            ],
            [
              ["exec", id, "true"],
              `Cannot run a process in "${id}": cannot exec in a stopped container: container not running`,
            ],
          ] as const
        ) {
          const { code, stderr } = await box.call(...words);
          assertEquals(
            [code === 0, stderr.split("\n")[0]],
            [false, `rustyrun: ${message}`],
          );
        }
        await box.callQuiet("kill", "--all", id, "KILL");
        await box.callQuiet("delete", "--force", id);
        assertEquals(await box.status(id), "none");
        assertEquals(await box.findRest(), []);
        // It is still there.
        assertMatch(
          Deno.readTextFileSync(`/proc/${stranger.pid}/stat`),
          /^\d+ \(sleep\) [^ZX]/,
        );
      } finally {
        stranger.kill("SIGKILL");
        await stranger.status;
      }
    },
  );
}

testOn(
  NEEDS,
  "delete --force and run remove the state of a foreground container of another boot",
  async () => {
    await using box = makeCrashBox();
    const id = box.name;
    for (const sweeps of [false, true]) {
      await outlive(box, {
        foreground: true,
        waits: false,
        bootId: "00000000-0000-4000-8000-000000000000",
      });
      if (sweeps) {
        const bundle = box.addBundle(`${id}-next`, {
          process: {
            user: { uid: 0, gid: 0 },
            args: ["true"],
            env: ["PATH=/bin"],
            cwd: "/",
          },
        });
        await box.callQuiet("run", "--bundle", bundle, `${id}-next`);
      } else await box.callQuiet("delete", "--force", id);
      assertEquals(await box.status(id), "none");
      assertEquals(await box.findRest(), []);
    }
  },
);

testOn(
  NEEDS,
  "a state that never reached the disk is none: create takes the id over",
  async () => {
    await using box = makeCrashBox();
    const id = box.name;
    for (const text of ["", "{"]) {
      Deno.mkdirSync(`${box.root}/${id}`, { mode: 0o700 });
      for (const name of ["state.json", "leftovers.json", "config.json"]) {
        Deno.writeTextFileSync(`${box.root}/${id}/${name}`, text);
      }
      assertEquals(await box.status(id), "none");
      await box.callQuiet("create", "--bundle", box.bundle, id);
      assertEquals(await box.status(id), "created");
      await box.callQuiet("delete", "--force", id);
      assertEquals(await box.findRest(), []);
    }
  },
);
