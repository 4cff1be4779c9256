/**
 * go-runc's calls, word for word as containerd's shim makes them, in the order
 * of a container's life.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, QUIET, readStatus } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

testOn(NEEDS, "go-runc's life of a container works", async () => {
  await using caller = makeCaller({
    process: {
      args: [
        "sh",
        "-c",
        'trap "echo bye; exit 9" TERM; echo up; while :; do sleep 0.05; done',
      ],
    },
    annotations: { "a.b": "c" },
  });
  const { id, bundle, dir } = caller;
  const pidFile = `${dir}/init.pid`;

  const created = await caller.hold([
    "create",
    "--bundle",
    bundle,
    "--pid-file",
    pidFile,
    "--no-new-keyring",
    id,
  ]);
  assertEquals(created.code, 0);
  const text = Deno.readTextFileSync(pidFile);
  assertMatch(text, /^[1-9]\d*$/);
  const pid = Number(text);
  // Nothing in between: the shim waits for init itself.
  assertEquals(readStatus(pid, "PPid"), String(caller.pid));
  assertEquals(Deno.readTextFileSync(caller.log), "");

  const { created: time, ...state } = await caller.state();
  assertEquals(state, {
    ociVersion: "1.0.2",
    id,
    pid,
    status: "created",
    bundle,
    rootfs: `${bundle}/rootfs`,
    annotations: { "a.b": "c" },
    owner: "root",
  });
  assertMatch(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);

  assertEquals(await caller.call(["start", id]), QUIET);
  const up = await caller.ask({ do: "read", stream: "stdout", until: "up\n" });
  assertEquals(up, { text: "up\n", end: false });

  const ps = await caller.call(["ps", "--format", "json", id], {
    merged: true,
  });
  assertMatch(ps.stdout, /^\[\d+(,\d+)*\]\n?$/);
  assertEquals((JSON.parse(ps.stdout) as number[]).includes(pid), true);
  const top = await caller.call(
    ["ps", "--format", "table", id, "-o", "pid,args"],
    { env: { PATH: "/bin:/usr/bin" } },
  );
  assertMatch(top.stdout, /^ *PID COMMAND\n *\d+ sh -c trap/);

  const list = await caller.call(["list", "--format=json"]);
  assertEquals(
    (JSON.parse(list.stdout) as { id: string }[]).map((it) => it.id),
    [id],
  );

  const stats = await caller.call(["events", "--stats", id]);
  const event = JSON.parse(stats.stdout);
  assertEquals([event.type, event.id], ["stats", id]);
  assertEquals(event.data.pids.current >= 1, true);

  assertEquals(
    await caller.call(["update", "--resources=-", id], {
      stdin: JSON.stringify({ pids: { limit: 77 } }),
    }),
    QUIET,
  );
  const after = await caller.call(["events", "--stats", id]);
  assertEquals(JSON.parse(after.stdout).data.pids.limit, 77);

  assertEquals(await caller.call(["pause", id]), QUIET);
  assertEquals((await caller.state())["status"], "paused");
  assertEquals(await caller.call(["resume", id]), QUIET);
  assertEquals((await caller.state())["status"], "running");

  assertEquals(await caller.call(["kill", id, "15"]), QUIET);
  assertEquals(await caller.ask({ do: "reap", pid }), { code: 9 });
  // The end of the pipe: neither the runtime nor a monitor holds it.
  assertEquals(await caller.ask({ do: "read", stream: "stdout" }), {
    text: "bye\n",
    end: true,
  });
  assertEquals(await caller.ask({ do: "read", stream: "stderr" }), {
    text: "",
    end: true,
  });
  const stopped = await caller.state();
  assertEquals([stopped["status"], stopped["pid"]], ["stopped", 0]);
  assertEquals(await caller.call(["kill", "--all", id, "9"]), QUIET);
  assertEquals(await caller.call(["delete", id]), QUIET);
  assertEquals(await caller.call(["delete", "--force", id]), QUIET);
  assertEquals(Deno.readTextFileSync(caller.log), "");
});

testOn(NEEDS, "go-runc's exec gives a pid file and a console", async () => {
  await using caller = makeCaller();
  const { id, dir } = caller;
  await caller.hold(["create", "--bundle", caller.bundle, id]);
  assertEquals(await caller.call(["start", id]), QUIET);
  const process = (over: Record<string, unknown>) => {
    const file = `${dir}/process.json`;
    Deno.writeTextFileSync(
      file,
      JSON.stringify({
        user: { uid: 0, gid: 0 },
        cwd: "/",
        env: ["PATH=/bin"],
        ...over,
      }),
    );
    return file;
  };

  const foreground = await caller.call([
    "exec",
    "--process",
    process({ args: ["sh", "-c", "cat; echo err >&2; exit 5"] }),
    id,
  ], { stdin: "hi" });
  assertEquals(foreground, { code: 5, stdout: "hi", stderr: "err\n" });

  const detached = await caller.hold([
    "exec",
    "--process",
    process({ args: ["sh", "-c", "echo in; exit 6"] }),
    "--detach",
    "--pid-file",
    `${dir}/exec.pid`,
    id,
  ]);
  assertEquals(detached.code, 0);
  const text = Deno.readTextFileSync(`${dir}/exec.pid`);
  assertMatch(text, /^[1-9]\d*$/);
  assertEquals(await caller.ask({ do: "reap", pid: Number(text) }), {
    code: 6,
  });
  assertEquals(await caller.ask({ do: "read", stream: "stdout" }), {
    text: "in\n",
    end: true,
  });

  const socket = `${dir}/pty.sock`;
  await caller.ask({ do: "listen", path: socket });
  const typed = await caller.hold([
    "exec",
    "--process",
    process({
      terminal: true,
      args: ["sh", "-c", "tty; read line; echo got $line; exit 8"],
    }),
    "--console-socket",
    socket,
    "--detach",
    "--pid-file",
    `${dir}/typed.pid`,
    id,
  ]);
  assertEquals(typed.code, 0);
  const got = await caller.ask({ do: "accept", path: socket });
  assertEquals([got.fds, got.others], [1, 0]);
  await caller.ask({ do: "read", stream: "console", until: "/dev/pts/0" });
  await caller.ask({ do: "write", stream: "console", text: "line\n" });
  const { text: shown } = await caller.ask({ do: "read", stream: "console" });
  assertMatch(shown, /got line/);
  const pid = Number(Deno.readTextFileSync(`${dir}/typed.pid`));
  assertEquals(await caller.ask({ do: "reap", pid }), { code: 8 });
});

testOn(NEEDS, "go-runc's run gives the status, keeps nothing", async () => {
  await using caller = makeCaller({
    process: { args: ["sh", "-c", "echo out; exit 3"] },
  });
  assertEquals(
    await caller.call(["run", "--bundle", caller.bundle, caller.id]),
    { code: 3, stdout: "out\n", stderr: "" },
  );
  assertEquals(await caller.call(["list", "--format=json"]), {
    ...QUIET,
    stdout: "null",
  });
  const detached = await caller.hold([
    "run",
    "--bundle",
    caller.bundle,
    "-no-subreaper",
    "--detach",
    "--pid-file",
    `${caller.dir}/pid`,
    caller.id,
  ]);
  assertEquals(detached.code, 0);
  const pid = Number(Deno.readTextFileSync(`${caller.dir}/pid`));
  assertEquals(await caller.ask({ do: "reap", pid }), { code: 3 });
  assertEquals(await caller.call(["delete", caller.id]), QUIET);
});

testOn(NEEDS, "BuildKit's run --keep leaves the state for delete", async () => {
  await using caller = makeCaller({ process: { args: ["true"] } });
  const words = ["run", "--bundle", caller.bundle, "--keep", caller.id];
  assertEquals(await caller.call(words), QUIET);
  assertEquals((await caller.state())["status"], "stopped");
  assertEquals(await caller.call(["delete", caller.id]), QUIET);
});

testOn(NEEDS, "go-runc reads events as they come, by a duration", async () => {
  await using caller = makeCaller();
  await caller.hold(["create", "--bundle", caller.bundle, caller.id]);
  await caller.call(["start", caller.id]);
  const { pid } = await caller.hold(
    ["events", "--interval=100ms", caller.id],
    { background: true },
  );
  const { text } = await caller.ask({
    do: "read",
    stream: "stdout",
    until: "\n",
  });
  const [line = ""] = text.split("\n");
  assertEquals(JSON.parse(line).type, "stats");
  // It ends with its container.
  await caller.call(["kill", caller.id, "9"]);
  await caller.waitFor("stopped");
  // To its end: it would wait for ever with a pipe that is full.
  await caller.ask({ do: "read", stream: "stdout" });
  assertEquals(await caller.ask({ do: "reap", pid }), { code: 0 });
});

testOn(NEEDS, "go-runc reads --version and features", async () => {
  await using caller = makeCaller();
  const version = await caller.callBare(["--version"]);
  assertMatch(
    version.stdout,
    /^rustyrun version \S+\n(commit: .*\n)?spec: 1\.\d+\.\d+/,
  );
  const { code, stdout } = await caller.callBare(["features"], {
    merged: true,
  });
  const features = JSON.parse(stdout);
  assertEquals(code, 0);
  assertEquals(features.ociVersionMin, "1.0.0");
  assertEquals(features.linux.mountExtensions.idmap.enabled, true);
  assertEquals(features.mountOptions.includes("rro"), true);
  assertEquals(features.linux.namespaces.includes("user"), true);
});
