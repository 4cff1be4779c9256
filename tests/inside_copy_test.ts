/**
 * Files and directories, copied into a container and out of it.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  lstatSync,
  mkdirSync,
  readDirSync,
  writeFileSync,
} from "../ffi/files.ts";
import { copyIn, copyOut } from "../mod/container/inside/copy.ts";
import {
  codeOf,
  makeDeep,
  makeRoom,
  messageOf,
  openHostRoot,
  type Room,
  rootOf,
  whileSwapping,
} from "./inside_room.ts";
import { testOn } from "./needs.ts";

const modeOf = (path: string) => (Deno.lstatSync(path).mode ?? 0) & 0o7777;
const DAY = new Date("2001-02-03T04:05:06Z");

/** A tree with something of everything that can be copied. */
function makeTree(dir: string): void {
  Deno.mkdirSync(`${dir}/sub/empty`, { recursive: true });
  Deno.writeTextFileSync(`${dir}/file`, "text");
  Deno.writeTextFileSync(`${dir}/sub/tool`, "#!/bin/sh\n");
  Deno.symlinkSync("../file", `${dir}/sub/link`);
  Deno.symlinkSync("/etc/passwd", `${dir}/absolute`);
  writeFileSync(`${dir}/n\udcff`, new Uint8Array([1]));
  mkdirSync(`${dir}/${"\udc80".repeat(255)}`);
  Deno.chmodSync(`${dir}/sub/tool`, 0o6755);
  Deno.chmodSync(`${dir}/sub/empty`, 0o1777);
  Deno.chmodSync(`${dir}/sub`, 0o555);
  for (const path of ["file", "sub"]) {
    Deno.utimeSync(`${dir}/${path}`, DAY, DAY);
  }
}

function checkTree(dir: string): void {
  assertEquals(Deno.readTextFileSync(`${dir}/file`), "text");
  assertEquals(Deno.readLinkSync(`${dir}/sub/link`), "../file");
  assertEquals(Deno.readLinkSync(`${dir}/absolute`), "/etc/passwd");
  assertEquals(lstatSync(`${dir}/n\udcff`).size, 1);
  assertEquals(lstatSync(`${dir}/${"\udc80".repeat(255)}`).isDirectory, true);
  assertEquals(modeOf(`${dir}/sub/tool`), 0o755);
  assertEquals(modeOf(`${dir}/sub/empty`), 0o1777);
  assertEquals(modeOf(`${dir}/sub`), 0o555);
  for (const path of ["file", "sub"]) {
    assertEquals(Deno.statSync(`${dir}/${path}`).mtime, DAY);
  }
  assertEquals(readDirSync(dir).length, 5);
}

/** Lets a test's room remove it. */
const open = (dir: string) => Deno.chmodSync(`${dir}/sub`, 0o755);

Deno.test("copyIn() and copyOut() of a tree, there and back", () => {
  using room = makeRoom();
  const [from, back] = [`${room.dir}/from`, `${room.dir}/back`];
  makeTree(from);
  const umask = Deno.umask(0);
  try {
    copyIn(from, room.root, "/new/dir");
    copyOut(room.root, "new/dir", back);
  } finally {
    Deno.umask(umask);
  }
  for (const dir of [`${room.dir}/root/new/dir`, back]) {
    checkTree(dir);
    open(dir);
  }
  open(from);
});

Deno.test("umask counts for what comes out, not for what goes in", () => {
  using room = makeRoom();
  Deno.mkdirSync(`${room.dir}/from`);
  Deno.writeTextFileSync(`${room.dir}/from/file`, "");
  Deno.chmodSync(`${room.dir}/from/file`, 0o666);
  Deno.chmodSync(`${room.dir}/from`, 0o777);
  const umask = Deno.umask(0o027);
  try {
    copyIn(`${room.dir}/from`, room.root, "/in");
    copyOut(room.root, "/in", `${room.dir}/out`);
  } finally {
    Deno.umask(umask);
  }
  const modes = ["/root/in", "/root/in/file", "/out", "/out/file"]
    .map((it) => modeOf(room.dir + it));
  assertEquals(modes, [0o777, 0o666, 0o750, 0o640]);
});

