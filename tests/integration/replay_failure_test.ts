/**
 * A replayed start that fails: it says what the ordinary way says, leaves
 * nothing, and is forgotten.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Spec } from "./caller.ts";
import { type Image, testInRoom } from "./replay_room.ts";

/** Something that fails a start, or might. */
interface Row {
  name: string;
  over?: Spec;
  flags?: (image: Image) => string[];
  before?: (image: Image) => void;
  change: (image: Image) => void;
  /** It does not fail: the child stage puts up with it. */
  fine?: true;
}

function replaceByFile(path: string): void {
  Deno.removeSync(path, { recursive: true });
  Deno.writeTextFileSync(path, "");
}

function replaceByDir(path: string): void {
  Deno.removeSync(path);
  Deno.mkdirSync(path);
}

function writeProgram({ rootfs }: Image, text: string): void {
  Deno.writeTextFileSync(`${rootfs}/program`, text);
  Deno.chmodSync(`${rootfs}/program`, 0o755);
}

const ROWS: Row[] = [
  {
    name: "/proc that became a file",
    change: ({ rootfs }) => replaceByFile(`${rootfs}/proc`),
  },
  {
    name: "/dev that became a file",
    change: ({ rootfs }) => replaceByFile(`${rootfs}/dev`),
  },
  {
    name: "/proc that became a link",
    change({ rootfs }) {
      Deno.removeSync(`${rootfs}/proc`);
      Deno.symlinkSync("/etc", `${rootfs}/proc`);
    },
  },
  {
    name: "/etc/hosts that became a directory",
    flags: () => [],
    change: ({ rootfs }) => replaceByDir(`${rootfs}/etc/hosts`),
  },
  {
    name: "a working directory that is gone",
    over: { process: { cwd: "/home" } },
    before: ({ rootfs }) => Deno.mkdirSync(`${rootfs}/home`),
    change: ({ rootfs }) => Deno.removeSync(`${rootfs}/home`),
    fine: true,
  },
  {
    name: "a working directory that became a file",
    over: { process: { cwd: "/home" } },
    before: ({ rootfs }) => Deno.mkdirSync(`${rootfs}/home`),
    change: ({ rootfs }) => replaceByFile(`${rootfs}/home`),
  },
  {
    name: "a working directory that the user may not enter",
    flags: () => ["-u", "1000", "-w", "/home"],
    before: ({ rootfs }) => Deno.mkdirSync(`${rootfs}/home`),
    change: ({ rootfs }) => Deno.chmodSync(`${rootfs}/home`, 0o700),
    fine: true,
  },
  {
    name: "a program that is gone",
    over: { process: { args: ["/program"] } },
    before: (image) => writeProgram(image, "#!/bin/sh\n"),
    change: ({ rootfs }) => Deno.removeSync(`${rootfs}/program`),
  },
  {
    name: "an interpreter that is gone",
    over: { process: { args: ["/program"] } },
    before(image) {
      writeProgram(image, "#!/lib/sh\n");
      Deno.mkdirSync(`${image.rootfs}/lib`);
      Deno.linkSync(`${image.rootfs}/bin/sh`, `${image.rootfs}/lib/sh`);
    },
    change: ({ rootfs }) => Deno.removeSync(`${rootfs}/lib/sh`),
  },
  {
    name: "a program that became no executable",
    over: { process: { args: ["/program"] } },
    before: (image) => writeProgram(image, "#!/bin/sh\n"),
    change: (image) => writeProgram(image, "\x7fELF"),
  },
  {
    name: "a volume that is gone",
    flags: ({ bundle }) => ["-v", `${bundle}/volume:/var`],
    before: ({ bundle }) => Deno.mkdirSync(`${bundle}/volume`),
    change: ({ bundle }) => Deno.removeSync(`${bundle}/volume`),
  },
  {
    name: "a volume's place that became a file",
    flags: ({ bundle }) => ["-v", `${bundle}/volume:/var`],
    before: ({ bundle }) => Deno.mkdirSync(`${bundle}/volume`),
    change: ({ rootfs }) => replaceByFile(`${rootfs}/var`),
  },
  {
    name: "a root file system that became a file",
    change: ({ rootfs }) => replaceByFile(rootfs),
  },
];

for (const { name, over, flags, before, change, fine } of ROWS) {
  testInRoom(
    `a replayed start fails as the ordinary one: ${name}`,
    async (room, image) => {
      image.script("exit 0");
      before?.(image);
      if (over) image.configure(over);
      const words = flags === undefined ? image.words() : [
        "run",
        ...flags(image),
        "--rootfs",
        image.rootfs,
        "--",
        "sh",
        "/script",
      ];
      const first = await room.keep(words);
      assertEquals([first.code, first.stderr], [0, ""]);
      assertEquals((await room.run(words)).ordinary, 0);
      change(image);
      const then = await room.run(words);
      const plain = await room.run(["--root", room.other, ...words]);
      // After the gate the keeper has the words.
      assertEquals({ ...then, ordinary: 1 }, plain);
      assertEquals(plain.code === 0, fine === true, plain.stderr);
      // Whether it is kept once more or not.
      for (let round = 0; round < 3; round++) {
        const { code, stdout, stderr } = await room.run(words);
        assertEquals({ ...plain, code, stdout, stderr }, plain);
      }
    },
  );
}

testInRoom("a replayed start that fails is forgotten", async (room, image) => {
  image.script("exit 0");
  await room.keep(image.words());
  const list = () =>
    [...room.kept().values()].filter((it) => it.words.includes(image.bundle));
  assertEquals(list().length, 1);
  replaceByFile(`${image.rootfs}/proc`);
  const failed = await room.run(image.words());
  assert(failed.code !== 0);
  assertEquals(list(), []);
  Deno.removeSync(`${image.rootfs}/proc`);
  for (const ordinary of [1, 1, 0]) {
    const end = await room.run(image.words());
    assertEquals([end.code, end.stderr, end.ordinary], [0, "", ordinary]);
  }
});

testInRoom(
  "a replayed start makes a parent of its cgroups that is gone",
  async (room, image) => {
    image.script("exit 0");
    const parent = `rustyrun-test-${image.id}`;
    image.configure({ linux: { cgroupsPath: `/${parent}/${image.id}` } });
    const roots = [...Deno.readDirSync("/sys/fs/cgroup")]
      .filter((it) => it.isDirectory)
      .map((it) => `/sys/fs/cgroup/${it.name}/${parent}`);
    const each = (act: (path: string) => void) => {
      for (const path of roots) {
        try {
          act(path);
        } catch {
          // A file system that takes no cgroups, or one that has none.
        }
      }
    };
    // Where each is, is seen from a container that made them.
    each((path) => Deno.mkdirSync(path));
    try {
      for (let round = 0; round < 3; round++) {
        const end = await room.run(image.words());
        assertEquals([end.code, end.stderr], [0, ""]);
      }
      each((path) => Deno.removeSync(path));
      for (let round = 0; round < 3; round++) {
        const end = await room.run(image.words());
        assertEquals([end.code, end.stderr], [0, ""]);
      }
    } finally {
      each((path) => Deno.removeSync(path));
    }
  },
  ["cgroup-v1"],
);
