/**
 * What a process of exec gets of the container's cgroup and cgroup namespace.
 * Also run in the guest (.ci/guest), where systemd has mounted cgroup2 with
 * `nsdelegate`: many cases in few processes, for each is slow there.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readCaller } from "../../mod/caller.ts";
import { gatherFacts } from "../../mod/host.ts";
import {
  cliCommand,
  makeBox,
  type Running,
  runToEnd,
  withTerminal,
} from "../harness.ts";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
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
  [...NEEDS, "script"],
  "exec has the cgroup, its namespace and the device rules of what run started, and a terminal with -t",
  async () => {
    await using box = makeBox();
    const running = box.start(["--", "sh", "-c", "echo ready; sleep 1000"]);
    using _ = killLater(running);
    await running.waitFor("ready");
    const probe = `tty; ${PROBE}`;
    const { code, stdout } = await runToEnd(withTerminal([
      ...cliCommand(),
      "exec",
      "-t",
      box.id,
      "sh",
      "-c",
      probe,
    ]));
    // The end of the caller's standard input is echoed somewhere.
    const shown = stdout.replaceAll(/\^[@D][\b]*/g, "");
    assertEquals(shown.replaceAll("\r\n", "\n").split("\n"), [
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

const UNIFIED = gatherFacts(readCaller()).cgroups.find((it) => it.version === 2)
  ?.path;

/** Waits until a cgroup can be removed: its processes have been killed. */
const removeCgroup = (path: string) =>
  waitFor(() => {
    Deno.removeSync(path);
    return true;
  });

testOn(
  [...NEEDS, "cgroup-v2"],
  "exec goes where the first process is when the container's cgroup hands controllers on",
  async () => {
    await using caller = makeCaller(specWith([{ type: "cgroup" }]));
    const pid = await startUp(caller);
    const { id } = caller;
    const own = `${UNIFIED}/${id}`;
    // As systemd, dockerd and buildkit do in a container.
    Deno.mkdirSync(`${own}/init`);
    Deno.writeTextFileSync(`${own}/init/cgroup.procs`, `${pid}`);
    Deno.writeTextFileSync(`${own}/cgroup.subtree_control`, "+pids");
    const words = ["exec", id, "sh", "-c", PROBE];
    assertEquals(await caller.call(words), {
      code: 7,
      stdout: `0::/init\nsame\n${REFUSED}\n`,
      stderr: "",
    });
    Deno.mkdirSync(`${own}/more/below`, { recursive: true });
    Deno.writeTextFileSync(`${own}/more/cgroup.subtree_control`, "+pids");
    const { code, stderr } = await caller.callBare(
      ["exec", "--cgroup", "/more", id, "true"],
    );
    assertEquals(code, 255);
    assertStringIncludes(
      stderr,
      `"${own}/more" takes no process: it hands controllers on to cgroups below it (cgroup.subtree_control: pids)`,
    );
  },
);

testOn(
  NEEDS,
  "exec goes where the first process is when the container's cgroup is gone, and others say that it is",
  async () => {
    await using caller = makeCaller(specWith([]));
    const pid = await startUp(caller);
    const { id } = caller;
    const moved = gatherFacts(readCaller()).cgroups.filter((it) =>
      it.version === 2 || it.controllers.includes("pids")
    ).map((it) => ({
      from: `${it.path}/${id}`,
      to: `${it.path}/${id}-moved`,
    }));
    try {
      for (const { from, to } of moved) {
        Deno.mkdirSync(to);
        Deno.writeTextFileSync(`${to}/cgroup.procs`, `${pid}`);
        await removeCgroup(from);
      }
      const grep = ["grep", "-E", "^0:|pids", "/proc/self/cgroup"];
      const { code, stdout } = await caller.call(["exec", id, ...grep]);
      assertEquals(
        [code, stdout.trim().split("\n").map((it) => it.split(":")[2])],
        [0, moved.map(() => `/${id}-moved`)],
      );
      for (const words of [["events", "--stats", id], ["pause", id]]) {
        const { code, stderr } = await caller.callBare(words);
        assertEquals(code, 1);
        assertMatch(stderr, /its cgroup "[^"]*" is gone/);
      }
      assertEquals(
        (await caller.call(["ps", "--format", "json", id])).stdout,
        `[${pid}]\n`,
      );
    } finally {
      await caller.callBare(["delete", "--force", id]);
      for (const { to } of moved) await removeCgroup(to);
    }
  },
);
