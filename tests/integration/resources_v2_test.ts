/**
 * What only cgroup v2 has, with every controller (.ci/guest): io.*, partitions of
 * CPUs, threaded cgroups, an end by memory that takes all along, huge pages. No
 * other file runs meanwhile (scripts/test.ts): a partition takes a CPU from all.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { findDisk, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import type { Spec } from "./caller.ts";
import {
  CGROUPS,
  isThere,
  makeV2Room,
  statusOf,
  type V2Room,
} from "./v2_room.ts";

const NEEDS = ["root", "helper", "busybox", "cgroup-v2"] as const;

const limited = (resources: Spec): Spec => ({ linux: { resources } });

const read = (path: string) => Deno.readTextFileSync(path).trim();

/** A read of 1 MiB that no cache answers, between two looks at the clock. */
const READ =
  "cut -d' ' -f1 /proc/uptime; dd if=/data of=/dev/null bs=256k iflag=direct 2>/dev/null || echo failed; cut -d' ' -f1 /proc/uptime";

/** How many seconds that takes. */
async function timeRead(room: V2Room): Promise<number> {
  const said = (await room.exec(READ)).split("\n").map(Number);
  assertEquals([said.length, said.some(isNaN)], [2, false], said.join());
  return said[1]! - said[0]!;
}

testOn(
  [...NEEDS, "disk"],
  "blockIO on cgroup v2: rates and weight are there and hold, update changes them, unified is last",
  async () => {
    await using room = makeV2Room();
    const disk = findDisk()!;
    const [major, minor] = disk.split(":").map(Number);
    const weigh = (bfq: number, other: number) => {
      const isBfq = isThere(`${room.dir}/io.bfq.weight`);
      const file = isBfq ? "io.bfq.weight" : "io.weight";
      assertMatch(
        room.read(file),
        new RegExp(`^(default )?${isBfq ? bfq : other}$`),
      );
    };
    await room.start(limited({
      blockIO: {
        weight: 500,
        throttleReadBpsDevice: [{ major, minor, rate: 512 << 10 }],
        throttleWriteIOPSDevice: [{ major, minor, rate: 120 }],
      },
    }));
    assertEquals(
      room.read("io.max"),
      `${disk} rbps=${512 << 10} wbps=max riops=max wiops=120`,
    );
    weigh(500, 4950);
    const path = `${room.rootfs}/data`;
    using data = Deno.openSync(path, { create: true, write: true });
    data.writeSync(new Uint8Array(1 << 20).fill(1));
    data.syncSync();
    const slow = await timeRead(room);
    assertEquals(slow > 1, true, `${slow}`);
    // As runc has it: a file of limits, from which a rate of 0 is none.
    const file = `${room.bundle}/limits.json`;
    const blockIO = {
      weight: 100,
      throttleReadBpsDevice: [{ major, minor, rate: 0 }],
    };
    Deno.writeTextFileSync(file, JSON.stringify({ blockIO }));
    await room.quiet("update", "--resources", file, room.id);
    weigh(100, 910);
    assertStringIncludes(room.read("io.max"), "rbps=max");
    const fast = await timeRead(room);
    assertEquals(fast < slow, true, `${fast}, not below ${slow}`);
    await room.end();

    await room.start(limited({
      blockIO: { throttleWriteBpsDevice: [{ major, minor, rate: 4096 }] },
      unified: { "io.max": `${disk} wbps=8192` },
    }));
    assertStringIncludes(room.read("io.max"), "wbps=8192");
    await room.end();
  },
);

