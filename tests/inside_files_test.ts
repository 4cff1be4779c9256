/**
 * Files in a container by paths of its own: what is read, written and listed.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { writeFileSync } from "../ffi/files.ts";
import {
  listDirectory,
  readFile,
  removeFile,
  writeFile,
} from "../mod/container/inside/files.ts";
import { codeOf, makeRoom, messageOf, SELF } from "./inside_room.ts";
import { testOn } from "./needs.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

const text = (data: Uint8Array) => new TextDecoder().decode(data);

const modeOf = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o7777;

Deno.test("writeFile() makes a file and its directories, whatever the umask", () => {
  using room = makeRoom();
  const umask = Deno.umask(0o077);
  try {
    writeFile(room.root, "/a/./b//c", bytes("one"), SELF);
    writeFile(room.root, "a/tool", bytes(""), { ...SELF, mode: 0o751 });
  } finally {
    Deno.umask(umask);
  }
  assertEquals(Deno.readTextFileSync(`${room.dir}/root/a/b/c`), "one");
  assertEquals(modeOf(`${room.dir}/root/a`), 0o755);
  assertEquals(modeOf(`${room.dir}/root/a/b`), 0o755);
  assertEquals(modeOf(`${room.dir}/root/a/b/c`), 0o644);
  assertEquals(modeOf(`${room.dir}/root/a/tool`), 0o751);
});

Deno.test("writeFile() keeps what a file is, unless told; append goes on", () => {
  using room = makeRoom();
  const path = `${room.dir}/root/file`;
  Deno.writeTextFileSync(path, "something long");
  Deno.chmodSync(path, 0o640);
  Deno.linkSync(path, `${room.dir}/root/same`);
  writeFile(room.root, "/file", bytes("new"), SELF);
  assertEquals(modeOf(path), 0o640);
  writeFile(room.root, "/file", bytes("er"), { ...SELF, append: true });
  assertEquals(Deno.readTextFileSync(`${room.dir}/root/same`), "newer");
  writeFile(room.root, "/file", bytes(""), { ...SELF, mode: 0o600 });
  assertEquals([modeOf(path), Deno.readTextFileSync(path)], [0o600, ""]);
});

Deno.test("readFile() takes up to its limit, of a hole as well", () => {
  using room = makeRoom();
  writeFile(room.root, "/file", bytes("12345"), SELF);
  assertEquals(text(readFile(room.root, "/file", 5)), "12345");
  assertEquals(
    messageOf(() => readFile(room.root, "/file", 4)),
    'Cannot read "/file" in the container: it has 5 bytes, the limit is 4',
  );
  assertEquals(codeOf(() => readFile(room.root, "/file", 0)), "file-too-large");
  Deno.writeTextFileSync(`${room.dir}/root/hole`, "");
  Deno.truncateSync(`${room.dir}/root/hole`, 1e13);
  assertEquals(
    codeOf(() => readFile(room.root, "/hole", 2 ** 30)),
    "file-too-large",
  );
});

Deno.test("readFile() reads what grows meanwhile, up to its limit", async () => {
  using room = makeRoom();
  const path = `${room.dir}/root/log`;
  Deno.writeTextFileSync(path, "");
  const writer = new Deno.Command("sh", {
    args: ["-c", `while echo line; do :; done > ${path}`],
    stdin: "null",
  }).spawn();
  try {
    for (let last = 0; last < 200_000;) {
      try {
        last = readFile(room.root, "/log", 200_000).length;
      } catch {
        last = 200_000;
      }
    }
    assertEquals(
      codeOf(() => readFile(room.root, "/log", 200_000)),
      "file-too-large",
    );
  } finally {
    writer.kill("SIGKILL");
    await writer.status;
  }
});

for (
  const [what, path, code] of [
    ["empty", "", "file-path"],
    ["with a NUL", "/a\0b", "file-path"],
    ["with half a pair", "/a\ud800", "file-path"],
    ["with a name of 256 bytes", `/${"n".repeat(256)}`, "file-path"],
    ["of 5000 bytes", `/${"n/".repeat(2500)}n`, "file-path"],
  ] as const
) {
  Deno.test(`a path ${what}: ${code}`, () => {
    using room = makeRoom();
    assertEquals(codeOf(() => readFile(room.root, path, 9)), code);
    assertEquals(
      codeOf(() => writeFile(room.root, path, bytes(""), SELF)),
      code,
    );
    assertEquals(codeOf(() => listDirectory(room.root, path)), code);
    assertEquals(codeOf(() => removeFile(room.root, path, true)), code);
  });
}

Deno.test("writeFile() refuses what names a directory, and a mode that is none", () => {
  using room = makeRoom();
  for (const path of ["/", "/new/", "/new/.", "..", "/new/.."]) {
    assertEquals(
      codeOf(() => writeFile(room.root, path, bytes(""), SELF)),
      "file-kind",
      path,
    );
  }
  for (const mode of [-1, 0o10000, 1.5, NaN]) {
    assertEquals(
      codeOf(() => writeFile(room.root, "/f", bytes(""), { ...SELF, mode })),
      "file-path",
    );
  }
  assertEquals(listDirectory(room.root, "/"), []);
});

Deno.test("names may be any bytes, 255 of them", () => {
  using room = makeRoom();
  const names = ["n\udcff", "ä", "n".repeat(255), `${"\udc80".repeat(255)}`];
  for (const name of names) {
    writeFile(room.root, `/d\udcfe/${name}`, bytes(name.slice(0, 1)), SELF);
    readFile(room.root, `/d\udcfe/${name}`, 9);
  }
  const listed = listDirectory(room.root, "/d\udcfe").map((it) => it.name);
  assertEquals(listed, names.toSorted());
  for (const name of names) removeFile(room.root, `/d\udcfe/${name}`, false);
  removeFile(room.root, "/d\udcfe", false);
  assertEquals(listDirectory(room.root, "/"), []);
});

Deno.test("listDirectory() says what things are, and follows no link", () => {
  using room = makeRoom();
  writeFile(room.root, "/b", bytes("123"), { ...SELF, mode: 0o4750 });
  writeFile(room.root, "/a/x", bytes(""), SELF);
  Deno.symlinkSync("/nowhere", `${room.dir}/root/c`);
  new Deno.Command("mkfifo", { args: ["-m600", `${room.dir}/root/d`] })
    .outputSync();
  const listed = listDirectory(room.root, "/");
  assertEquals(listed.map(({ name, kind, mode }) => [name, kind, mode]), [
    ["a", "directory", 0o755],
    ["b", "file", 0o4750],
    ["c", "link", 0o777],
    ["d", "other", 0o600],
  ]);
  assertEquals(listed[1]!.size, 3);
  assertEquals(codeOf(() => listDirectory(room.root, "/b")), "file-kind");
  assertEquals(codeOf(() => listDirectory(room.root, "/no")), "file-missing");
});

Deno.test("listDirectory() and removeFile() of a huge directory", () => {
  using room = makeRoom();
  Deno.mkdirSync(`${room.dir}/root/many`);
  for (let i = 0; i < 20_000; i++) {
    Deno.writeTextFileSync(`${room.dir}/root/many/${i}`, "");
  }
  assertEquals(listDirectory(room.root, "/many", 20_000).length, 20_000);
  assertEquals(
    codeOf(() => listDirectory(room.root, "/many", 19_999)),
    "file-too-large",
  );
  removeFile(room.root, "/many", true);
  assertEquals(listDirectory(room.root, "/"), []);
});

Deno.test("a program that runs is not written, and keeps what it is", async () => {
  using room = makeRoom();
  Deno.copyFileSync("/bin/sleep", `${room.dir}/root/sleep`);
  const child = new Deno.Command(`${room.dir}/root/sleep`, { args: ["600"] })
    .spawn();
  try {
    assertEquals(
      messageOf(() => writeFile(room.root, "/sleep", bytes(""), SELF)),
      'Cannot write "/sleep" in the container: text file busy',
    );
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
});

testOn(
  ["root"],
  "what is made belongs to the owner, what is there keeps its own",
  () => {
    using room = makeRoom();
    const owner = { uid: 4711, gid: 4712 };
    writeFileSync(`${room.dir}/root/old`, bytes(""));
    writeFile(room.root, "/old", bytes("x"), owner);
    writeFile(room.root, "/a/b/c", bytes("x"), { ...owner, mode: 0o600 });
    const ids = (path: string) => {
      const { uid, gid } = Deno.statSync(`${room.dir}/root${path}`);
      return [uid, gid];
    };
    assertEquals(ids("/old"), [0, 0]);
    for (const path of ["/a", "/a/b", "/a/b/c"]) {
      assertEquals(ids(path), [4711, 4712], path);
    }
    // The rights are the caller's all the time, and its ids are its own again.
    writeFile(room.root, "/a/b/c", bytes("y"), { uid: 5, gid: 5 });
    Deno.writeTextFileSync(`${room.dir}/root/mine`, "");
    assertEquals(ids("/mine"), [0, 0]);
    Deno.chmodSync(`${room.dir}/root/a`, 0o000);
    writeFile(room.root, "/a/b/d", bytes("z"), { uid: 5, gid: 5 });
    assertEquals(ids("/a/b/d"), [5, 5]);
  },
);
