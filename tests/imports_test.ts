/**
 * The direction of imports: main -> cli -> container -> managers, state, process
 * -> config, plan, host -> ffi. A wrong arrow fails here, with its line's two ends,
 * and so does a circle of files, with the way round it. imports_c_test.ts is the C
 * half.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findCircles } from "./circles.ts";
import { FILES } from "../mod/cli/load.ts";

const ROOT = `${import.meta.dirname}`.replace(/\/tests$/, "");

/** One import statement. */
interface Import {
  from: string;
  to: string;
  /** `import type` or `export type`: gone before anything runs. */
  typeOnly: boolean;
}

/** The rooms, lowest first: a file may import from its own room and from those
 * before it. */
const ROOMS = [
  "ffi",
  "errors",
  "base",
  "manager",
  "container/inside",
  "container/model",
  "container/properties",
  "container/kept",
  "container/launch",
  "container",
  "box",
  "serve",
  "cli",
  "main",
] as const;

/** The managers: they share a room, and do not know each other. */
const MANAGERS = ["namespaces", "mounts", "cgroups", "security", "seccomp"];

/** What the managers rest on, and what uses them. Every other module of mod/
 * (state, process, hooks, ...) stands beside the managers. */
const BASE = ["caller", "config", "plan", "host", "version"];
const ABOVE = ["container", "doctor", "explain"];

/** The library's threads are Node's workers. Nothing of it is on the way of a
 * command. */
const MAY_NODE = [
  "mod/box/threads.ts",
  "mod/box/watcher_thread.ts",
  "mod/box/engine/thread.ts",
];

/** mod/cgroups/v1.ts -> cgroups; ffi/libc.ts -> ffi */
function moduleOf(path: string): string {
  const parts = path.replace(/\.ts$/, "").split("/");
  return parts[0] === "mod" ? parts[1]! : parts[0]!;
}

function roomOf(path: string): typeof ROOMS[number] {
  const module = moduleOf(path);
  if (
    module === "ffi" || module === "main" || module === "cli" ||
    module === "serve"
  ) return module;
  if (module === "errors") return "errors";
  if (module === "box" || module === "mod") return "box";
  if (BASE.includes(module)) return "base";
  const floor = /^mod\/(container\/\w+)(?:\.ts$|\/)/.exec(path)?.[1];
  const room = ROOMS.find((it) => it === floor);
  if (room !== undefined) return room;
  return ABOVE.includes(module) ? "container" : "manager";
}

/** Every rule that an import breaks. */
function judgeImport({ from, to, typeOnly }: Import): string[] {
  const broken: string[] = [];
  if (to === "@std/assert") broken.push("@std/assert is for tests");
  if (to === "@std/fs") broken.push("@std/fs is for the release's scripts");
  if (to === "zod" && from !== "mod/config/schema.ts") {
    broken.push("zod is for mod/config/schema.ts");
  }
  if (to === "mod/config/schema.ts" && !typeOnly) {
    broken.push("the schema is imported as a type: zod costs 24 ms");
  }
  if (to.startsWith("node:") && !MAY_NODE.includes(from)) {
    broken.push("node:* costs 5 ms and more");
  }
  if (moduleOf(from) === "cli" && ["box", "mod"].includes(moduleOf(to))) {
    broken.push("the library and the command line do not know each other");
  }
  if (!to.endsWith(".ts")) return broken;
  if (
    to.startsWith("types/") || to.startsWith("tests/") ||
    to.startsWith("scripts/")
  ) {
    return [...broken, `${moduleOf(to)}/ is not part of the program`];
  }
  if (ROOMS.indexOf(roomOf(from)) < ROOMS.indexOf(roomOf(to))) {
    broken.push(`${roomOf(from)} is below ${roomOf(to)}`);
  }
  const [a, b] = [moduleOf(from), moduleOf(to)];
  if (
    a !== b && MANAGERS.includes(a) && MANAGERS.includes(b)
  ) {
    broken.push("managers do not import each other");
  }
  return broken;
}

/** `path` of an import in the file `from`, relative to the root. */
function resolveImport(from: string, to: string): string {
  return to.startsWith(".")
    ? new URL(to, `file:///${from}`).pathname.slice(1)
    : to;
}

