/**
 * The front: what it does when it is told.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { closeFd, cstring, libc, openFd, syscall } from "../../ffi/libc.ts";
import {
  decodeRequest,
  encodeProgram,
  encodeRecord,
  encodeTake,
  FRONT_INLINE,
  makeNonce,
  VERB,
} from "../../mod/serve/protocol.ts";
import { FrontRoom, type PlayedEngine, readAll } from "../front_room.ts";
import { programPath } from "../../scripts/build.ts";
import { findLeaks, takeSnapshot } from "../harness.ts";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";

libc();

const encode = (text: string) => new TextEncoder().encode(text);

const TAKE = encodeTake(makeNonce());

testOn(["helper"], "front: prints and ends as it is told", async () => {
  using room = new FrontRoom();
  room.listen();
  const front = room.start(["x"]);
  using engine = room.accept();
  engine.take();
  engine.send(encodeRecord(VERB.print, 1, 0, encode("out")));
  assertEquals(engine.hear(), { verb: VERB.print, result: 0, numbers: [] });
  engine.send(encodeRecord(VERB.print, 2, 0, encode("err")));
  assertEquals(engine.hear().result, 0);
  engine.send(encodeRecord(VERB.exit, 42));
  assertEquals(await front.done, {
    code: 42,
    signal: null,
    stdout: "out",
    stderr: "err",
  });
});

testOn(
  ["helper"],
  "front: tells why it could not print, and is not killed by it",
  async () => {
    using room = new FrontRoom();
    room.listen();
    const line = `"${room.path}" >/dev/full; echo $?`;
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", line],
      stdout: "piped",
    }).spawn();
    {
      using engine = room.accept();
      engine.take();
      engine.send(encodeRecord(VERB.print, 1, 0, encode("out")));
      assertEquals(engine.hear().result, -28);
      engine.send(encodeRecord(VERB.exit, 7));
    }
    assertEquals(
      new TextDecoder().decode((await child.output()).stdout),
      "7\n",
    );
    const pipe = new Deno.Command("/bin/sh", {
      args: ["-c", `("${room.path}"; echo $? >&2) | exec true`],
      stderr: "piped",
    }).spawn();
    {
      using engine = room.accept();
      engine.take();
      // The reader ends by itself; only then the pipe is broken.
      let result = 0;
      while (result === 0) {
        engine.send(encodeRecord(VERB.print, 1, 0, encode("out")));
        ({ result } = engine.hear());
      }
      assertEquals(result, -32);
      engine.send(encodeRecord(VERB.exit, 8));
    }
    assertEquals(new TextDecoder().decode((await pipe.output()).stderr), "8\n");
  },
);

/** Lends a program and one more descriptor, and returns their numbers. */
function lend(engine: PlayedEngine, path: string, other: number): number[] {
  const program = openFd(path, 0);
  try {
    engine.send(encodeRecord(VERB.lend), [program, other]);
  } finally {
    closeFd(program);
  }
  const { verb, numbers } = engine.hear();
  assertEquals([verb, numbers.length], [VERB.lend, 2]);
  return [...numbers];
}

testOn(
  ["busybox"],
  "front: starts a program with what it was lent, as its own child",
  async () => {
    using room = new FrontRoom();
    room.listen();
    const front = room.start();
    using engine = room.accept();
    engine.take();
    const paper = syscall("memfd_create", cstring("paper"), 1);
    const [program, fd] = lend(engine, "/bin/sh", paper);
    const line =
      `env >&${fd}; echo $PPID >&${fd}; ls /proc/self/fd >&${fd}; exit 5`;
    engine.send(encodeProgram(VERB.spawn, program!, ["sh", "-c", line], [fd!]));
    const { result: pid } = engine.hear();
    assertEquals(pid > 0, true);
    engine.send(encodeRecord(VERB.wait, pid, 0));
    assertEquals(engine.hear(), {
      verb: VERB.wait,
      result: pid,
      numbers: [5 << 8],
    });
    engine.send(encodeRecord(VERB.wait, pid, 0));
    assertEquals(engine.hear().result, -10); // ECHILD
    const said = new TextDecoder().decode(readAll(paper)).split("\n");
    assertEquals(said.filter((it) => it.includes("HOME=")), []);
    assertEquals(said.includes(String(front.pid)), true);
    // The front has neither any more: the next ones get their numbers.
    assertEquals(lend(engine, "/bin/sh", paper), [program, fd]);
    engine.send(encodeRecord(VERB.exit, 0));
    await front.done;
    closeFd(paper);
  },
);

