/** Real cgroups on a pure v2 machine, as root. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { readCaller } from "../../mod/caller.ts";
import { makeCgroups, planCgroups } from "../../mod/cgroups.ts";
import { removeCgroups } from "../../mod/container/kept/removal.ts";
import type { CgroupPlan } from "../../mod/cgroups.ts";
import {
  freezeCgroups,
  isFrozen,
  readPids,
  signalCgroups,
  thawCgroups,
} from "../../mod/cgroups/control.ts";
import { readOomKills, readStats } from "../../mod/cgroups/stats.ts";
import { updateCgroups } from "../../mod/cgroups/update.ts";
import type { Resources } from "../../mod/config/schema.ts";
import { ContainerError } from "../../mod/errors.ts";
import { gatherFacts } from "../../mod/host.ts";
import { friendly, oci } from "../cgroups/machines.ts";
import { type Need, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";

const V2: Need[] = ["root", "cgroup-v2"];
const decoder = new TextDecoder();
let serial = 0;
const read = (path: string) => Deno.readTextFileSync(path).trim();

function exists(path: string): boolean {
  try {
    return Deno.lstatSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** Waits for the end of processes that were killed and are not our children. */
async function waitEmpty(plan: CgroupPlan): Promise<void> {
  await waitFor(() => readPids(plan.dirs), (them) => them.length === 0);
}

function withCgroups(
  plan: () => CgroupPlan,
  fn: (plan: CgroupPlan, dir: string) => void | Promise<void>,
): () => Promise<void> {
  return async () => {
    const made = plan();
    makeCgroups(made, 0);
    try {
      await fn(made, made.joins.v2!);
    } finally {
      await waitEmpty(made);
      removeCgroups(made, "/tmp");
    }
    assertEquals(exists(made.joins.v2!), false);
  };
}

const limited = (resources: Resources) => () =>
  planCgroups(
    friendly(resources),
    gatherFacts(readCaller()),
    `test${Deno.pid}.${serial++}`,
  );
const bundled = (path: string, resources: Resources) => () =>
  planCgroups(oci(path, resources), gatherFacts(readCaller()), "");

