/**
 * The keeper and the warden under real containers: signals, the terminal, what
 * they weigh, and what SIGKILL leaves. tests/c/keeper_test.py drives the C
 * alone, with steps that no command line can reach.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  cliCommand,
  findLeaksBeside,
  makeBox,
  ROOT,
  runCli,
  type Running,
  runToEnd,
  SLOW,
  start,
  takeSnapshot,
  withTerminal,
} from "../harness.ts";
import { findPython, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";

function sendSignal(pid: number, signal: number): void {
  new Deno.Command("kill", { args: [`-${signal}`, `${pid}`] }).outputSync();
}

function readStatus(pid: number | string, key: string): string {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return new RegExp(`^${key}:\\s*(.*)$`, "m").exec(text)?.[1] ?? "";
}

/** The keeper's children by name; before the hand-over there are none. */
function listChildren(pid: number): Map<string, number> {
  const found = new Map<string, number>();
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readStatus(name, "PPid") !== `${pid}`) continue;
      if (readStatus(name, "State").startsWith("Z")) continue;
      found.set(readStatus(name, "Name"), Number(name));
    } catch {
      // It has just ended.
    }
  }
  return found;
}

async function pause(seconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000 * SLOW));
}

/** Waits until the keeper has these children and no other, by name: "sleep"
 * once the command is past its execve.
 *
 * @returns their pids */
async function waitForChildren(
  running: Running,
  ...names: string[]
): Promise<Map<string, number>> {
  for (let i = 0;; i++) {
    const found = listChildren(running.pid);
    const same = [...found.keys()].sort().join() === names.sort().join();
    if (same && readStatus(running.pid, "Name") === "rustyrun") return found;
    if (i === 3000) assertEquals([...found.keys()].sort(), names);
    await pause(0.01);
  }
}

testOn(
  ["root", "helper", "python3"],
  "keeper, warden and teardown do as tests/c/keeper_test.py says",
  async () => {
    const helper = `${ROOT}/dist/rustyrun-helper-${Deno.build.arch}`;
    const { code, stderr } = await runToEnd(
      [findPython(), `${ROOT}/tests/c/keeper_test.py`, helper],
      { timeout: 900, env: { RUSTYRUN_SLOW: `${SLOW}` } },
    );
    assertEquals(code, 0, stderr);
  },
);

testOn(
  ["root", "helper", "busybox"],
  "run forwards every signal that a shell can trap, real-time ones too",
  async () => {
    await using box = makeBox();
    const signals = Array.from({ length: 64 }, (_, i) => i + 1)
      .filter((n) => ![9, 17, 19, 32, 33].includes(n));
    const running = box.start([
      "--",
      "sh",
      "-c",
      `for n in ${signals.join(" ")}; do trap "echo got $n." $n; done; ` +
      `trap "echo got 15.; exit 9" 15; ` +
      `echo ready; while :; do sleep 0.02; done`,
    ], { timeout: 300 });
    await running.waitFor("ready");
    // Who made the first process has ended, too: nothing is held back.
    await waitForChildren(running, "rustyrun-warden", "sh");
    for (const signal of signals.filter((n) => n !== 15)) {
      sendSignal(running.pid, signal);
      await running.waitFor(`got ${signal}.`);
    }
    running.kill("SIGTERM");
    const { code, stderr } = await running.done;
    assertEquals([code, stderr], [9, ""]);
  },
);

testOn(
  ["root", "helper", "busybox"],
  "run leaves two small processes while the container runs",
  async () => {
    await using box = makeBox();
    const running = box.start(["--", "sh", "-c", "echo ready; exec sleep 600"]);
    await running.waitFor("ready");
    const children = await waitForChildren(running, "rustyrun-warden", "sleep");
    const warden = children.get("rustyrun-warden")!;
    const sizes = [running.pid, warden].map((pid) =>
      parseInt(readStatus(pid, "VmRSS"))
    );
    const helper = `${ROOT}/dist/rustyrun-helper-${Deno.build.arch}`;
    // The goal is for the native musl build; glibc's own weight is 600 KB.
    const most = Deno.statSync(helper).size < 400_000 ? 200 : 900;
    for (const size of sizes) assert(size < most, `${sizes} KB resident`);
    assertEquals(readStatus(running.pid, "Threads"), "1");
    sendSignal(children.get("sleep")!, 9);
    assertEquals((await running.done).code, 137);
  },
);

testOn(
  ["root", "helper", "busybox"],
  "run killed by SIGKILL leaves nothing, setsid children included",
  async () => {
    await using box = makeBox();
    const running = box.start([
      "--memory",
      "64m",
      "--",
      "sh",
      "-c",
      "setsid sleep 610 & (setsid sleep 620 &); echo ready; sleep 630",
    ]);
    await running.waitFor("ready");
    running.kill("SIGKILL");
    assertEquals((await running.done).signal, "SIGKILL");
    // The box's disposal looks for what is left.
  },
);

