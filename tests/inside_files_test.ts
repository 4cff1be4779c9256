/**
 * Files in a container by paths of its own: what is read, written and listed.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { existsSync, writeFileSync } from "../ffi/files.ts";
import { copyIn, copyOut } from "../mod/container/inside/copy.ts";
import type { Root } from "../mod/container/inside/rights.ts";
import {
  listDirectory,
  readFile,
  removeFile,
  writeFile,
} from "../mod/container/inside/files.ts";
import { codeOf, makeRoom, messageOf, type Room } from "./inside_room.ts";
import { testOn } from "./needs.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

const text = (data: Uint8Array) => new TextDecoder().decode(data);

const readGroups = () =>
  /^Groups:.*$/m.exec(Deno.readTextFileSync("/proc/thread-self/status"))![0];

const modeOf = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o7777;

Deno.test("writeFile() makes a file and its directories, whatever the umask", () => {
  using room = makeRoom();
  const umask = Deno.umask(0o077);
  try {
    writeFile(room.root, "/a/./b//c", bytes("one"));
    writeFile(room.root, "a/tool", bytes(""), { mode: 0o751 });
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
  writeFile(room.root, "/file", bytes("new"));
  assertEquals(modeOf(path), 0o640);
  writeFile(room.root, "/file", bytes("er"), { append: true });
  assertEquals(Deno.readTextFileSync(`${room.dir}/root/same`), "newer");
  writeFile(room.root, "/file", bytes(""), { mode: 0o600 });
  assertEquals([modeOf(path), Deno.readTextFileSync(path)], [0o600, ""]);
});

Deno.test("readFile() takes up to its limit, of a hole as well", () => {
  using room = makeRoom();
  writeFile(room.root, "/file", bytes("12345"));
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
      codeOf(() => writeFile(room.root, path, bytes(""))),
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
      codeOf(() => writeFile(room.root, path, bytes(""))),
      "file-kind",
      path,
    );
  }
  for (const mode of [-1, 0o10000, 1.5, NaN]) {
    assertEquals(
      codeOf(() => writeFile(room.root, "/f", bytes(""), { mode })),
      "file-path",
    );
  }
  assertEquals(listDirectory(room.root, "/"), []);
});

Deno.test("names may be any bytes, 255 of them", () => {
  using room = makeRoom();
  const names = ["n\udcff", "ä", "n".repeat(255), `${"\udc80".repeat(255)}`];
  for (const name of names) {
    writeFile(room.root, `/d\udcfe/${name}`, bytes(name.slice(0, 1)));
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
  writeFile(room.root, "/b", bytes("123"), { mode: 0o4750 });
  writeFile(room.root, "/a/x", bytes(""));
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
      messageOf(() => writeFile(room.root, "/sleep", bytes(""))),
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
    writeFile({ ...room.root, ...owner }, "/old", bytes("x"));
    writeFile({ ...room.root, ...owner }, "/a/b/c", bytes("x"), {
      mode: 0o600,
    });
    const ids = (path: string) => {
      const { uid, gid } = Deno.statSync(`${room.dir}/root${path}`);
      return [uid, gid];
    };
    assertEquals(ids("/old"), [0, 0]);
    for (const path of ["/a", "/a/b", "/a/b/c"]) {
      assertEquals(ids(path), [4711, 4712], path);
    }
    // The rights are the caller's all the time, and its ids are its own again.
    writeFile({ ...room.root, uid: 5, gid: 5 }, "/a/b/c", bytes("y"));
    Deno.writeTextFileSync(`${room.dir}/root/mine`, "");
    assertEquals(ids("/mine"), [0, 0]);
    Deno.chmodSync(`${room.dir}/root/a`, 0o000);
    writeFile({ ...room.root, uid: 5, gid: 5 }, "/a/b/d", bytes("z"));
    assertEquals(ids("/a/b/d"), [5, 5]);
  },
);

/** A root whose user is not as strong as we are, and in it a directory of theirs
 * with links to what is not. */
function makeWeak(room: Room): Root {
  const user = { uid: 4711, gid: 4711 };
  const at = (name: string) => `${room.dir}/root/${name}`;
  writeFile(room.root, "/ours/secret", bytes("secret"), { mode: 0o640 });
  writeFile(room.root, "/ours/open", bytes("open"));
  Deno.mkdirSync(at("theirs"));
  for (const name of ["secret", "open", "new"]) {
    Deno.symlinkSync(`/ours/${name}`, at(`theirs/${name}`));
  }
  Deno.symlinkSync("/ours", at("theirs/dir"));
  Deno.chownSync(at("theirs"), 4711, 4711);
  return { ...room.root, ...user, strong: false };
}

