/**
 * A container that holds a process of exec (frozen, stopped, traced): whoever
 * started it can still end it, by one signal.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import {
  cliCommand,
  makeBox,
  runCli,
  type Running,
  runToEnd,
  start,
  withTerminal,
} from "../harness.ts";
import { findPython, type Need, testOn } from "../needs.ts";
import { readCaller } from "../../mod/caller.ts";
import { gatherFacts } from "../../mod/host.ts";
import { readProcessState, waitFor } from "../wait.ts";
import { countStopped, STOPPER } from "./stopper.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];

/** Words of a container that `update` can limit: one without a limit lies in its
 * caller's own cgroup, which hands out no controllers on v2. */
const LIMITED = ["--pids-limit", "500", "--", "sh", "-c"];

/** Attaches to a process and lets it go only with its own end. */
const TRACER = `
import ctypes, os, sys, time
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, pid, None, None):
    raise OSError(ctypes.get_errno(), "PTRACE_ATTACH")
os.waitpid(pid, 0x40000000)
print("attached", flush=True)
time.sleep(10000)
`;

/** A cgroup of the container's in the hierarchy of that version, with a freezer. */
function findFreezer(pid: number, version: 1 | 2): string | undefined {
  const mount = gatherFacts(readCaller()).cgroups.find((it) =>
    it.version === version &&
    (version === 2 || it.controllers.includes("freezer"))
  );
  const line = Deno.readTextFileSync(`/proc/${pid}/cgroup`).split("\n").find(
    (it) => {
      const names = it.split(":")[1] ?? "";
      return version === 2 ? it.startsWith("0:") : names === "freezer";
    },
  );
  return mount && line && `${mount.path}${line.split(":")[2]}`;
}

/** What holds a process; returns what lets it go. */
type Hold = (pid: number) => Promise<() => void>;

const freeze = (version: 1 | 2): Hold => async (pid) => {
  const dir = findFreezer(pid, version)!;
  const [file, on, off, status, done] = version === 1
    ? ["freezer.state", "FROZEN", "THAWED", "freezer.state", /^FROZEN/]
    : ["cgroup.freeze", "1", "0", "cgroup.events", /^frozen 1$/m];
  // One that forks meanwhile keeps a v1 freezer at FREEZING: again.
  await waitFor(() => {
    Deno.writeTextFileSync(`${dir}/${file}`, on);
    return done.test(Deno.readTextFileSync(`${dir}/${status}`));
  });
  return () => Deno.writeTextFileSync(`${dir}/${file}`, off);
};

const stop: Hold = async (pid) => {
  Deno.kill(pid, "SIGSTOP");
  await waitFor(() => readProcessState(pid) === "T");
  return () => {};
};

const trace: Hold = async (pid) => {
  const tracer = start([findPython(), "-c", TRACER, `${pid}`]);
  await tracer.waitFor("attached");
  return () => tracer.kill("SIGKILL");
};

const HOLDS: [string, Need[], Hold][] = [
  ["frozen by v1", ["cgroup-v1"], freeze(1)],
  ["frozen by v2", [], freeze(2)],
  ["stopped", [], stop],
  ["traced", ["python3"], trace],
];

/** The pid on the host of the process that runs these words. */
function findCommand(words: string): number {
  for (const { name } of Deno.readDirSync("/proc")) {
    try {
      const line = Deno.readTextFileSync(`/proc/${name}/cmdline`);
      if (line.split("\0").join(" ").trim() === words) return Number(name);
    } catch {
      // Not a process, or not any more.
    }
  }
  throw new Error(`No process runs "${words}"`);
}

/** A container, and what of it must have gone at the end. */
async function withContainer(
  act: (id: string, seconds: string) => Promise<void>,
): Promise<void> {
  await using box = makeBox();
  const running = box.start([...LIMITED, "echo ready; sleep 1000"]);
  try {
    await running.waitFor("ready");
    // An argument that nobody else's process has.
    await act(box.id, `9${Deno.pid}`);
  } finally {
    running.kill("SIGKILL");
    await running.done;
  }
}