function spawnInside(plan: CgroupPlan, script: string): Deno.ChildProcess {
  const join = `echo 0 > ${plan.joins.v2}/cgroup.procs`;
  return new Deno.Command("sh", {
    args: ["-ec", `${join}\n${script}`],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function readLine(child: Deno.ChildProcess): Promise<void> {
  const reader = child.stdout.getReader();
  await reader.read();
  reader.releaseLock();
}

async function endOf(child: Deno.ChildProcess): Promise<Deno.CommandStatus> {
  await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
  return await child.status;
}

testOn(
  V2,
  "makeCgroups() on v2 writes limits that can be read back",
  withCgroups(
    limited({
      memory: { limit: 67108864, swap: 134217728, reservation: 4194304 },
      cpu: {
        quota: 50000,
        period: 200000,
        burst: 1000,
        shares: 512,
        cpus: "0",
      },
      pids: { limit: 20 },
      hugepageLimits: [{ pageSize: "2MB", limit: 4194304 }],
      unified: { "memory.high": "33554432", "memory.oom.group": "1" },
    }),
    (_plan, dir) => {
      assertEquals(
        [
          "memory.max",
          "memory.swap.max",
          "memory.low",
          "memory.high",
          "memory.oom.group",
          "cpu.max",
          "cpu.max.burst",
          "cpu.weight",
          "cpuset.cpus",
          "pids.max",
          "hugetlb.2MB.max",
        ].map((file) => read(`${dir}/${file}`)),
        [
          "67108864",
          "67108864",
          "4194304",
          "33554432",
          "1",
          "50000 200000",
          "1000",
          "59",
          "0",
          "20",
          "4194304",
        ],
      );
    },
  ),
);

testOn(
  V2,
  "makeCgroups() on v2 enables what an OCI cgroup's parents must have",
  withCgroups(
    bundled(`/rustyrun-test${Deno.pid}/a/c`, { pids: { limit: 7 } }),
    (plan, dir) => {
      assertEquals(read(`${dir}/pids.max`), "7");
      // Not asked for, but there for `update` and `events`.
      assert(exists(dir));
      assertEquals(read(`${dir}/memory.max`), "max");
      assert(plan.oom);
      assertEquals(readOomKills(plan.dirs), 0);
    },
  ),
);

testOn(
  V2,
  "makeCgroups() gives the cgroup to the root of a user namespace",
  withCgroups(() => {
    const map = [{ containerID: 0, hostID: 100000, size: 65536 }];
    const config = oci(`/rustyrun-test${Deno.pid}.${serial++}`, {}, {
      namespaces: [{ type: "cgroup" }, { type: "user" }],
      uidMappings: map,
      gidMappings: map,
    });
    config.spec.mounts = [{ destination: "/sys/fs/cgroup", type: "cgroup" }];
    return planCgroups(config, gatherFacts(readCaller()), "");
  }, (_plan, dir) => {
    const ownerOf = (file: string) => Deno.statSync(`${dir}/${file}`).uid;
    assertEquals(
      ["", "cgroup.procs", "cgroup.subtree_control", "memory.max"].map(ownerOf),
      [100000, 100000, 100000, 0],
    );
  }),
);

testOn(
  V2,
  "the device program keeps a container from the host's disk",
  withCgroups(limited({}), async (plan) => {
    const nodes = Deno.makeTempDirSync();
    try {
      const script = `mknod ${nodes}/kmsg c 1 11
        if (: < ${nodes}/kmsg) 2>/dev/null; then echo kmsg; fi
        head -c 1 /dev/zero > /dev/null && echo null
        rm ${nodes}/*`;
      const outside = new Deno.Command("sh", { args: ["-ec", script] });
      assertEquals(
        decoder.decode(outside.outputSync().stdout),
        "kmsg\nnull\n",
      );
      const { stdout, stderr } = await spawnInside(plan, script).output();
      assertEquals(
        [decoder.decode(stdout), decoder.decode(stderr)],
        ["null\n", ""],
      );
    } finally {
      Deno.removeSync(nodes, { recursive: true });
    }
  }),
);

testOn(
  V2,
  "readOomKills() on v2 counts what the memory limit killed",
  withCgroups(
    limited({ memory: { limit: 16777216, swap: 16777216 } }),
    async (plan) => {
      const child = spawnInside(plan, "exec tail /dev/zero");
      assertEquals((await endOf(child)).signal, "SIGKILL");
      assertEquals(readOomKills(plan.dirs), 1);
    },
  ),
);

testOn(
  V2,
  "freezeCgroups(), readPids(), readStats() and signalCgroups() act on v2",
  withCgroups(limited({ pids: { limit: 9 } }), async (plan, dir) => {
    const child = spawnInside(
      plan,
      "setsid sleep 1000 & echo ready; trap '' TERM; while :; do sleep 1; done",
    );
    await readLine(child);
    assertEquals(readPids(plan.dirs).includes(child.pid), true);
    freezeCgroups(plan.dirs);
    assertEquals(isFrozen(plan.dirs), true);
    assertEquals(read(`${dir}/cgroup.events`).includes("frozen 1"), true);
    thawCgroups(plan.dirs);
    assertEquals(isFrozen(plan.dirs), false);
    assert(Number(readStats(plan.dirs).pids.current) >= 2);
    freezeCgroups(plan.dirs);
    signalCgroups(plan.dirs, 9, () => {
      throw new Error("v2 has cgroup.kill");
    });
    assertEquals((await endOf(child)).signal, "SIGKILL");
  }),
);

testOn(
  V2,
  "updateCgroups() on v2 changes limits, and device rules without a gap",
  withCgroups(
    bundled(`/rustyrun-test${Deno.pid}.${serial++}`, {}),
    (plan, dir) => {
      let now = updateCgroups(plan.dirs, {}, {
        memory: { limit: 67108864, swap: -1 },
        cpu: { quota: 20000 },
      });
      assertEquals(read(`${dir}/memory.max`), "67108864");
      assertEquals(read(`${dir}/cpu.max`), "20000 100000");
      now = updateCgroups(plan.dirs, now, {
        cpu: { period: 50000, burst: 5000 },
        devices: [{ allow: true, type: "c", major: 1, minor: 11 }],
      });
      assertEquals(read(`${dir}/cpu.max`), "20000 50000");
      assertEquals(read(`${dir}/cpu.max.burst`), "5000");
      assertEquals(now.memory, { limit: 67108864, swap: -1 });
    },
  ),
);

testOn(V2, "makeCgroups() on v2 removes what it made when it fails", () => {
  const top = `/rustyrun-test${Deno.pid}.${serial++}`;
  const plan = bundled(`${top}/c`, { cpu: { cpus: "4095" } })();
  const error = assertThrows(() => makeCgroups(plan, 0), ContainerError);
  assertEquals(
    error.message,
    `Cannot apply linux.resources.cpu.cpus: write "4095" to "${plan.joins
      .v2!}/cpuset.cpus": ERANGE`,
  );
  assertEquals(exists(`${plan.dirs[0]!.mount}${top}`), false);
});
