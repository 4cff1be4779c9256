/**
 * A container that is slowed down, by its limits or by itself, ends soon after it
 * is killed.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Running } from "../harness.ts";
import { findDisk, isFile, probe, testOn } from "../needs.ts";
import { readProcessState, waitFor } from "../wait.ts";
import {
  findCgroups,
  listPids,
  makeRubbishRoom,
  type RubbishRoom,
} from "./rubbish_room.ts";
import { deleteByForce, NEEDS, QUIET } from "./rubbish_calls.ts";

type End = (room: RubbishRoom, running: Running) => Promise<void> | void;

const deleted: End = deleteByForce;

const killed = (...flags: string[]): End => async (room) => {
  const result = await room.call("kill", ...flags, room.id, "KILL");
  assertEquals(result, { ...QUIET, stdout: "" });
};

/** Where a limit is set: in the container's cgroup, and in v1 in one below it that
 * has all its processes, as a container with writable cgroups makes it. */
function makeSlow(room: RubbishRoom, file: string): string {
  for (const cgroup of findCgroups(room.id)) {
    if (!isFile(`${cgroup}/${file}`)) continue;
    if (isFile(`${cgroup}/cgroup.controllers`)) return cgroup;
    Deno.mkdirSync(`${cgroup}/below`);
    for (const pid of listPids(cgroup)) {
      Deno.writeTextFileSync(`${cgroup}/below/cgroup.procs`, `${pid}`);
    }
    return `${cgroup}/below`;
  }
  throw new Error(`no cgroup of ${room.id} has ${file}`);
}

const isV2 = () => isFile("/sys/fs/cgroup/cgroup.controllers");

/** A millisecond of CPU time in a second. */
function slowCpu(room: RubbishRoom): void {
  if (isV2()) {
    const dir = makeSlow(room, "cpu.max");
    return Deno.writeTextFileSync(`${dir}/cpu.max`, "1000 1000000");
  }
  const dir = makeSlow(room, "cpu.cfs_quota_us");
  Deno.writeTextFileSync(`${dir}/cpu.cfs_period_us`, "1000000");
  Deno.writeTextFileSync(`${dir}/cpu.cfs_quota_us`, "1000");
}

/** A byte or two of a disk in a second: io.max takes no less. */
function slowDisk(room: RubbishRoom, disk: string): void {
  if (isV2()) {
    const dir = makeSlow(room, "io.max");
    return Deno.writeTextFileSync(`${dir}/io.max`, `${disk} rbps=2`);
  }
  const file = "blkio.throttle.read_bps_device";
  Deno.writeTextFileSync(`${makeSlow(room, file)}/${file}`, `${disk} 1`);
}

async function assertEnds(running: Running, wanted: number): Promise<void> {
  let code: number | undefined;
  running.done.then((it) => code = it.code);
  assertEquals(await waitFor(() => code, (it) => it !== undefined), wanted);
}

testOn(
  NEEDS,
  "delete --force of a container with hundreds of processes and a millisecond of CPU time a second",
  async () => {
    await using room = makeRubbishRoom();
    const running = await room.start(
      "i=0; while [ $i -lt 600 ]; do sleep 1000 & i=$((i+1)); done; " +
        "echo all; wait",
      "--cpus",
      "2",
    );
    await running.waitFor("all");
    slowCpu(room);
    await deleted(room, running);
    await assertEnds(running, 137);
  },
);

/** Who ends a container for good lifts its limits; `kill` sends its signal. */
const ENDS: [string, number, End][] = [
  ["delete --force", 137, deleted],
  ["a signal to run", 143, (_room, running) => running.kill("SIGTERM")],
];
const KILLS: [string, number, End][] = [
  ["kill ID KILL", 137, killed()],
  ["kill --all ID KILL", 137, killed("--all")],
];

for (const [what, code, end] of [...ENDS, ...KILLS]) {
  testOn(
    [...NEEDS, "chrt"],
    `a container with processes that have a microsecond of CPU time in four seconds: ${what}`,
    async () => {
      await using room = makeRubbishRoom();
      const running = await room.start(
        "for i in 1 2 3 4; do sleep 1000 & done; echo all; wait",
      );
      await running.waitFor("all");
      const [cgroup] = findCgroups(room.id);
      const [, ...slow] = listPids(cgroup!);
      for (const pid of slow) {
        const { code } = probe(
          "chrt",
          "--deadline",
          "--sched-runtime=1024",
          "--sched-deadline=4000000000",
          "--sched-period=4000000000",
          "--pid",
          "0",
          `${pid}`,
        );
        assertEquals(code, 0);
      }
      await end(room, running);
      await assertEnds(running, code);
    },
  );
}

for (const [what, code, end] of ENDS) {
  testOn(
    [...NEEDS, "disk"],
    `a container that waits for a few bytes of its disk a second: ${what}`,
    async () => {
      const dir = Deno.makeTempDirSync({ dir: "/var/tmp" });
      try {
        Deno.writeFileSync(`${dir}/file`, new Uint8Array(1 << 20));
        await using room = makeRubbishRoom();
        const running = await room.start(
          "until [ -e /dir/go ]; do :; done; " +
            "exec dd if=/dir/file of=/dev/null bs=1M iflag=direct",
          "-v",
          `${dir}:/dir`,
          "--cpus",
          "2",
        );
        slowDisk(room, findDisk()!);
        Deno.writeTextFileSync(`${dir}/go`, "");
        const pid = await waitFor(() =>
          findCgroups(room.id).flatMap(listPids).find((it) =>
            readProcessState(it) === "D"
          )
        );
        assertEquals(typeof pid, "number");
        await end(room, running);
        await assertEnds(running, code);
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    },
  );
}