/** Kilobytes; proc_pid_smaps(5). */
function readRss(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  return Number(/^Rss: +(\d+) kB$/m.exec(text)![1]);
}

testOn(
  ["helper"],
  "front: takes less than 100 KB while it waits, whatever it was told",
  async () => {
    using room = new FrontRoom();
    room.listen();
    const front = room.start(["exec", "id", "sleep", "1000"]);
    using engine = room.accept();
    engine.take();
    const said: Record<string, number> = { take: readRss(front.pid) };
    // The largest packet.
    const text = new Uint8Array(FRONT_INLINE).fill(10);
    engine.send(encodeRecord(VERB.print, 2, 0, text));
    assertEquals(engine.hear().result, 0);
    said.print = readRss(front.pid);
    const paper = syscall("memfd_create", cstring("paper"), 1);
    const [program, fd] = lend(engine, "/bin/sleep", paper);
    closeFd(paper);
    engine.send(
      encodeProgram(VERB.spawn, program!, ["sleep", "1000"], [fd!]),
    );
    const { result: pid } = engine.hear();
    engine.send(encodeRecord(VERB.wait, pid, 0));
    // In wait4(2): its number here, or on aarch64.
    const here = `/proc/${front.pid}/syscall`;
    await waitFor(() => /^(?:61|260) /.test(Deno.readTextFileSync(here)));
    said.wait = readRss(front.pid);
    Deno.kill(pid, "SIGKILL");
    assertEquals(engine.hear().result, pid);
    engine.send(encodeRecord(VERB.exit, 0));
    assertEquals((await front.done).code, 0);
    for (const [when, kb] of Object.entries(said)) {
      assert(kb < 100, `${when}: ${kb} kB`);
    }
  },
);

testOn(["helper"], "front: tells why a program does not start", async () => {
  using room = new FrontRoom();
  room.listen();
  const front = room.start();
  using engine = room.accept();
  engine.take();
  for (const verb of [VERB.spawn, VERB.become]) {
    const paper = syscall("memfd_create", cstring("paper"), 1);
    const [program] = lend(engine, "/etc/passwd", paper);
    closeFd(paper);
    engine.send(encodeProgram(verb, program!, ["x"], []));
    assertEquals(engine.hear(), { verb, result: -13, numbers: [] });
  }
  engine.send(encodeRecord(VERB.exit, 0));
  assertEquals((await front.done).code, 0);
});

testOn(["helper"], "front: becomes a program, same pid", async () => {
  using room = new FrontRoom();
  room.listen();
  const front = room.start();
  using engine = room.accept();
  engine.take();
  const paper = syscall("memfd_create", cstring("paper"), 1);
  const [program, fd] = lend(engine, "/bin/sh", paper);
  closeFd(paper);
  const line = `echo $$ $(readlink /proc/$$/fd/${fd}); exit 6`;
  engine.send(encodeProgram(VERB.become, program!, ["sh", "-c", line], [fd!]));
  assertEquals(engine.receive(), undefined);
  assertEquals(await front.done, {
    code: 6,
    signal: null,
    stdout: `${front.pid} /memfd:paper (deleted)\n`,
    stderr: "",
  });
});

const STATE =
  "ulimit -n; ulimit -Hn; ls /proc/$$/fd; exec grep -E '^Sig(Ign|Blk|Cgt)' /proc/self/status";

testOn(
  ["helper"],
  "front: is cold as if nothing had been, before and after the start",
  async () => {
    using room = new FrontRoom(["/bin/sh", "-c", STATE]);
    room.listen();
    const caller = (path: string) =>
      new Deno.Command("/bin/sh", {
        args: ["-c", `trap '' CHLD; ulimit -Sn 77; exec ${path}`],
        stdout: "piped",
      }).spawn();
    const want = await caller(
      `/bin/sh -c "${STATE.replaceAll("$$", "\\$\\$")}"`,
    ).output();
    const before = caller(room.path);
    {
      using engine = room.accept();
      engine.send(encodeRecord(VERB.cold));
      for (const fd of engine.receive()!.fds) closeFd(fd);
    }
    assertEquals(
      new TextDecoder().decode((await before.output()).stdout),
      new TextDecoder().decode(want.stdout),
    );
    const after = caller(room.path);
    {
      using engine = room.accept();
      engine.take();
      engine.send(encodeRecord(VERB.cold));
      assertEquals(engine.receive(), undefined);
    }
    assertEquals(
      new TextDecoder().decode((await after.output()).stdout),
      new TextDecoder().decode(want.stdout),
    );
  },
);