for (const [name, needs, hold] of HOLDS) {
  testOn(
    [...NEEDS, ...needs],
    `SIGTERM ends an exec that is ${name}, and leaves nothing`,
    () =>
      withContainer(async (id, seconds) => {
        // With a handler, as a program that would clean up has; and without a
        // child, which would be held, too, with what it was given of ours.
        const fifo = `/tmp/${seconds}`;
        assertEquals((await runCli(["exec", id, "mkfifo", fifo])).code, 0);
        const script = `trap 'exit 9' TERM; read line <${fifo}`;
        for (const words of [["sleep", seconds], ["sh", "-c", script]]) {
          const exec = start([...cliCommand(), "exec", id, ...words]);
          const pid = await waitFor(() => findCommand(words.join(" ")));
          await waitFor(() => readProcessState(pid) === "S");
          const release = await hold(pid);
          try {
            exec.kill("SIGTERM");
            assertEquals((await exec.done).code, 143);
            // A tracer has a zombie to itself until it looks.
            const state = () => readProcessState(pid);
            assertMatch(await waitFor(state, (it) => /^Z?$/.test(it)), /^Z?$/);
          } finally {
            release();
          }
        }
      }),
  );
}

/** Attaches without a stop, and never looks at an end. */
const SEIZER = `
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(0x4206, int(sys.argv[1]), None, None):
    raise OSError(ctypes.get_errno(), "PTRACE_SEIZE")
print("attached", flush=True)
time.sleep(10000)
`;

testOn(
  [...NEEDS, "python3"],
  "exec ends as its command did whose tracer never looks",
  () =>
    withContainer(async (id, seconds) => {
      const fifo = `/tmp/${seconds}`;
      assertEquals((await runCli(["exec", id, "mkfifo", fifo])).code, 0);
      for (const [end, code] of [["exit 7", 7], ["exit 0", 0]] as const) {
        const words = ["sh", "-c", `read line <${fifo}; ${end}`];
        const exec = start([...cliCommand(), "exec", id, ...words]);
        const pid = await waitFor(() => findCommand(words.join(" ")));
        const tracer = start([findPython(), "-c", SEIZER, `${pid}`]);
        await tracer.waitFor("attached");
        try {
          await runCli(["exec", id, "sh", "-c", `echo >${fifo}`]);
          assertEquals((await exec.done).code, code);
          assertEquals(readProcessState(pid), "Z");
        } finally {
          tracer.kill("SIGKILL");
        }
      }
    }),
);

testOn(
  [...NEEDS, "script"],
  "a terminal that is closed ends an exec that is stopped",
  () =>
    withContainer(async (id, seconds) => {
      const words = ["sleep", seconds];
      const exec = start(
        withTerminal([...cliCommand(), "exec", "-t", id, ...words]),
      );
      const pid = await waitFor(() => findCommand(words.join(" ")));
      await stop(pid);
      exec.kill("SIGKILL");
      assertEquals(
        await waitFor(() => readProcessState(pid), (it) => it === ""),
        "",
      );
      await exec.done;
    }),
);

/** A child of exec's that is in the container's cgroups and frozen there. */
function findFrozen(exec: number, id: string, version: 1 | 2) {
  const text = Deno.readTextFileSync(`/proc/${exec}/task/${exec}/children`);
  return text.trim().split(" ").map(Number).find((pid) =>
    readProcessState(pid) === (version === 1 ? "D" : "S") &&
    Deno.readTextFileSync(`/proc/${pid}/cgroup`).includes(id)
  );
}

testOn(
  NEEDS,
  "an exec that the container stops before its command holds up no other command",
  async () => {
    await using box = makeBox();
    const running = box.start([...LIMITED, STOPPER]);
    await running.waitFor("ready");
    for (;;) {
      const exec = start([...cliCommand(), "exec", box.id, "true"]);
      let isOver = false;
      exec.done.then(() => isOver = true);
      const look = () => isOver ? 0 : countStopped(exec.pid);
      if (await waitFor(look, (it) => isOver || it > 0) === 0) continue;
      for (
        const words of [
          ["update", "--pids-limit", "99", box.id],
          ["pause", box.id],
          ["resume", box.id],
          ["kill", box.id, "0"],
          ["delete", "--force", box.id],
        ]
      ) {
        const { code, stderr } = await runCli(words);
        assertEquals([words[0], code, stderr], [words[0], 0, ""]);
      }
      assertMatch(`${(await exec.done).code}`, /^(125|137|255)$/);
      break;
    }
    await running.done;
  },
);

