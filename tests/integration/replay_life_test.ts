/**
 * The life of a replayed container: its streams, its signals, its end, and the
 * commands of somebody else, all as of an ordinary one.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { waitFor } from "../wait.ts";
import {
  type Image,
  type Outcome,
  type ReplayRoom,
  type RoomOptions,
  testInRoom,
} from "./replay_room.ts";

/** A command that ends by itself. */
interface Row {
  name: string;
  script: string;
  flags?: string[];
  options?: RoomOptions;
  want: Partial<Outcome>;
}

const GREEDY = "x=a; while :; do x=$x$x; done";

const ROWS: Row[] = [
  { name: "exit code 0", script: "exit 0", want: { code: 0 } },
  { name: "exit code 3", script: "exit 3", want: { code: 3 } },
  { name: "exit code 255", script: "exit 255", want: { code: 255 } },
  {
    name: "an end by SIGKILL",
    script: "exec sh -c 'kill -9 $$'",
    flags: ["--init"],
    want: { code: 137 },
  },
  {
    name: "stdin of a pipe",
    script: "wc -c; echo end",
    flags: ["-i"],
    options: { stdin: "12345" },
    want: { code: 0, stdout: "5\nend\n" },
  },
  {
    name: "stdout and stderr apart",
    script: "echo one; echo two >&2",
    want: { stdout: "one\n", stderr: "two\n" },
  },
  {
    name: "the end for want of memory",
    script: GREEDY,
    flags: ["--memory", "32m"],
    want: { code: 137 },
  },
  {
    name: "the end for want of memory, in JSON",
    script: GREEDY,
    flags: ["--memory", "32m", "--json"],
    want: { code: 137 },
  },
  {
    name: "the result in JSON",
    script: "exit 4",
    flags: ["--json"],
    want: { code: 4 },
  },
  {
    name: "stdout that is closed",
    script: "echo fine >&2",
    options: { first: "exec >&-" },
    want: { code: 0, stderr: "fine\n" },
  },
  {
    name: "all streams closed",
    script: "exit 5",
    options: { first: "exec <&- >&- 2>&-" },
    want: { code: 5 },
  },
];

/** What is another's each time: ids, times, sizes. */
const normalize = (text: string) =>
  text.replace(/rr-[0-9a-f]{12}/g, "ID").replace(
    /("(?:ms|seconds|duration\w*|wall\w*|cpu\w*|memory\w*|peak\w*|started|finished)":)[^,}]+/g,
    "$1N",
  );

for (const { name, script, flags = [], options, want } of ROWS) {
  testInRoom(`a replayed container ends as before: ${name}`, async (
    room,
    image,
  ) => {
    image.script(script);
    const words = ["run", ...flags, "--rootfs", image.rootfs, "sh", "/script"];
    const first = await room.keep(words, options);
    assertEquals(first, { ...first, ...want });
    if (script === GREEDY) {
      assertMatch(first.stdout + first.stderr, /"oom":true|memory limit/);
    }
    const then = await room.run(words, options);
    assertEquals(
      [then.stdout, then.stderr].map(normalize),
      [
        first.stdout,
        first.stderr,
      ].map(normalize),
    );
    assertEquals([then.code, then.signal, then.ordinary], [
      first.code,
      first.signal,
      0,
    ]);
  });
}

/** Keeps a bundle's start, whose script stays from now on. */
async function keepStaying(room: ReplayRoom, image: Image, rest: string) {
  image.script(`[ -e /stay ] || exit 0\n${rest}`);
  await room.keep(image.words());
  Deno.writeTextFileSync(`${image.rootfs}/stay`, "");
}

testInRoom("a replayed container gets its signals", async (room, image) => {
  await keepStaying(
    room,
    image,
    `trap "echo usr1" USR1; trap "echo term; exit 7" TERM; trap "echo int" INT
    echo ready; while :; do sleep 0.05; done`,
  );
  const before = room.count();
  const running = room.start(image.words());
  await running.waitFor("ready");
  running.kill("SIGUSR1");
  await running.waitFor("usr1");
  running.kill("SIGINT");
  await running.waitFor("int");
  running.kill("SIGTERM");
  const { code, stdout, stderr } = await running.done;
  assertEquals([code, stdout, stderr], [7, "ready\nusr1\nint\nterm\n", ""]);
  assertEquals(room.count(), before);
});

