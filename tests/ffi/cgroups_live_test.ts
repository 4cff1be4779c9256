/** Real cgroups: made, joined, measured, frozen, killed and removed. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import * as libc from "../../ffi/libc.ts";
import { readCaller } from "../../mod/caller.ts";
import {
  type CgroupPlan,
  makeCgroups,
  planCgroups,
} from "../../mod/cgroups.ts";
import { removeCgroups } from "../../mod/container/kept/removal.ts";
import { attachDevices } from "../../mod/cgroups/bpf.ts";
import {
  freezeCgroups,
  isFrozen,
  readPids,
  signalCgroups,
  thawCgroups,
} from "../../mod/cgroups/control.ts";
import { joinCgroups } from "../../mod/cgroups/join.ts";
import { compileDevices } from "../../mod/cgroups/device_program.ts";
import { listRules } from "../../mod/cgroups/devices.ts";
import { readOomKills, readStats } from "../../mod/cgroups/stats.ts";
import { updateCgroups } from "../../mod/cgroups/update.ts";
import { visitCgroups } from "../../mod/cgroups/walk.ts";
import type { Resources } from "../../mod/config/schema.ts";
import { ContainerError } from "../../mod/errors.ts";
import { gatherFacts } from "../../mod/host.ts";
import { friendly, oci } from "../cgroups/machines.ts";
import { hasNeed, type Need, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";

const V1: Need[] = ["root", "cgroup-v1", "helper"];
const decoder = new TextDecoder();
let serial = 0;

function planOf(resources: Resources): CgroupPlan {
  return planCgroups(
    friendly(resources),
    gatherFacts(readCaller()),
    `test${Deno.pid}.${serial++}`,
  );
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Waits for the end of processes that were killed and are not our children. */
async function waitEmpty(plan: CgroupPlan): Promise<void> {
  await waitFor(() => readPids(plan.dirs), (them) => them.length === 0);
}

/** Makes the cgroups of a plan for the time of a test. */
function withCgroups(
  resources: Resources,
  fn: (plan: CgroupPlan) => void | Promise<void>,
): () => Promise<void> {
  return async () => {
    const plan = planOf(resources);
    makeCgroups(plan);
    try {
      await fn(plan);
    } finally {
      await waitEmpty(plan);
      removeCgroups(plan, "/tmp");
    }
    assertEquals(plan.dirs.filter((d) => exists(d.path)), []);
  };
}

const dirOf = (plan: CgroupPlan, controller: string) =>
  plan.dirs.find((d) => d.controllers.includes(controller))!.path;
const read = (path: string) => Deno.readTextFileSync(path).trim();