testOn(
  [...NEEDS, "disk"],
  "blockIO on cgroup v2: what the kernel has not, or does not take, is an error with the file and a hint",
  async (t) => {
    await using room = makeV2Room();
    const disk = findDisk()!;
    const [major, minor] = disk.split(":").map(Number);
    for (
      const [what, resources, words] of [
        [
          "leafWeight",
          { blockIO: { leafWeight: 300 } },
          [
            "blockIO.leafWeight",
            "cgroup v2 has no leaf weight",
            "hint: Leave it out",
          ],
        ],
        [
          "a disk that is not there",
          {
            blockIO: {
              throttleReadBpsDevice: [{ major: 240, minor: 77, rate: 1 << 20 }],
            },
          },
          ["/c/io.max", "ENODEV", "hint: lsblk"],
        ],
        [
          "a rate of nearly nothing",
          {
            blockIO: { throttleWriteBpsDevice: [{ major, minor, rate: 1 }] },
          },
          ["/c/io.max", "EINVAL", "hint: The kernel does not take"],
        ],
        [
          "unified without sense",
          { unified: { "io.max": "nonsense" } },
          ['unified["io.max"]', "EINVAL", "hint: "],
        ],
        [
          "a file that no kernel has",
          { unified: { "io.none": "1" } },
          ['unified["io.none"]', "ENOENT", "hint: This kernel has no such"],
        ],
      ] as [string, Spec, string[]][]
    ) {
      await t.step(what, async () => {
        const said = await room.refuse(limited(resources));
        for (const it of words) assertStringIncludes(said, it);
      });
    }
    await t.step(
      "a weight on one disk, without a scheduler for it",
      async () => {
        const blockIO = { weightDevice: [{ major, minor, weight: 300 }] };
        room.write(limited({ blockIO }));
        const words = ["create", "-b", room.bundle, room.id];
        const { code, stderr } = await room.call(...words);
        const file = isThere(`${CGROUPS}/system.slice/io.bfq.weight`)
          ? "io.bfq.weight"
          : "io.weight";
        if (code === 0) {
          // Where BFQ or iocost is at work on it.
          assertMatch(room.read(file), new RegExp(`^${disk} \\d+$`, "m"));
          return await room.end();
        }
        assertStringIncludes(stderr, `/c/${file}": EOPNOTSUPP`);
        assertStringIncludes(stderr, "hint: A weight on one disk needs");
        assertEquals(isThere(room.dir), false);
      },
    );
  },
);

/** Asserts which CPUs the container and what is executed there have. */
async function assertCpus(room: V2Room, cpus: string): Promise<void> {
  const said = await room.exec(
    "sed -n 's/^Cpus_allowed_list:.//p' /proc/1/status /proc/self/status",
  );
  assertEquals(said, `${cpus}\n${cpus}`);
}

testOn(
  NEEDS,
  "a container in a partition of CPUs has its CPUs alone, and exec as well",
  async () => {
    await using room = makeV2Room();
    Deno.mkdirSync(room.outer);
    const partition = `${room.outer}/cpuset.cpus.partition`;
    Deno.writeTextFileSync(`${room.outer}/cpuset.cpus`, "1");
    Deno.writeTextFileSync(partition, "root");
    assertEquals(read(partition), "root");
    for (
      const [resources, own] of [
        [{}, "member"],
        [{ cpu: { cpus: "1" } }, "member"],
        // The kernel gives what there is of these: none, or one.
        [{ cpu: { cpus: "0" } }, "member"],
        [{ cpu: { cpus: "0-1" } }, "member"],
        // A partition in a partition.
        [{
          unified: { "cpuset.cpus": "1", "cpuset.cpus.partition": "root" },
        }, "root"],
      ] as const
    ) {
      await room.start(limited(resources));
      await assertCpus(room, "1");
      assertEquals(
        [room.read("cpuset.cpus.partition"), read(partition)],
        [own, "root"],
      );
      assertEquals(read(`${CGROUPS}/cpuset.cpus.effective`), "0");
      await room.end();
    }
  },
);

