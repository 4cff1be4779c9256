/**
 * The front: when it is cold, and what it says to the engine.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { connectPackets } from "../../ffi/listening.ts";
import { closeFd, libc } from "../../ffi/libc.ts";
import {
  decodeRequest,
  decodeStrings,
  encodeRecord,
  encodeTake,
  makeNonce,
  REQUEST_SIZE,
  TAKE_SIZE,
  VERB,
} from "../../mod/serve/protocol.ts";
import { fillBacklog, FrontRoom, readAll } from "../front_room.ts";
import {
  cliCommand,
  findLeaks,
  runToEnd,
  start,
  takeSnapshot,
} from "../harness.ts";
import { asUser, findPython, testOn, USERS } from "../needs.ts";
import { lineOf } from "../warm_program.ts";
import { ID, makeBundle } from "./warm_bundle.ts";

libc();

const encode = (text: string) => new TextEncoder().encode(text);

const TAKE = encodeTake(makeNonce());

const COLD = { code: 0, signal: null, stdout: "cold a b c\n", stderr: "" };

const WORDS = ["a", "b c"];

testOn(
  ["helper"],
  "front: cold without an engine, and with one that is dead",
  async () => {
    using room = new FrontRoom();
    assertEquals(await room.start(WORDS).done, COLD);
    closeFd(room.listen());
    assertEquals(await room.start(WORDS).done, COLD);
  },
);

testOn(
  ["root", "busybox"],
  "front: without an engine, a container's whole life",
  async () => {
    const before = takeSnapshot();
    using room = new FrontRoom(lineOf(cliCommand().at(-1)!));
    using bundle = makeBundle("sleep 1000");
    const root = ["--root", `${room.dir}/root`];
    // A container that stays keeps what it was started with.
    const line = 'exec "$0" "$@" >/dev/null 2>&1';
    const call = (words: readonly string[]) =>
      runToEnd(["sh", "-c", line, room.path, ...root, ...words]);
    const readStatus = async () => {
      const { stdout } = await room.start([...root, "state", ID]).done;
      return JSON.parse(stdout).status;
    };
    for (
      const [words, code, then] of [
        [["create", "--bundle", bundle.dir, ID], 0, "created"],
        [["create", "--bundle", bundle.dir, ID], 1, "created"],
        [["start", ID], 0, "running"],
        [["exec", ID, "sh", "-c", "exit 7"], 7, "running"],
        [["pause", ID], 0, "paused"],
        [["resume", ID], 0, "running"],
        [["delete", "--force", ID], 0, undefined],
        [["run", "--bundle", bundle.dir, "--detach", ID], 0, "running"],
        [["delete", "--force", ID], 0, undefined],
        [["state", ID], 1, undefined],
      ] as const
    ) {
      assertEquals((await call(words)).code, code, words.join(" "));
      if (then !== undefined) assertEquals(await readStatus(), then);
    }
    assertEquals(await findLeaks(before, ID), []);
  },
);

testOn(
  ["helper"],
  "front: cold when the engine's backlog is full",
  async () => {
    using room = new FrontRoom();
    room.listen(0);
    const fds = fillBacklog(() => connectPackets(room.socket));
    try {
      assertEquals(fds.length > 0, true);
      assertEquals(await room.start(WORDS).done, COLD);
    } finally {
      fds.forEach(closeFd);
    }
  },
);

testOn(
  ["helper"],
  "front: cold when nobody takes the call, or says so in time",
  async () => {
    using room = new FrontRoom(undefined, 5);
    room.listen();
    assertEquals(await room.start(WORDS).done, COLD);
  },
);

testOn(
  ["helper"],
  "front: cold when the engine says that it is there, and hangs",
  async () => {
    using room = new FrontRoom();
    room.listen();
    const front = room.start(WORDS);
    using engine = room.accept();
    for (const fd of engine.receive()!.fds) closeFd(fd);
    engine.send(encodeRecord(VERB.queued));
    assertEquals(await front.done, COLD);
  },
);

testOn(
  ["helper"],
  "front: cold when the engine says so, says nothing right, or ends before it takes the call",
  async () => {
    using room = new FrontRoom();
    room.listen();
    const wrong = [
      [encodeRecord(VERB.cold)],
      [encodeRecord(VERB.exit, 3)],
      [encodeRecord(VERB.queued), encodeRecord(VERB.cold)],
      [encodeRecord(VERB.queued), encodeRecord(VERB.queued)],
      [encodeRecord(VERB.queued)],
      [encodeRecord(0)],
      [new Uint8Array([...TAKE, 0])],
      [encodeRecord(VERB.take, 0, 0, new Uint8Array(TAKE_SIZE))],
      [TAKE.with(4, 0)],
      [encodeRecord(VERB.cold, 0, 0, new Uint8Array(16))],
      ...Array.from(
        { length: TAKE_SIZE },
        (_, length) => [TAKE.slice(0, length)],
      ),
      [],
    ];
    for (const packets of wrong) {
      const front = room.start(WORDS);
      {
        using engine = room.accept();
        for (const fd of engine.receive()!.fds) closeFd(fd);
        for (const packet of packets) engine.send(packet);
      }
      assertEquals(await front.done, COLD, JSON.stringify(packets));
    }
  },
);

testOn(
  ["root", "helper", "python3"],
  "front: never asks another user's engine",
  async () => {
    using room = new FrontRoom(undefined, 60_000);
    Deno.chmodSync(room.dir, 0o777);
    const [program, ...args] = asUser([
      findPython(),
      "-c",
      `import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind("${room.socket}")
s.listen()
print("listens", flush=True)
c, _ = s.accept()
print("heard" if c.recv(9) else "nothing")`,
    ], "single");
    const engine = start([program!, ...args]);
    await engine.waitFor("listens");
    assertEquals(Deno.statSync(room.socket).uid, USERS.single);
    assertEquals(await room.start(WORDS).done, COLD);
    assertEquals((await engine.done).stdout, "listens\nnothing\n");
  },
);

testOn(["helper"], "front: says what it knows, byte for byte", async () => {
  using room = new FrontRoom();
  room.listen();
  const long = "y".repeat(40_000);
  for (const words of [[], ["", "a\nb"], [long, "z"]]) {
    const dir = Deno.makeTempDirSync();
    const front = room.start(words, {
      cwd: dir,
      env: { ODD: "=1\n2", NONE: "" },
    });
    using engine = room.accept();
    const { bytes, fds } = engine.receive()!;
    const request = decodeRequest(bytes)!;
    const memory = fds[1] === undefined ? undefined : readAll(fds[1]);
    const { program, words: heard, variables } = decodeStrings(
      memory ?? bytes.subarray(REQUEST_SIZE),
      request,
    )!;
    assertEquals(program, ["/bin/echo", "cold"]);
    assertEquals(heard, words);
    assertEquals(variables.includes("ODD==1\n2"), true);
    assertEquals(variables.includes("NONE="), true);
    assertEquals(request.umask, Deno.umask());
    assertEquals(request.streams, ["null", "other", "other"]);
    const [mine, theirs] = [dir, `/proc/self/fd/${fds[0]}`].map((it) =>
      Deno.statSync(it)
    );
    assertEquals(theirs!.ino, mine!.ino);
    fds.forEach(closeFd);
    engine.send(encodeRecord(VERB.cold));
    await front.done;
    Deno.removeSync(dir);
  }
});

testOn(
  ["helper"],
  "front: bytes that are no UTF-8 arrive as they are, warm and cold",
  async () => {
    using room = new FrontRoom();
    room.listen();
    const line = `exec "${room.path}" "$(printf 'a\\377b')"`;
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", line],
      stdout: "piped",
    }).spawn();
    using engine = room.accept();
    const { bytes, fds } = engine.receive()!;
    fds.forEach(closeFd);
    const { words } = decodeStrings(
      bytes.subarray(REQUEST_SIZE),
      decodeRequest(bytes)!,
    )!;
    assertEquals(words, ["a\udcffb"]);
    engine.send(encodeRecord(VERB.cold));
    const { stdout } = await child.output();
    assertEquals([...stdout], [...encode("cold a"), 0xff, ...encode("b\n")]);
  },
);

testOn(
  ["helper", "user"],
  "front: Deno gets a directory for its caches where it would find none",
  async () => {
    using room = new FrontRoom(["/usr/bin/env"]);
    const runtime = `${room.dir}/runtime`;
    Deno.mkdirSync(runtime);
    const become = async (...variables: string[]) => {
      const line = ["/usr/bin/env", "-i", ...variables, room.path];
      return (await start(line).done).stdout.trim().split("\n");
    };
    // Root's home is in passwd.
    const none = Deno.uid() === 0 ? [] : ["DENO_DIR=/dev/null/none"];
    const own = `XDG_RUNTIME_DIR=${runtime}`;
    const given = `DENO_DIR=${runtime}/rustyrun.deno`;
    assertEquals(await become(own, "A=b"), [given, own, "A=b"]);
    assertEquals(await become("HOME=", own), [given, "HOME=", own]);
    for (
      const variables of [
        [own, "HOME=/x"],
        [own, "DENO_DIR=/x"],
        [own, "XDG_CACHE_HOME=/x"],
      ]
    ) assertEquals(await become(...variables), variables);
    for (
      const variables of [
        ["A=b"],
        [`XDG_RUNTIME_DIR=${room.dir}/none`],
        [`XDG_RUNTIME_DIR=${"/x".repeat(3000)}`],
      ]
    ) assertEquals(await become(...variables), [...none, ...variables]);
    for (const home of ["/dev/null", "/dev/null/x/y", `/${"x".repeat(5000)}`]) {
      const without = await become("A=b", `HOME=${home}`, "C=d");
      assertEquals(without, [...none, "A=b", "C=d"]);
      assertEquals(await become(`HOME=${home}`, own), [given, own]);
    }
    if (Deno.uid() !== 0) return;
    // Another's directory.
    Deno.chownSync(runtime, USERS.single, USERS.single);
    assertEquals(await become(own), [own]);
    using theirs = new FrontRoom(["/usr/bin/env"], undefined, true);
    Deno.chmodSync(theirs.dir, 0o755);
    const user = asUser(["/usr/bin/env", "-i", "A=b", theirs.path]);
    assertEquals(
      (await start(user).done).stdout,
      [
        "DENO_DIR=/dev/null/none",
        "A=b",
        "",
      ].join("\n"),
    );
  },
);

testOn(
  ["helper", "user", "userns"],
  "front: root of a user's user namespace looks for the user's engine",
  async () => {
    using room = new FrontRoom(undefined, undefined, true);
    const dir = `${room.dir}/rustyrun`;
    Deno.mkdirSync(dir);
    for (const path of [room.dir, dir]) Deno.chmodSync(path, 0o755);
    room.listen(8, `${dir}/.serve`);
    Deno.chmodSync(`${dir}/.serve`, 0o777);
    const front = start(asUser([
      ...["unshare", "-Ur", "env", `XDG_RUNTIME_DIR=${room.dir}`],
      ...[room.path, ...WORDS],
    ]));
    room.accept()[Symbol.dispose]();
    assertEquals(await front.done, COLD);
  },
);
