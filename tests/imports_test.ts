/**
 * The direction of imports: main -> cli -> serve -> container -> managers, state,
 * process -> config, plan, host -> ffi; mod -> box -> container. A wrong arrow fails here, with its line's two ends,
 * and so does a circle of files, with the way round it. imports_c_test.ts is the C
 * half.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findCircles } from "./circles.ts";
import { type Import, readImports, readProgram } from "./imports.ts";

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
  if (moduleOf(from) === "serve" && ["box", "mod"].includes(moduleOf(to))) {
    broken.push("the library and the warm engine do not know each other");
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

Deno.test("imports run one way: main, cli, serve, container, managers, config, ffi", () => {
  const wrong = readProgram().flatMap((one) =>
    judgeImport(one).map((why) => `${one.from} -> ${one.to}: ${why}`)
  );
  assertEquals(wrong, []);
});

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
    ["mod/serve/call.ts", "mod/box/reap.ts", true, [
      "the library and the warm engine do not know each other",
    ]],
    ["mod/box/engine.ts", "mod/serve/call.ts", false, ["box is below serve"]],
    ["mod/cli/rare.ts", "mod/mod.ts", false, [
      "the library and the command line do not know each other",
    ]],
    ["mod/serve/caller.ts", "mod/container/model.ts", false, []],
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
