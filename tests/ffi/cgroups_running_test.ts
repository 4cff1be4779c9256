/**
 * Cgroups on this machine: what runs in them, and what it uses.
 *
 * @module
 */

import * as libc from "../../ffi/libc.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  freezeCgroups,
  isFrozen,
  readPids,
  signalCgroups,
  thawCgroups,
} from "../../mod/cgroups/control.ts";
import { joinCgroups } from "../../mod/cgroups/join.ts";
import { readOomKills, readStats } from "../../mod/cgroups/stats.ts";
import { visitCgroups } from "../../mod/cgroups/walk.ts";
import { ContainerError } from "../../mod/errors.ts";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import {
  dirOf,
  endOf,
  read,
  readLine,
  spawnInside,
  V1,
  withCgroups,
} from "./cgroups_room.ts";

testOn(
  V1,
  "readOomKills() counts what the memory limit killed",
  withCgroups(
    { memory: { limit: 16777216, swap: 16777216 } },
    async (plan) => {
      assertEquals(readOomKills(plan.dirs), 0);
      const child = spawnInside(plan, "exec tail /dev/zero");
      assertEquals((await endOf(child)).signal, "SIGKILL");
      assertEquals(readOomKills(plan.dirs), 1);
      assert(plan.oom);
      assertMatch(read(plan.oom.file), new RegExp(`^${plan.oom.key} 1$`, "m"));
    },
  ),
);

testOn(
  V1,
  "freezeCgroups(), readPids() and signalCgroups() act on all processes",
  withCgroups({}, async (plan) => {
    const child = spawnInside(
      plan,
      "setsid sleep 1000 & echo ready; trap '' TERM; while :; do sleep 1; done",
    );
    await readLine(child);
    assertEquals(readPids(plan.dirs).includes(child.pid), true);
    assert(readPids(plan.dirs).length >= 2);
    freezeCgroups(plan.dirs);
    assertEquals(isFrozen(plan.dirs), true);
    assertEquals(read(plan.freezer!.file), plan.freezer!.freeze);
    thawCgroups(plan.dirs);
    assertEquals(isFrozen(plan.dirs), false);
    freezeCgroups(plan.dirs);
    // With v2 alone nobody is left for another way.
    const sent: number[] = [];
    signalCgroups(plan.dirs, 9, (pid) => sent.push(pid));
    if (plan.freezer!.file.endsWith("cgroup.freeze")) assertEquals(sent, []);
    assertEquals((await endOf(child)).signal, "SIGKILL");
    assertEquals(isFrozen(plan.dirs), false);
  }),
);

testOn(
  V1,
  "signalCgroups() kills who has left the container's cgroup in one hierarchy",
  withCgroups({}, async (plan) => {
    const child = spawnInside(plan, "echo ready; exec sleep 1000");
    await readLine(child);
    const { path } = plan.dirs.find((d) => d.version === 2)!;
    Deno.mkdirSync(`${path}-away`);
    try {
      Deno.writeTextFileSync(`${path}-away/cgroup.procs`, `${child.pid}`);
      signalCgroups(plan.dirs, 9, (pid, signal) => {
        libc.trySyscall("kill", pid, signal);
      });
      assertEquals((await endOf(child)).signal, "SIGKILL");
    } finally {
      await waitFor(() => {
        Deno.removeSync(`${path}-away`);
        return true;
      });
    }
  }),
);

testOn(
  V1,
  "visitCgroups() goes deeper than a path can be",
  withCgroups({}, (plan) => {
    const top = dirOf(plan, "pids");
    const name = "d".repeat(200);
    let fd = libc.openFd(top, 0);
    for (let i = 0; i < 30; i++) {
      libc.syscall("mkdirat", fd, libc.cstring(name), 0o755);
      const next = libc.openFd(name, 0, 0, fd);
      libc.closeFd(fd);
      fd = next;
    }
    try {
      let seen = 0;
      visitCgroups(top, (path) => {
        assertEquals(Deno.readTextFileSync(`${path}/cgroup.procs`), "");
        seen++;
      });
      assertEquals(seen, 31);
    } finally {
      // Upwards: no path leads there.
      for (let i = 0; i < 30; i++) {
        const up = libc.openFd("..", 0, 0, fd);
        libc.closeFd(fd);
        fd = up;
        libc.syscall("unlinkat", fd, libc.cstring(name), 0x200);
      }
      libc.closeFd(fd);
    }
  }),
);

testOn(
  V1,
  "signalCgroups() kills without cgroup v2 too",
  withCgroups({}, async (plan) => {
    const child = spawnInside(plan, "sleep 1000 & echo ready; wait");
    await readLine(child);
    const v1 = plan.dirs.filter((d) => d.version === 1);
    const sent: number[] = [];
    signalCgroups(v1, 9, (pid, signal) => {
      sent.push(pid);
      libc.trySyscall("kill", pid, signal);
    });
    assertEquals((await endOf(child)).signal, "SIGKILL");
    assertEquals(sent.length, 2);
  }),
);

testOn(
  V1,
  "readStats() tells what a container used",
  withCgroups(
    // Whatever slices of a CPU it gets: one alone is more than its quota.
    { pids: { limit: 9 }, cpu: { quota: 1000, period: 100000 } },
    async (plan) => {
      const child = spawnInside(
        plan,
        "i=0; while [ $i -lt 15000 ]; do i=$((i+1)); done; echo ready; exec sleep 1000",
      );
      await readLine(child);
      const stats = readStats(plan.dirs);
      child.kill("SIGKILL");
      await endOf(child);
      assertEquals(stats.pids, { current: 1, limit: 9 });
      assert(Number(stats.cpu.usage.total) > 1e6);
      assert(Number(stats.cpu.throttling.throttledPeriods) > 0);
      assert(Number(stats.memory.usage.usage) > 0);
      assertEquals(stats.cpuset.cpus, [
        ...Array(navigator.hardwareConcurrency).keys(),
      ]);
    },
  ),
);

testOn(
  V1,
  "joinCgroups() finds cgroups below the container's and nothing else",
  withCgroups({}, (plan) => {
    const pids = dirOf(plan, "pids");
    Deno.mkdirSync(`${pids}/sub`);
    assertEquals(joinCgroups(plan.dirs), plan.joins);
    assertEquals(
      joinCgroups(plan.dirs, ["pids:/sub"]).tasks.filter((f) =>
        f.includes("/sub/")
      ),
      [`${pids}/sub/tasks`],
    );
    const refuse = (asked: string) =>
      assertThrows(() => joinCgroups(plan.dirs, [asked]), ContainerError)
        .message;
    assertEquals(
      [refuse("pids:sub/../.."), refuse("pids:/nope"), refuse("net_cls:/sub")],
      [
        'Cannot use --cgroup "pids:sub/../..": it leaves the container\'s cgroup',
        `Cannot use --cgroup "pids:/nope": "${pids}/nope" does not exist`,
        'Cannot use --cgroup "net_cls:/sub": the container has no cgroup with the controller "net_cls"',
      ],
    );
  }),
);
