/**
 * The end of a container, and of what it has left, does not concern others: those
 * whose cgroups lie inside its own, and whoever waits for a kill.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { start } from "../harness.ts";
import { isFile, testOn } from "../needs.ts";
import { findWarden, readProcessState, waitFor } from "../wait.ts";
import { type CrashBox, makeCrashBox } from "./crash_box.ts";
import { findCgroups, makeRubbishRoom } from "./rubbish_room.ts";
import { NEEDS, QUIET } from "./rubbish_calls.ts";

/** A box whose container has a cgroup inside that of another. */
function makeInner(outer: string): CrashBox {
  return makeCrashBox({ linux: { cgroupsPath: `/${outer}/inner` } });
}

async function startUp(box: CrashBox, bundle: string, id: string) {
  await box.callQuiet("create", "--bundle", bundle, id);
  await box.callQuiet("start", id);
}

/** Ends what is left of the two containers of a test. */
async function removeBoth(box: CrashBox, inner: CrashBox): Promise<void> {
  assertEquals(await inner.status(inner.name), "running");
  await inner.callQuiet("delete", "--force", inner.name);
  await box.callQuiet("delete", "--force", box.name);
}

async function kill(box: CrashBox, id: string): Promise<void> {
  await box.callQuiet("kill", id, "KILL");
  assertEquals(
    await waitFor(() => box.status(id), (it) => it === "stopped"),
    "stopped",
  );
}

testOn(
  NEEDS,
  "delete --force kills nobody in a cgroup inside the container's",
  async () => {
    await using box = makeCrashBox();
    const outer = box.name, inner = `${outer}-inner`;
    const linux = { cgroupsPath: `/${outer}/inner` };
    await startUp(box, box.bundle, outer);
    await startUp(box, box.addBundle(inner, { linux }), inner);
    await kill(box, outer);
    await box.callQuiet("delete", "--force", outer);
    assertEquals(await box.status(inner), "running");
    await box.callQuiet("delete", "--force", inner);
    for (const it of findCgroups(outer)) Deno.removeSync(it);
  },
);

testOn(
  NEEDS,
  "nor one that another --root knows, and says what stays",
  async () => {
    await using box = makeCrashBox();
    await using other = makeInner(box.name);
    await startUp(box, box.bundle, box.name);
    await startUp(other, other.bundle, other.name);
    await kill(box, box.name);
    const { code, stderr } = await box.call("delete", "--force", box.name);
    assertEquals(code, 1);
    assertMatch(stderr, /Cannot remove the cgroup "[^"]*": EBUSY/);
    await removeBoth(box, other);
  },
);

testOn(NEEDS, "the sweep of a run kills nobody either", async () => {
  await using box = makeCrashBox();
  await using other = makeInner(box.name);
  const running = start(box.argv("run", "--bundle", box.bundle, box.name));
  await waitFor(() => box.status(box.name), (it) => it === "running");
  await startUp(other, other.bundle, other.name);
  await box.callQuiet("kill", box.name, "KILL");
  assertEquals((await running.done).code, 137);
  const rootfs = `${box.dir}/rootfs`;
  const next = await box.call("run", "--rootfs", rootfs, "--", "true");
  assertEquals(next.code, 0);
  await removeBoth(box, other);
});

testOn(NEEDS, "the warden of a killed keeper kills nobody either", async () => {
  await using box = makeCrashBox();
  await using other = makeInner(box.name);
  const running = start(box.argv("run", "--bundle", box.bundle, box.name));
  await waitFor(() => box.status(box.name), (it) => it === "running");
  await startUp(other, other.bundle, other.name);
  const warden = findWarden(running.pid)!;
  running.kill("SIGKILL");
  await running.done;
  const state = () => readProcessState(warden);
  assertMatch(await waitFor(state, (it) => /^Z?$/.test(it)), /^Z?$/);
  assertEquals(await box.status(box.name), "stopped");
  await removeBoth(box, other);
});

testOn(
  [...NEEDS, "strace", "cold"],
  "kill reaches the first process, however many cgroups there are",
  async () => {
    const wrap: string[] = [];
    await using room = makeRubbishRoom({ wrap });
    const running = await room.start("exec sleep 1000");
    const list = "cgroup.threads";
    const cgroup = findCgroups(room.id).find((it) => isFile(`${it}/${list}`));
    for (let i = 0; i < 1000; i++) Deno.mkdirSync(`${cgroup}/wide${i}`);
    const trace = `${room.dir}/trace`;
    wrap.push("strace", "-f", "-qq", "-o", trace, "-e", "trace=openat");
    const killed = await room.call("kill", room.id, "KILL");
    assertEquals(killed, { ...QUIET, stdout: "" });
    wrap.length = 0;
    const looks = Deno.readTextFileSync(trace).split("\n")
      .filter((it) => it.includes(list)).length;
    assert(looks > 0 && looks <= 512, `${looks}`);
    assertEquals((await running.done).code, 137);
  },
);

testOn(
  NEEDS,
  "a container without a pid namespace whose processes make cgroups without end is deleted",
  async () => {
    const grow = "n=0; while mkdir $0/$n; do n=$((n+1)); done";
    const paths = "cat /proc/self/cgroup | sed -n 's/^0:://p'";
    await using box = makeCrashBox({
      process: {
        args: [
          "sh",
          "-c",
          `d=/sys/fs/cgroup$(${paths}); for i in 1 2 3 4; do mkdir $d/$i; sh -c '${grow}' $d/$i & done; exec sleep 1000`,
        ],
      },
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/sys", type: "sysfs", source: "sysfs" },
        { destination: "/sys/fs/cgroup", type: "cgroup2", source: "cgroup2" },
      ],
      linux: { namespaces: [{ type: "mount" }] },
    });
    await startUp(box, box.bundle, box.name);
    const cgroup = findCgroups(box.name).find((it) =>
      isFile(`${it}/cgroup.stat`)
    );
    const count = () =>
      Number(
        /^nr_descendants (\d+)/.exec(
          Deno.readTextFileSync(`${cgroup}/cgroup.stat`),
        )![1],
      );
    assert(await waitFor(count, (it) => it > 500) > 500);
    await box.callQuiet("delete", "--force", box.name);
    assertEquals(findCgroups(box.name), []);
  },
);

/** A bundle whose poststop hook says so in a file, and goes on when it may. */
function makeHooked(dir: string) {
  const hook =
    `echo >>${dir}/hooked; until [ -e ${dir}/go ]; do sleep 0.1; done`;
  return makeCrashBox({
    process: { args: ["true"] },
    hooks: { poststop: [{ path: "/bin/sh", args: ["sh", "-c", hook] }] },
  });
}

testOn(
  NEEDS,
  "a poststop hook runs once, also where delete --force does not wait for it",
  async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-once-" });
    try {
      await using box = makeHooked(dir);
      const running = start(box.argv("run", "--bundle", box.bundle, box.name));
      await waitFor(() => isFile(`${dir}/hooked`));
      await box.callQuiet("delete", "--force", box.name);
      Deno.writeTextFileSync(`${dir}/go`, "");
      assertEquals((await running.done).code, 0);
      assertEquals(Deno.readTextFileSync(`${dir}/hooked`), "\n");
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

testOn(NEEDS, "an id that looks like a flag keeps its hooks", async () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-dash-" });
  try {
    await using box = makeHooked(dir);
    Deno.writeTextFileSync(`${dir}/go`, "");
    await box.callQuiet("run", "--bundle", box.bundle, "--", "--help");
    assertEquals(Deno.readTextFileSync(`${dir}/hooked`), "\n");
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