Deno.test("a copy is merged into a directory, and replaces files and links", () => {
  using room = makeRoom();
  Deno.mkdirSync(`${room.dir}/from`);
  Deno.writeTextFileSync(`${room.dir}/from/file`, "new");
  Deno.writeTextFileSync(`${room.dir}/from/link`, "new");
  const to = `${room.dir}/root/to`;
  Deno.mkdirSync(to, { mode: 0o700 });
  Deno.writeTextFileSync(`${to}/file`, "old");
  Deno.writeTextFileSync(`${to}/other`, "kept");
  Deno.symlinkSync(`${room.dir}/host/file`, `${to}/link`);
  copyIn(`${room.dir}/from`, room.root, "/to");
  assertEquals(modeOf(to), 0o700);
  const texts = ["file", "link", "other"]
    .map((it) => Deno.readTextFileSync(`${to}/${it}`));
  assertEquals(texts, ["new", "new", "kept"]);
  assertEquals([...Deno.readDirSync(to)].length, 3);
  // "." is the directory itself.
  copyIn(`${room.dir}/from/file`, room.root, "/to/other");
  copyIn(`${room.dir}/from`, room.root, "/");
  assertEquals(Deno.readTextFileSync(`${room.dir}/root/file`), "new");
  assertEquals(
    codeOf(() => copyIn(`${room.dir}/from/file`, room.root, "/")),
    "file-kind",
  );
});

Deno.test("a link in the place of a directory is not followed, on either side", () => {
  using room = makeRoom();
  Deno.mkdirSync(`${room.dir}/from/sub`, { recursive: true });
  Deno.writeTextFileSync(`${room.dir}/from/sub/x`, "");
  Deno.symlinkSync(`${room.dir}/host`, `${room.dir}/root/sub`);
  assertEquals(
    messageOf(() => copyIn(`${room.dir}/from`, room.root, "/")),
    `Cannot copy "${room.dir}/from/sub" to "//sub" in the container: not a directory`,
  );
  Deno.removeSync(`${room.dir}/root/sub`);
  copyIn(`${room.dir}/from`, room.root, "/");
  // What an earlier copy has left on the host.
  Deno.mkdirSync(`${room.dir}/out`);
  Deno.symlinkSync(`${room.dir}/host`, `${room.dir}/out/sub`);
  assertEquals(
    codeOf(() => copyOut(room.root, "/", `${room.dir}/out`)),
    "file-kind",
  );
});

Deno.test("what was named may be a link; one out of the root leads into it", () => {
  using room = makeRoom();
  Deno.symlinkSync("from", `${room.dir}/alias`);
  Deno.mkdirSync(`${room.dir}/from`);
  Deno.writeTextFileSync(`${room.dir}/from/file`, "mine");
  copyIn(`${room.dir}/alias`, room.root, "/dir");
  Deno.symlinkSync("/dir/file", `${room.dir}/root/link`);
  copyOut(room.root, "/link", `${room.dir}/one`);
  assertEquals(Deno.lstatSync(`${room.dir}/one`).isFile, true);
  assertEquals(Deno.readTextFileSync(`${room.dir}/one`), "mine");
  Deno.symlinkSync(`${room.dir}/host`, `${room.dir}/root/out`);
  Deno.symlinkSync("../../host/file", `${room.dir}/root/up`);
  for (const path of ["/out", "/out/file", "/up", "/../host/file"]) {
    const code = codeOf(() => copyOut(room.root, path, `${room.dir}/two`));
    assertEquals(code, "file-missing", path);
  }
});

