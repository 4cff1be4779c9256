/**
 * Many commands in one process, as the warm engine and the library call them:
 * nothing of one is left for the next. And helpers that are children of somebody
 * whose descriptors have other numbers.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import { closeFd, openFd, trySyscall, waitProcess } from "../../ffi/libc.ts";
import { spawnWithStreams } from "../../ffi/spawn.ts";
import { readCaller } from "../../mod/caller.ts";
import { main } from "../../mod/cli/main.ts";
import type { Outlet } from "../../mod/outlet.ts";
import { openHelper } from "../../mod/process/helper.ts";
import { runToEnd } from "../harness.ts";
import { makeLentOutlet } from "../lent_outlet.ts";
import { makeOutlet } from "../manager_fixtures.ts";
import { hasNeed, testOn } from "../needs.ts";
import { type Caller, makeCaller, type Spec } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

// What is opened once per process counts as a leak of the test that does.
if (hasNeed("helper")) {
  openHelper("/tmp");
  waitProcess(spawnWithStreams("/bin/true", ["true"], [], new Map()));
}

/** What this process has that a command could leave in it. */
function lookAround() {
  const descriptors = [];
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const link = Deno.readLinkSync(`/proc/self/fd/${name}`);
      descriptors.push(`${name} ${link}`);
    } catch (error) {
      // The one that the list itself was read by.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  // Each is its thread's.
  const children = [...Deno.readDirSync("/proc/self/task")].flatMap((it) =>
    Deno.readTextFileSync(`/proc/self/task/${it.name}/children`).split(" ")
  );
  return {
    descriptors: descriptors.sort(),
    children: children.filter((it) => it !== "").length,
    cwd: Deno.cwd(),
    umask: /^Umask:.*$/m.exec(Deno.readTextFileSync("/proc/self/status"))?.[0],
  };
}

/** A container whose every command runs in this process. */
function makeRoom(caller: Caller, lent = new Set<number>()) {
  const { root } = caller;
  const call = async (words: string[], changes: Partial<Outlet> = {}) => {
    const { outlet, said } = makeOutlet();
    const { write, readInput } = outlet;
    const code = await main({
      caller: { ...readCaller(), words: ["--root", root, ...words] },
      outlet: { ...makeLentOutlet(lent), write, readInput, ...changes },
    });
    return { code, stderr: said[2] };
  };
  return {
    call,
    /** Calls, and finds nothing else than before; but for `children` more. */
    async same(words: string[], code: number, children = 0, outlet = {}) {
      const before = lookAround();
      const { code: got, stderr } = await call(words, outlet);
      const what = `${words.join(" ")}: ${stderr}`;
      assertEquals(got, code, what);
      const after = lookAround();
      assertEquals(
        after,
        { ...before, children: before.children + children },
        what,
      );
      assertEquals([...lent], [], what);
      return stderr;
    },
    /** Takes the end of a container's first process, whose parent this is. */
    reap(pid: number) {
      waitProcess(pid);
    },
    pidOf: (id: string): number =>
      JSON.parse(Deno.readTextFileSync(`${root}/${id}/state.json`)).pid,
  };
}

const LIVES: [string, Spec][] = [
  ["with namespaces of its own", {}],
  ["in its caller's mount namespace", {
    linux: { namespaces: [{ type: "pid" }, { type: "uts" }] },
  }],
];

for (const [what, over] of LIVES) {
  testOn(
    NEEDS,
    `a container's life ${what} leaves nothing in the process that serves it`,
    async () => {
      await using caller = makeCaller(over);
      const { id, bundle } = caller;
      const { same, reap, pidOf } = makeRoom(caller);
      await same(["create", "--bundle", bundle, id], 0, 1);
      const pid = pidOf(id);
      for (
        const words of [
          ["state", id],
          ["start", id],
          ["pause", id],
          ["resume", id],
          ["update", "--pids-limit", "100", id],
          ["events", "--stats", id],
          ["list"],
          ["ps", "--format", "json", id],
        ]
      ) await same(words, 0);
      const pidFile = `${caller.dir}/exec.pid`;
      const exec = ["exec", "-d", "--pid-file", pidFile, id];
      await same([...exec, "true"], 0, 1);
      reap(Number(Deno.readTextFileSync(pidFile)));
      await same(["kill", id, "KILL"], 0);
      reap(pid);
      await same(["delete", id], 0);
    },
  );
}