testOn(
  ["helper"],
  "front: one clear error when the engine ends or talks nonsense after the start",
  async () => {
    using room = new FrontRoom();
    room.listen();
    const nonsense = [
      undefined,
      new Uint8Array(1),
      encodeRecord(VERB.print, 3, 0, encode("x")),
      encodeRecord(VERB.print, 1, 0, encode("x")).slice(0, -1),
      encodeRecord(99),
      TAKE,
      encodeRecord(VERB.spawn),
      encodeRecord(VERB.spawn, 17, 2, new Uint8Array(80)),
      encodeRecord(VERB.spawn, -1, 2, new Uint8Array(80)),
      encodeRecord(VERB.spawn, 1, 9, new Uint8Array(80)),
      encodeRecord(VERB.spawn, 1, 3, encode("1234a\0b\0")),
      encodeRecord(VERB.spawn, 1, 2, encode("1234a\0b\0c\0")),
      encodeRecord(VERB.become, 1, 2, encode("1234a\0b")),
      new Uint8Array(40_000),
    ];
    const before = takeSnapshot();
    for (const packet of nonsense) {
      const front = room.start();
      {
        using engine = room.accept();
        engine.take();
        if (packet !== undefined) engine.send(packet);
      }
      const { code, stdout, stderr } = await front.done;
      assertEquals([code, stdout], [1, ""], stderr);
      assertStringIncludes(stderr, "rustyrun: Cannot go on: the warm engine");
      assertEquals(stderr.split("\n").length, 3, stderr);
    }
    assertEquals(await findLeaks(before), []);
  },
);

testOn(
  ["helper"],
  "front: closed standard streams are the null device",
  async () => {
    using room = new FrontRoom([
      "/bin/sh",
      "-c",
      "a=$(readlink /proc/$$/fd/0); b=$(readlink /proc/$$/fd/1); echo $a $b >&2",
    ]);
    room.listen();
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", `exec "${room.path}" <&- >&-`],
      stderr: "piped",
    }).spawn();
    using engine = room.accept();
    const { bytes, fds } = engine.receive()!;
    fds.forEach(closeFd);
    assertEquals(decodeRequest(bytes)?.streams.slice(0, 2), ["null", "null"]);
    engine.send(encodeRecord(VERB.cold));
    assertEquals(
      new TextDecoder().decode((await child.output()).stderr),
      "/dev/null /dev/null\n",
    );
  },
);

testOn(
  ["helper"],
  "front: tells the devices that everybody has",
  async () => {
    using room = new FrontRoom(["/bin/true"]);
    room.listen();
    for (
      const names of [["null", "zero", "full"], [
        "random",
        "urandom",
        "other",
      ]] as const
    ) {
      const [a, b, c] = names.map((it) =>
        it === "other" ? "/etc/passwd" : `/dev/${it}`
      );
      const child = new Deno.Command("/bin/sh", {
        args: ["-c", `exec "${room.path}" <${a} >${b} 2<${c}`],
      }).spawn();
      using engine = room.accept();
      const { bytes, fds } = engine.receive()!;
      fds.forEach(closeFd);
      assertEquals(decodeRequest(bytes)?.streams, names);
      engine.send(encodeRecord(VERB.cold));
      await child.status;
    }
  },
);

testOn(
  ["helper"],
  "front: says what is missing when there is no full program, or it is the front",
  async () => {
    using room = new FrontRoom(["/nowhere/rustyrun"]);
    assertEquals(await room.start().done, {
      code: 125,
      signal: null,
      stdout: "",
      stderr:
        'rustyrun: Cannot start the full program "/nowhere/rustyrun": No such file or directory\n' +
        "  hint: rustyrun front FILE, of the full program, writes a front that knows it\n",
    });
    const { dir } = room;
    Deno.mkdirSync(`${dir}/bin`);
    Deno.mkdirSync(`${dir}/lib/rustyrun`, { recursive: true });
    // As it is built, and installed.
    Deno.copyFileSync(programPath("front"), `${dir}/bin/rustyrun`);
    const beside = `${dir}/lib/rustyrun/rustyrun`;
    Deno.writeTextFileSync(beside, '#!/bin/sh\necho beside "$@"\n', {
      mode: 0o755,
    });
    const run = () =>
      new Deno.Command(`${dir}/bin/rustyrun`, { args: ["a"] })
        .outputSync();
    assertEquals(new TextDecoder().decode(run().stdout), "beside a\n");
    Deno.removeSync(beside);
    Deno.linkSync(`${dir}/bin/rustyrun`, beside);
    const { code, stderr } = run();
    assertEquals(code, 125);
    assertStringIncludes(new TextDecoder().decode(stderr), "it is this file");
  },
);
