/**
 * Recording looks at the machine: what is noted of them, and what spoils that.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  aside,
  isUnchanged,
  type Look,
  look,
  parseFile,
} from "../mod/looks.ts";
import { record } from "../mod/looks/record.ts";
import { Room } from "./looks_room.ts";

const HOME = Deno.env.get("HOME");

for (
  const [name, call, want] of [
    [
      "a text",
      ({ dir }) => Deno.readTextFileSync(`${dir}/file`),
      ({ dir }) => ["text", `${dir}/file`, "=hello\n"],
    ],
    [
      "a text that is not there",
      ({ dir }) => Deno.readTextFileSync(`${dir}/none`),
      ({ dir }) => ["text", `${dir}/none`, "!NotFound"],
    ],
    [
      "a text that is a directory",
      ({ dir }) => Deno.readTextFileSync(dir),
      ({ dir }) => ["text", dir, "!IsADirectory"],
    ],
    [
      "a text below a file",
      ({ dir }) => Deno.readTextFileSync(`${dir}/file/below`),
      ({ dir }) => ["text", `${dir}/file/below`, "!NotADirectory"],
    ],
    [
      "the target of a symbolic link",
      ({ dir }) => Deno.readLinkSync(`${dir}/link`),
      ({ dir }) => ["link", `${dir}/link`, "=file"],
    ],
    [
      "a real path",
      ({ dir }) => Deno.realPathSync(`${dir}/link`),
      ({ dir }) => ["real", `${dir}/link`, `=${dir}/file`],
    ],
    ["the working directory", () => Deno.cwd(), () => [
      "cwd",
      "",
      `=${Deno.cwd()}`,
    ]],
    ["the user", () => Deno.uid(), () => ["uid", "", `=${Deno.uid()}`]],
    ["the group", () => Deno.gid(), () => ["gid", "", `=${Deno.gid()}`]],
    ["the umask", () => Deno.umask(), () => ["umask", "", `=${Deno.umask()}`]],
    [
      "a variable",
      () => Deno.env.get("HOME"),
      () => ["env", "HOME", HOME === undefined ? "=" : `==${HOME}`],
    ],
    [
      "a variable that is not set",
      () => Deno.env.get("RUSTYRUN_TEST_NOT_SET"),
      () => ["env", "RUSTYRUN_TEST_NOT_SET", "="],
    ],
  ] as [string, (room: Room) => unknown, (room: Room) => Look][]
) {
  Deno.test(`record() notes ${name}, once, and returns what Deno does`, () => {
    using room = new Room();
    room.write("file", "hello\n");
    room.link("link", "file");
    const look = () => {
      try {
        return call(room);
      } catch (error) {
        return (error as Error).name;
      }
    };
    const plain = look();
    const { value, looks, spoiled } = record(() => [look(), look()]);
    assertEquals([spoiled, value], [undefined, [plain, plain]]);
    assertEquals(looks, [want(room)]);
    assert(isUnchanged(looks!));
  });
}

const KINDS: [string, (room: Room) => string][] = [
  ["file", (room) => (room.write("a", ""), room.path("a"))],
  ["directory", ({ dir }) => dir],
  ["symbolic link", (room) => (room.link("a", "gone"), room.path("a"))],
  ["character device", () => "/dev/null"],
  ["fifo", (room) => {
    const path = room.path("a");
    assert(new Deno.Command("mkfifo", { args: [path] }).outputSync().success);
    return path;
  }],
];

const KEPT = [
  "isFile",
  "isDirectory",
  "isSymlink",
  "isBlockDevice",
  "isCharDevice",
  "isFifo",
  "isSocket",
  "mode",
  "uid",
  "gid",
  "rdev",
  "dev",
  "ino",
] as const;

for (const [kind, make] of KINDS) {
  for (const call of ["lstatSync", "statSync"] as const) {
    if (call === "statSync" && kind === "symbolic link") continue;
    Deno.test(`parseFile() reads all that ${call}() noted of a ${kind}`, () => {
      using room = new Room();
      const path = make(room);
      const info = Deno[call](path);
      const { value, looks, spoiled } = record(() => Deno[call](path));
      assertEquals(spoiled, undefined);
      const [[name, argument, seen] = [], ...others] = looks!;
      assertEquals([name, argument, others], [call.slice(0, -4), path, []]);
      assertEquals(seen?.[0], "=");
      const parsed = parseFile(seen!.slice(1));
      for (const field of KEPT) {
        assertStrictEquals(parsed[field], info[field], field);
        assertStrictEquals(value[field], info[field], field);
      }
    });
  }
}

for (
  const field of [
    "size",
    "mtime",
    "atime",
    "ctime",
    "birthtime",
    "nlink",
  ] as const
) {
  Deno.test(`record() is spoiled by the ${field} of a file`, () => {
    const { looks, spoiled } = record(() => void Deno.statSync("/")[field]);
    assertEquals([looks, spoiled], [undefined, `FileInfo.${field}`]);
  });
}

for (
  const [what, call] of [
    ["Deno.pid", () => Deno.pid],
    ["Deno.ppid", () => Deno.ppid],
    ["Deno.args", () => Deno.args],
    ["Deno.hostname", () => Deno.hostname()],
    ["Deno.readFileSync", () => Deno.readFileSync("/proc/self/stat")],
    ["Deno.readDirSync", () => [...Deno.readDirSync("/")]],
    ["Deno.openSync", () => Deno.openSync("/").close()],
    ["Deno.writeTextFileSync", () => Deno.writeTextFileSync("/dev/null", "")],
    ["Deno.mkdirSync", () => Deno.mkdirSync],
    ["Deno.chdir", () => Deno.chdir],
    ["Deno.Command", () => Deno.Command],
    ["Deno.UnsafePointer", () => Deno.UnsafePointer],
    ["Deno.dlopen", () => Deno.dlopen],
    ["Deno.stdin", () => Deno.stdin.isTerminal()],
    ["Deno.stdout", () => Deno.stdout],
    ["Deno.stat", () => Deno.stat],
    ["Deno.readTextFile", () => Deno.readTextFile],
    ["Deno.systemMemoryInfo", () => Deno.systemMemoryInfo()],
    ["Deno.osRelease", () => Deno.osRelease()],
    ["Deno.networkInterfaces", () => Deno.networkInterfaces],
    ["Deno.Symbol", () => Reflect.get(Deno, "Symbol")],
    [
      "text of no path",
      () => Deno.readTextFileSync(new URL("file:///proc/self/comm")),
    ],
    ["stat of no path", () => {
      try {
        Deno.statSync(new URL("file:///"));
      } catch {
        // A spoiled recording may show what it likes.
      }
    }],
  ] as [string, () => unknown][]
) {
  Deno.test(`record() is spoiled by ${what}`, () => {
    const { looks, spoiled } = record(() => {
      try {
        call();
      } catch {
        // What it comes to does not matter.
      }
      Deno.cwd();
    });
    assertEquals([looks, spoiled], [undefined, what]);
  });
}

Deno.test("record() takes what cannot change while this program stays", () => {
  const { looks, spoiled } = record(() => [
    Deno.build.arch,
    Deno.version.deno,
    Deno.errors.NotFound,
    Deno.execPath(),
    Deno.mainModule,
  ]);
  assertEquals([looks, spoiled], [[], undefined]);
});

Deno.test("record() says what spoiled it first", () => {
  const { spoiled } = record(() => [Deno.ppid, Deno.pid]);
  assertEquals(spoiled, "Deno.ppid");
});

Deno.test("record() is spoiled by a look that shows two things", () => {
  using room = new Room();
  const path = room.path("file");
  room.write("file", "one");
  const write = Deno.writeTextFileSync;
  const { looks, spoiled } = record(() => {
    Deno.readTextFileSync(path);
    write(path, "two");
    return Deno.readTextFileSync(path);
  });
  assertEquals([looks, spoiled], [undefined, `text ${path} changed`]);
});

Deno.test("record() is spoiled by more than is worth to be kept", () => {
  using room = new Room();
  room.write("file", "x".repeat(1 << 18));
  const { looks, spoiled } = record(() =>
    Deno.readTextFileSync(room.path("file")).length
  );
  assertEquals([looks, spoiled], [undefined, "too much"]);
});

Deno.test("record() notes a look, and not what it looks at for it", () => {
  const names = ["ids", "cgroupMounts", "parentFiles", "hardFiles"] as const;
  const { looks } = record(() => names.map((name) => look(name)));
  assertEquals(looks?.map(([name]) => name), [...names]);
  assert(isUnchanged(looks!));
});

Deno.test("record() gives Deno back", () => {
  const real = Deno;
  record(() => assertNotStrictEquals(Deno, real));
  assertStrictEquals(Deno, real);
  assertEquals(typeof Deno.pid, "number");
});

Deno.test("record() gives Deno back, and notes no more, when the function throws", () => {
  const real = Deno;
  const error = assertThrows(() =>
    record(() => {
      Deno.cwd();
      throw new RangeError("of ours");
    }), RangeError);
  assertEquals(error.message, "of ours");
  assertStrictEquals(Deno, real);
  const { looks } = record(() => look("uid"));
  assertEquals(looks?.map(([name]) => name), ["uid"]);
});

Deno.test("record() throws what a look throws", () => {
  const { value } = record(() => {
    try {
      return Deno.readTextFileSync("/no/such/file");
    } catch (error) {
      return error;
    }
  });
  assert(value instanceof Deno.errors.NotFound);
});

Deno.test("aside() is not noted, nor does anything in it spoil", () => {
  const { value, looks, spoiled } = record(() => {
    Deno.uid();
    const pid = aside(() => {
      look("umask");
      return [Deno.cwd(), Deno.pid][1];
    });
    Deno.gid();
    return pid;
  });
  assertEquals([spoiled, value], [undefined, Deno.pid]);
  assertEquals(looks?.map(([name]) => name), ["uid", "gid"]);
});

Deno.test("aside() ends when its function throws", () => {
  const { looks, spoiled } = record(() => {
    assertThrows(() =>
      aside(() => {
        throw new RangeError(String(Deno.pid));
      }), RangeError);
    return Deno.cwd();
  });
  assertEquals(spoiled, undefined);
  assertEquals(looks?.map(([name]) => name), ["cwd"]);
});

Deno.test("aside() calls its function where nothing is recorded", () => {
  assertEquals(aside(() => Deno.pid), Deno.pid);
});