testOn(
  NEEDS,
  "a container that is a partition of CPUs has them alone; one that cannot be says so in its file",
  async () => {
    await using room = makeV2Room();
    const { id, outer } = room;
    const all = read(`${CGROUPS}/cpuset.cpus.effective`);
    const unified = { "cpuset.cpus": "1", "cpuset.cpus.partition": "root" };
    // The cgroup above must be a partition itself, as the root is.
    const cgroupsPath = `/${id}`;
    await room.start({ linux: { cgroupsPath, resources: { unified } } });
    await assertCpus(room, "1");
    assertEquals(read(`${outer}/cpuset.cpus.partition`), "root");
    assertEquals(read(`${CGROUPS}/cpuset.cpus.effective`), "0");
    await room.quiet("delete", "--force", id);
    assertEquals(isThere(outer), false);
    // The kernel gives them back a little later.
    const given = () => read(`${CGROUPS}/cpuset.cpus.effective`);
    assertEquals(await waitFor(given, (it) => it === all), all);

    // Newer kernels have partitions further down, of cpuset.cpus.exclusive.
    await room.start(limited({ unified }));
    await assertCpus(room, "1");
    assertMatch(room.read("cpuset.cpus.partition"), /^root( invalid \(.*\))?$/);
    await room.end();
    const said = await room.refuse(
      limited({ unified: { ...unified, "cpuset.cpus.partition": "no" } }),
    );
    assertStringIncludes(said, 'unified["cpuset.cpus.partition"]: write "no"');
    assertEquals(read(`${CGROUPS}/cpuset.cpus.effective`), all);
  },
);

testOn(
  NEEDS,
  "below a threaded cgroup no container can be made, with an error that says so; in one it can",
  async () => {
    await using room = makeV2Room();
    const { id, outer } = room;
    const make = () => {
      Deno.mkdirSync(`${outer}/t`, { recursive: true });
      Deno.writeTextFileSync(`${outer}/t/cgroup.type`, "threaded");
      assertEquals(read(`${outer}/cgroup.type`), "domain threaded");
    };
    make();
    const memory = { memory: { limit: 32 << 20 } };
    for (
      const [path, resources, says] of [
        ["c", {}, /clone3: EOPNOTSUPP[^]*hint: .* below a threaded one/],
        ["t/c", {}, /clone3: EOPNOTSUPP[^]*hint: .* below a threaded one/],
        [
          "t/c",
          { pids: { limit: 20 } },
          /clone3: EOPNOTSUPP[^]*hint: .* below a threaded one/,
        ],
        ["c", memory, /memory controller[^]*hint: .* threaded/],
        ["t/c", memory, /memory controller[^]*hint: .* threaded/],
        [
          "t/c",
          { unified: { "cgroup.type": "threaded" } },
          /cgroup\.type is not a limit/,
        ],
      ] as const
    ) {
      const cgroupsPath = `/${id}/${path}`;
      const said = await room.refuse({ linux: { cgroupsPath, resources } });
      assertMatch(said, says);
      assertEquals(isThere(CGROUPS + cgroupsPath), false);
      assertEquals(read(`${outer}/t/cgroup.type`), "threaded");
    }
    const pid = await room.start({ linux: { cgroupsPath: `/${id}/t` } });
    const own = `0::/${id}/t`;
    assertEquals(read(`/proc/${pid}/cgroup`), own);
    await assertUsable(room, own);
    await room.quiet("delete", "--force", id);
    assertEquals(isThere(`${outer}/t`), false);
  },
);

/** Asserts that all commands know the container, whose cgroup is threaded. */
async function assertUsable(
  room: V2Room,
  place: string,
): Promise<void> {
  const { id } = room;
  assertEquals(await room.exec("cat /proc/self/cgroup"), place);
  const { code, stderr } = await room.call("ps", id);
  assertEquals([code, stderr], [0, ""]);
  await room.quiet("pause", id);
  assertEquals(await statusOf(room), "paused");
  await room.quiet("resume", id);
  assertEquals((await room.call("events", "--stats", id)).code, 0);
  await room.quiet("exec", "--detach", id, "sleep", "999");
  await room.quiet("kill", "--all", id, "KILL");
  assertEquals(
    await waitFor(() => statusOf(room), (it) => it === "stopped"),
    "stopped",
  );
}

