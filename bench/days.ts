/**
 * Times whole days of runc, crun and rustyrun (tests/engines/cases/day.sh: buildah,
 * podman, Docker, ctr, and by hand), each contender's in turn, and prints a table
 * of medians for docs/performance.md:
 *
 *     deno run -A bench/days.ts [ROUNDS]
 *
 * A day takes 15 s. As root, with what deno task engines needs. The time is that
 * of the engines' own commands; their daemons are started before.
 *
 * @module
 */

import { enterRoom, lockProofs } from "../tests/conformance/room.ts";
import { readCases } from "../tests/engines/cases.ts";
import { type Day, runDay } from "../tests/engines/day_room.ts";
import type { RoomOf } from "../tests/engines/room.ts";
import { findProgram } from "../tests/needs.ts";
import { median } from "./measure.ts";
import { makeTable, showFigure } from "./report.ts";

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

/** Says which cases a contender has seen otherwise than runc: their times say
 * little. */
function tellOthers(seen: ReadonlyMap<string, readonly Day[]>): void {
  const runc = readCases(seen.get("runc")?.[0]?.transcript ?? "");
  for (const [name, days] of seen) {
    for (const { transcript } of days) {
      for (const [title, text] of readCases(transcript)) {
        if (text !== runc.get(title)) {
          console.error(`${name}: ${title}: ${text}`);
        }
      }
    }
  }
}

/** Lives so many days, each contender's in turn, and makes a table of medians,
 * in milliseconds. The first round fills caches, and does not count. */
export async function timeDays(days: number): Promise<string> {
  const contenders = listContenders();
  const seen = new Map(
    [...contenders.keys()].map((name) => [name, [] as Day[]]),
  );
  for (let round = 0; round <= days; round++) {
    const turn = [...contenders];
    for (let i = 0; i < round; i++) turn.push(turn.shift()!);
    for (const [name, of] of turn) {
      console.error(`round ${round} of ${days}: ${name}`);
      seen.get(name)!.push(await runDay(of));
    }
  }
  tellOthers(seen);
  for (const it of seen.values()) it.shift();
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

if (import.meta.main) {
  const inside = Deno.env.get("RUSTYRUN_PROOF_INSIDE") !== undefined;
  using _lock = inside ? undefined : await lockProofs();
  const code = await enterRoom();
  if (code !== undefined) Deno.exit(code);
  console.log(await timeDays(Number(Deno.args[0] ?? 5)));
}