/** A shell inside the cgroups, as the child stage joins the v1 ones. */
function spawnInside(plan: CgroupPlan, script: string): Deno.ChildProcess {
  const joins = plan.joins.tasks.map((file) => `echo 0 > ${file}`);
  if (plan.joins.v2) joins.push(`echo 0 > ${plan.joins.v2}/cgroup.procs`);
  return new Deno.Command("sh", {
    args: ["-ec", `${joins.join("\n")}\n${script}`],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Waits for the line that a script prints when it is ready. */
async function readLine(child: Deno.ChildProcess): Promise<string> {
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return decoder.decode(value).trim();
}

async function endOf(child: Deno.ChildProcess): Promise<Deno.CommandStatus> {
  await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
  return await child.status;
}

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
  const error = assertThrows(() => makeCgroups(plan), ContainerError);
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
  makeCgroups(plan);
  try {
    const error = assertThrows(() => makeCgroups(plan), ContainerError);
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
    const top = `/rustyrun-test${Deno.pid}.${serial++}`;
    const plan = planCgroups(oci(`${top}/b/c`), gatherFacts(readCaller()), "");
    makeCgroups(plan);
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
  const top = `/rustyrun-test${Deno.pid}.${serial++}`;
  const plan = planCgroups(oci(`${top}/b/c`), gatherFacts(readCaller()), "");
  const dir = dirOf(plan, "cpuset");
  Deno.mkdirSync(dir, { recursive: true });
  makeCgroups(plan);
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
    const name = `/rustyrun-test${Deno.pid}.${serial++}`;
    const plan = planCgroups(oci(name), gatherFacts(readCaller()), "");
    makeCgroups(plan);
    const child = spawnInside(plan, "echo ready; exec sleep 1000");
    try {
      await readLine(child);
      const error = assertThrows(() => makeCgroups(plan), ContainerError);
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

testOn(V1, "makeCgroups() refuses an OCI cgroup that is frozen", () => {
  const name = `/rustyrun-test${Deno.pid}.${serial++}`;
  const plan = planCgroups(oci(name), gatherFacts(readCaller()), "");
  makeCgroups(plan);
  try {
    const freezer = dirOf(plan, "freezer");
    Deno.writeTextFileSync(`${freezer}/freezer.state`, "FROZEN");
    const error = assertThrows(() => makeCgroups(plan), ContainerError);
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
  "the default device rules keep a container from the host's disk",
  withCgroups({}, async (plan) => {
    const dir = Deno.makeTempDirSync();
    try {
      // Outside it can be opened, so that it is the rules that refuse it.
      const [disk = ""] = [...Deno.readDirSync("/sys/block")]
        .map((e) => read(`/sys/block/${e.name}/dev`));
      const script = `mknod ${dir}/disk b ${disk.replace(":", " ")}
        mknod ${dir}/kmsg c 1 11
        if (: < ${dir}/disk) 2>/dev/null; then echo disk; fi
        if (: < ${dir}/kmsg) 2>/dev/null; then echo kmsg; fi
        head -c 1 /dev/zero > /dev/null && echo null
        rm ${dir}/*`;
      const outside = new Deno.Command("sh", { args: ["-ec", script] });
      assertEquals(
        decoder.decode(outside.outputSync().stdout),
        "disk\nkmsg\nnull\n",
      );
      const { stdout, stderr } = await spawnInside(plan, script).output();
      assertEquals(
        [decoder.decode(stdout), decoder.decode(stderr)],
        ["null\n", ""],
      );
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  }),
);

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
    signalCgroups(plan.dirs, 9, () => {
      throw new Error("v2 has cgroup.kill");
    });
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
  "removeCgroups() removes cgroups that the container made inside",
  withCgroups({}, (plan) => {
    Deno.mkdirSync(`${dirOf(plan, "pids")}/a/b`, { recursive: true });
    Deno.mkdirSync(`${dirOf(plan, "memory")}/c`);
  }),
);

testOn(V1, "removeCgroups() says which cgroup is still in use", async () => {
  const plan = planOf({});
  makeCgroups(plan);
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
  "updateCgroups() raises and lowers memory and swap in one go",
  withCgroups({ memory: { limit: 33554432, swap: 67108864 } }, (plan) => {
    const dir = dirOf(plan, "memory");
    let now: Resources = { memory: { limit: 33554432, swap: 67108864 } };
    for (
      const [limit, swap] of [
        [134217728, 268435456],
        [16777216, 33554432],
        [67108864, -1],
        [16777216, 16777216],
      ] as const
    ) {
      now = updateCgroups(plan.dirs, now, { memory: { limit, swap } });
      assertEquals(now, { memory: { limit, swap } });
      assertEquals(read(`${dir}/memory.limit_in_bytes`), `${limit}`);
      const memsw = read(`${dir}/memory.memsw.limit_in_bytes`);
      assertEquals(
        memsw,
        swap === -1 ? read(`${dir}/../memory.memsw.limit_in_bytes`) : `${swap}`,
      );
    }
  }),
);

testOn(
  V1,
  "updateCgroups() changes quota and period whichever must go first",
  withCgroups({ cpu: { quota: 100000, period: 100000 } }, (plan) => {
    const dir = dirOf(plan, "cpu");
    let now: Resources = { cpu: { quota: 100000, period: 100000 } };
    for (const [quota, period] of [[5000, 5000], [500000, 1000000]] as const) {
      now = updateCgroups(plan.dirs, now, { cpu: { quota, period } });
      assertEquals(read(`${dir}/cpu.cfs_quota_us`), `${quota}`);
      assertEquals(read(`${dir}/cpu.cfs_period_us`), `${period}`);
    }
    now = updateCgroups(plan.dirs, now, { cpu: { quota: 0, shares: 300 } });
    assertEquals(now, { cpu: { quota: 500000, period: 1000000, shares: 300 } });
    assertEquals(read(`${dir}/cpu.shares`), "300");
  }),
);

testOn(
  V1,
  "updateCgroups() changes device rules and keeps the others",
  withCgroups({}, (plan) => {
    const file = `${dirOf(plan, "devices")}/devices.list`;
    const before = read(file).split("\n").sort();
    const devices = [
      { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
    ];
    const options = { friendly: true };
    const now = updateCgroups(plan.dirs, {}, { devices }, options);
    assertEquals(
      read(file).split("\n").sort(),
      [...before, "c 10:229 rw"].sort(),
    );
    updateCgroups(plan.dirs, now, { devices: [] }, options);
    assertEquals(read(file).split("\n").sort(), before);
  }),
);

testOn(
  V1,
  "updateCgroups() words a limit below the usage",
  withCgroups({}, async (plan) => {
    const child = spawnInside(
      plan,
      "exec python3 -c 'b=b\"x\"*(48<<20); print(1, flush=True); import time; time.sleep(1000)'",
    );
    try {
      await readLine(child);
      const error = assertThrows(
        () =>
          updateCgroups(plan.dirs, {}, {
            memory: { limit: 4194304, swap: 4194304 },
          }),
        ContainerError,
      );
      assertEquals(
        error.message,
        `Cannot apply linux.resources.memory.limit: write "4194304" to "${
          dirOf(plan, "memory")
        }/memory.limit_in_bytes": EBUSY`,
      );
      assertEquals(error.hint, "The container uses more than that now");
    } finally {
      child.kill("SIGKILL");
      await endOf(child);
    }
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

/** Any cgroup2 mount will do for a device program: it needs no controller. */
const unified = gatherFacts(readCaller()).cgroups.find((m) => m.version === 2);
const canRun = unified !== undefined && hasNeed("root");

Deno.test({
  name: "attachDevices() confines a cgroup, and replaces its rules" +
    (canRun ? "" : " (needs root, a cgroup2 mount)"),
  ignore: !canRun && Deno.env.get("RUSTYRUN_MUST_RUN") !== "1",
  fn() {
    const dir = `${unified!.path}/rustyrun-test${Deno.pid}.${serial++}`;
    const nodes = Deno.makeTempDirSync();
    Deno.mkdirSync(dir);
    const look = () => {
      const { stdout } = new Deno.Command("sh", {
        args: [
          "-ec",
          `echo 0 > ${dir}/cgroup.procs
          test -e ${nodes}/kmsg || mknod ${nodes}/kmsg c 1 11
          (: < ${nodes}/kmsg) 2>/dev/null && echo kmsg
          (: < /dev/urandom) 2>/dev/null && echo read
          (: > /dev/urandom) 2>/dev/null && echo write
          exit 0`,
        ],
        stderr: "inherit",
      }).outputSync();
      return decoder.decode(stdout).trim().split("\n");
    };
    try {
      assertEquals(look(), ["kmsg", "read", "write"]);
      const rules = listRules(undefined, true, new Map());
      attachDevices({ dir, program: compileDevices(rules) }, libc);
      assertEquals(look(), ["read", "write"]);
      const all = { major: null, minor: null };
      const program = compileDevices([
        { allow: true, type: "a", ...all, access: "rwm" },
        { allow: false, type: "c", major: 1, minor: 9, access: "w" },
      ]);
      attachDevices({ dir, program }, libc, true);
      assertEquals(look(), ["kmsg", "read"]);
    } finally {
      Deno.removeSync(nodes, { recursive: true });
      Deno.removeSync(dir);
    }
  },
});

Deno.test("attachDevices() words what the kernel refuses", () => {
  const asked: unknown[] = [];
  const kernel = {
    trySyscall: (call: string) => {
      asked.push(call);
      return call === "bpf" ? -1 : 7;
    },
    address: () => 0n,
  };
  const error = assertThrows(
    () => attachDevices({ dir: "/c", program: new Uint8Array(8) }, kernel),
    ContainerError,
  );
  assertEquals(error.message, "Cannot load the device program: EPERM");
  assertEquals(
    error.hint,
    "It needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN (in a container: --privileged)",
  );
  assertEquals(asked, ["openat", "bpf", "close"]);
});
