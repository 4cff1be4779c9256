/**
 * containerd's ctr, through containerd's own shim, with rustyrun in the place
 * of runc.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { IMAGE } from "./image.ts";
import { LOOK, makeRoom, SUM, waitFor } from "./room.ts";

testOn(
  ["root", "busybox", "python3", "containerd"],
  "containerd's ctr runs containers with rustyrun",
  async (t) => {
    await using room = await makeRoom("ctr");
    const socket = "/run/containerd/containerd.sock";
    const text = `version = 2
root = "${room.dir}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "${socket}"
`;
    const conf = `${room.dir}/containerd.toml`;
    await room.run(["sh", "-c", `printf %s "$0" >${conf}`, text]);
    await room.serve(["containerd", "--config", conf], socket);
    const words = ["ctr", "-a", socket, "-n", room.name];
    const ctr = (...args: string[]) => room.run([...words, ...args]);
    const flags = [
      `--runc-binary=${room.runtime}`,
      "--snapshotter=native",
    ];
    const once = (id: string, ...args: string[]) =>
      ctr("run", "--rm", ...flags, IMAGE, id, ...args);
    const imported = await ctr(
      "image",
      "import",
      "--snapshotter=native",
      room.image,
    );
    assertEquals(imported.code, 0, imported.stderr);

    await t.step("ctr run gives output and exit code", async () => {
      assertEquals(
        await once("one", "sh", "-c", "echo out; echo err >&2; exit 7"),
        { code: 7, stdout: "out", stderr: "err" },
      );
    });

    await t.step("ctr run says what cannot be executed", async () => {
      const missing = await once("two", "nonesuch");
      assertEquals([missing.code, missing.stdout], [1, ""]);
      assertMatch(
        missing.stderr,
        /"nonesuch": executable file not found in \$PATH/,
      );
      const notes = await once("three", "/bin/notes");
      assertEquals([notes.code, notes.stdout], [1, ""]);
      assertMatch(notes.stderr, /permission denied/);
    });

    await t.step("ctr run -t has a terminal", async () => {
      const { code, stdout } = await room.type(
        [...words, "run", "--rm", "-t", ...flags, IMAGE, "four", "sh"],
        [["#", LOOK], ["\n31 97", "exit 5\n"]],
      );
      assertMatch(stdout, /42\n\/dev\/(pts\/0|console)\n([^]*\n)?31 97\n/);
      assertEquals(code, 5);
    });

    await t.step("ctr run --memory-limit limits", async () => {
      const { code, stderr } = await ctr(
        "run",
        "-d",
        ...flags,
        `--memory-limit=${48 << 20}`,
        IMAGE,
        "five",
        "sleep",
        "1000",
      );
      assertEquals([code, stderr], [0, ""]);
      const read = await room.run([
        "sh",
        "-c",
        `cd /sys/fs/cgroup; cat memory/$0/memory.limit_in_bytes || cat $0/memory.max`,
        `${room.name}/five`,
      ]);
      assertEquals(read.stdout, `${48 << 20}`);
      assertEquals((await ctr("task", "kill", "-s", "KILL", "five")).code, 0);
      assertEquals((await ctr("task", "rm", "-f", "five")).code, 0);
      assertEquals((await ctr("container", "rm", "five")).code, 0);
    });

    await t.step("ctr task exec, pause, resume, kill, delete", async () => {
      const started = await ctr(
        "run",
        "-d",
        ...flags,
        IMAGE,
        "long",
        "sh",
        "-c",
        'trap "exit 3" TERM; touch /set; while :; do sleep 0.1; done',
      );
      assertEquals([started.code, started.stderr], [0, ""]);
      const exec = (id: string) => ["task", "exec", "--exec-id", id, "long"];
      // On a busy machine ctr 1.6 loses what a command printed that ends while
      // its start is being answered, with runc too: this one ends when its
      // output has been seen.
      const spoken = await room.type(
        [
          ...words,
          ...exec("e1"),
          "sh",
          "-c",
          "until test -e /set; do sleep 0.1; done; echo in; read line; exit 4",
        ],
        [["in", "\n"]],
      );
      assertEquals([spoken.code, spoken.stdout], [4, "in"]);
      assertMatch(
        (await ctr(...exec("e2"), "nonesuch")).stderr,
        /executable file not found in \$PATH/,
      );
      const typed = await room.type(
        [...words, "task", "exec", "-t", "--exec-id", "e3", "long", "sh"],
        SUM,
      );
      assertMatch(typed.stdout, /\n42\b/);
      assertEquals(typed.code, 6);
      const state = async () =>
        (await ctr("task", "ls")).stdout.split("\n").find((line) =>
          line.startsWith("long")
        )?.split(/\s+/)[2];
      assertEquals((await ctr("task", "pause", "long")).code, 0);
      assertEquals(await state(), "PAUSED");
      assertEquals((await ctr("task", "resume", "long")).code, 0);
      assertEquals(await state(), "RUNNING");
      assertMatch((await ctr("task", "ps", "long")).stdout, /^PID +INFO\n\d+/);
      assertEquals((await ctr("task", "kill", "-s", "TERM", "long")).code, 0);
      assertEquals(
        await waitFor(state, (seen) => seen === "STOPPED"),
        "STOPPED",
      );
      assertEquals((await ctr("task", "rm", "long")).code, 0);
      assertEquals((await ctr("container", "rm", "long")).code, 0);
    });
  },
);
