/**
 * The warm engine: whom it serves, and how its workers come and go.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { FrontRoom } from "../front_room.ts";
import { makeRootfs, ROOT, start } from "../harness.ts";
import { findPython, type Need, testOn } from "../needs.ts";
import { readProcessState, waitFor } from "../wait.ts";
import { PROGRAM, ServedRoom } from "./serve_room.ts";

libc();

testOn(
  ["quick", "helper"],
  "serve: an equal is served where it is, with its umask",
  async () => {
    await using served = await ServedRoom.open();
    assertEquals(
      await served.call(["where"], [], { cwd: "/usr" }),
      `warm where /usr ${Deno.umask()}\n`,
    );
    const line = ["sh", "-c", 'umask 2; exec "$@"', "sh"];
    assertEquals(
      await served.call(["where", "b"], line, { cwd: "/" }),
      "warm where b / 2\n",
    );
    assertEquals(await served.call(["other"]), "cold other\n");
    assertEquals(await served.call(["cold"]), "cold cold\n");
    assertEquals(await served.call([]), "cold\n");
  },
);

const OTHERS: [string, readonly Need[], readonly string[]][] = [
  ["has no_new_privs", ["root"], ["setpriv", "--no-new-privs"]],
  ["has a smaller bounding set", ["root"], [
    "setpriv",
    "--bounding-set=-net_raw",
  ]],
  ["has fewer capabilities", ["root"], [
    "setpriv",
    "--inh-caps=-all",
    "--bounding-set=-all",
  ]],
  ["has inheritable capabilities", ["root"], [
    "setpriv",
    "--inh-caps=+net_raw",
  ]],
  ["has other groups", ["root"], ["setpriv", "--groups=4711"]],
  ["has another group", ["root"], ["setpriv", "--regid=4711", "--keep-groups"]],
  ...["mount", "uts", "ipc", "net", "cgroup", "time", "user"].map((
    space,
  ): [string, Need[], string[]] => [
    `is in another ${space} namespace`,
    ["root"],
    ["unshare", `--${space}`, ...(space === "user" ? ["-r"] : [])],
  ]),
  ["is in another pid namespace", ["root"], ["unshare", "--pid", "--fork"]],
];

for (const [what, needs, caller] of OTHERS) {
  testOn(
    ["quick", "helper", ...needs],
    `serve: a caller that ${what} is cold`,
    async () => {
      await using served = await ServedRoom.open();
      assert((await served.call(["where"])).startsWith("warm where"));
      assertEquals(await served.call(["where"], caller), "cold where\n");
    },
  );
}

testOn(
  ["quick", "helper", "root"],
  "serve: a login has root's own group as another one, a service has not",
  async () => {
    const login = ["setpriv", "--groups=0"];
    const service = ["setpriv", "--clear-groups"];
    for (const engine of [login, service]) {
      await using served = await ServedRoom.open({}, engine);
      for (const caller of [login, service]) {
        assert((await served.call(["where"], caller)).startsWith("warm where"));
      }
      const more = ["setpriv", "--groups=0,4711"];
      assertEquals(await served.call(["where"], more), "cold where\n");
    }
  },
);

/** Runs a program under a seccomp filter that allows everything: seccomp(2). */
function filtered(): string[] {
  const line = `import ctypes, os, sys
allow = ctypes.create_string_buffer(bytes([6, 0, 0, 0, 0, 0, 255, 127]))
class Program(ctypes.Structure):
  _fields_ = [("size", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(1, ctypes.addressof(allow))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(22, 2, ctypes.byref(program), 0, 0): # PR_SET_SECCOMP
  sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])`;
  return [findPython(), "-c", line];
}

testOn(
  ["quick", "helper", "root", "python3"],
  "serve: who has a seccomp filter is nobody's equal: another may be a different one",
  async () => {
    await using open = await ServedRoom.open();
    assertEquals(await open.call(["where"], filtered()), "cold where\n");
    await using served = await ServedRoom.open({}, filtered());
    assertEquals(await served.call(["where"], filtered()), "cold where\n");
    assertEquals(await served.call(["where"]), "cold where\n");
  },
);

