/**
 * The warm engine's desk and workers, with calls of a test's own (serve_engine.ts):
 * who is served, what becomes of who is not, and what one call leaves the next.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { connectPackets } from "../../ffi/listening.ts";
import {
  closeFd,
  libc,
  openFd,
  pollFds,
  spawnProgram,
  waitProcess,
} from "../../ffi/libc.ts";
import { receivePacket, sendWithFds } from "../../ffi/packets.ts";
import {
  ANSWER_SIZE,
  FRONT_MAGIC,
  FRONT_NONCE,
  FRONT_VERSION,
  RECORD_SIZE,
  REQUEST_SIZE,
  TAKE_SIZE,
  VERB,
} from "../../mod/serve/protocol.ts";
import { FrontRoom } from "../front_room.ts";
import {
  type CliOptions,
  makeRootfs,
  ROOT,
  type Running,
  start,
} from "../harness.ts";
import { findPython, type Need, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";

libc();

/** A room with an engine in it. */
class ServedRoom implements AsyncDisposable {
  readonly room: FrontRoom;
  readonly engine: Running;
  #ended = false;

  private constructor(room: FrontRoom, engine: Running) {
    this.room = room;
    this.engine = engine;
    engine.done.then(() => this.#ended = true);
  }

  static async open(
    { least = 1, most = 2, program = ["/bin/echo", "cold"] } = {},
    caller: readonly string[] = [],
  ): Promise<ServedRoom> {
    // The engine may be slow on a busy machine; a front that waits is not cold.
    const room = new FrontRoom(program);
    const engine = start([
      ...caller,
      Deno.execPath(),
      "run",
      "-qA",
      `${ROOT}/tests/serve_engine.ts`,
      room.socket,
      String(least),
      String(most),
      ...program,
    ]);
    await engine.waitFor("listens");
    return new ServedRoom(room, engine);
  }

  /** Runs the front, in a caller of its own where there is one. */
  async call(
    words: readonly string[],
    caller: readonly string[] = [],
    options: CliOptions = {},
  ): Promise<string> {
    const line = [...caller, this.room.path, ...words];
    const { stdout, stderr } = await start(line, options).done;
    return stdout + stderr;
  }

  workers(): number[] {
    const path = `/proc/${this.engine.pid}/task/${this.engine.pid}/children`;
    return Deno.readTextFileSync(path).split(" ").filter(Boolean).map(Number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.engine.kill("SIGKILL");
    await this.engine.done;
    this.room[Symbol.dispose]();
  }
}

testOn(
  ["helper"],
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
    ["helper", ...needs],
    `serve: a caller that ${what} is cold`,
    async () => {
      await using served = await ServedRoom.open();
      assert((await served.call(["where"])).startsWith("warm where"));
      assertEquals(await served.call(["where"], caller), "cold where\n");
    },
  );
}

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
  ["helper", "root", "python3"],
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
  ["helper"],
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
  ["helper", "root", "busybox"],
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

/** A front's first packet, of this process. */
function makeRequest(program: readonly string[], word: string): Uint8Array {
  const text = [...program, word].map((it) => `${it}\0`).join("");
  const strings = new TextEncoder().encode(text);
  const bytes = new Uint8Array(REQUEST_SIZE + strings.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, FRONT_MAGIC, true);
  view.setUint32(8, FRONT_VERSION, true);
  view.setUint32(12, strings.length, true);
  view.setUint32(16, program.length, true);
  view.setUint32(20, 1, true);
  bytes.set(strings, REQUEST_SIZE);
  return bytes;
}

const PROGRAM = ["/bin/echo", "cold"];

/** The next record, once there is a worker; empty at the end. */
function hearRecord(fd: number): Uint8Array {
  const buffer = new Uint8Array(RECORD_SIZE + 1024);
  for (;;) {
    assertEquals(pollFds([fd], 60_000).length, 1);
    const packet = receivePacket(fd, buffer);
    if (packet === undefined) return new Uint8Array(0);
    if (buffer[0] !== VERB.queued) return buffer.subarray(0, packet.length);
  }
}

/** Its verb; 0 at the end. */
function hearVerb(fd: number): number {
  return hearRecord(fd)[0] ?? 0;
}

/** The nonce of the next record, which is "take". */
function hearTake(fd: number): Uint8Array {
  const take = hearRecord(fd);
  assertEquals([take[0], take.length], [VERB.take, TAKE_SIZE]);
  return take.subarray(RECORD_SIZE);
}

function encodeGo(nonce: Uint8Array, count = FRONT_NONCE): Uint8Array {
  const bytes = new Uint8Array(ANSWER_SIZE);
  bytes[0] = VERB.go;
  bytes[8] = count;
  bytes.set(nonce, 12);
  return bytes;
}

testOn(
  ["helper"],
  "serve: packets of every wrong length are answered with cold",
  async () => {
    await using served = await ServedRoom.open();
    const good = makeRequest(PROGRAM, "where");
    const here = openFd("/", 0o10000000);
    for (let length = 0; length <= good.length + 1; length++) {
      const fd = connectPackets(served.room.socket);
      const bytes = new Uint8Array(length);
      bytes.set(good.subarray(0, length));
      sendWithFds(fd, bytes, [here]);
      assertEquals(
        hearVerb(fd),
        length === good.length ? VERB.take : VERB.cold,
        `${length}`,
      );
      closeFd(fd);
    }
    for (const fds of [[], [here, here], [here, here, here]]) {
      const fd = connectPackets(served.room.socket);
      sendWithFds(fd, good, fds);
      assertEquals(hearVerb(fd), VERB.cold);
      closeFd(fd);
    }
    closeFd(here);
    assertEquals(
      await served.call(["where"], [], { cwd: "/" }),
      `warm where / ${Deno.umask()}\n`,
    );
  },
);

testOn(
  ["helper", "python3"],
  "serve: the process that has connected must say go itself",
  async () => {
    await using served = await ServedRoom.open();
    const here = openFd("/", 0o10000000);
    for (const itself of [true, false]) {
      const fd = connectPackets(served.room.socket);
      sendWithFds(fd, makeRequest(PROGRAM, "where"), [here]);
      const go = encodeGo(hearTake(fd));
      if (itself) sendWithFds(fd, go);
      else {
        const line = `import socket
socket.socket(fileno=${fd}).send(bytes.fromhex("${go.toHex()}"))`;
        const python = findPython();
        waitProcess(spawnProgram(python, ["python3", "-c", line], [], [fd]));
      }
      assertEquals(hearVerb(fd), itself ? VERB.print : 0);
      closeFd(fd);
    }
    closeFd(here);
  },
);

testOn(
  ["helper"],
  "serve: go repeats the nonce of take, so nobody has said it before",
  async () => {
    await using served = await ServedRoom.open();
    const here = openFd("/", 0o10000000);
    const call = () => {
      const fd = connectPackets(served.room.socket);
      sendWithFds(fd, makeRequest(PROGRAM, "where"), [here]);
      return fd;
    };
    const early = call();
    sendWithFds(early, encodeGo(new Uint8Array(0), 0));
    const said = [hearVerb(early), hearVerb(early)];
    closeFd(early);
    assertEquals(said, [VERB.take, 0]);
    const nonces = new Set<string>();
    const wrong: ((nonce: Uint8Array) => Uint8Array)[] = [
      () => encodeGo(new Uint8Array(0), 0),
      () => encodeGo(new Uint8Array(16)),
      (nonce) => encodeGo(nonce, FRONT_NONCE - 1),
      (nonce) => encodeGo(nonce, FRONT_NONCE + 1),
      ...Array.from(
        { length: 16 },
        (_, i) => (nonce: Uint8Array) => encodeGo(nonce.with(i, nonce[i]! ^ 1)),
      ),
    ];
    for (const make of wrong) {
      const fd = call();
      const nonce = hearTake(fd);
      nonces.add(nonce.toHex());
      sendWithFds(fd, make(nonce));
      const verb = hearVerb(fd);
      closeFd(fd);
      assertEquals(verb, 0, `${make}`);
    }
    assertEquals(nonces.size, wrong.length);
    closeFd(here);
    assert((await served.call(["where"])).startsWith("warm where"));
  },
);

testOn(
  ["helper"],
  "serve: who connects and says nothing keeps nobody waiting for long",
  async () => {
    await using served = await ServedRoom.open();
    const fds = Array.from(
      { length: 4 },
      () => connectPackets(served.room.socket),
    );
    assertEquals(
      await served.call(["where"], [], { cwd: "/" }),
      `warm where / ${Deno.umask()}\n`,
    );
    fds.forEach(closeFd);
  },
);

testOn(
  ["helper"],
  "serve: who leaves the queue without a word is no worker's misfortune",
  async () => {
    await using served = await ServedRoom.open({ least: 1, most: 1 });
    const file = `${served.room.dir}/go`;
    const busy = served.room.start(["until", file]);
    await busy.waitFor("warm until");
    const workers = served.workers();
    const here = openFd("/", 0o10000000);
    for (const asks of [true, false]) {
      const fd = connectPackets(served.room.socket);
      if (asks) sendWithFds(fd, makeRequest(PROGRAM, "where"), [here]);
      // "queued" is there, and stays unread.
      assertEquals(pollFds([fd], 60_000).length, 1);
      closeFd(fd);
    }
    closeFd(here);
    Deno.writeTextFileSync(file, "");
    assertEquals((await busy.done).code, 0);
    assert((await served.call(["where"])).startsWith("warm where"));
    assertEquals(served.workers(), workers);
  },
);

testOn(
  ["helper"],
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
  ["helper"],
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
  ["helper"],
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

testOn(["helper"], "serve: fifty at once, each right", async () => {
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
  ["helper"],
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
  ["helper"],
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
  ["helper"],
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
