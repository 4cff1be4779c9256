/**
 * The upper layer in a directory that another user may write: whoever renames
 * there gets nothing emptied, removed or handed over that is root's, and what
 * is found in the layer's place is told by name.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { tryOps } from "../../mod/doctor/probe.ts";
import type { Op } from "../../mod/plan.ts";
import { type Running, start } from "../harness.ts";
import {
  asUser,
  findPython,
  type Need,
  probe,
  testOn,
  USERS,
} from "../needs.ts";
import { waitFor } from "../wait.ts";
import {
  killKeepers,
  makeRubbishRoom,
  type RubbishRoom,
} from "./rubbish_room.ts";

const NEEDS: Need[] = ["root", "helper", "busybox", "python3"];
const STRANGER = USERS.single;
const FILE = "secret/file";

/** A directory of root's where the layer is going to be, which is a
 * stranger's. */
function plantKeep({ uppers }: RubbishRoom): string {
  const keep = `${uppers}/keep`;
  Deno.chownSync(uppers, STRANGER, STRANGER);
  Deno.chmodSync(uppers, 0o755);
  Deno.mkdirSync(`${keep}/secret`, { recursive: true });
  Deno.chmodSync(keep, 0o700);
  Deno.writeTextFileSync(`${keep}/${FILE}`, "precious");
  return keep;
}

function renameAsStranger(from: string, to: string): void {
  const [command = "", ...args] = asUser(["mv", from, to], "single");
  assertEquals(probe(command, ...args).code, 0, `${from} -> ${to}`);
}

/** Puts root's directory into the place of a container's layer.
 *
 * @returns that place */
function swap(room: RubbishRoom, keep: string): string {
  const name = room.listUppers().find((it) => it.startsWith("rustyrun-"));
  const place = `${room.uppers}/${name}`;
  renameAsStranger(place, `${room.uppers}/mine`);
  renameAsStranger(keep, place);
  return place;
}

/** Who removes a container whose layer has been renamed; returns what is said. */
const REMOVERS: Record<
  string,
  (room: RubbishRoom, running: Running) => Promise<string | undefined>
> = {
  "the keeper": async (_, running) => {
    running.kill("SIGTERM");
    return (await running.done).stderr;
  },
  "the warden": async (room, running) => {
    running.kill("SIGKILL");
    await running.done;
    await waitFor(() => room.listIds().length === 0);
    return undefined;
  },
  "the next run": async (room, running) => {
    await killKeepers(running);
    const next = await room.run("--", "echo", "next");
    await running.done;
    assertEquals([next.code, next.stdout], [0, "next\n"]);
    return next.stderr;
  },
  "delete --force": async (room, running) => {
    await killKeepers(running);
    const result = await room.call("delete", "--force", room.id);
    await running.done;
    assertEquals([result.code, result.stdout], [1, ""]);
    return result.stderr;
  },
};

for (const [who, remove] of Object.entries(REMOVERS)) {
  testOn(
    NEEDS,
    `${who} empties no directory that was renamed to the layer's name`,
    async () => {
      await using room = makeRubbishRoom();
      const keep = plantKeep(room);
      const running = await room.start(
        "trap 'exit 0' TERM; while :; do sleep 0.1; done",
      );
      const place = swap(room, keep);
      try {
        const said = await remove(room, running);
        assertEquals(Deno.readTextFileSync(`${place}/${FILE}`), "precious");
        if (said !== undefined) {
          assertStringIncludes(
            said,
            `Cannot remove "${place}": it is not what was made for the container`,
          );
        }
        // It is told once: nothing is left to come back for.
        assertEquals(room.listIds(), []);
        const next = await room.run("--", "true");
        assertEquals([next.code, next.stderr], [0, ""]);
      } finally {
        for (const name of room.listUppers()) {
          Deno.removeSync(`${room.uppers}/${name}`, { recursive: true });
        }
      }
    },
  );
}

testOn(NEEDS, "a layer that was renamed and put back is removed", async () => {
  await using room = makeRubbishRoom();
  const keep = plantKeep(room);
  const running = await room.start("exec sleep 1000");
  const place = swap(room, keep);
  renameAsStranger(place, keep);
  renameAsStranger(`${room.uppers}/mine`, place);
  await killKeepers(running);
  assertEquals(await room.call("delete", "--force", room.id), {
    code: 0,
    signal: null,
    stdout: "",
    stderr: "",
  });
  await running.done;
  assertEquals(room.listUppers(), ["keep"]);
  Deno.removeSync(keep, { recursive: true });
});

