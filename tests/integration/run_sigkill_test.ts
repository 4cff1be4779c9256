/**
 * SIGKILL at every step: of rustyrun while it is still Deno, of the keeper, of
 * keeper and warden together. No process, mount or cgroup may stay.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  type Box,
  cliCommand,
  type CliOptions,
  findLeaks,
  findLeaksBeside,
  makeBox,
  type Running,
  runToEnd,
  SLOW,
  start,
  takeSnapshot,
} from "../harness.ts";
import { findPython, type Need, testOn } from "../needs.ts";
import { findWarden, nameOf, readProcessState } from "../wait.ts";

const ROOT: Need[] = ["root", "helper", "busybox"];
const CALLERS: { who: string; options: CliOptions; needs: Need[] }[] = [
  { who: "root", options: {}, needs: ["root", "helper"] },
  {
    who: "a user",
    options: { user: true },
    needs: ["user", "userns", "helper"],
  },
];

/** What is left, but for a state directory that holds no state yet: the next
 * run removes that one. */
async function findRest(
  before: ReturnType<typeof takeSnapshot>,
  ...words: string[]
): Promise<string[]> {
  const allowed = (it: string) =>
    /^file \/run\/rustyrun\//.test(it) && isUnborn(it.slice(5));
  const left = await findLeaksBeside(allowed, before, ...words);
  return left.filter((it) => !allowed(it));
}

function isUnborn(dir: string): boolean {
  try {
    return ![...Deno.readDirSync(dir)].some((it) => it.name === "state.json");
  } catch {
    return true;
  }
}

/** A payload that no parent-death signal reaches, nor a signal to its group. */
const ESCAPE = `
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
def hide():
    libc.prctl(1, 0)
    os.setsid()
    if os.fork(): os._exit(0)
libc.prctl(1, 0)
for _ in range(3):
    if os.fork() == 0:
        hide()
        sys.stdout.write("hidden\\n"); sys.stdout.flush()
        time.sleep(1000)
time.sleep(1000)
`;

for (const { who, options, needs } of CALLERS) {
  testOn(
    [
      ...needs,
      "python3",
      ...(options.user ? ["tmpfs-xattr"] satisfies Need[] : []),
    ],
    `kill -9 of rustyrun ends a payload that cleared its parent-death signal, as ${who}`,
    async () => {
      const id = `rrtest-kill-${Deno.pid}`;
      const before = takeSnapshot();
      const running = start([
        ...cliCommand(options),
        "run",
        "--rootfs",
        "/",
        "--ephemeral",
        "--name",
        id,
        "--",
        findPython(),
        "-c",
        ESCAPE,
      ], options);
      await running.waitFor("hidden\nhidden\nhidden\n");
      running.kill("SIGKILL");
      assertEquals((await running.done).signal, "SIGKILL");
      assertEquals(await findRest(before, id), []);
    },
  );
}

/** A container that leaves much behind when nobody cleans up.
 *
 * @param before what stands before `run`: a tracer, and flags for all commands */
function startRich(
  box: Box,
  before: { tracer?: string[]; flags?: string[] } = {},
): Running {
  return start([
    ...before.tracer ?? [],
    ...cliCommand(),
    ...before.flags ?? [],
    "run",
    "--rootfs",
    box.rootfs,
    "--name",
    box.id,
    `--ephemeral=${box.rootfs}/tmp`,
    "--memory",
    "64m",
    "--pids-limit",
    "50",
    "--",
    "sh",
    "-c",
    "setsid sleep 1000 & echo ready; sleep 1000",
  ]);
}

testOn(
  ROOT,
  "SIGKILL of rustyrun at any moment of its first 150 ms leaves nothing",
  async () => {
    await using box = makeBox();
    const before = takeSnapshot();
    for (let round = 0; round < 30; round++) {
      const running = startRich(box);
      // Rounds between the steps of each other: no two at the same moment.
      await new Promise((resolve) => setTimeout(resolve, round * 5));
      running.kill("SIGKILL");
      assertEquals((await running.done).signal, "SIGKILL");
      assertEquals(await findRest(before, box.id), [], `after ${round * 5} ms`);
      assertEquals(
        [...Deno.readDirSync(`${box.rootfs}/tmp`)].map((it) => it.name),
        [],
        `after ${round * 5} ms`,
      );
    }
    assertEquals((await box.run(["--", "true"])).code, 0);
  },
);