testOn(
  [...NEEDS, "python3"],
  "a tracer that has the first process of an exec to itself holds up nobody",
  () =>
    withContainer(async (id, seconds) => {
      const { pid } = JSON.parse((await runCli(["state", id])).stdout);
      const version = findFreezer(pid, 1) === undefined ? 2 : 1;
      const release = await freeze(version)(pid);
      const words = ["exec", "--ignore-paused", id, "sleep", seconds];
      const exec = start([...cliCommand(), ...words]);
      const inside = await waitFor(() => findFrozen(exec.pid, id, version));
      const tracer = start([findPython(), "-c", TRACER, `${inside}`]);
      try {
        await waitFor(() =>
          Deno.readTextFileSync(`/proc/${inside}/status`)
            .includes(`\nTracerPid:\t${tracer.pid}\n`)
        );
        release();
        await tracer.waitFor("attached");
        assertEquals((await runCli(["kill", id, "0"])).code, 0);
        Deno.kill(inside!, "SIGKILL");
        const state = () => readProcessState(exec.pid);
        assertMatch(await waitFor(state, (it) => /^Z?$/.test(it)), /^Z?$/);
        assertEquals(readProcessState(inside!), "Z");
        assertEquals((await exec.done).code, 255);
        const { code } = await runCli(["update", "--pids-limit", "99", id]);
        assertEquals(code, 0);
      } finally {
        tracer.kill("SIGKILL");
      }
      await tracer.done;
    }),
);

for (const version of [1, 2] as const) {
  for (const flags of [[], ["--detach"]]) {
    testOn(
      [...NEEDS, ...(version === 1 ? ["cgroup-v1"] satisfies Need[] : [])],
      `kill -9 of ${
        ["exec", ...flags].join(" ")
      } leaves nothing that v${version} has frozen`,
      () =>
        withContainer(async (id, seconds) => {
          const { pid } = JSON.parse((await runCli(["state", id])).stdout);
          const release = await freeze(version)(pid);
          try {
            const exec = start([
              ...cliCommand(),
              "exec",
              "--ignore-paused",
              ...flags,
              id,
              "sleep",
              seconds,
            ]);
            const helper = await waitFor(() =>
              findFrozen(exec.pid, id, version)
            );
            exec.kill("SIGKILL");
            // Its output ends: nobody holds that any more.
            assertEquals((await exec.done).signal, "SIGKILL");
            const state = () => readProcessState(helper!);
            assertMatch(await waitFor(state, (it) => /^Z?$/.test(it)), /^Z?$/);
          } finally {
            release();
          }
        }),
    );
  }
}

for (
  const [name, needs, hold] of [["running", [], undefined], ...HOLDS] as [
    string,
    Need[],
    Hold | undefined,
  ][]
) {
  testOn(
    [...NEEDS, ...needs],
    `kill -9 of exec ends its command, ${name}`,
    () =>
      withContainer(async (id, seconds) => {
        const exec = start([...cliCommand(), "exec", id, "sleep", seconds]);
        const pid = await waitFor(() => findCommand(`sleep ${seconds}`));
        await waitFor(() => readProcessState(pid) === "S");
        const release = await hold?.(pid);
        try {
          exec.kill("SIGKILL");
          assertEquals((await exec.done).signal, "SIGKILL");
          const state = () => readProcessState(pid);
          assertMatch(await waitFor(state, (it) => /^Z?$/.test(it)), /^Z?$/);
        } finally {
          release?.();
        }
      }),
  );
}

testOn(
  NEEDS,
  "an exec that takes a signal keeps it",
  () =>
    withContainer(async (id, seconds) => {
      const script =
        `trap 'echo took' TERM; echo ready; while :; do sleep 0.1; done; : ${seconds}`;
      const exec: Running = start([
        ...cliCommand(),
        "exec",
        id,
        "sh",
        "-c",
        script,
      ]);
      await exec.waitFor("ready");
      exec.kill("SIGTERM");
      await exec.waitFor("took");
      const pid = findCommand(`sh -c ${script}`);
      await runToEnd(["sleep", "3"]);
      assertMatch(readProcessState(pid), /^[RS]$/);
      Deno.kill(pid, "SIGKILL");
      assertEquals((await exec.done).code, 137);
    }),
);

testOn(
  NEEDS,
  "exec into a cgroup that the container has frozen is refused",
  () =>
    withContainer(async (id) => {
      const { pid } = JSON.parse((await runCli(["state", id])).stdout);
      const v1 = findFreezer(pid, 1);
      const dir = `${v1 ?? findFreezer(pid, 2)}/sub`;
      Deno.mkdirSync(dir);
      if (v1 === undefined) Deno.writeTextFileSync(`${dir}/cgroup.freeze`, "1");
      else Deno.writeTextFileSync(`${dir}/freezer.state`, "FROZEN");
      const where = v1 === undefined ? "/sub" : "freezer:/sub";
      const { code, stderr } = await runCli(
        ["exec", "--cgroup", where, id, "true"],
      );
      assertEquals(code === 0, false);
      assertMatch(stderr, /\/sub" is frozen \(use --ignore-paused/);
    }),
);