testInRoom(
  "a signal is the command's while processes of the helper have yet to end",
  async (room, image) => {
    await keepStaying(
      room,
      image,
      `trap "exit 7" TERM; echo ready; while :; do sleep 0.05; done`,
    );
    for (const root of [[], ["--root", room.other]]) {
      const running = room.start([...root, ...image.words()], {
        first: "set -- strace -D -f -o /dev/null -e trace=exit_group " +
          '-e inject=exit_group:delay_enter=1500000 "$@"',
      });
      await running.waitFor("ready");
      running.kill("SIGTERM");
      assertEquals((await running.done).code, 7);
    }
  },
  ["strace"],
);

testInRoom(
  "a pipe of a replayed container ends when the container closes it",
  async (room, image) => {
    await keepStaying(room, image, "echo said; exec >&- 2>&-; exec sleep 1000");
    const running = room.start(image.words(), {
      first: `exec > >(cat; echo closed >"${image.bundle}/closed")`,
    });
    await running.waitFor("said");
    await waitFor(() => Deno.statSync(`${image.bundle}/closed`));
    running.kill("SIGKILL");
    await running.done;
  },
);

testInRoom("$(run) of a replayed container returns", async (room, image) => {
  image.script("echo said; sleep 1000 & exit 0");
  await room.keep(image.words());
  const end = await room.run(image.words(), {
    parent: `set -- bash -c 'x=$("$@"); echo "got $x"' bash "$@"`,
  });
  assertEquals([end.code, end.stdout, end.ordinary], [0, "got said\n", 0]);
});

/** What the other commands say of a container that runs. */
async function ask(room: ReplayRoom, image: Image, pid: number) {
  const run = async (...words: string[]) => {
    const { code, stdout, stderr } = await room.run(words);
    // Its pid and when it was made.
    const text = stdout.replaceAll(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
      .replace(/"pid": ?\d+/g, '"pid":N')
      .replace(new RegExp(`(${image.id} +)\\d+ +`), "$1N ");
    return [words[0], code, text, stderr];
  };
  const state = JSON.parse((await room.run(["state", image.id])).stdout);
  assertEquals(state.status, "running");
  assertEquals(
    Deno.readTextFileSync(`/proc/${state.pid}/status`).match(
      /^PPid:\t(\d+)$/m,
    )?.[1],
    String(pid),
  );
  return [
    await run("state", image.id),
    await run("list"),
    await run("list", "--format", "json"),
    await run("ps", image.id).then(([name, code]) => [name, code]),
    await run("exec", image.id, "sh", "-c", "hostname; id; pwd"),
    await run("exec", "--user", "1000", image.id, "id"),
    await run("pause", image.id),
    await run("resume", image.id),
    await run("update", "--pids-limit", "77", image.id),
    await run("kill", image.id, "USR1"),
    await run("delete", image.id),
  ];
}

testInRoom(
  "other commands take a replayed container as an ordinary one",
  async (room, image) => {
    image.configure({ hostname: "box", annotations: { a: "b" } });
    await keepStaying(
      room,
      image,
      `trap "echo usr1" USR1; echo ready; while :; do sleep 0.05; done`,
    );
    const seen = [];
    for (const root of [["--root=/run/rustyrun"], []]) {
      const before = room.count();
      const running = room.start([...root, ...image.words()]);
      await running.waitFor("ready");
      assertEquals(room.count() - before, root.length);
      const said = await ask(room, image, running.pid);
      await running.waitFor("usr1");
      const { code } = await room.run(["delete", "--force", image.id]);
      assertEquals(code, 0);
      seen.push([said, await running.done]);
    }
    assertEquals(seen[1], seen[0]);
    const codes = (seen[0]![0] as unknown[][]).map((it) => `${it[0]} ${it[1]}`);
    assert(codes.includes("exec 0") && codes.includes("kill 0"), `${codes}`);
  },
);
