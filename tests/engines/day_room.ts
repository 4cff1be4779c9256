/**
 * One day of a runtime (`cases/day.sh`) in a room of its own.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { CASES } from "./cases.ts";
import { IMAGE } from "./image.ts";
import { makeRoom, type RoomOf } from "./room.ts";

/** Seconds for a day. */
const LONG = 1200;

/** A day as it was seen, and what each part of it took, in milliseconds. */
export interface Day {
  transcript: string;
  parts: Map<string, number>;
}

/** Adds up the times of a part's commands. */
function readTimes(text: string): Map<string, number> {
  const parts = new Map<string, number>();
  for (const line of text.trim().split("\n")) {
    const [, part, us] = /^(.*) (\d+)$/.exec(line)!;
    parts.set(part!, (parts.get(part!) ?? 0) + Number(us) / 1000);
  }
  return parts;
}

/** Lives one day, in a room of its own. */
export async function runDay(of: RoomOf = {}): Promise<Day> {
  await using room = await makeRoom("day", of);
  const scratch = `${room.dir}/scratch`;
  const podman =
    `--root ${room.dir}/storage --runroot /run/storage --storage-driver vfs`;
  const parent = `--cgroup-parent=/${room.name}`;
  const ulimits = "--ulimit nofile=4000:4000 --ulimit nproc=4000:4000";
  const loaded = await room.run([
    "sh",
    "-c",
    `mkdir ${scratch}; podman ${podman} load -q -i ${room.image}`,
  ]);
  assertEquals(loaded.code, 0, loaded.stderr);
  const { code, stdout, stderr } = await room.run(
    ["bash", "-c", '. "$CASES/lib.sh"; . "$CASES/$ENGINE.sh"'],
    {
      seconds: LONG,
      env: {
        CASES,
        IMAGE,
        ENGINE: "day",
        RUNTIME: room.runtime,
        SCRATCH: scratch,
        TIMES: `${room.dir}/times`,
        MANAGER: "cgroupfs",
        PODMAN: podman,
        PARENT: parent,
        ULIMITS: ulimits,
        DOCKERD: parent,
        ROOM: room.name,
      },
    },
  );
  assertEquals([code, stderr], [0, ""], stdout);
  const times = await room.run(["cat", `${room.dir}/times`]);
  return { transcript: stdout, parts: readTimes(times.stdout) };
}
