/**
 * A container is more than its first process and one cgroup: others live on
 * where there is no pid namespace, threads where the first one ends, and cgroups
 * below are frozen.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { progressOf } from "../../mod/container/status.ts";
import { makeBox, runCli } from "../harness.ts";
import { testOn } from "../needs.ts";
import { readProcessState, waitFor } from "../wait.ts";
import { type Caller, makeCaller, QUIET } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

const SHARED = {
  process: { args: ["sh", "-c", "read line </tmp/end"] },
  linux: {
    namespaces: ["mount", "ipc", "uts", "network"].map((type) => ({ type })),
  },
};

/** Starts a container; returns its first process. */
async function startUp(caller: Caller): Promise<number> {
  const { id, bundle, dir } = caller;
  const file = `${dir}/init.pid`;
  const made = ["create", "--bundle", bundle, "--pid-file", file, id];
  assertEquals((await caller.hold(made)).code, 0);
  assertEquals(await caller.call(["start", id]), QUIET);
  return Number(Deno.readTextFileSync(file));
}

/** Runs `sleep` in it; returns its pid. */
async function addSleep({ id, dir, hold }: Caller): Promise<number> {
  const file = `${dir}/second.pid`;
  const second = ["exec", "-d", "--pid-file", file, id, "sleep", "1000"];
  assertEquals((await hold(second)).code, 0);
  return Number(Deno.readTextFileSync(file));
}

const reap = async (caller: Caller, pid: number) =>
  assertEquals(await caller.ask({ do: "reap", pid }), { code: -9 });

/** A container without a pid namespace whose first process has ended.
 *
 * @returns the process that is left */
async function leaveOne(caller: Caller): Promise<number> {
  Deno.mkdirSync(`${caller.rootfs}/tmp`, { recursive: true });
  new Deno.Command("mkfifo", { args: [`${caller.rootfs}/tmp/end`] })
    .outputSync();
  const pid = await startUp(caller);
  const left = await addSleep(caller);
  Deno.writeTextFileSync(`${caller.rootfs}/tmp/end`, "\n");
  await waitFor(() => /^Z?$/.test(readProcessState(pid)));
  await caller.waitFor("stopped");
  return left;
}

testOn(
  NEEDS,
  "without a pid namespace, kill reaches whom the first process has left, and delete says that they are there",
  async () => {
    await using caller = makeCaller(SHARED);
    const { id } = caller;
    const left = await leaveOne(caller);
    assertEquals(
      (await caller.call(["ps", "--format", "json", id])).stdout,
      `[${left}]\n`,
    );
    const { code, stderr } = await caller.callBare(["delete", id]);
    assertEquals(code, 1);
    assertMatch(
      stderr,
      RegExp(`its first process has ended, but the process ${left} runs on`),
    );
    const refused = await caller.callBare(["kill", id, "TERM"]);
    assertStringIncludes(refused.stderr, "container not running");
    assertEquals(await caller.call(["kill", id, "KILL"]), QUIET);
    await reap(caller, left);
    const again = await caller.callBare(["kill", id, "KILL"]);
    assertStringIncludes(again.stderr, "container not running");
    assertEquals(await caller.call(["delete", id]), QUIET);
  },
);

testOn(
  NEEDS,
  "without a pid namespace, delete --force ends whom the first process has left",
  async () => {
    await using caller = makeCaller(SHARED);
    const left = await leaveOne(caller);
    assertEquals(await caller.call(["delete", "--force", caller.id]), QUIET);
    await reap(caller, left);
  },
);

testOn(
  NEEDS,
  "a container that has stopped has no say over another one in its cgroup",
  async () => {
    await using caller = makeCaller(SHARED);
    const left = await leaveOne(caller);
    Deno.kill(left, "SIGKILL");
    await reap(caller, left);
    const { id, bundle } = caller;
    const other = `${id}-other`;
    const file = `${caller.dir}/other.pid`;
    const made = ["create", "--bundle", bundle, "--pid-file", file, other];
    assertEquals((await caller.hold(made)).code, 0);
    try {
      const { stderr } = await caller.callBare(["kill", id, "KILL"]);
      assertStringIncludes(stderr, "container not running");
      await caller.callBare(["kill", "--all", id, "KILL"]);
      const pid = Number(Deno.readTextFileSync(file));
      assertMatch(readProcessState(pid), /^[SD]$/);
    } finally {
      await caller.callBare(["delete", "--force", other]);
    }
  },
);

/** A program whose first thread ends while another goes on. */
const THREADS = `
#include <pthread.h>
#include <unistd.h>
static void *stay(void *arg) { for (;;) pause(); return arg; }
int main(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, stay, NULL))
		return 1;
	pthread_exit(NULL);
}
`;

