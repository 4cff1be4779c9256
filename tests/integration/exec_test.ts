/**
 * What a process of exec gets of the container's cgroup and cgroup namespace.
 * Also run in the guest (.ci/guest), where systemd has mounted cgroup2 with
 * `nsdelegate`: many cases in few processes, for each is slow there.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { makeBox, runCli, type Running } from "../harness.ts";
import { testOn } from "../needs.ts";
import { type Caller, makeCaller, QUIET, type Spec } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

/** Says in which cgroup2 it is, as it sees it; whether its namespace is that of
 * the first process; and whether it may read a disk of the host. */
const PROBE = [
  "grep ^0: /proc/self/cgroup",
  'test "$(readlink /proc/self/ns/cgroup)" = "$(readlink /proc/1/ns/cgroup)" && echo same',
  "mknod /tmp/disk b 254 0",
  "cat /tmp/disk 2>&1",
  "exit 7",
].join("; ");

const REFUSED = "cat: can't open '/tmp/disk': Operation not permitted";

const MKNOD = ["CAP_MKNOD"];
const CAPABILITIES = { bounding: MKNOD, effective: MKNOD, permitted: MKNOD };
const NAMESPACES = ["pid", "mount", "ipc", "uts", "network"];

/** A configuration with these namespaces beside the usual ones. */
function specWith(namespaces: readonly Spec[], linux: Spec = {}): Spec {
  return {
    process: { capabilities: CAPABILITIES },
    linux: {
      namespaces: [...NAMESPACES.map((type) => ({ type })), ...namespaces],
      ...linux,
    },
  };
}

/** Ends it with the block, so that a failure is told at once. */
const killLater = (running: Running): Disposable => ({
  [Symbol.dispose]: () => running.kill("SIGKILL"),
});

/** Starts the container as engines do; returns its first process. */
async function startUp(caller: Caller): Promise<number> {
  const { id, bundle, dir } = caller;
  const file = `${dir}/init.pid`;
  const made = ["create", "--bundle", bundle, "--pid-file", file, id];
  assertEquals((await caller.hold(made)).code, 0);
  assertEquals(await caller.call(["start", id]), QUIET);
  return Number(Deno.readTextFileSync(file));
}

const readCgroups = (pid: number) =>
  Deno.readTextFileSync(`/proc/${pid}/cgroup`);

testOn(
  NEEDS,
  "exec has the cgroup, its namespace and the device rules of what run started, and a terminal with -t",
  async () => {
    await using box = makeBox();
    const running = box.start(["--", "sh", "-c", "echo ready; sleep 1000"]);
    using _ = killLater(running);
    await running.waitFor("ready");
    const probe = `tty; ${PROBE}`;
    const { code, stdout } = await runCli([
      "exec",
      "-t",
      box.id,
      "sh",
      "-c",
      probe,
    ]);
    assertEquals(stdout.replaceAll("\r\n", "\n").split("\n"), [
      "/dev/pts/0",
      "0::/",
      "same",
      REFUSED,
      "",
    ]);
    assertEquals(code, 7);
  },
);

testOn(
  NEEDS,
  "exec in a container with a cgroup namespace, and a container that joins it",
  async () => {
    await using caller = makeCaller(specWith([{ type: "cgroup" }]));
    const pid = await startUp(caller);
    assertEquals(await caller.call(["exec", caller.id, "sh", "-c", PROBE]), {
      code: 7,
      stdout: `0::/\nsame\n${REFUSED}\n`,
      stderr: "",
    });
    const file = `${caller.dir}/second.pid`;
    const second = ["exec", "-d", "--pid-file", file, caller.id];
    assertEquals(
      (await caller.hold([...second, "sleep", "1000"])).code,
      0,
    );
    const extra = Number(Deno.readTextFileSync(file));
    assertEquals(readCgroups(extra), readCgroups(pid));
    Deno.kill(extra, "SIGKILL");
    await caller.ask({ do: "reap", pid: extra });

    const path = `/proc/${pid}/ns/cgroup`;
    await using other = makeCaller({
      ...specWith([{ type: "cgroup", path }]),
      process: { args: ["grep", "^0:", "/proc/self/cgroup"] },
    });
    assertEquals(
      await other.call(["run", "--bundle", other.bundle, other.id]),
      { code: 0, stdout: `0::/../${other.id}\n`, stderr: "" },
    );
  },
);

testOn(
  NEEDS,
  "exec in a container without a cgroup namespace",
  async () => {
    await using caller = makeCaller(specWith([]));
    await startUp(caller);
    assertEquals(await caller.call(["exec", caller.id, "sh", "-c", PROBE]), {
      code: 7,
      stdout: `0::/${caller.id}\nsame\n${REFUSED}\n`,
      stderr: "",
    });
  },
);

testOn(
  NEEDS,
  "exec in a container with a user namespace and a cgroup namespace of it",
  async () => {
    const map = [{ containerID: 0, hostID: 0, size: 65536 }];
    await using caller = makeCaller(
      specWith([{ type: "cgroup" }, { type: "user" }], {
        uidMappings: map,
        gidMappings: map,
      }),
    );
    await startUp(caller);
    const { code, stdout } = await caller.call([
      "exec",
      caller.id,
      "sh",
      "-c",
      PROBE,
    ]);
    assertEquals([code, stdout.split("\n").slice(0, 2)], [7, ["0::/", "same"]]);
  },
);