/** The import statements of a source text. */
function readImports(from: string, text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(
    /^\s*\/\/.*$/gm,
    "",
  );
  const statement =
    /^\s*(?:import|export)\s+(type\s+)?(?:[\w*{][^;"']*?\sfrom\s*)?"([^"]+)"/gm;
  const found = [...code.matchAll(statement)].map(([all, type, to]) => ({
    from,
    to: resolveImport(from, to!),
    typeOnly: type !== undefined || isInlineTypes(all),
  }));
  for (
    const [, type, to] of code.matchAll(/(typeof\s+)?\bimport\(\s*"([^"]+)"/g)
  ) {
    found.push({
      from,
      to: resolveImport(from, to!),
      typeOnly: type !== undefined,
    });
  }
  return found;
}

/** `import { type A, type B } from ...`: every name is a type. */
function isInlineTypes(statement: string): boolean {
  const names = /\{([^}]*)\}/.exec(statement)?.[1]?.split(",")
    .map((name) => name.trim()).filter(Boolean);
  return names !== undefined && names.length > 0 &&
    names.every((name) => name.startsWith("type "));
}

function listFiles(dir: string): string[] {
  return [...Deno.readDirSync(`${ROOT}/${dir}`)].flatMap((entry) =>
    entry.isDirectory
      ? listFiles(`${dir}/${entry.name}`)
      : entry.name.endsWith(".ts")
      ? [`${dir}/${entry.name}`]
      : []
  );
}

/** Every import of the program. */
function readProgram(): Import[] {
  return ["main.ts", ...listFiles("mod"), ...listFiles("ffi")].flatMap((file) =>
    readImports(file, Deno.readTextFileSync(`${ROOT}/${file}`))
  );
}

Deno.test("imports run one way: main, cli, container, managers, config, ffi", () => {
  const wrong = readProgram().flatMap((one) =>
    judgeImport(one).map((why) => `${one.from} -> ${one.to}: ${why}`)
  );
  assertEquals(wrong, []);
});

Deno.test("what is loaded when it is called for is named once, by its type and its name", () => {
  const call = /load<typeof import\("\.\/(\w+)\.ts"\)>\(\s*"(\w+)"/g;
  const calls = listFiles("mod/cli").flatMap((
    file,
  ) => [...Deno.readTextFileSync(`${ROOT}/${file}`).matchAll(call)]);
  assertEquals(calls.filter(([, type, name]) => type !== name), []);
  const names = calls.map(([, , name]) => name!);
  assertEquals([...new Set(names)].sort(), [...FILES]);
});

Deno.test("no import() names what it loads: Deno would read all of it at each start", () => {
  const files = ["main.ts", ...listFiles("mod"), ...listFiles("ffi")];
  const call = /(?<!typeof )\bimport\(\s*["`]/;
  const wrong = files.filter((file) =>
    call.test(
      Deno.readTextFileSync(`${ROOT}/${file}`).replace(
        /\/\*[\s\S]*?\*\//g,
        "",
      ),
    )
  );
  assertEquals(wrong, []);
});

/** What the files of a command may not load, by the beginning of a path: each
 * start pays for what it reads. */
const HEAVY: Record<string, readonly string[]> = {
  "main.ts": ["mod/container", "mod/process", "mod/plan", "mod/config/load"],
  "mod/cli/lifecycle.ts": [
    "mod/process",
    "mod/plan",
    "mod/failure",
    "mod/mounts",
    "mod/security",
    "mod/seccomp",
    "mod/namespaces",
    "mod/config/load",
  ],
  "mod/cli/start_delete.ts": [
    "mod/mounts",
    "mod/security",
    "mod/seccomp",
    "mod/cgroups/make",
    "mod/config/load",
    "mod/container/launch",
  ],
  "mod/cli/exec.ts": [
    "mod/mounts",
    "mod/cgroups/make",
    "mod/config/from_",
    "mod/container/foreground",
    "mod/container/launch/prepare",
  ],
  "mod/cli/launch.ts": [
    "mod/container/exec",
    "mod/config/from_flags",
    "mod/explain",
    "mod/doctor",
    "mod/serve",
    "mod/box",
  ],
};

for (const [file, heavy] of Object.entries(HEAVY)) {
  Deno.test(`${file} loads nothing that it does not need`, () => {
    const arrows = Map.groupBy(
      readProgram().filter((it) => !it.typeOnly && it.to.endsWith(".ts")),
      ({ from }) => from,
    );
    const ways = new Map([[file, file]]);
    for (const [at, way] of ways) {
      for (const { to } of arrows.get(at) ?? []) {
        if (!ways.has(to)) ways.set(to, `${way} -> ${to}`);
      }
    }
    assertEquals(ways.size > 10, true);
    assertEquals(
      [...ways].filter(([to]) => heavy.some((it) => to.startsWith(it)))
        .map(([, way]) => way),
      [],
    );
  });
}

Deno.test("no files of mod/ and ffi/ import each other in a circle, types included", () => {
  assertEquals(findCircles(readProgram()), []);
});

for (
  const [what, arrows, want] of [
    ["a tree", ["a b", "a c", "b d", "c d"], []],
    ["a pair", ["a b", "b a"], ["a -> b -> a"]],
    ["a file and itself", ["a a"], ["a -> a"]],
    ["a circle behind a way", ["a b", "b c", "c d", "d b"], [
      "b -> c -> d -> b",
    ]],
    ["a circle met by its second way", ["a d", "a b", "b c", "c a", "d e"], [
      "a -> b -> c -> a",
    ]],
    ["two circles", ["a b", "b a", "c d", "d c"], [
      "a -> b -> a",
      "c -> d -> c",
    ]],
  ] as const
) {
  Deno.test(`findCircles() of ${what}: ${want.length}`, () => {
    const imports = arrows.map((arrow) => {
      const [from, to] = arrow.split(" ");
      return { from: from!, to: to! };
    });
    assertEquals(findCircles(imports), [...want]);
  });
}

Deno.test("paths may be any bytes: calls on files are those of ffi/files.ts", () => {
  const call =
    /(?<!As )\bDeno\.(?:(?:l?stat|read\w+|write\w+|realPath|mkdir|remove|rename|chmod|chown|open)Sync)\b/g;
  const files = listFiles("mod");
  const wrong = files.flatMap((file) =>
    [...Deno.readTextFileSync(`${ROOT}/${file}`).matchAll(call)]
      .map(([it]) => `${file}: ${it}: import it from ffi/files.ts`)
  );
  assertEquals(wrong, []);
});

/** What a process can ask about itself and its caller. A descriptor by its number
 * is one that this process has opened: "/proc/self/fd/${fd}". */
const SELF =
  /\/proc\/(?:self|thread-self)\b(?!\/fd\/\$\{)|\bDeno\.(?:args|cwd|env|uid|gid|pid|ppid|stdin|stdout|stderr|umask|consoleSize|exit)\b/g;

/** Who else may ask, and why. */
const MAY_ASK: Record<string, { what: string[]; why: string }> = {
  "mod/caller.ts": {
    what: [
      "/proc/self",
      ...["args", "cwd", "env", "pid", "ppid", "stdin", "stdout", "stderr"]
        .map((it) => `Deno.${it}`),
    ],
    why: "it makes the caller of this process",
  },
  "mod/outlet.ts": {
    what: ["Deno.stdin", "Deno.stdout", "Deno.stderr"],
    why: "it is the outside of this process",
  },
  "mod/serve/call.ts": {
    what: ["Deno.umask"],
    why: "each call brings its own",
  },
  "mod/serve/equal.ts": {
    what: ["/proc/self"],
    why: "who is served: an equal of this process, as which it then acts",
  },
  "mod/serve/worker.ts": {
    what: ["/proc/self"],
    why: "what this process still holds of a call",
  },
  "mod/state/root.ts": {
    what: ["Deno.uid", "Deno.gid"],
    why:
      "whose files this process may trust and remove; it acts as nobody else",
  },
  "mod/container/properties/shared_root.ts": {
    what: ["/proc/self"],
    why: "the mount namespace that this process itself mounts and unmounts in",
  },
  "ffi/helper.ts": {
    what: ["/proc/self", "Deno.uid"],
    why: "whom it runs the helper's bytes as",
  },
  "ffi/spawn.ts": {
    what: ["/proc/self"],
    why: "which descriptors of this process a child would get",
  },
  "mod/namespaces.ts": {
    what: ["/proc/self"],
    why: "the child stage opens it",
  },
  "mod/security/process.ts": {
    what: ["/proc/self"],
    why: "the child stage opens it",
  },
  "mod/mounts/devices.ts": {
    what: ["/proc/self"],
    why: "links in the container's /dev",
  },
  "mod/failure/mounts.ts": { what: ["/proc/self"], why: "a hint" },
  "mod/failure/rows.ts": { what: ["/proc/self"], why: "a hint" },
};

Deno.test("only mod/caller.ts and mod/outlet.ts know a process of their own", () => {
  const found: Record<string, string[]> = {};
  for (const file of [...listFiles("mod"), ...listFiles("ffi")]) {
    const code = Deno.readTextFileSync(`${ROOT}/${file}`)
      .replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
    const asked = [...code.matchAll(SELF)].map(([it]) => it);
    if (asked.length > 0) found[file] = [...new Set(asked)].sort();
  }
  assertEquals(
    found,
    Object.fromEntries(
      Object.entries(MAY_ASK).map(([file, { what }]) => [file, what.sort()]),
    ),
  );
});

for (
  const [code, found] of [
    ["`/proc/self/fd/${fd}`", []],
    ['"/proc/self/fd/0"', ["/proc/self"]],
    ["`/proc/self/${file}`", ["/proc/self"]],
    ['"/proc/selfish"', []],
    ["Deno.env.get(name)", ["Deno.env"]],
    ["Deno.environment", []],
  ] as const
) {
  Deno.test(`SELF finds ${found.length} in ${code}`, () => {
    assertEquals([...code.matchAll(SELF)].map(([it]) => it), [...found]);
  });
}

Deno.test("readImports() finds every form of import", () => {
  const text = `
    import { a } from "./b.ts";
    import type { A } from "./a.ts";
    import { type C, type D } from "./types.ts";
    import { type C, d } from "./half.ts";
    import * as z from "zod";
    import "./effect.ts";
    export * from "../errors.ts";
    // import "./comment.ts";
    const late = await import("./late.ts");
    const typed = load<typeof import("./typed.ts")>("typed");
    type T = 1;`;
  assertEquals(
    readImports("mod/x/y.ts", text).map((i) => [i.to, i.typeOnly]),
    [
      ["mod/x/b.ts", false],
      ["mod/x/a.ts", true],
      ["mod/x/types.ts", true],
      ["mod/x/half.ts", false],
      ["zod", false],
      ["mod/x/effect.ts", false],
      ["mod/errors.ts", false],
      ["mod/x/late.ts", false],
      ["mod/x/typed.ts", true],
    ],
  );
});

for (
  const [from, to, typeOnly, want] of [
    ["ffi/libc.ts", "mod/errors.ts", false, ["ffi is below errors"]],
    ["mod/plan.ts", "mod/mounts.ts", false, ["base is below manager"]],
    ["mod/mounts/path.ts", "mod/cgroups/v1.ts", true, [
      "managers do not import each other",
    ]],
    ["mod/mounts.ts", "mod/mounts/path.ts", false, []],
    ["mod/container/create.ts", "mod/mounts.ts", false, []],
    ["mod/container/create.ts", "mod/container/kept/saved.ts", false, []],
    ["mod/container/kept/saved.ts", "mod/container/model.ts", true, []],
    ["mod/container/launch/order.ts", "mod/container/create.ts", true, [
      "container/launch is below container",
    ]],
    [
      "mod/container/properties/rootfs.ts",
      "mod/container/kept/saved.ts",
      false,
      ["container/properties is below container/kept"],
    ],
    ["mod/container/model.ts", "mod/container/properties/rootfs.ts", true, [
      "container/model is below container/properties",
    ]],
    ["mod/container/launch/prepare.ts", "mod/cli/run.ts", false, [
      "container/launch is below cli",
    ]],
    ["mod/host.ts", "@std/assert", false, ["@std/assert is for tests"]],
    ["mod/config/load.ts", "zod", true, ["zod is for mod/config/schema.ts"]],
    ["mod/config/load.ts", "mod/config/schema.ts", false, [
      "the schema is imported as a type: zod costs 24 ms",
    ]],
    ["mod/config/load.ts", "mod/config/schema.ts", true, []],
    ["mod/cli/run.ts", "node:path", false, ["node:* costs 5 ms and more"]],
  ] as const
) {
  Deno.test(`judgeImport() ${want.length ? "refuses" : "accepts"} ${from} -> ${to}`, () => {
    assertEquals(judgeImport({ from, to, typeOnly }), [...want]);
  });
}