testOn(
  ["quick", "helper"],
  "serve: the program by another path is another program",
  async () => {
    const program = ["/bin/echo", "/etc/passwd"];
    await using served = await ServedRoom.open({ program });
    assert((await served.call(["where"])).startsWith("warm where"));
    const path = `${served.room.dir}/link`;
    Deno.symlinkSync("/etc/passwd", path);
    using room = new FrontRoom(["/bin/echo", path]);
    Deno.linkSync(served.room.socket, room.socket);
    const { stdout } = await room.start(["where"]).done;
    assertEquals(stdout, `${path} where\n`);
  },
);

testOn(
  ["quick", "helper", "root", "busybox"],
  "serve: a caller that has another root directory is cold",
  async () => {
    await using served = await ServedRoom.open();
    const rootfs = makeRootfs();
    try {
      const { dir, path, socket } = served.room;
      Deno.mkdirSync(rootfs + dir, { recursive: true });
      Deno.copyFileSync(path, rootfs + path);
      Deno.linkSync(socket, rootfs + socket);
      const { stdout } = await start(["chroot", rootfs, path, "where"]).done;
      assertEquals(stdout, "cold where\n");
    } finally {
      Deno.removeSync(rootfs, { recursive: true });
    }
  },
);

testOn(
  ["quick", "helper"],
  "serve: a worker that dies ends its call alone",
  async () => {
    await using served = await ServedRoom.open();
    const [first] = served.workers();
    const front = served.room.start(["die"]);
    const { code, stderr } = await front.done;
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      "the warm engine has ended in the middle of this call",
    );
    await waitFor(() =>
      served.workers().length === 1 && served.workers()[0] !== first
    );
    assert((await served.call(["where"])).startsWith("warm where"));
  },
);

testOn(
  ["quick", "helper"],
  "serve: a worker that dies with a call unread ends nothing",
  async () => {
    await using served = await ServedRoom.open({ most: 1 });
    // Its worker waits for a call.
    assert((await served.call(["where"])).startsWith("warm where"));
    const [worker] = served.workers();
    Deno.kill(worker!, "SIGSTOP");
    const front = served.room.start(["where"]);
    // It has asked, and the desk has nothing to do any more.
    for (const pid of [front.pid, served.engine.pid]) {
      assert(await waitFor(() => readProcessState(pid) === "S"));
    }
    Deno.kill(worker!, "SIGKILL");
    assertMatch((await front.done).stdout, /^(cold|warm) where/);
    assert((await served.call(["where"])).startsWith("warm where"));
  },
);

testOn(
  ["quick", "helper"],
  "serve: a worker whose engine is killed ends without a word",
  async () => {
    await using served = await ServedRoom.open();
    const hangs = `${served.room.dir}/go`;
    const front = served.room.start(["until", hangs]);
    await front.waitFor("warm until");
    // The desk reads no more of what its worker says.
    served.engine.kill("SIGSTOP");
    Deno.writeTextFileSync(hangs, "");
    assertEquals((await front.done).code, 0);
    const [worker] = served.workers();
    assert(await waitFor(() => readProcessState(worker!) === "S"));
    served.engine.kill("SIGKILL");
    const { stdout, stderr } = await served.engine.done;
    assertEquals([stdout, stderr], ["listens\n", ""]);
  },
);

testOn(
  ["quick", "helper"],
  "serve: a worker that holds anything of a call ends after it",
  async () => {
    await using served = await ServedRoom.open();
    const [first] = served.workers();
    assert((await served.call(["leak"])).startsWith("warm leak"));
    await waitFor(() =>
      served.workers().length === 1 && served.workers()[0] !== first
    );
    assert((await served.call(["where"])).startsWith("warm where"));
    served.engine.kill("SIGTERM");
    assertStringIncludes(
      (await served.engine.done).stdout,
      "/dev/null",
    );
  },
);

