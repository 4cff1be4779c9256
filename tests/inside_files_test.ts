/**
 * Files of a container, read, written, listed and removed from the host.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { writeFileSync } from "../ffi/files.ts";
import {
  listDirectory,
  readFile,
  removeFile,
  writeFile,
} from "../mod/container/inside/files.ts";
import {
  codeOf,
  makeDeep,
  makeRoom,
  messageOf,
  openHostRoot,
  SELF,
  whileSwapping,
} from "./inside_room.ts";
import { findPython, testOn } from "./needs.ts";
import { waitFor } from "./wait.ts";

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
  const [what, target, want] of [
    ["relative", "real", "inside"],
    ["absolute", "/dir/real", "inside"],
    ["above the root", "../../../../dir/real", "inside"],
    ["the host's by its path", "HOST/file", "file-missing"],
    ["the host's by ..", "../../host/file", "file-missing"],
    ["itself", "link", "file-kind"],
  ] as const
) {
  Deno.test(`readFile(), writeFile() by a link, ${what}: ${want}`, () => {
    using room = makeRoom();
    writeFile(room.root, "/dir/real", bytes("inside"), SELF);
    const to = target.replace("HOST", `${room.dir}/host`);
    Deno.symlinkSync(to, `${room.dir}/root/dir/link`);
    const read = () => text(readFile(room.root, "/dir/link", 100));
    const write = () => writeFile(room.root, "/dir/link", bytes("new"), SELF);
    if (want === "inside") {
      assertEquals(read(), "inside");
      write();
      assertEquals(text(readFile(room.root, "/dir/real", 100)), "new");
    } else {
      assertEquals(codeOf(read), want);
      assertEquals(codeOf(write), "file-kind");
    }
  });
}

Deno.test("a path's own .. ends at the root", () => {
  using room = makeRoom();
  writeFile(room.root, "/../../a", bytes("a"), SELF);
  assertEquals(text(readFile(room.root, "../../../a", 9)), "a");
  assertEquals(
    codeOf(() => readFile(room.root, "../host/file", 9)),
    "file-missing",
  );
  assertEquals(
    codeOf(() => writeFile(room.root, "/none/../../host/x", bytes(""), SELF)),
    "file-missing",
  );
});

Deno.test("procfs: no magic link is followed, nothing is read or written", () => {
  using room = makeRoom();
  using host = openHostRoot();
  const comm = Deno.readTextFileSync("/proc/self/comm");
  const link = (to: string) => {
    const path = `${room.dir}/root/${to.replaceAll("/", "_")}`;
    Deno.symlinkSync(to, path);
    return path;
  };
  for (
    const path of [
      "/proc/self/root/etc/passwd",
      "/proc/self/cwd/deno.json",
      "/proc/self/fd/0",
      "/proc/self/exe",
      "/proc/self/comm",
      "/proc/version",
      "/proc/kmsg",
      "/proc/none",
      "/sys/kernel/uevent_helper_none",
    ]
  ) {
    for (const it of [path, link(path)]) {
      const read = codeOf(() => readFile(host.fd, it, 1e6));
      assertMatch(read, /^file-(kind|missing)$/, it);
      const write = codeOf(() => writeFile(host.fd, it, bytes("no"), SELF));
      assertMatch(write, /^file-(kind|missing)$/, it);
    }
  }
  assertEquals(
    codeOf(() => removeFile(host.fd, "/proc/none", true)),
    "file-kind",
  );
  assertEquals(Deno.readTextFileSync("/proc/self/comm"), comm);
});

Deno.test("what is no regular file is not opened: a FIFO does not wait", () => {
  using room = makeRoom();
  using host = openHostRoot();
  new Deno.Command("mkfifo", { args: [`${room.dir}/root/fifo`] }).outputSync();
  const fifo = `${room.dir}/root/fifo`;
  const socket = `${room.dir}/root/socket`;
  using _ = Deno.listen({ transport: "unix", path: socket });
  for (
    const [path, kind] of [
      [fifo, "a FIFO"],
      [socket, "a socket"],
      ["/dev/null", "a device"],
      ["/tmp", "a directory"],
    ] as const
  ) {
    assertEquals(
      messageOf(() => readFile(host.fd, path, 100)),
      `Cannot read "${path}" in the container: it is ${kind}`,
    );
    assertEquals(
      messageOf(() => writeFile(host.fd, path, bytes("x"), SELF)),
      `Cannot write "${path}" in the container: it is ${kind}`,
    );
  }
  assertEquals(
    codeOf(() => writeFile(room.root, "/fifo/x", bytes(""), SELF)),
    "file-kind",
  );
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

Deno.test("removeFile() removes what the path names, not where it leads", () => {
  using room = makeRoom();
  writeFile(room.root, "/dir/sub/file", bytes(""), SELF);
  Deno.symlinkSync("dir", `${room.dir}/root/link`);
  Deno.symlinkSync(`${room.dir}/host`, `${room.dir}/root/dir/out`);
  Deno.symlinkSync("../../host", `${room.dir}/root/dir/sub/up`);
  removeFile(room.root, "/link/sub/file", false);
  removeFile(room.root, "/link/", true);
  assertEquals(
    messageOf(() => removeFile(room.root, "/dir", false)),
    'Cannot remove "/dir" in the container: the directory is not empty',
  );
  removeFile(room.root, "/dir", true);
  assertEquals(listDirectory(room.root, "/"), []);
  assertEquals(
    codeOf(() => removeFile(room.root, "/dir", true)),
    "file-missing",
  );
  for (const path of ["/", "..", "/x/.."]) {
    assertEquals(codeOf(() => removeFile(room.root, path, true)), "file-kind");
  }
});

Deno.test("removeFile() removes what is deeper than any path, with few descriptors", () => {
  using room = makeRoom();
  Deno.mkdirSync(`${room.dir}/root/top`);
  makeDeep(`${room.dir}/root/top`, 600, "d".repeat(200));
  removeFile(room.root, "/top", true);
  assertEquals(listDirectory(room.root, "/"), []);
});

Deno.test("readFile() while a directory becomes a link to the host's", async () => {
  using room = makeRoom();
  writeFile(room.root, "/real/file", bytes("inside"), SELF);
  Deno.symlinkSync(`${room.dir}/host`, `${room.dir}/root/link`);
  const seen = await whileSwapping(
    `${room.dir}/root/real`,
    `${room.dir}/root/link`,
    ["inside", "file-missing"],
    () => {
      let found = "";
      const code = codeOf(() => {
        found = text(readFile(room.root, "/real/file", 100));
      });
      return code || found;
    },
  );
  assertEquals(seen, ["file-missing", "inside"]);
});

Deno.test("writeFile() while a directory becomes a link to the host's", async () => {
  using room = makeRoom();
  Deno.mkdirSync(`${room.dir}/root/real`);
  Deno.symlinkSync("../host", `${room.dir}/root/link`);
  let n = 0;
  const seen = await whileSwapping(
    `${room.dir}/root/real`,
    `${room.dir}/root/link`,
    ["", "file-kind"],
    () =>
      codeOf(() => writeFile(room.root, `/real/n${n++}/x`, bytes("x"), SELF)),
  );
  assertEquals(seen, ["", "file-kind"]);
});

for (const other of ["a link to the host's", "a FIFO"]) {
  Deno.test(`writeFile() while a file becomes ${other}`, async () => {
    using room = makeRoom();
    const path = `${room.dir}/root/other`;
    writeFile(room.root, "/real", bytes(""), SELF);
    if (other === "a FIFO") {
      new Deno.Command("mkfifo", { args: [path] }).outputSync();
    } else Deno.symlinkSync(`${room.dir}/host/file`, path);
    // What the link leads to is nothing inside, or the file has just come back.
    const refused = other === "a FIFO" ? ["file-kind"] : [];
    const seen = await whileSwapping(
      `${room.dir}/root/real`,
      path,
      ["", ...refused],
      () => codeOf(() => writeFile(room.root, "/real", bytes("new"), SELF)),
    );
    for (const it of seen) assert(["", "file-kind"].includes(it), it);
  });
}

Deno.test("removeFile() while a directory becomes a link to the host's", async () => {
  using room = makeRoom();
  const root = `${room.dir}/root`;
  const seen = await whileSwapping(
    `${root}/work/sub/5`,
    `${root}/other`,
    ["directory", "link"],
    () => {
      Deno.mkdirSync(`${root}/work/sub/5`, { recursive: true });
      Deno.symlinkSync(`${room.dir}/host`, `${root}/other`);
      for (let i = 0; i < 10; i++) {
        writeFile(room.root, `/work/sub/${i + 10}/file`, bytes(""), SELF);
      }
      removeFile(room.root, "/work", true);
      const [left] = listDirectory(room.root, "/");
      removeFile(room.root, "/other", true);
      return left!.kind;
    },
    0,
  );
  assertEquals(seen, ["directory", "link"]);
});

testOn(
  ["python3"],
  "a lease that somebody holds is not waited for",
  async () => {
    using room = makeRoom();
    const path = `${room.dir}/root/leased`;
    Deno.writeTextFileSync(path, "text");
    const holder = new Deno.Command(findPython(), {
      args: [
        "-c",
        "import fcntl, os, signal, sys\n" +
        "signal.signal(signal.SIGIO, signal.SIG_IGN)\n" +
        "fd = os.open(sys.argv[1], os.O_RDWR)\n" +
        "fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n" +
        "sys.stdin.read()",
        path,
      ],
      stdin: "piped",
    }).spawn();
    try {
      const lease = new RegExp(`LEASE +ACTIVE +WRITE ${holder.pid} `);
      await waitFor(() => lease.test(Deno.readTextFileSync("/proc/locks")));
      assertMatch(
        messageOf(() => readFile(room.root, "/leased", 9)),
        /holds a lease on it/,
      );
      assertEquals(
        codeOf(() => writeFile(room.root, "/leased", bytes(""), SELF)),
        "file-access",
      );
    } finally {
      await holder.stdin.close();
      await holder.status;
    }
  },
);

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
