/**
 * What a command loads, and who may ask for what is of this process.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { FILES } from "../mod/cli/load.ts";
import { listFiles, readProgram, ROOT } from "./imports.ts";

/** What neither of the two that make a container loads. */
const NEVER = [
  "mod/cli/elsewhere",
  "mod/cli/usage_error",
  "mod/container/exec",
  "mod/config/from_flags",
  "mod/explain",
  "mod/doctor",
  "mod/serve",
  "mod/box",
];

/** A file without its comments. */
function readCode(file: string): string {
  return Deno.readTextFileSync(`${ROOT}/${file}`)
    .replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
}

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
  "main.ts": [
    "mod/container",
    "mod/process",
    "mod/plan",
    "mod/config/load",
    "mod/config/flags/nearest",
    "mod/cli/elsewhere",
    "mod/cli/usage_error",
    "ffi/names",
  ],
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
  "mod/cli/start.ts": [
    "mod/cgroups/driver",
    "mod/cgroups/systemd",
    "mod/config/load",
    "mod/container/delete",
    "mod/container/kept/re",
    "mod/container/launch",
    "mod/failure",
    "mod/mounts",
    "mod/plan.ts",
    "mod/plan/encode",
    "mod/process.ts",
    "mod/seccomp",
    "mod/security",
  ],
  "mod/cli/delete.ts": [
    "mod/container/delete",
    "mod/container/kept/re",
    "mod/failure",
    "mod/mounts",
    "mod/plan",
    "mod/process",
    "mod/seccomp",
    "mod/security",
  ],
  "mod/cli/delete_rest.ts": [
    "mod/cgroups/driver",
    "mod/cgroups/systemd/driver",
    "mod/cgroups/systemd/properties",
    "mod/container/properties/rootfs",
    "mod/container/properties/shared_root",
    "mod/container/start",
    "mod/failure",
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
  "mod/cli/create.ts": [
    ...NEVER,
    "mod/failure",
    "mod/container/foreground",
    "mod/container/launched",
  ],

  "mod/cli/run.ts": NEVER,
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

Deno.test("only mod/cli prints: mod/outlet.ts and mod/serve/front.ts are the way out", () => {
  const call = /\bconsole\.(?:log|info|warn|error|debug)\(|\boutlet\.write\(/g;
  const files = [...listFiles("mod"), ...listFiles("ffi")]
    .filter((it) => !it.startsWith("mod/cli/"));
  const wrong = files.flatMap((file) =>
    [...readCode(file).matchAll(call)].map(([it]) => `${file}: ${it}`)
  );
  assertEquals(wrong, []);
});

/** What a process can ask about itself and its caller. A descriptor by its number
 * is one that this process has opened: "/proc/self/fd/${fd}". */
const SELF =
  /\/proc\/(?:self|thread-self)\b(?!\/fd\/\$\{)|\bDeno\.(?:args|cwd|env|uid|gid|pid|ppid|stdin|stdout|stderr|umask|consoleSize|exit|chdir)\b|\}\s*=\s*Deno\b|\bglobalThis\.process\b/g;

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
  "mod/container/kill_namespace.ts": {
    what: ["/proc/self"],
    why: "where this process lives nobody is killed",
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
  "mod/container/properties/unmount.ts": {
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
    const asked = [...readCode(file).matchAll(SELF)].map(([it]) => it);
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
    ["Deno.chdir(dir)", ["Deno.chdir"]],
    ["const { pid } = Deno;", ["} = Deno"]],
    ["globalThis.process.cwd()", ["globalThis.process"]],
  ] as const
) {
  Deno.test(`SELF finds ${found.length} in ${code}`, () => {
    assertEquals([...code.matchAll(SELF)].map(([it]) => it), [...found]);
  });
}