testOn(
  ["root", "helper", "busybox"],
  "run killed by SIGKILL at any moment of its start leaves nothing",
  async () => {
    for (let ms = 10; ms < 130; ms += 8) {
      await using box = makeBox();
      const before = takeSnapshot();
      const running = box.start(["--", "sh", "-c", "setsid sleep 610 & wait"]);
      await pause(ms / 1000);
      running.kill("SIGKILL");
      assertEquals((await running.done).signal, "SIGKILL", `after ${ms} ms`);
      // A kill between the claim of an id and the warden leaves the directory
      // of the claim, which is rubbish to the next command (design, 6.10).
      const allowed = (it: string) => it.startsWith("file ");
      const left = await findLeaksBeside(allowed, before, box.id, box.rootfs);
      assertEquals(left.filter((it) => !allowed(it)), []);
      for (const it of left) {
        const id = it.slice(it.lastIndexOf("/") + 1);
        const { code } = await runCli(["delete", "--force", id]);
        assertEquals(code, 0, it);
      }
    }
  },
);

/** Keeps a lease on a file, and lets nobody have it back (fcntl(2), F_SETLEASE). */
const LEASE = `import fcntl, os, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
time.sleep(600)`;

testOn(
  ["root", "helper", "busybox", "python3"],
  "run is ended by a signal while somebody keeps a lease on its program",
  async () => {
    await using box = makeBox();
    const program = Deno.realPathSync(`${box.rootfs}/bin/busybox`);
    const tenant = start([findPython(), "-c", LEASE, program]);
    try {
      await tenant.waitFor("leased");
      const running = box.start(["--", "busybox", "sleep", "600"]);
      const isWaiting = (name: string) => name.includes("break_lease");
      const look = async () => {
        const children = await waitForChildren(
          running,
          "rustyrun-warden",
          "rustyrun-init",
        );
        const pid = children.get("rustyrun-init")!;
        return Deno.readTextFileSync(`/proc/${pid}/wchan`);
      };
      assertEquals(isWaiting(await waitFor(look, isWaiting)), true);
      running.kill("SIGTERM");
      const { code, stderr } = await running.done;
      assertEquals([code, stderr], [143, ""]);
    } finally {
      tenant.kill("SIGKILL");
      await tenant.done;
    }
  },
);

testOn(
  ["root", "helper", "busybox"],
  "run --init hands a Ctrl-C to a command that has no handler",
  async () => {
    await using box = makeBox();
    const running = box.start([
      "--init",
      "--",
      "sh",
      "-c",
      "echo ready; exec sleep 600",
    ]);
    await running.waitFor("ready");
    running.kill("SIGINT");
    const { code, stderr } = await running.done;
    assertEquals([code, stderr], [130, ""]);
  },
);

testOn(
  ["root", "helper", "busybox"],
  "run lets the reader of stdout see its end when the container closes it",
  async () => {
    await using box = makeBox();
    const line = [
      ...cliCommand(),
      "run",
      "--rootfs",
      box.rootfs,
      "--name",
      box.id,
      "--",
      "sh",
      "-c",
      // Not before the reader has seen it.
      "exec >&-; until [ -e /seen ]; do sleep 0.05; done; echo later >&2",
    ];
    const quoted = line.map((word) => `'${word}'`).join(" ");
    const { stdout } = await runToEnd([
      "sh",
      "-c",
      `exec 3>&1; ${quoted} 2>&3 3>&- | ` +
      `{ cat; echo closed; : >'${box.rootfs}/seen'; }`,
    ]);
    assertEquals(stdout, "closed\nlater\n");
  },
);

testOn(
  ["root", "helper", "busybox", "script"],
  "run -t gives a terminal, relays it, and ends with the command's code",
  async () => {
    await using box = makeBox();
    const running = start(
      withTerminal([
        ...cliCommand(),
        "run",
        "--rootfs",
        box.rootfs,
        "--name",
        box.id,
        "-it",
        "--",
        "sh",
        "-c",
        "tty; read line; echo got $line; exit 7",
      ]),
      { stdin: "" },
    );
    await running.waitFor("/dev/pts/0");
    await running.write("words\r");
    await running.waitFor("got words");
    assertEquals((await running.done).code, 7);
    await running.closeStdin().catch(() => {});
  },
);

testOn(
  ["root", "helper", "busybox", "script"],
  "run -t turns a typed Ctrl-C into a SIGINT inside",
  async () => {
    await using box = makeBox();
    const running = start(
      withTerminal([
        ...cliCommand(),
        "run",
        "--rootfs",
        box.rootfs,
        "--name",
        box.id,
        "-it",
        "--",
        "sh",
        "-c",
        "trap 'exit 8' INT; echo ready; while :; do sleep 0.05; done",
      ]),
      { stdin: "" },
    );
    await running.waitFor("ready");
    await running.write("\x03");
    assertEquals((await running.done).code, 8);
    await running.closeStdin().catch(() => {});
  },
);