const REFUSED: [string, (root: Root, out: string) => void][] = [
  ["read", (it) => readFile(it, "/theirs/secret", 99)],
  ["written", (it) => writeFile(it, "/theirs/secret", bytes("x"))],
  [
    "given a mode",
    (it) => writeFile(it, "/theirs/open", bytes("open"), { mode: 0o777 }),
  ],
  ["made", (it) => writeFile(it, "/theirs/dir/made", bytes("x"))],
  ["removed", (it) => removeFile(it, "/theirs/dir/open", false)],
  ["copied to", (it) => copyIn("/etc/passwd", it, "/theirs/dir/open")],
  ["copied out", (it, out) => copyOut(it, "/theirs/dir", out)],
];

for (const [what, act] of REFUSED) {
  testOn(
    ["root"],
    `nothing is ${what} behind a link that the container's user could not`,
    () => {
      using room = makeRoom();
      const weak = makeWeak(room);
      const groups = readGroups();
      assertEquals(codeOf(() => act(weak, `${room.dir}/out`)), "file-access");
      assertEquals(readGroups(), groups);
      const names = [...Deno.readDirSync(`${room.dir}/root/ours`)];
      assertEquals(names.map((it) => it.name).sort(), ["open", "secret"]);
      assertEquals(text(readFile(weak, "/ours/secret", 99)), "secret");
      assertEquals(modeOf(`${room.dir}/root/ours/open`), 0o644);
      assert(!existsSync(`${room.dir}/out/secret`));
    },
  );
}

testOn(
  ["root"],
  "behind a link of a container with other users is what all may",
  () => {
    using room = makeRoom();
    const weak = { ...makeWeak(room), uid: 0, gid: 0, others: true };
    assertEquals(text(readFile(weak, "/theirs/open", 99)), "open");
    for (const path of ["/theirs/secret", "/theirs/open"]) {
      const write = () => writeFile(weak, path, bytes("x"));
      assertEquals(codeOf(write), "file-access");
    }
    assertEquals(
      codeOf(() => readFile(weak, "/theirs/secret", 9)),
      "file-access",
    );
    writeFile(weak, "/ours/secret", bytes("s"));
  },
);

testOn(
  ["root"],
  "in a container that may mount is what its user may, on every path",
  () => {
    using room = makeRoom();
    const weak = { ...makeWeak(room), mounts: true };
    assertEquals(text(readFile(weak, "/ours/open", 99)), "open");
    writeFile(weak, "/theirs/own/file", bytes("1"));
    assertEquals(text(readFile(weak, "/theirs/own/file", 99)), "1");
    for (
      const act of [
        () => readFile(weak, "/ours/secret", 99),
        () => writeFile(weak, "/ours/open", bytes("x")),
        () => removeFile(weak, "/ours/open", false),
        () => copyOut(weak, "/ours", `${room.dir}/out`),
      ]
    ) assertEquals(codeOf(act), "file-access");
    const strong = { ...weak, strong: true };
    assertEquals(text(readFile(strong, "/ours/secret", 99)), "secret");
  },
);

testOn(["root"], "what the container's user may behind a link is done", () => {
  using room = makeRoom();
  const weak = makeWeak(room);
  assertEquals(text(readFile(weak, "/theirs/open", 99)), "open");
  assertEquals(listDirectory(weak, "/theirs/dir").length, 2);
  writeFile(weak, "/theirs/own/file", bytes("1"));
  Deno.symlinkSync("own", `${room.dir}/root/theirs/link`);
  writeFile(weak, "/theirs/link/file", bytes("22"));
  writeFile(weak, "/theirs/link/deep/er", bytes("3"));
  copyIn(`${room.dir}/root/ours/open`, weak, "/theirs/link/in");
  copyOut(weak, "/theirs/link", `${room.dir}/out`);
  const owner = (path: string) => Deno.statSync(`${room.dir}/${path}`).uid;
  assertEquals(owner("root/theirs/own/deep/er"), 4711);
  assertEquals(owner("root/theirs/own/in"), 4711);
  assertEquals(owner("out/deep/er"), 0);
  assertEquals(Deno.readTextFileSync(`${room.dir}/out/file`), "22");
  removeFile(weak, "/theirs/link/deep", true);
  // The path itself is the caller's word.
  writeFile(weak, "/ours/secret", bytes("s"));
  removeFile(weak, "/ours/open", false);
});
