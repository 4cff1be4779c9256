/**
 * `rustyrun serve` and `rustyrun front` as commands.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { connectPackets } from "../../ffi/listening.ts";
import { closeFd, libc } from "../../ffi/libc.ts";
import {
  cliCommand,
  runCli,
  type Running,
  runToEnd,
  start,
} from "../harness.ts";
import { testOn } from "../needs.ts";
import { readProcessState, waitFor } from "../wait.ts";
import { readServed, writeFront } from "../warm_program.ts";
import { isWorkerReady } from "../warm_room.ts";

libc();

testOn(
  ["helper"],
  "rustyrun front: what it writes is this rustyrun, without an engine",
  async () => {
    const dir = Deno.makeTempDirSync();
    try {
      const made = await runCli(["front", "--socket", `${dir}/s`, `${dir}/x`]);
      assertEquals(made, { code: 0, signal: null, stdout: "", stderr: "" });
      assertEquals(Deno.statSync(`${dir}/x`).mode! & 0o7777, 0o755);
      const want = await runCli(["--version"]);
      assertEquals(await runToEnd([`${dir}/x`, "--version"]), want);
      assertEquals([...Deno.readDirSync(dir)].map((it) => it.name), ["x"]);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

testOn(
  ["helper"],
  "rustyrun front: one error where it cannot be written, or has no room",
  async () => {
    const missing = await runCli(["front", "/nowhere/x"]);
    assertEquals(missing.code, 1);
    assertStringIncludes(missing.stderr, 'Cannot write "/nowhere/x": ');
    const long = await runCli([
      "front",
      "--socket",
      `/${"x".repeat(200)}`,
      "/tmp/x",
    ]);
    assertEquals(long.code, 1);
    assertStringIncludes(
      long.stderr,
      "Cannot make a front: the socket's path has 201 bytes",
    );
  },
);

testOn(
  ["helper"],
  "rustyrun --verbose serve: says of each call whether it was served",
  async () => {
    const dir = Deno.makeTempDirSync();
    try {
      const { front, engine } = writeFront(dir, cliCommand().at(-1)!);
      const serve = start(engine);
      // Warm, or it fails.
      const env = { DENO_V8_FLAGS: "--no-cold-start" };
      const warm = () => runToEnd([front, "--version"], { env });
      assert(await waitFor(async () => (await warm()).code === 0));
      assertEquals((await runToEnd([front, "help"])).code, 0);
      serve.kill("SIGTERM");
      const { served, not } = readServed((await serve.done).stderr);
      assertEquals([served, [...not]], [1, [["not served", 1]]]);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

testOn(
  ["helper"],
  "rustyrun serve: ends when nobody calls, and leaves nothing",
  async () => {
    const dir = Deno.makeTempDirSync();
    try {
      const { code, stdout, stderr } = await runCli([
        "serve",
        "--socket",
        `${dir}/s/t/u`,
        "--idle",
        "1ms",
      ]);
      assertEquals([code, stdout, stderr], [0, "", ""]);
      assertEquals([...Deno.readDirSync(dir)], []);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

testOn(
  ["helper"],
  "rustyrun serve: refuses a directory that others may write",
  async () => {
    const dir = Deno.makeTempDirSync();
    try {
      Deno.chmodSync(dir, 0o777);
      const { code, stderr } = await runCli(["serve", "--socket", `${dir}/s`]);
      assertEquals(code, 1);
      assertStringIncludes(stderr, "everybody may write it");
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

testOn(
  ["helper"],
  "rustyrun serve: a wrong time is told so",
  async () => {
    const odd = await runCli(["serve", "--idle", "soon"]);
    assertEquals(odd.code, 1);
    assertStringIncludes(odd.stderr, '"soon" is not a time');
  },
);

testOn(
  ["user"],
  "rustyrun serve: a user without XDG_RUNTIME_DIR is told so",
  async () => {
    const { code, stderr } = await runCli(["serve"], { user: true });
    assertEquals(code, 1);
    assertStringIncludes(stderr, "XDG_RUNTIME_DIR is not set");
  },
);

function isSocket(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function listNames(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map((it) => it.name).sort();
}

function workersOf(pid: number): number[] {
  return Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`)
    .split(" ").filter(Boolean).map(Number);
}

function hasWorkers(pid: number): boolean {
  const workers = workersOf(pid);
  return workers.length === 2 && workers.every(isWorkerReady);
}

/** Starts an engine. */
function serveAt(socket: string): Running {
  return start([...cliCommand(), "serve", "--socket", socket, "--idle", "0"]);
}

/** The same, up to where it listens and has its two workers. */
async function startServe(socket: string): Promise<Running> {
  const serve = serveAt(socket);
  await waitFor(() => isSocket(socket) && hasWorkers(serve.pid));
  return serve;
}

async function awaitEnds(pids: readonly number[]): Promise<void> {
  for (const pid of pids) {
    await waitFor(() => /^[ZX]?$/.test(readProcessState(pid)));
  }
}

