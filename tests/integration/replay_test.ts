/**
 * Starts that are replayed: which command lines are, which never, and that each
 * is its own.
 *
 * @module
 */

import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type Image,
  type ReplayRoom,
  type RoomOptions,
  testInRoom,
} from "./replay_room.ts";
import { makeBox } from "../harness.ts";
import { testOn, USERS } from "../needs.ts";
import { otherUser, run } from "../program.ts";
import type { Spec } from "./caller.ts";

for (
  const [name, before] of [
    ["a bundle of short flags", ({ rootfs }) => ["-ir", rootfs]],
    ["one short flag", ({ rootfs }) => ["-r", rootfs]],
    ["a value in the same word", ({ rootfs }) => [`-r${rootfs}`]],
    ["one dash", ({ rootfs }) => ["-rootfs", rootfs]],
    ["an equals sign", ({ rootfs }) => [`--rootfs=${rootfs}`]],
  ] as [string, (image: Image) => string[]][]
) {
  testInRoom(
    `run of another last word is another command, with ${name}`,
    async (room, image) => {
      // As long as a generated id.
      const [one, two] = ["aaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbb"] as const;
      const words = ["run", ...before(image), "echo"];
      for (const word of [one, one, one, two, one]) {
        const { code, stdout, stderr } = await room.run([...words, word]);
        assertEquals([code, stdout, stderr], [0, `${word}\n`, ""]);
      }
    },
  );
}

const FLAGS: [string, string[]][] = [
  ["no flag", []],
  ["-u with a number", ["-u", "1000"]],
  ["-u with a name", ["-u", "app"]],
  ["--memory", ["--memory", "64m"]],
  ["--read-only", ["--read-only"]],
  ["--init", ["--init"]],
  ["--ulimit", ["--ulimit", "nofile=50"]],
  ["--cap-drop ALL", ["--cap-drop", "ALL"]],
  ["--ephemeral", ["--ephemeral"]],
  ["--name", ["--name", `rrreplay${Deno.pid}`]],
];

for (const [name, flags] of FLAGS) {
  testInRoom(`run is replayed with ${name}`, async (room, { rootfs }) => {
    const words = ["run", ...flags, "--rootfs", rootfs, "--", "id", "-u"];
    const first = await room.keep(words);
    for (let round = 0; round < 3; round++) {
      assertEquals(await room.run(words), { ...first, ordinary: 0 });
    }
  });
}

testInRoom(
  "run of a bundle is replayed, with any id of that length",
  async (room, image) => {
    image.script("echo fine");
    await room.keep(image.words("box-one"));
    for (const id of ["box-one", "box-two", "box.3_4", "box-one"]) {
      const end = await room.run(image.words(id));
      assertEquals([id, end.stdout, end.ordinary], [id, "fine\n", 0]);
    }
    const other = await room.run(image.words("box-longer"));
    assertEquals([other.stdout, other.ordinary], ["fine\n", 1]);
  },
);

testInRoom(
  "run of a bundle as runc spec writes it is replayed",
  async (room, { bundle, words }) => {
    const config = `${bundle}/config.json`;
    Deno.removeSync(config);
    assertEquals(run("runc", "spec", "--bundle", bundle), true);
    const spec: Spec = JSON.parse(Deno.readTextFileSync(config));
    const process = { ...spec.process, terminal: false, args: ["true"] };
    Deno.writeTextFileSync(config, JSON.stringify({ ...spec, process }));
    await room.keep(words());
    const { code, stderr, ordinary } = await room.run(words());
    assertEquals([code, stderr, ordinary], [0, "", 0]);
  },
  ["runc"],
);

/** A start that is never kept, and still works every time. */
interface Never {
  name: string;
  over?: Spec;
  /** Of a bundle, before its id. */
  flags?: (image: Image, room: ReplayRoom) => string[];
  /** Of a root file system. */
  friendly?: (image: Image) => string[];
  options?: (image: Image, room: ReplayRoom) => RoomOptions;
  before?: (image: Image) => void;
  /** What must hold after each. */
  check?: (image: Image, stdout: string) => void;
  /** What there is to do before the next. */
  after?: (image: Image, room: ReplayRoom) => Promise<unknown>;
}