testOn(
  ["quick", "helper"],
  "serve: a worker that has become heavy ends between two calls",
  async () => {
    await using served = await ServedRoom.open({ least: 1, most: 1 });
    const isWarm = async () =>
      (await served.call(["where"])).startsWith("warm where");
    await waitFor(isWarm);
    const [first] = served.workers();
    assert((await served.call(["grow"])).startsWith("warm grow"));
    assertEquals(served.workers(), [first]);
    // It looks at itself after every hundred. The last of these may be cold,
    // where the next worker is not there at once.
    const line = 'i=0; while [ $i -lt 100 ]; do "$1" where; i=$((i+1)); done';
    const { stdout } = await start(["sh", "-c", line, "sh", served.room.path])
      .done;
    assertEquals(stdout.match(/^(?:warm|cold) where/gm)?.length, 100);
    await waitFor(() =>
      served.workers().length === 1 && served.workers()[0] !== first
    );
    assert(await waitFor(isWarm));
  },
);

testOn(
  ["quick", "helper"],
  "serve: another process when all are busy; cold when there may be none",
  async () => {
    await using served = await ServedRoom.open({ least: 1, most: 2 });
    const hanging = ["hang", "hang"].map((word) => served.room.start([word]));
    for (const it of hanging) await it.waitFor("warm hang");
    assertEquals(served.workers().length, 2);
    assertEquals(await served.call(["where"]), "cold where\n");
    for (const it of hanging) it.kill("SIGKILL");
    for (const pid of served.workers()) Deno.kill(pid, "SIGKILL");
    for (const it of hanging) await it.done;
  },
);

testOn(["quick", "helper"], "serve: fifty at once, each right", async () => {
  await using served = await ServedRoom.open({ least: 2, most: 4 });
  const calls = Array.from(
    { length: 50 },
    (_, i) => served.call(["where", String(i)], [], { cwd: "/" }),
  );
  const said = await Promise.all(calls);
  const wrong = said.filter((it, i) =>
    it !== `cold where ${i}\n` && it !== `warm where ${i} / ${Deno.umask()}\n`
  );
  assertEquals(wrong, []);
  assert(said.some((it) => it.startsWith("warm")));
});

testOn(
  ["quick", "helper"],
  "serve: ends when the program is another one, and its callers are cold",
  async () => {
    const dir = Deno.makeTempDirSync();
    const program = `${dir}/program`;
    Deno.writeTextFileSync(program, '#!/bin/sh\necho old "$@"\n', {
      mode: 0o755,
    });
    await using served = await ServedRoom.open({ program: [program] });
    assert((await served.call(["where"])).startsWith("warm where"));
    Deno.writeTextFileSync(`${dir}/new`, '#!/bin/sh\necho new "$@"\n', {
      mode: 0o755,
    });
    Deno.renameSync(`${dir}/new`, program);
    assertEquals(await served.call(["where"]), "new where\n");
    assertStringIncludes((await served.engine.done).stdout, "ends");
    assertEquals(await served.call(["where"]), "new where\n");
    Deno.removeSync(dir, { recursive: true });
  },
);

testOn(
  ["quick", "helper"],
  "serve: a stopped engine is no call's misfortune",
  async () => {
    await using served = await ServedRoom.open();
    served.engine.kill("SIGSTOP");
    using room = new FrontRoom(PROGRAM, 5);
    Deno.linkSync(served.room.socket, room.socket);
    const { stdout } = await room.start(["where"]).done;
    assertEquals(stdout, "cold where\n");
  },
);

testOn(
  ["quick", "helper"],
  "serve: one engine at a place; a socket of a killed one is no hindrance",
  async () => {
    await using served = await ServedRoom.open();
    const line = [
      Deno.execPath(),
      "run",
      "-qA",
      `${ROOT}/tests/serve_engine.ts`,
      served.room.socket,
      "1",
      "1",
      ...PROGRAM,
    ];
    const second = await start(line).done;
    assertStringIncludes(second.stderr, "another rustyrun serves there");
    served.engine.kill("SIGKILL");
    await served.engine.done;
    const third = start(line);
    await third.waitFor("listens");
    assert((await served.call(["where"])).startsWith("warm where"));
    third.kill("SIGKILL");
    await third.done;
  },
);