for (const signal of ["SIGTERM", "SIGINT", "SIGKILL"] as const) {
  testOn(
    ["helper"],
    `rustyrun serve: ended by ${signal} it leaves neither socket nor lock`,
    async () => {
      const dir = Deno.makeTempDirSync();
      try {
        const serve = await startServe(`${dir}/s`);
        const workers = workersOf(serve.pid);
        serve.kill(signal);
        assertEquals((await serve.done).stderr, "");
        assertEquals(
          await waitFor(() => listNames(dir), (it) => it.length === 0),
          [],
        );
        await awaitEnds(workers);
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    },
  );
}

testOn(
  ["helper"],
  "rustyrun serve: what a killed one leaves is removed, not the next one's",
  async () => {
    const dir = Deno.makeTempDirSync();
    const socket = `${dir}/s`;
    const first = await startServe(socket);
    const workers = workersOf(first.pid);
    for (const pid of workers) Deno.kill(pid, "SIGSTOP");
    first.kill("SIGKILL");
    const next = await startServe(socket);
    try {
      for (const pid of workers) Deno.kill(pid, "SIGCONT");
      await first.done;
      await awaitEnds(workers);
      assertEquals(listNames(dir), ["s", "s.lock"]);
      closeFd(connectPackets(socket));
    } finally {
      next.kill("SIGTERM");
      await next.done;
      await waitFor(() => listNames(dir).length === 0);
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

testOn(
  ["helper"],
  "rustyrun serve: waits while somebody who does not listen has the lock",
  async () => {
    const dir = Deno.makeTempDirSync();
    const line = ["flock", `${dir}/s.lock`, "sh", "-c", "echo has; cat"];
    const holder = start(line, { stdin: "" });
    await holder.waitFor("has");
    const serve = serveAt(`${dir}/s`);
    // In ppoll(2), which is its pause: the number here, or on aarch64.
    const here = `/proc/${serve.pid}/syscall`;
    await waitFor(() => /^(?:271|73) /.test(Deno.readTextFileSync(here)));
    assertEquals(isSocket(`${dir}/s`), false);
    await holder.closeStdin();
    assertEquals((await holder.done).code, 0);
    await waitFor(() => isSocket(`${dir}/s`) && hasWorkers(serve.pid));
    serve.kill("SIGTERM");
    await serve.done;
    await waitFor(() => listNames(dir).length === 0);
    Deno.removeSync(dir, { recursive: true });
  },
);

testOn(
  ["helper"],
  "rustyrun serve: takes the socket of a service manager",
  async () => {
    const dir = Deno.makeTempDirSync();
    // As systemd does it: sd_listen_fds(3).
    const manager = `import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind("${dir}/s")
s.listen()
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[1], sys.argv[1:])`;
    try {
      const serve = start([
        "python3",
        "-c",
        manager,
        ...cliCommand(),
        "serve",
        "--idle",
        "1s",
      ]);
      await waitFor(() => Deno.lstatSync(`${dir}/s`).isSocket);
      assertEquals(await serve.done, {
        code: 0,
        signal: null,
        stdout: "",
        stderr: "",
      });
      // It is the manager's.
      assert(Deno.lstatSync(`${dir}/s`).isSocket);
      const wrong = await runToEnd([
        "sh",
        "-c",
        'exec 3</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"',
        "sh",
        ...cliCommand(),
        "serve",
      ]);
      assertEquals(wrong.code, 1);
      assertStringIncludes(
        wrong.stderr,
        "one listening AF_UNIX socket of type SOCK_SEQPACKET is wanted",
      );
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

testOn(["helper"], "rustyrun serve: writes systemd's units", async () => {
  const dir = Deno.makeTempDirSync();
  try {
    const { code, stdout } = await runCli(["serve", "--units", dir]);
    assertEquals(code, 0);
    const files = stdout.trimEnd().split("\n");
    assertEquals(files, [`${dir}/rustyrun.socket`, `${dir}/rustyrun.service`]);
    const [socket, service] = files.map((it) => Deno.readTextFileSync(it));
    assertStringIncludes(
      socket!,
      "\nListenSequentialPacket=%t/rustyrun/.serve\n",
    );
    assertStringIncludes(service!, `\nExecStart=${cliCommand().at(0)} `);
    assertStringIncludes(service!, " serve\n");
    const words = ["--socket", "/run/a/50%", "--idle", "5m"];
    const other = await runCli(["serve", "--units", dir, ...words]);
    assertEquals(other.code, 0);
    const [there, told] = files.map((it) => Deno.readTextFileSync(it));
    assertStringIncludes(there!, "\nListenSequentialPacket=/run/a/50%%\n");
    assertStringIncludes(told!, " serve --idle 5m\n");
    const wrong = await runCli(["serve", "--units", dir, "--idle", "x"]);
    assertEquals(wrong.code, 1);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

testOn(
  ["helper"],
  "rustyrun serve: a directory made for the socket is private, and goes with a killed engine",
  async () => {
    const dir = Deno.makeTempDirSync();
    const serve = serveAt(`${dir}/a/b/s`);
    await waitFor(() => isSocket(`${dir}/a/b/s`) && hasWorkers(serve.pid));
    for (const it of ["a", "a/b"]) {
      assertEquals(Deno.statSync(`${dir}/${it}`).mode! & 0o7777, 0o700);
    }
    // Somebody has come to use one of them.
    Deno.writeTextFileSync(`${dir}/a/mine`, "");
    serve.kill("SIGKILL");
    await serve.done;
    await waitFor(() => listNames(`${dir}/a`).length === 1);
    assertEquals(listNames(`${dir}/a`), ["mine"]);
    Deno.removeSync(dir, { recursive: true });
  },
);

testOn(
  ["helper"],
  "rustyrun serve --units: makes the directory, or says why not",
  async () => {
    const dir = Deno.makeTempDirSync();
    try {
      const made = await runCli(["serve", "--units", `${dir}/a/b`]);
      assertEquals([made.code, made.stderr], [0, ""]);
      assertEquals(listNames(`${dir}/a/b`), [
        "rustyrun.service",
        "rustyrun.socket",
      ]);
      const below = `${dir}/a/b/rustyrun.socket/c`;
      const { code, stderr } = await runCli(["serve", "--units", below]);
      assertEquals(code, 1);
      assertStringIncludes(stderr, `Cannot make "${below}": not a directory`);
      assertStringIncludes(stderr, "hint: Name a directory");
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);