/** System calls of Deno's own thread, and at which of them it is killed: state
 * directory and cgroups, the plan, the helper, its reports, the state, the
 * keeper. One that is not reached kills nobody, and the test does that. */
const STEPS: [string, number[]][] = [
  ["mkdir,mkdirat", [1, 2, 3, 6]],
  ["memfd_create", [1, 2, 3]],
  ["clone3,vfork", [6]],
  ["recvmsg", [1, 2, 3, 4]],
  ["rename", [1]],
  ["execve", [2]],
];

for (const [calls, times] of STEPS) {
  testOn(
    [...ROOT, "strace"],
    `SIGKILL of rustyrun as it calls ${calls} leaves nothing`,
    async () => {
      await using box = makeBox();
      const before = takeSnapshot();
      for (const when of times) {
        const tracer = [
          "strace",
          // The tracer is a grandchild: rustyrun keeps the pid.
          "-D",
          "-o",
          "/dev/null",
          "-e",
          `trace=${calls}`,
          "-e",
          `inject=${calls}:signal=KILL:when=${when}`,
        ];
        const running = startRich(box, { tracer });
        // A step that is not reached: the container runs, and is killed then.
        await Promise.race([
          running.waitFor("ready").catch(() => {}),
          running.done,
        ]);
        killLate(running);
        assertEquals((await running.done).signal, "SIGKILL");
        assertEquals(await findRest(before, box.id), [], `${calls} ${when}`);
      }
      const { code, stderr } = await box.run(["--", "true"]);
      assertEquals([code, stderr], [0, ""]);
    },
  );
}

function killLate(running: Running): void {
  try {
    running.kill("SIGKILL");
  } catch {
    // It was killed where it should be.
  }
}

function isStopped(pid: number): boolean {
  return /^State:\tT/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
}

/** Looks until there is something. */
async function waitFor<T>(look: () => T | undefined): Promise<T> {
  for (let i = 0; i < 3000; i++) {
    const found = look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10 * SLOW));
  }
  throw new Error(`Waited in vain for ${look}`);
}

testOn(
  ROOT,
  "the next run removes what is left when keeper and warden were killed",
  async () => {
    await using box = makeBox();
    // Of its own: any other run that keeps its state there would sweep as well.
    const root = `${box.rootfs}/root`;
    const flags = ["--root", root];
    const before = takeSnapshot();
    const running = startRich(box, { flags });
    await running.waitFor("ready");
    // Frozen, the warden cannot act between the two signals.
    const warden = await waitFor(() => findWarden(running.pid));
    await waitFor(() => nameOf(running.pid) === "rustyrun" || undefined);
    Deno.kill(warden, "SIGSTOP");
    await waitFor(() => isStopped(warden) || undefined);
    running.kill("SIGKILL");
    Deno.kill(warden, "SIGKILL");
    // Until both have ended the state has an owner, and a run by the front is quick.
    for (const pid of [running.pid, warden]) {
      await waitFor(() =>
        ["", "Z"].includes(readProcessState(pid)) || undefined
      );
    }
    const cgroups = () =>
      [...takeSnapshot().cgroups].filter((it) => it.includes(box.id));
    assert(cgroups().length > 0, "nothing was left to sweep");
    const { code, stdout, stderr } = await runToEnd([
      ...cliCommand(),
      ...flags,
      "run",
      "--rootfs",
      box.rootfs,
      "--",
      "echo",
      "next",
    ]);
    assertEquals([code, stdout], [0, "next\n"], stderr);
    assertMatch(stderr, /^$|^rustyrun: /);
    assertEquals(await findLeaks(before, box.id), []);
    assertEquals(
      [...Deno.readDirSync(root)].map((it) => it.name)
        .filter((it) => it !== ".cache"),
      [],
    );
    await running.done;
  },
);
