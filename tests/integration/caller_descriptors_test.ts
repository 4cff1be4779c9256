/**
 * What goes over descriptors and sockets: --preserve-fds, LISTEN_FDS,
 * NOTIFY_SOCKET, --pidfd-socket, and the pid file.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, QUIET } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;
const SHOW =
  'echo $LISTEN_FDS/$LISTEN_PID; cat <&3; cat <&4; ls /proc/self/fd | tr "\\n" " "';

/** Two files to be open at 3 and 4. */
function writeFiles(dir: string): string[] {
  return ["three", "four"].map((name) => {
    Deno.writeTextFileSync(`${dir}/${name}`, `${name}\n`);
    return `${dir}/${name}`;
  });
}

testOn(NEEDS, "create --preserve-fds passes descriptors on", async () => {
  await using caller = makeCaller({ process: { args: ["sh", "-c", SHOW] } });
  const { id, bundle } = caller;
  const { code } = await caller.hold(
    ["create", "--bundle", bundle, "--preserve-fds", "2", id],
    { fds: writeFiles(caller.dir) },
  );
  assertEquals(code, 0);
  assertEquals(await caller.call(["start", id]), QUIET);
  assertEquals(await caller.ask({ do: "read", stream: "stdout" }), {
    text: "/\nthree\nfour\n0 1 2 3 4 5 ",
    end: true,
  });
});

testOn(NEEDS, "exec --preserve-fds passes descriptors on", async () => {
  await using caller = makeCaller();
  const { id, bundle } = caller;
  await caller.hold(["create", "--bundle", bundle, id]);
  await caller.call(["start", id]);
  assertEquals(
    await caller.call(["exec", "--preserve-fds=2", id, "sh", "-c", SHOW], {
      fds: writeFiles(caller.dir),
    }),
    { ...QUIET, stdout: "/\nthree\nfour\n0 1 2 3 4 5 " },
  );
});

testOn(
  NEEDS,
  "create and exec refuse to preserve what only they have open",
  async () => {
    await using caller = makeCaller();
    const { id, bundle } = caller;
    const create = ["create", "--bundle", bundle];
    const refused = await caller.call([...create, "--preserve-fds", "1", id]);
    assertEquals(refused.code, 1);
    assertMatch(refused.stderr, /unable to stat preserved-fd 3/);
    await caller.hold([...create, id]);
    await caller.call(["start", id]);
    const exec = await caller.call(["exec", "--preserve-fds=1", id, "true"]);
    assertEquals(exec.code, 255);
    assertMatch(exec.stderr, /unable to stat preserved-fd 3/);
  },
);

testOn(NEEDS, "create refuses to preserve what is not open", async () => {
  await using caller = makeCaller();
  const { code, stderr } = await caller.call(
    ["create", "--bundle", caller.bundle, "--preserve-fds", "90", caller.id],
  );
  assertEquals(code, 1);
  assertMatch(stderr, /unable to stat preserved-fd/);
});

testOn(
  NEEDS,
  "LISTEN_FDS for the runtime's own pid goes on as pid 1's",
  async () => {
    await using caller = makeCaller({ process: { args: ["sh", "-c", SHOW] } });
    const { id, bundle } = caller;
    const { code } = await caller.hold(["create", "--bundle", bundle, id], {
      fds: writeFiles(caller.dir),
      activate: 2,
    });
    assertEquals(code, 0);
    assertEquals(await caller.call(["start", id]), QUIET);
    assertEquals(await caller.ask({ do: "read", stream: "stdout" }), {
      text: "2/1\nthree\nfour\n0 1 2 3 4 5 ",
      end: true,
    });
  },
);

testOn(
  NEEDS,
  "LISTEN_FDS for another process is none of the container's",
  async () => {
    await using caller = makeCaller({
      process: {
        args: ["sh", "-c", 'echo "$LISTEN_FDS/$LISTEN_PID"; ls /proc/self/fd'],
      },
    });
    const { id, bundle } = caller;
    await caller.hold(["create", "--bundle", bundle, id], {
      fds: writeFiles(caller.dir),
      env: { LISTEN_FDS: "2", LISTEN_PID: "1" },
    });
    assertEquals(await caller.call(["start", id]), QUIET);
    assertEquals(await caller.ask({ do: "read", stream: "stdout" }), {
      text: "/\n0\n1\n2\n3\n",
      end: true,
    });
  },
);

testOn(NEEDS, "start forwards readiness to NOTIFY_SOCKET", async () => {
  await using caller = makeCaller();
  const { id, bundle, dir, rootfs, ask } = caller;
  // busybox cannot send a datagram: the test's python does, from the host, to
  // the socket that the container sees.
  const socket = `${dir}/notify.sock`;
  await ask({ do: "listen", path: socket, datagram: true });
  const env = { NOTIFY_SOCKET: socket };
  const created = await caller.hold([
    "create",
    "--bundle",
    bundle,
    "--pid-file",
    `${dir}/pid`,
    id,
  ], {
    env,
  });
  assertEquals(created.code, 0);
  const pid = Deno.readTextFileSync(`${dir}/pid`);
  const { pid: starting } = await caller.hold(["start", id], {
    env,
    background: true,
  });
  await caller.waitForCommand(Number(pid), "sleep");
  const seen = await caller.call([
    "exec",
    id,
    "sh",
    "-c",
    "tr '\\0' '\\n' </proc/1/environ; stat -c %a%F /run/notify/notify.sock",
  ]);
  assertMatch(
    seen.stdout,
    /NOTIFY_SOCKET=\/run\/notify\/notify\.sock\n[^]*777socket\n$/,
  );
  const inside = `/proc/${pid}/root/run/notify/notify.sock`;
  await ask({ do: "send", path: inside, text: "STATUS=warming up" });
  await ask({
    do: "send",
    path: inside,
    text: "STATUS=up\nREADY=1\nMAINPID=1",
  });
  assertEquals(await ask({ do: "datagrams", path: socket }), {
    messages: ["READY=1", `MAINPID=${pid}`, "BARRIER=1"],
  });
  assertEquals(await ask({ do: "reap", pid: starting }), { code: 0 });
  // Only the mount point is the image's to keep.
  assertEquals([...Deno.readDirSync(`${rootfs}/run/notify`)], []);
});

