/**
 * `rustyrun serve` and `rustyrun front` as commands.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { cliCommand, runCli, runToEnd, start } from "../harness.ts";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";

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
  "rustyrun serve: ends when nobody calls, and leaves nothing",
  async () => {
    const dir = Deno.makeTempDirSync();
    try {
      const { code, stdout, stderr } = await runCli([
        "serve",
        "--socket",
        `${dir}/s/t`,
        "--idle",
        "1ms",
      ]);
      assertEquals([code, stdout, stderr], [0, "", ""]);
      assertEquals([...Deno.readDirSync(`${dir}/s`)], []);
      assertEquals(Deno.statSync(`${dir}/s`).mode! & 0o7777, 0o700);
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
  "rustyrun serve: a user without XDG_RUNTIME_DIR is told so; a wrong time, too",
  async () => {
    const odd = await runCli(["serve", "--idle", "soon"]);
    assertEquals(odd.code, 1);
    assertStringIncludes(odd.stderr, '"soon" is not a time');
  },
);

testOn(
  ["user"],
  "rustyrun serve: needs a directory of the user's own",
  async () => {
    const { code, stderr } = await runCli(["serve"], { user: true });
    assertEquals(code, 1);
    assertStringIncludes(stderr, "XDG_RUNTIME_DIR is not set");
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
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