testOn(
  NEEDS,
  "what fails leaves nothing in the process either, and no lock",
  async () => {
    await using caller = makeCaller();
    const { id, bundle } = caller;
    const lent = new Set<number>();
    const { same, reap, pidOf } = makeRoom(caller, lent);
    const config = `${bundle}/config.json`;
    const text = Deno.readTextFileSync(config);
    const create = ["create", "--bundle", bundle];
    const change = (over: (spec: Spec) => void) => {
      const spec = JSON.parse(text);
      over(spec);
      Deno.writeTextFileSync(config, JSON.stringify(spec));
    };
    // Found out on the host, and by the child stage.
    change((it) => it.root.path = "nowhere");
    await same([...create, "a"], 1);
    change((it) => it.mounts.push({ destination: "/x", type: "nosuchfs" }));
    await same([...create, "b"], 1);
    // In the caller's mount namespace: with the root in hand.
    change((it) => {
      it.linux.namespaces = [{ type: "pid" }];
      it.mounts.push({ destination: "/x", type: "nosuchfs" });
    });
    await same([...create, "c"], 1);
    Deno.writeTextFileSync(config, text);
    const socket = `${caller.dir}/no-socket`;
    await same([...create, "--pidfd-socket", socket, "d"], 1);
    await same([...create, "--pid-file", "/nowhere/pid", "e"], 1);
    for (const name of ["a", "b", "c", "d", "e"]) {
      await same(["state", name], 1);
    }

    await same([...create, id], 0, 1);
    const pid = pidOf(id);
    await same([...create, id], 1);
    await same(["exec", "-d", "--cgroup", "../x", id, "true"], 255);
    await same(["start", id], 0);
    await same(["start", id], 1);
    await same(["delete", id], 1);
    await same(["exec", "-d", id, "/no/such"], 255);
    await same(["exec", "-d", "--pidfd-socket", socket, id, "true"], 255);
    await same(["exec", "-d", "--user", "nobody-here", id, "true"], 255);
    await same(["update", "--memory", "1", "no-such"], 1);
    // Who started it cannot become the keeper: nothing runs, nothing waits.
    const outlet = {
      become() {
        for (const fd of lent) closeFd(fd);
        lent.clear();
        throw new SyscallError("execve", 12);
      },
    };
    await same(["exec", id, "sleep", "1000"], 255, 0, outlet);
    const run = ["run", "--rootfs", `${bundle}/rootfs`, "--", "sleep", "1000"];
    await same(run, 125, 0, outlet);
    await same(["kill", id, "KILL"], 0);
    reap(pid);
    await same(["delete", id], 0);
  },
);

testOn(
  NEEDS,
  "exec that fails lets its lock go: the next command need not wait for it",
  async () => {
    await using caller = makeCaller();
    const { id, bundle } = caller;
    const { call, reap, pidOf } = makeRoom(caller);
    await call(["create", "--bundle", bundle, id]);
    const pid = pidOf(id);
    await call(["start", id]);
    await call(["exec", "-d", "--cgroup", "../x", id, "true"]);
    const lock = openFd(`${caller.root}/${id}/lock`, 2);
    // LOCK_EX | LOCK_NB
    assertEquals(trySyscall("flock", lock, 6), 0);
    closeFd(lock);
    await call(["kill", id, "KILL"]);
    reap(pid);
    await call(["delete", id]);
  },
);

const PROGRAM = [Deno.execPath(), "run", "-q", "-A", "--no-check"]
  .concat(`${import.meta.dirname}/../lent_outlet.ts`);

for (
  const [what, over] of [
    ...LIVES,
    ["with hooks at its end", {
      hooks: { poststop: [{ path: "/bin/true" }] },
    }],
  ] as const
) {
  testOn(
    NEEDS,
    `run ${what}, its helper a child with descriptors of other numbers`,
    async () => {
      await using caller = makeCaller({
        ...over,
        process: { args: ["sh", "-c", "ls /proc/self/fd | wc -l; exit 7"] },
      });
      const { id, bundle } = caller;
      const words = ["--root", caller.root, "run", "-b", bundle, id];
      assertEquals(await runToEnd([...PROGRAM, ...words]), {
        code: 7,
        signal: null,
        stdout: "4\n",
        stderr: "",
      });
    },
  );
}