testOn(NEEDS, "a start that waits for readiness blocks no delete", async () => {
  await using caller = makeCaller();
  const { id, dir, ask } = caller;
  const socket = `${dir}/notify.sock`;
  await ask({ do: "listen", path: socket, datagram: true });
  const env = { NOTIFY_SOCKET: socket };
  await caller.hold(["create", "--bundle", caller.bundle, id], { env });
  const { pid } = await caller.hold(["start", id], { env, background: true });
  await caller.waitFor("running");
  assertEquals((await caller.call(["exec", id, "true"])).code, 0);
  assertEquals(await caller.call(["delete", "--force", id]), QUIET);
  assertEquals(await ask({ do: "reap", pid }), { code: 0 });
});

testOn(
  NEEDS,
  "--pidfd-socket gets the pidfd of create, run and exec",
  async () => {
    await using caller = makeCaller();
    const { id, bundle, dir, ask } = caller;
    const socket = `${dir}/pidfd.sock`;
    await ask({ do: "listen", path: socket });
    await caller.hold(
      [
        "create",
        "--bundle",
        bundle,
        "--pid-file",
        `${dir}/pid`,
        "--pidfd-socket",
        socket,
        id,
      ],
    );
    const pid = Deno.readTextFileSync(`${dir}/pid`);
    const first = await ask({ do: "accept", path: socket, stream: "pidfd" });
    assertEquals([first.payload, first.fds, first.others], ["standard", 1, 0]);
    assertMatch(first.info, new RegExp(`^Pid:\t${pid}$`, "m"));
    await caller.call(["start", id]);
    Deno.removeSync(socket);
    await ask({ do: "listen", path: socket });
    const ran = await caller.hold(
      [
        "exec",
        "--detach",
        "--pid-file",
        `${dir}/pid2`,
        "--pidfd-socket",
        socket,
        id,
        "sleep",
        "1000",
      ],
    );
    assertEquals(ran.code, 0);
    const second = await ask({ do: "accept", path: socket, stream: "pidfd" });
    assertEquals([second.payload, second.fds, second.others], ["setns", 1, 0]);
    const pid2 = Deno.readTextFileSync(`${dir}/pid2`);
    assertMatch(second.info, new RegExp(`^Pid:\t${pid2}$`, "m"));
    // Its parent must reap it, or the container's pid 1 cannot end.
    Deno.kill(Number(pid2), "SIGKILL");
    assertEquals(await ask({ do: "reap", pid: Number(pid2) }), { code: -9 });
  },
);

testOn(
  NEEDS,
  "a create that fails writes no pid file and leaves nothing",
  async () => {
    await using caller = makeCaller({ process: { args: ["nonesuch"] } });
    const { id, bundle, dir } = caller;
    const { code } = await caller.call(
      ["create", "--bundle", bundle, "--pid-file", `${dir}/pid`, id],
    );
    assertEquals(code, 1);
    assertEquals(
      [...Deno.readDirSync(dir)].map((it) => it.name).sort(),
      ["bundle", "log.json", "root"],
    );
    assertMatch(
      (await caller.call(["state", id])).stderr,
      /container does not exist/,
    );
  },
);

testOn(
  NEEDS,
  "a pid file replaces what was there, whatever it was",
  async () => {
    await using caller = makeCaller();
    const { id, bundle, dir } = caller;
    Deno.writeTextFileSync(`${dir}/victim`, "untouched and rather long\n");
    Deno.symlinkSync(`${dir}/victim`, `${dir}/pid`);
    const { code } = await caller.hold(
      ["create", "--bundle", bundle, "--pid-file", `${dir}/pid`, id],
    );
    assertEquals(code, 0);
    assertEquals(Deno.lstatSync(`${dir}/pid`).isFile, true);
    assertMatch(Deno.readTextFileSync(`${dir}/pid`), /^\d+$/);
    assertEquals(
      Deno.readTextFileSync(`${dir}/victim`),
      "untouched and rather long\n",
    );
  },
);

for (
  const [terminal, words, want] of [
    [
      true,
      ["create"],
      /cannot allocate tty if runtime will detach without setting console socket/,
    ],
    [
      true,
      ["run", "--detach"],
      /cannot allocate tty if runtime will detach without setting console socket/,
    ],
    [
      false,
      ["create", "--console-socket", "/tmp/none.sock"],
      /cannot use console socket if runtime will not detach or allocate tty/,
    ],
    [
      true,
      ["run", "--console-socket", "/tmp/none.sock"],
      /cannot use console socket if runtime will not detach or allocate tty/,
    ],
  ] as const
) {
  testOn(
    NEEDS,
    `${words.join(" ")} is refused ${terminal ? "with" : "without"} a terminal`,
    async () => {
      await using caller = makeCaller({ process: { terminal } });
      const { code, stderr } = await caller.call(
        [...words, "--bundle", caller.bundle, caller.id],
      );
      assertEquals(code, 1);
      assertMatch(stderr, want);
    },
  );
}