testOn(
  NEEDS,
  "exec goes into a container whose cgroup has become threaded, or has threaded ones, and it ends as any other",
  async (t) => {
    await using room = makeV2Room();
    const { id, dir, outer } = room;
    const pid = await room.start();
    await t.step("its own has a threaded one below", async () => {
      Deno.mkdirSync(`${dir}/t`);
      Deno.writeTextFileSync(`${dir}/t/cgroup.type`, "threaded");
      assertEquals(room.read("cgroup.type"), "domain threaded");
      const place = `0::/${id}/c`;
      assertEquals(await room.exec("cat /proc/self/cgroup"), place);
      const below = await room.exec("cat /proc/self/cgroup", "--cgroup", "/t");
      assertEquals(below, `${place}/t`);
      Deno.writeTextFileSync(`${dir}/t/cgroup.procs`, `${pid}`);
      assertEquals(read(`/proc/${pid}/cgroup`), `${place}/t`);
      await assertUsable(room, place);
      await room.end();
    });
    await t.step("its own is threaded", async () => {
      const pid = await room.start();
      // The processes must be in the domain before.
      const handed = read(`${outer}/cgroup.subtree_control`).split(" ");
      const none = handed.map((it) => `-${it}`).join(" ");
      Deno.writeTextFileSync(`${outer}/cgroup.subtree_control`, none);
      Deno.writeTextFileSync(`${outer}/cgroup.procs`, `${pid}`);
      Deno.writeTextFileSync(`${dir}/cgroup.type`, "threaded");
      Deno.writeTextFileSync(`${dir}/cgroup.procs`, `${pid}`);
      await assertUsable(room, `0::/${id}/c`);
      await room.end();
    });
  },
);

testOn(
  NEEDS,
  "memory.oom.group: one process over the limit takes the whole container along, or only itself",
  async () => {
    await using room = makeV2Room();
    const script =
      "sleep 1000 & tail /dev/zero; echo $? >/ended; sleep 1000; true";
    const start = (group: string) =>
      room.start({
        process: { args: ["sh", "-c", script] },
        ...limited({
          memory: { limit: 24 << 20, swap: 24 << 20 },
          unified: { "memory.oom.group": group },
        }),
      });
    await start("1");
    await waitFor(() => statusOf(room), (it) => it === "stopped");
    const events = room.read("memory.events");
    assertEquals(
      [await statusOf(room), isThere(`${room.rootfs}/ended`)],
      ["stopped", false],
    );
    const left = () => room.read("cgroup.procs");
    assertEquals(await waitFor(left, (it) => it === ""), "");
    assertMatch(events, /^oom_group_kill 1$/m);
    await room.end();

    await start("0");
    assertEquals(await waitFor(() => read(`${room.rootfs}/ended`)), "137");
    assertEquals(await statusOf(room), "running");
    assertMatch(room.read("memory.events"), /^oom_kill 1\noom_group_kill 0$/m);
    // The shell, and both that sleep.
    const lives = () => room.read("cgroup.procs").split("\n").length;
    assertEquals(await waitFor(lives, (it) => it === 3), 3);
    await room.end();
  },
);

testOn(
  NEEDS,
  "huge pages: used and reserved ones are limited; a size that there is not is an error",
  async () => {
    await using room = makeV2Room();
    const limitOf = (pageSize: string) =>
      limited({ hugepageLimits: [{ pageSize, limit: 4 << 20 }] });
    await room.start(limitOf("2MB"));
    const files = ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"];
    assertEquals(files.map(room.read), [`${4 << 20}`, `${4 << 20}`]);
    await room.end();
    const said = await room.refuse(limitOf("64KB"));
    assertStringIncludes(said, 'hugetlb.64KB.max": ENOENT');
    assertStringIncludes(said, "hint: ls /sys/kernel/mm/hugepages");
  },
);
