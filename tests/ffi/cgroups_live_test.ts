/**
 * Cgroups on this machine: made, limited and removed.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { readCaller } from "../../mod/caller.ts";
import { makeCgroups, planCgroups } from "../../mod/cgroups.ts";
import { findProcesses } from "../../mod/cgroups/cgroupfs.ts";
import { removeCgroups } from "../../mod/container/kept/removal.ts";
import { ContainerError } from "../../mod/errors.ts";
import { gatherFacts } from "../../mod/host.ts";
import { oci } from "../cgroups/machines.ts";
import { testOn } from "../needs.ts";
import {
  dirOf,
  endOf,
  exists,
  nextSerial,
  planOf,
  read,
  readLine,
  spawnInside,
  V1,
  withCgroups,
} from "./cgroups_room.ts";

testOn(
  V1,
  "makeCgroups() writes limits that can be read back",
  withCgroups({
    memory: { limit: 67108864, swap: 134217728, swappiness: 0 },
    cpu: { quota: 50000, period: 200000, shares: 512, cpus: "0", burst: 1000 },
    pids: { limit: 20 },
  }, (plan) => {
    const [memory, cpu, cpuset, pids] = ["memory", "cpu", "cpuset", "pids"]
      .map((name) => dirOf(plan, name));
    assertEquals(
      [
        `${memory}/memory.limit_in_bytes`,
        `${memory}/memory.memsw.limit_in_bytes`,
        `${memory}/memory.swappiness`,
        `${cpu}/cpu.cfs_quota_us`,
        `${cpu}/cpu.cfs_period_us`,
        `${cpu}/cpu.cfs_burst_us`,
        `${cpu}/cpu.shares`,
        `${cpuset}/cpuset.cpus`,
        `${cpuset}/cpuset.mems`,
        `${pids}/pids.max`,
      ].map(read),
      [
        "67108864",
        "134217728",
        "0",
        "50000",
        "200000",
        "1000",
        "512",
        "0",
        read(`${cpuset}/../cpuset.mems`),
        "20",
      ],
    );
  }),
);

testOn(V1, "makeCgroups() removes what it made when a limit is refused", () => {
  const plan = planOf({ cpu: { cpus: "4095" } });
  const error = assertThrows(() => makeCgroups(plan, 0), ContainerError);
  const file = `${dirOf(plan, "cpuset")}/cpuset.cpus`;
  assertMatch(
    error.message,
    /^Cannot apply linux\.resources\.cpu\.cpus: write "4095" to ".*\/cpuset\.cpus": ERANGE$/,
  );
  assertEquals(error.hint, "The machine has fewer CPUs or memory nodes");
  assert(error.message.includes(file));
  assertEquals(error.suppressed, []);
  assertEquals(plan.dirs.filter((d) => exists(d.path)), []);
});

testOn(V1, "makeCgroups() never takes over a cgroup in friendly mode", () => {
  const plan = planOf({});
  makeCgroups(plan, 0);
  try {
    const error = assertThrows(() => makeCgroups(plan, 0), ContainerError);
    assertEquals(
      error.message,
      `Cannot make the cgroup "${plan.dirs[0]!.path}": it exists`,
    );
    assertEquals(plan.dirs.filter((d) => !exists(d.path)), []);
  } finally {
    removeCgroups(plan, "/tmp");
  }
});

testOn(
  V1,
  "makeCgroups() tells the parents it made, for removeCgroups()",
  () => {
    const top = `/rustyrun-test${Deno.pid}.${nextSerial()}`;
    const plan = planCgroups(oci(`${top}/b/c`), gatherFacts(readCaller()), "");
    makeCgroups(plan, 0);
    const { parents } = plan;
    assertEquals(
      parents,
      plan.dirs.flatMap((d) => [`${d.mount}${top}`, `${d.mount}${top}/b`]),
    );
    removeCgroups(plan, "/tmp");
    assertEquals(parents.filter(exists), []);
  },
);

testOn(V1, "makeCgroups() fills cpusets that somebody left empty above", () => {
  const top = `/rustyrun-test${Deno.pid}.${nextSerial()}`;
  const plan = planCgroups(oci(`${top}/b/c`), gatherFacts(readCaller()), "");
  const dir = dirOf(plan, "cpuset");
  Deno.mkdirSync(dir, { recursive: true });
  makeCgroups(plan, 0);
  const { parents } = plan;
  try {
    const root = read(`${dir}/../../../cpuset.cpus`);
    for (const at of [dir, `${dir}/..`, `${dir}/../..`]) {
      assertEquals(read(`${at}/cpuset.cpus`), root);
    }
  } finally {
    const above = [`${dir}/../..`, `${dir}/..`].map((p) =>
      Deno.realPathSync(p)
    );
    removeCgroups({ dirs: plan.dirs, parents: [...above, ...parents] }, "/tmp");
  }
  assertEquals(plan.dirs.filter((d) => exists(`${d.mount}${top}`)), []);
});

testOn(
  V1,
  "makeCgroups() refuses an OCI cgroup with a process in it",
  async () => {
    const name = `/rustyrun-test${Deno.pid}.${nextSerial()}`;
    const plan = planCgroups(oci(name), gatherFacts(readCaller()), "");
    makeCgroups(plan, 0);
    const child = spawnInside(plan, "echo ready; exec sleep 1000");
    try {
      await readLine(child);
      const error = assertThrows(() => makeCgroups(plan, 0), ContainerError);
      assertEquals(
        error.message,
        `Cannot use the cgroup "${
          plan.dirs[0]!.path
        }": container's cgroup is not empty: 1 process(es) found`,
      );
      assertEquals(exists(plan.dirs[0]!.path), true);
    } finally {
      child.kill("SIGKILL");
      await endOf(child);
      removeCgroups(plan, "/tmp");
    }
  },
);

Deno.test("findProcesses() goes no further than to the first cgroup with any", () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-find-" });
  try {
    const put = (path: string, text: string) => {
      Deno.mkdirSync(path, { recursive: true });
      Deno.writeTextFileSync(`${path}/cgroup.procs`, text);
    };
    put(dir, "");
    assertEquals(findProcesses(dir), 0);
    for (let i = 0; i < 5; i++) put(`${dir}/${i}/in`, "7\n8\n");
    assertEquals(findProcesses(dir), 2);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

testOn(V1, "makeCgroups() refuses an OCI cgroup that is frozen", () => {
  const name = `/rustyrun-test${Deno.pid}.${nextSerial()}`;
  const plan = planCgroups(oci(name), gatherFacts(readCaller()), "");
  makeCgroups(plan, 0);
  try {
    const freezer = dirOf(plan, "freezer");
    Deno.writeTextFileSync(`${freezer}/freezer.state`, "FROZEN");
    const error = assertThrows(() => makeCgroups(plan, 0), ContainerError);
    assertEquals(
      error.message,
      `Cannot use the cgroup "${freezer}": container's cgroup unexpectedly frozen`,
    );
  } finally {
    removeCgroups(plan, "/tmp");
  }
});

testOn(
  V1,
  "removeCgroups() removes cgroups that the container made inside",
  withCgroups({}, (plan) => {
    Deno.mkdirSync(`${dirOf(plan, "pids")}/a/b`, { recursive: true });
    Deno.mkdirSync(`${dirOf(plan, "memory")}/c`);
  }),
);

testOn(V1, "removeCgroups() says which cgroup is still in use", async () => {
  const plan = planOf({});
  makeCgroups(plan, 0);
  const child = spawnInside(plan, "echo ready; exec sleep 1000");
  try {
    await readLine(child);
    const pids = plan.dirs.filter((d) => d.controllers.includes("pids"));
    const error = assertThrows(
      () => removeCgroups({ dirs: pids }, "/tmp"),
      ContainerError,
    );
    assertEquals(
      error.message,
      `Cannot remove the cgroup "${pids[0]!.path}": EBUSY`,
    );
  } finally {
    child.kill("SIGKILL");
    await endOf(child);
    removeCgroups(plan, "/tmp");
  }
});

testOn(
  V1,
  "removeCgroups() empties a cgroup of systemd's, and leaves it to systemd",
  async () => {
    const plan = planOf({});
    makeCgroups(plan, 0);
    const dirs = plan.dirs.map((it) => ({ ...it, systemd: true as const }));
    Deno.mkdirSync(`${dirOf(plan, "pids")}/a/b`, { recursive: true });
    try {
      const child = spawnInside(plan, "echo ready; exec sleep 1000");
      try {
        await readLine(child);
        const error = assertThrows(
          () => removeCgroups({ dirs }, "/tmp"),
          ContainerError,
        );
        assertEquals(error.code, "cgroup-busy");
      } finally {
        child.kill("SIGKILL");
        await endOf(child);
      }
      removeCgroups({ dirs }, "/tmp");
      assertEquals(dirs.map((it) => exists(it.path)), dirs.map(() => true));
      assertEquals(exists(`${dirOf(plan, "pids")}/a`), false);
    } finally {
      removeCgroups(plan, "/tmp");
    }
  },
);