testOn(
  NEEDS,
  "a directory of the stranger's own in the layer's place is left alone",
  async () => {
    await using room = makeRubbishRoom();
    plantKeep(room);
    const running = await room.start("exec sleep 1000");
    const [name] = room.listUppers().filter((it) => it !== "keep");
    const place = `${room.uppers}/${name}`;
    renameAsStranger(place, `${room.uppers}/mine`);
    // With what it holds by the layer's name: only whose it is tells them apart.
    Deno.mkdirSync(`${place}/${name}/other`, { recursive: true });
    Deno.chmodSync(place, 0o700);
    Deno.chownSync(place, STRANGER, STRANGER);
    await killKeepers(running);
    const { code, stderr } = await room.call("delete", "--force", room.id);
    await running.done;
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      `Cannot remove "${place}": it is not what was`,
    );
    assert(Deno.statSync(`${place}/${name}/other`).isDirectory);
    for (const it of room.listUppers()) {
      Deno.removeSync(`${room.uppers}/${it}`, { recursive: true });
    }
  },
);

/** What may stand where the layer's directory is to be made. */
const THERE: Record<string, (path: string) => void> = {
  "a directory": (path) => Deno.mkdirSync(path, { mode: 0o700 }),
  "a link": (path) => Deno.symlinkSync("/", path),
  "a file": (path) => Deno.writeTextFileSync(path, ""),
};

for (const [what, make] of Object.entries(THERE)) {
  testOn(
    ["helper"],
    `a directory of our own is not made where ${what} is`,
    () => {
      const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-own-" });
      const ops = (name: string): Op[] => [
        {
          do: "open",
          into: "at",
          at: "",
          path: dir,
          flags: 0o10000000,
          mode: 0,
          resolve: 0,
          why: "",
        },
        { do: "mkdirOwn", into: "own", at: "at", name, why: "" },
      ];
      try {
        make(`${dir}/there`);
        assertEquals(tryOps(ops("there"), undefined), "mkdirOwn: EEXIST");
        assertEquals(tryOps(ops("fresh"), undefined), undefined);
        assertEquals(Deno.statSync(`${dir}/fresh`).mode! & 0o7777, 0o700);
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    },
  );
}

/** Renames what appears in a directory, and root's own into its place, as fast
 * as it can. */
const SWAPPER = `
import os, sys
dir, keep, stop = sys.argv[1:4]
n = 0
print("up", flush=True)
while not os.path.exists(stop):
    for name in os.listdir(dir):
        if not name.startswith("rustyrun-"): continue
        try:
            os.rename(dir + "/" + name, dir + "/old%d" % n)
            os.rename(keep, dir + "/" + name)
            n += 1
            while not os.path.exists(stop) and not os.path.exists(keep): pass
        except OSError: pass
print("swapped", n)
`;

testOn(
  NEEDS,
  "run --ephemeral=DIR takes no directory that DIR's owner puts in the place of the one it made",
  async () => {
    await using room = makeRubbishRoom();
    const keep = plantKeep(room);
    const { ino } = Deno.statSync(keep);
    const stop = `${room.uppers}/stop`;
    const swapper = start(asUser([
      findPython(),
      "-c",
      SWAPPER,
      ...[room.uppers, keep, stop],
    ], "single"));
    await swapper.waitFor("up");
    for (let i = 0; i < 12; i++) {
      await room.run(
        ...["--userns", "0:100000:65536", `--ephemeral=${room.uppers}`],
        ...["--", "true"],
      );
      const now = room.listUppers().map((it) => `${room.uppers}/${it}`)
        .find((it) => Deno.statSync(it).ino === ino);
      assert(now !== undefined, "it was removed");
      const { uid, mode } = Deno.statSync(now);
      assertEquals([uid, mode! & 0o7777], [0, 0o700]);
      assertEquals([...Deno.readDirSync(now)].map((it) => it.name), [
        "secret",
      ]);
      assertEquals(Deno.readTextFileSync(`${now}/${FILE}`), "precious");
      if (now !== keep) Deno.renameSync(now, keep);
    }
    Deno.writeTextFileSync(stop, "");
    const { stdout } = await swapper.done;
    // Else nothing was attacked.
    assert(/swapped [1-9]/.test(stdout), stdout);
    for (const it of room.listUppers()) {
      Deno.removeSync(`${room.uppers}/${it}`, { recursive: true });
    }
  },
);
