/**
 * Paths in a container that lead elsewhere, or to what is no file.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
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
  rootOf,
  whileSwapping,
} from "./inside_room.ts";
import { findPython, testOn } from "./needs.ts";
import { waitFor } from "./wait.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

const text = (data: Uint8Array) => new TextDecoder().decode(data);

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
    writeFile(room.root, "/dir/real", bytes("inside"));
    const to = target.replace("HOST", `${room.dir}/host`);
    Deno.symlinkSync(to, `${room.dir}/root/dir/link`);
    const read = () => text(readFile(room.root, "/dir/link", 100));
    const write = () => writeFile(room.root, "/dir/link", bytes("new"));
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
  writeFile(room.root, "/../../a", bytes("a"));
  assertEquals(text(readFile(room.root, "../../../a", 9)), "a");
  assertEquals(
    codeOf(() => readFile(room.root, "../host/file", 9)),
    "file-missing",
  );
  assertEquals(
    codeOf(() => writeFile(room.root, "/none/../../host/x", bytes(""))),
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
      const read = codeOf(() => readFile(rootOf(host.fd), it, 1e6));
      assertMatch(read, /^file-(kind|missing)$/, it);
      const write = codeOf(() => writeFile(rootOf(host.fd), it, bytes("no")));
      assertMatch(write, /^file-(kind|missing)$/, it);
    }
  }
  assertEquals(
    codeOf(() => removeFile(rootOf(host.fd), "/proc/none", true)),
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
      messageOf(() => readFile(rootOf(host.fd), path, 100)),
      `Cannot read "${path}" in the container: it is ${kind}`,
    );
    assertEquals(
      messageOf(() => writeFile(rootOf(host.fd), path, bytes("x"))),
      `Cannot write "${path}" in the container: it is ${kind}`,
    );
  }
  assertEquals(
    codeOf(() => writeFile(room.root, "/fifo/x", bytes(""))),
    "file-kind",
  );
});

Deno.test("removeFile() removes what the path names, not where it leads", () => {
  using room = makeRoom();
  writeFile(room.root, "/dir/sub/file", bytes(""));
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
  writeFile(room.root, "/real/file", bytes("inside"));
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
    () => codeOf(() => writeFile(room.root, `/real/n${n++}/x`, bytes("x"))),
  );
  assertEquals(seen, ["", "file-kind"]);
});

for (const other of ["a link to the host's", "a FIFO"]) {
  Deno.test(`writeFile() while a file becomes ${other}`, async () => {
    using room = makeRoom();
    const path = `${room.dir}/root/other`;
    writeFile(room.root, "/real", bytes(""));
    if (other === "a FIFO") {
      new Deno.Command("mkfifo", { args: [path] }).outputSync();
    } else Deno.symlinkSync(`${room.dir}/host/file`, path);
    // What the link leads to is nothing inside, or the file has just come back.
    const refused = other === "a FIFO" ? ["file-kind"] : [];
    const seen = await whileSwapping(
      `${room.dir}/root/real`,
      path,
      ["", ...refused],
      () => codeOf(() => writeFile(room.root, "/real", bytes("new"))),
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
        writeFile(room.root, `/work/sub/${i + 10}/file`, bytes(""));
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
        codeOf(() => writeFile(room.root, "/leased", bytes(""))),
        "file-access",
      );
    } finally {
      await holder.stdin.close();
      await holder.status;
    }
  },
);
