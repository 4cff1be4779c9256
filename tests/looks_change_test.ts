/**
 * Looks at the machine, taken again: whatever has changed is noticed.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { isUnchanged, type Look, look, type LookName } from "../mod/looks.ts";
import { record } from "../mod/looks/record.ts";
import { Room } from "./looks_room.ts";
import { testOn } from "./needs.ts";

type Act = (room: Room) => void;

const none: Act = () => {};
const file: Act = (room) => (room.remove("a"), room.write("a", "one"));
const edit: Act = (room) => room.write("a", "two");
const empty: Act = (room) => room.write("a", "");
const gone: Act = (room) => room.remove("a");
const dir: Act = (room) => (room.remove("a"), room.mkdir("a"));
const link = (target: string): Act => (room) => room.link("a", target);
const mode = (mode: number): Act => (room) =>
  Deno.chmodSync(room.path("a"), mode);
const swap: Act = (room) => {
  room.write("new", "one");
  Deno.renameSync(room.path("new"), room.path("a"));
};
/** Two files, and a link to one. */
const linked: Act = (room) => {
  room.write("one", "one");
  room.write("two", "two");
  room.link("a", "one");
};
const linkedDir: Act = (room) => {
  for (const name of ["x", "y"]) {
    room.mkdir(name);
    room.write(`${name}/f`, name);
  }
  room.link("a", "x");
};
const subdir: Act = (room) => (room.mkdir("r"), room.write("r/a", "one"));

/** The look and its path, what changes, how it is before, and the change. */
type Row = [look: LookName, path: string, name: string, before: Act, to: Act];

const NOTICED: Row[] = [
  ["text", "a", "an edit of the same length", file, edit],
  ["text", "a", "a file that went", file, gone],
  ["text", "a", "a file that came", none, file],
  ["text", "a", "an empty file that came", none, empty],
  ["text", "a", "a directory that came", none, dir],
  ["text", "a", "a file that became a directory", file, dir],
  ["text", "a", "a link that leads elsewhere", linked, link("two")],
  ["text", "a/f", "a link on the way", linkedDir, link("y")],
  ["text", "a/b", "its directory's end as a file", none, file],

  ["stat", "a", "a mode", file, mode(0o640)],
  ["stat", "a", "a sticky bit", dir, mode(0o1755)],
  ["stat", "a", "another file of the same text", file, swap],
  ["stat", "a", "a directory that became a file", dir, file],
  ["stat", "a", "a file that went", file, gone],
  ["stat", "a", "a file that came", none, file],
  ["stat", "a", "a link that leads elsewhere", linked, link("two")],
  ["stat", "a", "a link that leads anywhere", link("one"), linked],

  ["lstat", "a", "a dangling link that came", none, link("gone")],
  ["lstat", "a", "a file that became a link", file, link("b")],
  ["lstat", "a", "a link that went", link("b"), gone],
  ["lstat", "a", "a file that came", none, file],
  ["lstat", "a", "a mode", file, mode(0o640)],

  ["link", "a", "a target", link("b"), link("c")],
  ["link", "a", "a link that went", link("b"), gone],
  ["link", "a", "a dangling link that came", none, link("gone")],
  ["link", "a", "a file that came", none, file],
  ["link", "a", "a file that became a link", file, link("b")],
  ["link", "a", "a link that became a file", link("b"), file],

  ["real", "a/f", "a link on the way", linkedDir, link("y")],
  ["real", "a", "a file that went", file, gone],
  ["real", "a", "a file that came", none, file],

  ["isMissing", "a", "a directory that came", none, dir],
  ["isMissing", "a", "a directory that went", dir, gone],
  ["isMissing", "a/b", "a file on the way that became a directory", file, dir],

  ["inRoot", "a", "an edit of the same length", file, edit],
  ["inRoot", "a", "a file that went", file, gone],
  ["inRoot", "a", "a file that came", none, file],
  ["inRoot", "a", "an empty file that came", none, empty],
  ["inRoot", "a", "a file that became a directory", file, dir],
  ["inRoot", "a", "a link that leads elsewhere", linked, link("/two")],
  ["inRoot", "a", "a link that leads out", file, link("../../etc/passwd")],
  ["inRoot", "r/a", "a root that went", subdir, (room) => room.remove("r")],

  ["head", "a", "an edit of the same length", file, edit],
  ["head", "a", "an addition", file, (room) => room.write("a", "one\n")],
  ["head", "a", "a file that is empty now", file, empty],
  ["head", "a", "a file that went", file, gone],
  ["head", "a", "a file that came", none, file],
  ["head", "a", "an empty file that came", none, empty],
  ["head", "a", "a file that became a directory", file, dir],
  ["head", "a", "a link that leads elsewhere", linked, link("/two")],
  ["head", "r/a", "a root that went", subdir, (room) => room.remove("r")],

  ["cwd", "", "another", none, ({ dir }) => Deno.chdir(dir)],
  ["umask", "", "another", none, () => void Deno.umask(Deno.umask() ^ 0o111)],
];

/** What a plan cannot depend on. */
const SAME: Row[] = [
  ["text", "a", "a dangling link that came", none, link("gone")],
  ["text", "a", "another file of the same text", file, swap],
  ["text", "a", "a mode", file, mode(0o600)],
  ["stat", "a", "a dangling link that came", none, link("gone")],
  ["stat", "a", "an edit", file, edit],
  ["stat", "a", "a time", file, ({ dir }) => Deno.utimeSync(`${dir}/a`, 1, 1)],
  ["stat", "a", "a directory's entries", dir, (room) => room.write("a/b", "")],
  ["lstat", "a", "the end of a link", linked, (room) => room.remove("one")],
  ["inRoot", "a", "another file of the same text", file, swap],
  ["head", "a", "another file of the same start", file, swap],
];

