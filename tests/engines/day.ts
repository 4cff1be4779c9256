/**
 * A day in the life of a runtime (`cases/day.sh`): one image, built by buildah and
 * run by podman, Docker and ctr, is no different with rustyrun than with runc,
 * but for the version.
 *
 * RUSTYRUN_DAYS=N also times N such days of runc, crun and rustyrun (cold, and
 * a front with a warm engine) in turn, and prints the table of
 * docs/performance.md.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { median } from "../../bench/measure.ts";
import { makeTable, showFigure } from "../../bench/report.ts";
import { findProgram, testOn } from "../needs.ts";
import { CASES, compareCases } from "./cases.ts";
import { IMAGE } from "./image.ts";
import { makeRoom, type RoomOf } from "./room.ts";

/** Seconds for a day. */
const LONG = 1200;

/** A day as it was seen, and what each part of it took, in milliseconds. */
interface Day {
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

/** Who lives the days that are timed. */
function listContenders(): Map<string, RoomOf> {
  const peers = ["runc", "crun"].flatMap((name): [string, RoomOf][] => {
    const runtime = findProgram(name);
    return runtime === undefined ? [] : [[name, { runtime }]];
  });
  return new Map<string, RoomOf>([
    ["rustyrun, cold", { warm: false }],
    ["rustyrun, front + serve", { warm: true }],
    ...peers,
  ]);
}

/** Lives so many days, each contender's in turn, and makes a table of medians,
 * in milliseconds. The first round fills caches, and does not count. */
async function timeDays(days: number): Promise<string> {
  const contenders = listContenders();
  const seen = new Map(
    [...contenders.keys()].map((name) => [name, [] as Day[]]),
  );
  for (let round = 0; round <= days; round++) {
    const turn = [...contenders];
    for (let i = 0; i < round; i++) turn.push(turn.shift()!);
    for (const [name, of] of turn) {
      const day = await runDay(of);
      if (round > 0) seen.get(name)!.push(day);
    }
  }
  const parts = [...seen.values().next().value![0]!.parts.keys()];
  const figure = (days: Day[], time: (day: Day) => number) =>
    showFigure(median(days.map(time)));
  return makeTable([
    ["median ms", ...parts, "the day"],
    ...[...seen].map(([name, days]) => [
      name,
      ...parts.map((part) => figure(days, (day) => day.parts.get(part)!)),
      figure(days, ({ parts }) => parts.values().reduce((a, b) => a + b)),
    ]),
  ]);
}

testOn(
  [
    "root",
    "busybox",
    "python3",
    "podman",
    "buildah",
    "docker",
    "containerd",
    "runc",
  ],
  "a day with rustyrun is a day with runc, but for the version",
  async (t) => {
    const runc = (await runDay({ runtime: "/usr/sbin/runc" })).transcript;
    const rustyrun = (await runDay()).transcript;
    await compareCases(t, runc, rustyrun);
    await t.step("but for the version", () => {
      assertMatch(runc, /^== version\nrunc version /m);
      assertMatch(rustyrun, /^== version\nrustyrun version /m);
    });
    const days = Number(Deno.env.get("RUSTYRUN_DAYS") ?? 0);
    if (days > 0) console.log(await timeDays(days));
  },
);