Deno.test("FIFOs, sockets, devices and procfs are not copied, and nothing waits", () => {
  using room = makeRoom();
  using host = openHostRoot();
  Deno.mkdirSync(`${room.dir}/root/dir`);
  Deno.mkdirSync(`${room.dir}/from`);
  for (const dir of ["root/dir", "from"]) {
    new Deno.Command("mkfifo", { args: [`${room.dir}/${dir}/fifo`] })
      .outputSync();
  }
  assertEquals(
    messageOf(() => copyOut(room.root, "/dir", `${room.dir}/out`)),
    `Cannot copy "/dir/fifo" in the container to "${room.dir}/out/fifo": it is a FIFO`,
  );
  assertEquals(
    messageOf(() => copyIn(`${room.dir}/from`, room.root, "/in")),
    `Cannot copy "${room.dir}/from/fifo" to "/in/fifo" in the container: it is a FIFO`,
  );
  const out = `${room.dir}/out2`;
  assertEquals(
    codeOf(() => copyOut(rootOf(host.fd), "/dev/null", out)),
    "file-kind",
  );
  assertEquals(
    codeOf(() => copyIn("/dev/null", room.root, "/n")),
    "file-kind",
  );
  for (const path of ["/proc/version", "/proc/sys/kernel", "/sys/kernel"]) {
    assertEquals(
      codeOf(() => copyOut(rootOf(host.fd), path, out)),
      "file-kind",
      path,
    );
  }
  assertEquals(
    codeOf(() => copyOut(rootOf(host.fd), "/proc/self/exe", out)),
    "file-kind",
  );
  assertEquals(
    codeOf(() => copyIn("/bin/true", rootOf(host.fd), "/proc/x")),
    "file-kind",
  );
});

Deno.test("copyOut() ends at its limits, and leaves no half a file", () => {
  using room = makeRoom();
  const dir = `${room.dir}/root/dir`;
  Deno.mkdirSync(dir);
  for (let i = 0; i < 9; i++) Deno.writeTextFileSync(`${dir}/${i}`, "12345");
  copyOut(room.root, "/dir", `${room.dir}/a`, { bytes: 45, entries: 10 });
  for (const [bytes, entries] of [[44, 10], [45, 9]] as const) {
    const out = `${room.dir}/${bytes}`;
    assertMatch(
      messageOf(() => copyOut(room.root, "/dir", out, { bytes, entries })),
      bytes === 44 ? /more than 44 bytes$/ : /more than 9 entries$/,
    );
    for (const { name } of Deno.readDirSync(out)) {
      assertEquals(Deno.readTextFileSync(`${out}/${name}`), "12345");
    }
  }
});

Deno.test("holes stay holes, and count for nothing", () => {
  using room = makeRoom();
  const size = 10 * 2 ** 30;
  using file = Deno.openSync(`${room.dir}/root/hole`, {
    create: true,
    write: true,
  });
  file.truncateSync(size);
  file.seekSync(5 * 2 ** 30, Deno.SeekMode.Start);
  file.writeSync(new Uint8Array([1, 2, 3]));
  const limits = { bytes: 1 << 20, entries: 1 };
  copyOut(room.root, "/hole", `${room.dir}/out`, limits);
  const { blocks, size: copied } = Deno.statSync(`${room.dir}/out`);
  assertEquals(copied, size);
  assert((blocks ?? 0) < 1000, `${blocks} blocks`);
  using out = Deno.openSync(`${room.dir}/out`);
  out.seekSync(5 * 2 ** 30 - 1, Deno.SeekMode.Start);
  const bytes = new Uint8Array(5);
  out.readSync(bytes);
  assertEquals([...bytes], [0, 1, 2, 3, 0]);
});

Deno.test("a file of several chunks is whole", () => {
  using room = makeRoom();
  const data = new Uint8Array(3_333_333);
  for (let i = 0; i < data.length; i++) data[i] = i * 7 + (i >> 8);
  Deno.writeFileSync(`${room.dir}/file`, data);
  copyIn(`${room.dir}/file`, room.root, "/file");
  copyOut(room.root, "/file", `${room.dir}/back`);
  assertEquals(Deno.readFileSync(`${room.dir}/back`), data);
});

Deno.test("a tree may be 256 directories deep, not more", () => {
  using room = makeRoom();
  for (const depth of [255, 256, 600]) {
    const name = `deep${depth}`;
    Deno.mkdirSync(`${room.dir}/root/${name}`);
    makeDeep(`${room.dir}/root/${name}`, depth, "d");
    const copy = () =>
      copyOut(room.root, `/${name}`, `${room.dir}/out${depth}`, {
        bytes: 0,
        entries: 10_000,
      });
    assertEquals(codeOf(copy), depth === 255 ? "" : "file-too-large");
  }
});