/** The argument of a look at a path of the room; "r/" is a root of its own. */
function argumentOf(room: Room, name: LookName, path: string): string {
  if (path === "") return "";
  if (name !== "inRoot" && name !== "head") return room.path(path);
  const inner = path.startsWith("r/") ? "/r" : "";
  return `${room.dir}${inner}\0/${path.slice(path.lastIndexOf("/") + 1)}`;
}

/** Has a look recorded, whatever it shows. */
function recordOne(name: LookName, argument: string): Look {
  const { looks, spoiled } = record(() => {
    try {
      look(name, argument);
    } catch {
      // What it was is in the look.
    }
  });
  assertEquals(spoiled, undefined);
  const [noted, ...others] = looks!;
  assertEquals([noted?.[0], noted?.[1], others], [name, argument, []]);
  return noted!;
}

for (
  const [rows, verb, want] of [
    [NOTICED, "notices", false],
    [SAME, "does not mind", true],
  ] as const
) {
  for (const [name, path, what, before, change] of rows) {
    Deno.test(`isUnchanged() ${verb} of "${name} ${path}" ${what}`, () => {
      using room = new Room();
      const cwd = Deno.cwd(), umask = Deno.umask();
      try {
        before(room);
        const noted = recordOne(name, argumentOf(room, name, path));
        assert(isUnchanged([noted]), "it changes by itself");
        change(room);
        assertEquals(isUnchanged([noted]), want);
      } finally {
        Deno.chdir(cwd);
        Deno.umask(umask);
      }
    });
  }
}

Deno.test("isUnchanged() looks at the first 256 bytes of a program alone", () => {
  using room = new Room();
  room.write("a", "x".repeat(300));
  const noted = recordOne("head", argumentOf(room, "head", "a"));
  room.write("a", "x".repeat(256) + "y");
  assert(isUnchanged([noted]));
  room.write("a", "x".repeat(255) + "y" + "x".repeat(44));
  assertEquals(isUnchanged([noted]), false);
});

testOn(["root"], "isUnchanged() notices an owner", () => {
  using room = new Room();
  room.write("a", "");
  const looks = [recordOne("stat", room.path("a"))];
  assert(isUnchanged(looks));
  Deno.chownSync(room.path("a"), 1, null);
  assertEquals(isUnchanged(looks), false);
  Deno.chownSync(room.path("a"), 0, 1);
  assertEquals(isUnchanged(looks), false);
});

Deno.test("isUnchanged() notices one change among many looks", () => {
  using room = new Room();
  const names = Array.from({ length: 50 }, (_, i) => `f${i}`);
  names.forEach((name) => room.write(name, name));
  const { looks } = record(() =>
    names.map((name) => Deno.readTextFileSync(room.path(name)))
  );
  assertEquals(looks?.length, 50);
  assert(isUnchanged(looks!));
  room.write("f49", "other");
  assertEquals(isUnchanged(looks!), false);
});

Deno.test("isUnchanged() holds of no look at all", () => {
  assert(isUnchanged([]));
});

/** What only another process can have otherwise: look, argument, what changes,
 * and the shell's line that does it. */
const BEGINNINGS: [LookName, string, string, string][] = [
  ["env", "RUSTYRUN_NEW", "a variable that came", "export RUSTYRUN_NEW=two"],
  ["env", "RUSTYRUN_NEW", "an empty one that came", "export RUSTYRUN_NEW="],
  ["env", "RUSTYRUN_OLD", "a variable", "RUSTYRUN_OLD=two"],
  ["env", "RUSTYRUN_OLD", "a variable that went", "unset RUSTYRUN_OLD"],
  ["isNull", "0", "another device", "exec </dev/zero"],
  ["isNull", "2", "another device", "exec 2>/dev/zero"],
  ["parentFiles", "", "the parent's limit", "ulimit -S -n 99"],
  ["hardFiles", "", "the hard limit", "ulimit -n 999"],
];

/** Looks in a process of its own.
 *
 * @param before a line of the shell that starts it
 * @param words name and argument of the look, and what it showed before
 * @returns what it shows, or whether that is unchanged */
function lookElsewhere(before: string, words: string[]): string {
  const script = `
    import { describeLook, isUnchanged, look } from "${
    import.meta.resolve("../mod/looks.ts")
  }";
    const [name, argument, seen] = JSON.parse(Deno.args[0]);
    Deno.writeTextFileSync(Deno.args[1], seen === undefined
      ? describeLook(() => look(name, argument))
      : String(isUnchanged([[name, argument, seen]])));
  `;
  using room = new Room();
  const { success } = new Deno.Command("/bin/sh", {
    args: [
      "-ec",
      // The shell stays: it is the parent.
      `${before}\n"$@"\nexit 0`,
      "sh",
      Deno.execPath(),
      "run",
      "-q",
      "-A",
      "--no-check",
      `data:text/javascript,${encodeURIComponent(script)}`,
      JSON.stringify(words),
      room.path("out"),
    ],
    env: { RUSTYRUN_OLD: "one" },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).outputSync();
  assert(success);
  return Deno.readTextFileSync(room.path("out"));
}

for (const [name, argument, what, line] of BEGINNINGS) {
  Deno.test(`isUnchanged() notices of "${name} ${argument}" ${what}`, () => {
    const seen = lookElsewhere("", [name, argument]);
    assertEquals(lookElsewhere("", [name, argument, seen]), "true");
    assertEquals(lookElsewhere(line, [name, argument, seen]), "false");
  });
}
