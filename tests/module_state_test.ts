/**
 * What a process of rustyrun keeps in its modules. The warm engine and the library
 * serve one call after the other: what a module keeps, the next call meets. That
 * answers do not depend on it is tested by warm_test.ts.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { listFiles, ROOT } from "./imports.ts";

/** What is kept, by file, and why the next call may meet it. */
const MAY_KEEP: Record<string, { names: string[]; why: string }> = {
  "ffi/at.ts": { names: ["EMPTY"], why: "it has no byte that could change" },
  "ffi/mount.ts": { names: ["EMPTY"], why: "it has no byte that could change" },
  "ffi/event.ts": { names: ["ONE"], why: "it is only read" },
  "ffi/children.ts": {
    names: ["done"],
    why: "whether this process keeps its children for wait4(2)",
  },
  "ffi/helper.ts": {
    names: ["unpacked"],
    why: "the package's helper, the same for all",
  },
  "ffi/libc.ts": {
    names: ["library", "errno", "d"],
    why: "libc, where it puts errno, and what an absent argument points to",
  },
  "ffi/packets.ts": {
    names: ["message", "vector", "control"],
    why: "room for one system call, filled anew before each",
  },
  "ffi/sd_bus_library.ts": {
    names: ["library", "d"],
    why: "libsystemd, and what an absent argument points to",
  },
  "ffi/spawn.ts": {
    names: ["library", "d"],
    why: "libc, and what an absent argument points to",
  },
  "mod/box/engine.ts": {
    names: ["workers", "queue", "next", "ticking"],
    why: "the library's threads, and what waits for one",
  },
  "mod/box/engine/place.ts": {
    names: ["end"],
    why: "the descriptor by which this thread's call is given up",
  },
  "mod/box/engine/start.ts": {
    names: ["swept"],
    why: "directories of states that this program has swept already",
  },
  "mod/box/output.ts": {
    names: ["read"],
    why: "room for one read, copied before the next",
  },
  "mod/box/sandbox.ts": {
    names: ["openSandbox"],
    why: "the private constructor, set when the file is loaded",
  },
  "mod/box/watcher.ts": {
    names: ["waits", "keys", "known", "next", "counted", "epoll", "thread"],
    why: "what the library waits for",
  },
  "mod/config/json.ts": {
    names: ["NUMBER", "WORD", "SPACE"],
    why: "sticky expressions, whose place is set before each use",
  },
  "mod/plan/encode.ts": {
    names: ["shapes"],
    why: "the arguments of operations, the same for all",
  },
  "mod/process/helper.ts": {
    names: ["helperFd"],
    why: "the helper's program, the same for all",
  },
  "mod/seccomp/arch.ts": {
    names: ["tables"],
    why: "numbers of system calls by name, the same for all",
  },
  "mod/serve/desk.ts": { names: ["WORD"], why: "it is only read" },
  "mod/serve/equal.ts": {
    names: ["own"],
    why: "this process's own ids and capabilities, which never change",
  },
  "mod/state/identity.ts": {
    names: ["boot"],
    why: "this boot's id, which does not change while a process lives",
  },
};

/** Methods that change an array, a Set or a Map. */
const CHANGES =
  "set|add|delete|clear|push|pop|shift|unshift|splice|sort|reverse|fill";

/** Classes of room whose bytes system calls write. */
const ROOM = /^(?:\w+Array|ArrayBuffer|SharedArrayBuffer|DataView)$/;

/** The names in a module's own scope, or imported, that hold what can change: each
 * `let`, what is room, and what a line of this file changes. */
export function findState(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/^\s*\/\/.*$/gm, "");
  const found = new Set<string>();
  for (const [, name] of code.matchAll(/^(?:export )?(?:let|var) (\w+)/gm)) {
    found.add(name!);
  }
  const made = /^(?:export )?const (\w+)(?:: [^=]+)? = new (\w+)/gm;
  for (const [, name, type] of code.matchAll(made)) {
    if (ROOM.test(type!)) found.add(name!);
  }
  const names = [
    ...code.matchAll(/^(?:export )?const (\w+)/gm).map(([, name]) => name!),
    ...code.matchAll(/^import \{([^}]*)\}/gm).flatMap(([, list]) =>
      list!.split(",").map((it) => it.trim())
        .filter((it) => it !== "" && !it.startsWith("type "))
        .map((it) => it.split(" ").at(-1)!)
    ),
  ];
  for (const name of names) {
    const part = String.raw`\b${name}(?:\.\w+|\[[^\]]+\])`;
    const changed = new RegExp(
      [
        String.raw`(?<![.\w])${part}+!?\s*(?:[-+*|&]|\?\?|\|\||&&)?=(?![=>])`,
        String.raw`(?<![.\w])${part}+(?:\+\+|--)`,
        String.raw`(?<![.\w])${name}(?:\.\w+)*\.(?:${CHANGES})\(`,
      ].join("|"),
    );
    if (changed.test(code)) found.add(name);
  }
  return [...found].sort();
}

Deno.test("each module keeps nothing for the next call but what is listed here", () => {
  const found: Record<string, string[]> = {};
  for (const file of ["main.ts", ...listFiles("mod"), ...listFiles("ffi")]) {
    const names = findState(Deno.readTextFileSync(`${ROOT}/${file}`));
    if (names.length > 0) found[file] = names;
  }
  assertEquals(
    found,
    Object.fromEntries(
      Object.entries(MAY_KEEP).map(([file, { names }]) => [file, names.sort()]),
    ),
  );
});

for (
  const [source, found] of [
    ["let a = 1;", ["a"]],
    ["export let a: number | undefined;", ["a"]],
    ["  let a = 1;", []],
    ["const a = new Map();", []],
    ["const a = new Map();\nfunction f() {\n  a.set(1, 2);\n}", ["a"]],
    ["const a: string[] = [];\nconst f = () => a.push('');", ["a"]],
    ["const a = { b: 1 };\nfunction f() {\n  a.b = 2;\n}", ["a"]],
    ["const a = { b: 1 };\nfunction f() {\n  a.b++;\n}", ["a"]],
    ["const a = { b: [1] };\nfunction f() {\n  a.b[0] ??= 2;\n}", ["a"]],
    ["const a = { b: [1] };\nfunction f() {\n  a.b.push(2);\n}", ["a"]],
    ["const a = { b: 1 };\nconst f = () => a.b === 2;", []],
    ["const a = { b: 1 };\n// a.b = 2", []],
    ["const a = new Uint8Array(8);", ["a"]],
    ['import { a } from "./b.ts";\na.clear();', ["a"]],
    ['import { b as a } from "./b.ts";\na.x = 1;', ["a"]],
  ] as const
) {
  Deno.test(`findState() finds ${found.length} in ${JSON.stringify(source)}`, () => {
    assertEquals(findState(source), [...found]);
  });
}