testOn(
  [...NEEDS, "cc"],
  "a container runs while any thread of its first process does",
  async () => {
    await using caller = makeCaller({ process: { args: ["threads"] } });
    const source = `${caller.dir}/threads.c`;
    Deno.writeTextFileSync(source, THREADS);
    const built = new Deno.Command("cc", {
      args: [
        "-static",
        "-pthread",
        source,
        "-o",
        `${caller.rootfs}/bin/threads`,
      ],
    }).outputSync();
    assertEquals(built.success, true);
    const pid = await startUp(caller);
    assertEquals(
      await waitFor(() => readProcessState(pid), (it) => it === "Z"),
      "Z",
    );
    assertEquals((await caller.state())["status"], "running");
    const words = ["exec", caller.id, "sh", "-c", "hostname; ls -d /bin; pwd"];
    const { code, stdout } = await caller.call(words);
    assertEquals([code, stdout.split("\n").slice(1)], [0, ["/bin", "/", ""]]);
    assertEquals(
      (await caller.call(["ps", "--format", "json", caller.id])).stdout,
      `[${pid}]\n`,
    );
    assertEquals((await caller.callBare(["delete", caller.id])).code, 1);
    assertEquals(await caller.call(["kill", caller.id, "KILL"]), QUIET);
    await caller.waitFor("stopped");
  },
);

for (const pids of [true, false]) {
  testOn(
    [...NEEDS, "cgroup-v1"],
    `what the container has frozen itself is thawed when it is killed, ${
      pids ? "with" : "without"
    } a pid namespace`,
    async () => {
      await using caller = makeCaller({
        process: { args: ["sh", "-c", "sleep 1000 & wait"] },
        linux: pids ? {} : SHARED.linux,
      });
      const pid = await startUp(caller);
      const top = "/sys/fs/cgroup/freezer/" + caller.id;
      const other = await waitFor(() =>
        Deno.readTextFileSync(`${top}/cgroup.procs`).split("\n").map(Number)
          .find((it) => it > 0 && it !== pid)
      );
      // Deeper than one, as a runtime in the container would have it.
      const inner = `${top}/a/b`;
      Deno.mkdirSync(inner, { recursive: true });
      Deno.writeTextFileSync(`${inner}/cgroup.procs`, `${other}`);
      Deno.writeTextFileSync(`${inner}/freezer.state`, "FROZEN");
      await waitFor(() =>
        Deno.readTextFileSync(`${inner}/freezer.state`) === "FROZEN\n"
      );
      assertEquals(await caller.call(["kill", caller.id, "KILL"]), QUIET);
      await caller.waitFor("stopped");
      const state = () => readProcessState(other!);
      assertMatch(await waitFor(state, (it) => /^Z?$/.test(it)), /^Z?$/);
      assertEquals(await caller.call(["delete", caller.id]), QUIET);
    },
  );
}

testOn(
  NEEDS,
  "a container whose start was killed runs, once it has been let go",
  async () => {
    await using caller = makeCaller();
    const { id, bundle, root } = caller;
    assertEquals(
      (await caller.hold(["create", "--bundle", bundle, id])).code,
      0,
    );
    assertEquals((await caller.state())["status"], "created");
    // What a start does before it could be killed.
    using fifo = Deno.openSync(`${root}/${id}/exec.fifo`);
    fifo.readSync(new Uint8Array(65536));
    await caller.waitFor("running");
    const { code, stderr } = await caller.callBare(["start", id]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "cannot start an already running container");
    assertEquals((await caller.call(["exec", id, "true"])).code, 0);
    assertStringIncludes(
      (await caller.callBare(["delete", id])).stderr,
      "that is not stopped: running",
    );
  },
);

testOn(
  ["root", "helper", "busybox"],
  "the first process says itself that its command runs, also with --init",
  async () => {
    for (const init of [[], ["--init"]]) {
      await using box = makeBox();
      const command = ["--", "sh", "-c", "echo ready; exec sleep 1000"];
      const running = box.start([...init, ...command]);
      try {
        await running.waitFor("ready");
        const { stdout } = await runCli(["state", box.id]);
        const { pid, status } = JSON.parse(stdout);
        assertEquals([progressOf(pid), status], ["executed", "running"]);
      } finally {
        running.kill("SIGKILL");
      }
      await running.done;
    }
  },
);

Deno.test("a process that is about to end gets no further", async () => {
  // Nobody waits for the first: it has given its memory back, and stays.
  const child = new Deno.Command("sh", {
    args: ["-c", "sh -c 'echo $$' & exec sleep 1000 >/dev/null"],
    stdout: "piped",
  }).spawn();
  try {
    const pid = Number(await new Response(child.stdout).text());
    await waitFor(() => readProcessState(pid), (it) => it === "Z");
    assertEquals(progressOf(pid), "waiting");
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
});