Deno.test("a directory is not copied into itself", () => {
  using room = makeRoom();
  Deno.mkdirSync(`${room.dir}/root/a`);
  assertEquals(
    messageOf(() => copyIn(room.dir, room.root, "/a/copy")),
    `Cannot copy "${room.dir}/root/a/copy" to "/a/copy/root/a/copy" in the container: it is the copy itself`,
  );
});

Deno.test("what is missing is told, on both sides", () => {
  using room = makeRoom();
  Deno.writeTextFileSync(`${room.dir}/root/file`, "");
  for (
    const [call, code] of [
      [() => copyIn(`${room.dir}/none`, room.root, "/x"), "file-missing"],
      [() => copyOut(room.root, "/none", `${room.dir}/x`), "file-missing"],
      [() => copyOut(room.root, "/file", `${room.dir}/no/x`), "file-missing"],
      [
        () => copyOut(room.root, "/file", `${room.dir}/root/file/x`),
        "file-kind",
      ],
      [() => copyOut(room.root, "/file", `${room.dir}/host`), "file-kind"],
      [() => copyOut(room.root, "/file", `${room.dir}/host/.`), "file-kind"],
      [() => copyIn("", room.root, "/x"), "file-path"],
      [() => copyOut(room.root, "/file", "/a\0"), "file-path"],
    ] as const
  ) assertEquals(codeOf(call), code, String(call));
});

/** Makes a directory in a root whose entry changes between a file, a directory
 * and links to the host's. */
function makeShifty(room: Room): string {
  const dir = `${room.dir}/root/dir`;
  Deno.mkdirSync(`${dir}/entry`, { recursive: true });
  Deno.writeTextFileSync(`${dir}/entry/file`, "inside");
  Deno.symlinkSync(`${room.dir}/host`, `${room.dir}/root/other`);
  return dir;
}

Deno.test("copyOut() while a directory becomes a link to the host's", async () => {
  using room = makeRoom();
  const dir = makeShifty(room);
  let n = 0;
  const seen = await whileSwapping(
    `${dir}/entry`,
    `${room.dir}/root/other`,
    ["directory", "link"],
    () => {
      const out = `${room.dir}/out${n++}`;
      copyOut(room.root, "/dir", out);
      const info = Deno.lstatSync(`${out}/entry`);
      if (info.isSymlink) return "link";
      for (const { name } of Deno.readDirSync(`${out}/entry`)) {
        if (Deno.readTextFileSync(`${out}/entry/${name}`) !== "inside") {
          return "the host's";
        }
      }
      return "directory";
    },
  );
  assertEquals(seen, ["directory", "link"]);
});

Deno.test("copyIn() while a directory becomes a link to the host's", async () => {
  using room = makeRoom();
  const dir = makeShifty(room);
  const from = `${room.dir}/from`;
  Deno.mkdirSync(`${from}/entry/sub`, { recursive: true });
  Deno.writeTextFileSync(`${from}/entry/sub/x`, "");
  const seen = await whileSwapping(
    `${dir}/entry`,
    `${room.dir}/root/other`,
    ["", "file-kind"],
    () => codeOf(() => copyIn(from, room.root, "/dir")),
  );
  assertEquals(seen, ["", "file-kind"]);
});

testOn(["root"], "copyIn() gives everything to the owner, links too", () => {
  using room = makeRoom();
  const from = `${room.dir}/from`;
  makeTree(from);
  const owner = { uid: 4711, gid: 4712 };
  copyIn(from, { ...room.root, ...owner }, "/a/b");
  const walk = (path: string) => {
    const { uid, gid, isDirectory } = lstatSync(path);
    assertEquals([uid, gid], [4711, 4712], path);
    if (!isDirectory) return;
    for (const { name } of readDirSync(path)) walk(`${path}/${name}`);
  };
  walk(`${room.dir}/root/a`);
  copyOut(room.root, "/a", `${room.dir}/out`);
  assertEquals(Deno.statSync(`${room.dir}/out/b/file`).uid, 0);
});