const NEVER: Never[] = [
  {
    name: "--keep",
    flags: () => ["--keep"],
    after: (image, room) => room.run(["delete", image.id]),
  },
  {
    name: "--detach",
    flags: () => ["-d"],
    after: (image, room) => room.run(["delete", "--force", image.id]),
  },
  {
    name: "--pid-file",
    flags: ({ bundle }) => ["--pid-file", `${bundle}/pid`],
    check({ bundle }) {
      assertMatch(Deno.readTextFileSync(`${bundle}/pid`), /^\d+$/);
      Deno.removeSync(`${bundle}/pid`);
    },
  },
  {
    name: "a hook",
    over: { hooks: { createRuntime: [{ path: "/bin/true" }] } },
  },
  {
    name: "a user namespace",
    friendly: () => ["--userns", "0:100000:65536"],
    before: ({ rootfs }) =>
      void new Deno.Command("chown", { args: ["-R", "100000", rootfs] })
        .outputSync(),
  },
  {
    name: "--preserve-fds",
    flags: () => ["--preserve-fds", "1"],
    options: () => ({ first: "exec 3</dev/null" }),
  },
  {
    name: "descriptors of LISTEN_FDS",
    options: () => ({
      first: "exec 3</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$",
    }),
  },
  {
    name: "--ephemeral=DIR",
    friendly: ({ bundle }) => [`--ephemeral=${bundle}/upper`],
    before: ({ bundle }) => Deno.mkdirSync(`${bundle}/upper`),
  },
  {
    name: "the caller's mount namespace",
    over: {
      linux: {
        namespaces: ["pid", "ipc", "uts", "network"].map((type) => ({ type })),
      },
    },
  },
  {
    name: "--explain",
    friendly: () => ["--explain"],
    check: (_, stdout) => assertStringIncludes(stdout, "rustyrun"),
  },
];

for (const row of NEVER) {
  testInRoom(`run is never replayed with ${row.name}`, async (room, image) => {
    image.script("echo fine");
    row.before?.(image);
    if (row.over) image.configure(row.over);
    const words = row.friendly === undefined
      ? [
        "run",
        "--bundle",
        image.bundle,
        ...row.flags?.(image, room) ?? [],
        image.id,
      ]
      : [
        "run",
        ...row.friendly(image),
        "--rootfs",
        image.rootfs,
        "--",
        "sh",
        "/script",
      ];
    for (let round = 0; round < 3; round++) {
      const end = await room.run(words, row.options?.(image, room));
      assertEquals([end.code, end.stderr, end.ordinary], [0, "", 1]);
      if (row.check) row.check(image, end.stdout);
      else assertEquals(end.stdout, "fine\n");
      await row.after?.(image, room);
    }
  });
}

testInRoom("run is never replayed on a terminal", async (room, image) => {
  const words = ["run", "-t", "--rootfs", image.rootfs, "--", "tty"];
  for (let round = 0; round < 3; round++) {
    const end = await room.run(words, {
      first: `set -- script -qefc "$(printf '%q ' "$@")" /dev/null`,
    });
    assertEquals([end.code, end.ordinary], [0, 1], end.stdout);
    assertMatch(end.stdout, /\/dev\/(?:console|pts\/0)\r\n/);
  }
}, ["script"]);

testInRoom("run with --root keeps nothing", async (room, image) => {
  image.script("echo fine");
  const before = room.kept().size;
  for (let round = 0; round < 3; round++) {
    const end = await room.run(["--root", room.other, ...image.words()]);
    assertEquals([end.stdout, end.ordinary], ["fine\n", 1]);
  }
  assertEquals(room.kept().size, before);
  assertThrows(
    () => Deno.statSync(`${room.other}/.cache/run`),
    Deno.errors.NotFound,
  );
});

testInRoom("run from the sources keeps nothing", async (room, image) => {
  image.script("echo fine");
  const list = () =>
    [...Deno.readDirSync(`${room.states}/.cache/run`)].map((it) => it.name)
      .sort();
  await room.run(["--version"]);
  const before = list();
  const bundle = `${import.meta.dirname}/../../main.ts`;
  for (let round = 0; round < 3; round++) {
    const end = await room.run(image.words(), {
      bundle,
      env: {
        DENO_DIR: Deno.env.get("DENO_DIR") ??
          `${Deno.env.get("HOME")}/.cache/deno`,
      },
    });
    assertEquals([end.code, end.stdout, end.stderr], [0, "fine\n", ""]);
  }
  assertEquals(list(), before);
});

testOn(
  ["helper", "busybox", "userns"],
  "run of a user who is not root keeps nothing",
  async () => {
    const runtime = Deno.makeTempDirSync({ prefix: "rustyrun-test-user-" });
    const owner = otherUser(true);
    if (owner) Deno.chownSync(runtime, USERS[owner], USERS[owner]);
    try {
      await using box = makeBox({ user: true });
      for (let round = 0; round < 3; round++) {
        const env = { XDG_RUNTIME_DIR: runtime };
        const { code, stdout, stderr } = await box.run(
          ["--", "id", "-u"],
          { env },
        );
        assertEquals([code, stdout, stderr], [0, "0\n", ""]);
      }
      assertThrows(
        () => Deno.statSync(`${runtime}/rustyrun/.cache/run`),
        Deno.errors.NotFound,
      );
    } finally {
      Deno.removeSync(runtime, { recursive: true });
    }
  },
);
