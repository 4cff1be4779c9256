/**
 * The calls of conmon (podman), CRI-O, podman itself and buildah, word for word.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, makeSpec, QUIET, readStatus } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

testOn(NEEDS, "conmon's create and exec work, podman's calls too", async () => {
  await using caller = makeCaller({
    process: {
      args: [
        "sh",
        "-c",
        'trap "exit 4" 37; echo up; while :; do sleep 0.05; done',
      ],
    },
  });
  const { id, bundle, dir } = caller;
  const ask = caller.ask;
  // conmon passes podman's --runtime-arg before the command.
  const created = await caller.hold([
    "create",
    "--bundle",
    bundle,
    "--pid-file",
    `${dir}/pidfile`,
    id,
  ]);
  assertEquals(created.code, 0);
  const pid = Number(Deno.readTextFileSync(`${dir}/pidfile`));
  assertEquals(readStatus(pid, "PPid"), String(caller.pid));
  // conmon's OOM watcher looks for the memory cgroup.
  assertMatch(
    Deno.readTextFileSync(`/proc/${pid}/cgroup`),
    new RegExp(`^(\\d+:.*memory.*|0:):/${id}$`, "m"),
  );
  assertEquals(await caller.callBare(["start", id]), QUIET);
  await ask({ do: "read", stream: "stdout", until: "up\n" });

  const file = `${dir}/exec.json`;
  Deno.writeTextFileSync(
    file,
    JSON.stringify({
      ...makeSpec(id)["process"],
      args: ["sh", "-c", "cat; exit 2"],
    }),
  );
  const ran = await caller.hold([
    "exec",
    "--pid-file",
    `${dir}/execpid`,
    "--process",
    file,
    "--detach",
    id,
  ]);
  assertEquals(ran.code, 0);
  const execed = Number(Deno.readTextFileSync(`${dir}/execpid`));
  assertEquals(await ask({ do: "reap", pid: execed }), { code: 2 });

  assertEquals(await caller.callBare(["pause", id]), QUIET);
  const refused = await caller.hold([
    "exec",
    "--pid-file",
    `${dir}/none`,
    "--process",
    file,
    "--detach",
    id,
  ]);
  assertEquals(refused.code, 255);
  // conmon takes a missing pid file for the failure.
  assertEquals(
    [...Deno.readDirSync(dir)].some((it) => it.name === "none"),
    false,
  );
  assertEquals(await caller.callBare(["resume", id]), QUIET);

  Deno.writeTextFileSync(
    `${dir}/resources.json`,
    JSON.stringify({ pids: { limit: 33 } }),
  );
  assertEquals(
    await caller.callBare(["update", `--resources=${dir}/resources.json`, id]),
    QUIET,
  );
  // SIGRTMIN+3 of glibc, as podman sends it to systemd.
  assertEquals(await caller.callBare(["kill", id, "37"]), QUIET);
  assertEquals(await ask({ do: "reap", pid }), { code: 4 });
  const late = await caller.callBare(["kill", id, "37"]);
  assertEquals(late.code, 1);
  assertMatch(late.stderr, /container not running/);
  assertEquals(await caller.callBare(["delete", "--force", id]), QUIET);
  assertEquals(await caller.callBare(["delete", "--force", id]), QUIET);
});

testOn(NEEDS, "conmon gets a terminal on its console socket", async () => {
  await using caller = makeCaller({
    process: {
      terminal: true,
      consoleSize: { height: 31, width: 97 },
      args: ["sh", "-c", "tty; stty size; read line; echo got $line; exit 8"],
    },
  });
  const { id, dir, ask } = caller;
  // Longer than the 108 bytes that an address has room for.
  const deep = `${dir}/${"d".repeat(120)}`;
  Deno.mkdirSync(deep);
  const socket = `${deep}/console.sock`;
  await ask({ do: "listen", path: socket });
  const created = await caller.hold([
    "create",
    "--bundle",
    caller.bundle,
    "--pid-file",
    `${dir}/pidfile`,
    "--console-socket",
    socket,
    id,
  ]);
  assertEquals(created.code, 0);
  const got = await ask({ do: "accept", path: socket });
  assertEquals([got.fds, got.others, got.payload !== ""], [1, 0, true]);
  assertMatch(got.link, /ptmx/);
  assertEquals(await caller.call(["start", id]), QUIET);
  const { text } = await ask({ do: "read", stream: "console", until: "97" });
  assertMatch(text, /^\/dev\/(console|pts\/0)\r\n31 97/);
  await ask({ do: "write", stream: "console", text: "line\n" });
  assertMatch(
    (await ask({ do: "read", stream: "console" })).text,
    /got line\r\n$/,
  );
  const pid = Number(Deno.readTextFileSync(`${dir}/pidfile`));
  assertEquals(await ask({ do: "reap", pid }), { code: 8 });
});

testOn(NEEDS, "CRI-O's calls work", async () => {
  await using caller = makeCaller();
  const { id, dir } = caller;
  await caller.hold([
    "create",
    "--bundle",
    caller.bundle,
    "--pid-file",
    `${dir}/pidfile`,
    id,
  ]);
  const pid = Number(Deno.readTextFileSync(`${dir}/pidfile`));
  assertEquals(await caller.callBare(["start", id]), QUIET);
  assertEquals((await caller.state())["status"], "running");
  assertEquals(
    await caller.callBare(["update", "--resources", "-", id], {
      stdin: JSON.stringify({ cpu: { shares: 512 }, pids: { limit: 50 } }),
    }),
    QUIET,
  );
  const file = `${dir}/probe.json`;
  Deno.writeTextFileSync(
    file,
    JSON.stringify({
      ...makeSpec(id)["process"],
      args: ["sh", "-c", "echo fine; exit 12"],
    }),
  );
  assertEquals(await caller.callBare(["exec", "--process", file, id]), {
    code: 12,
    stdout: "fine\n",
    stderr: "",
  });
  assertEquals(await caller.callBare(["kill", "-a", id, "9"]), QUIET);
  assertEquals(await caller.ask({ do: "reap", pid }), { code: -9 });
  assertMatch(
    (await caller.callBare(["kill", id, "KILL"])).stderr,
    /container not running/,
  );
  assertEquals(await caller.callBare(["delete", "--force", id]), QUIET);
});

testOn(NEEDS, "buildah's calls work", async () => {
  await using caller = makeCaller({
    process: { args: ["sh", "-c", "sleep 0.3; exit 11"] },
  });
  const { id, bundle } = caller;
  const created = await caller.hold([
    "create",
    "--bundle",
    bundle,
    "--pid-file",
    `${bundle}/pid`,
    "--no-new-keyring",
    id,
  ]);
  assertEquals(created.code, 0);
  assertEquals(await caller.callBare(["start", id]), QUIET);
  const seen = new Set<unknown>();
  for (let i = 0; i < 200 && !seen.has("stopped"); i++) {
    seen.add((await caller.state())["status"]);
  }
  // buildah dies of any other word.
  assertEquals([...seen].filter((it) => it !== "running"), ["stopped"]);
  const pid = Number(Deno.readTextFileSync(`${bundle}/pid`));
  assertEquals(await caller.ask({ do: "reap", pid }), { code: 11 });
  assertEquals((await caller.callBare(["kill", id])).code, 1);
  assertEquals((await caller.callBare(["kill", id, "SIGKILL"])).code, 1);
  assertEquals(await caller.callBare(["delete", id]), QUIET);
});

testOn(
  NEEDS,
  "a stopped container that nobody has reaped is stopped",
  async () => {
    await using caller = makeCaller({ process: { args: ["true"] } });
    const { id, dir } = caller;
    const pidFile = `${dir}/pid`;
    await caller.hold([
      "create",
      "--bundle",
      caller.bundle,
      "--pid-file",
      pidFile,
      id,
    ]);
    assertEquals(await caller.call(["start", id]), QUIET);
    await caller.waitFor("stopped");
    const pid = Number(Deno.readTextFileSync(pidFile));
    assertMatch(readStatus(pid, "State"), /^Z/);
    assertEquals(await caller.call(["delete", id]), QUIET);
    assertEquals(await caller.ask({ do: "reap", pid }), { code: 0 });
  },
);

testOn(
  NEEDS,
  "a bundle that changes after create changes nothing",
  async () => {
    for (const change of ["edited", "removed"] as const) {
      await using caller = makeCaller({
        process: {
          args: ["sh", "-c", "echo first; sleep 1000"],
          env: ["PATH=/bin", "A=first"],
        },
      });
      const { id, bundle } = caller;
      await caller.hold(["create", "--bundle", bundle, id]);
      if (change === "edited") {
        caller.write(
          makeSpec(id, {
            process: { args: ["nonesuch"], env: ["PATH=/none", "A=second"] },
            linux: { cgroupsPath: "/elsewhere" },
          }),
        );
      } else {
        Deno.removeSync(`${bundle}/config.json`);
      }
      assertEquals(await caller.call(["start", id]), QUIET);
      const { text } = await caller.ask({
        do: "read",
        stream: "stdout",
        until: "\n",
      });
      assertEquals(text, "first\n");
      assertEquals(await caller.call(["exec", id, "sh", "-c", "echo $A"]), {
        ...QUIET,
        stdout: "first\n",
      });
      assertEquals(await caller.call(["kill", id, "9"]), QUIET);
      await caller.waitFor("stopped");
      assertEquals(await caller.call(["delete", id]), QUIET);
    }
  },
);
