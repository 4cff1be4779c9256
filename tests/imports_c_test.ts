/**
 * The C half of imports_test.ts: who in c/ calls whom, read from the sources. A
 * file uses its own floor and those below, its #include lines say so, and no way
 * leads back to where it began.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { DIALECT } from "../scripts/build.ts";
import { findCircles } from "./circles.ts";
import { testOn } from "./needs.ts";

const ROOT = `${import.meta.dirname}`.replace(/\/tests$/, "");

/** The floors of c/, lowest first: a file uses its own and those below. A name
 * is that of a .c file and its header, or of a header alone. */
const FLOORS = {
  ground: [
    ..."plan kernel calls proc userns limits decode vector".split(" "),
  ],
  // A program of its own.
  front: ["front", "front_user"],
  parts: [
    ..."stage place tree inside cgroup teardown relay wake tty".split(" "),
  ],
  operations: [
    ..."files copy mounts namespaces process init forget".split(" "),
    ..."remove rest warden".split(" "),
  ],
  keeper: ["kept", "held", "signals", "output", "measure", "verdict", "result"],
  roles: ["child", "keeper"],
  main: ["main"],
};

/** What c/NAME.c and c/NAME.h have to do with others. */
interface Unit {
  /** What others can call: functions and variables that are not static. */
  defines: Set<string>;
  /** The functions that the header promises. */
  declares: Set<string>;
  /** Names in the .c file that may be another file's. */
  words: Set<string>;
  /** The headers of c/ that each of the two includes. */
  includes: { c: Set<string>; h: Set<string> };
}

/** A C text without comments, strings and preprocessor lines. */
function stripC(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\])+'/g, " ")
    .replace(/^#include.*$/gm, "");
}

/** The names that start at the left edge: of definitions, or of prototypes. */
function topNames(code: string, rest: string, isStatic: boolean): Set<string> {
  const line = new RegExp(`^((?:\\w+[ \\t*]+)+)(\\w+)${rest}`, "gm");
  return new Set(
    [...code.matchAll(line)].filter(([, type]) =>
      /\bstatic\b/.test(type!) === isStatic &&
      !/\b(?:extern|typedef)\b/.test(type!)
    ).map(([, , name]) => name!),
  );
}

const BODY = String.raw`\([^;{]*\)\s*\{`;
const PROTOTYPE = String.raw`\([^;{]*\);`;
const VARIABLE = String.raw`(?:\[[^\]]*\])*(?: =|;)`;

function readUnit(c: string, h: string): Unit {
  const code = stripC(c);
  const own = topNames(code, BODY, true);
  const included = (text: string) =>
    new Set([...text.matchAll(/^#include "(\w+)\.h"/gm)].map(([, it]) => it!));
  return {
    defines: new Set([
      ...topNames(code, BODY, false),
      ...topNames(code, VARIABLE, false),
    ]),
    declares: topNames(stripC(h), PROTOTYPE, false),
    // Neither a member, nor a structure's name, nor a static of that name.
    words: new Set(
      [...code.matchAll(/(?<!\.|->|\bstruct )\b[a-z]\w*\b/g)]
        .map(([it]) => it).filter((it) => !own.has(it)),
    ),
    includes: { c: included(c), h: included(h) },
  };
}

/** Reads sources by file name. */
function readUnits(sources: Record<string, string>): Map<string, Unit> {
  const names = new Set(
    Object.keys(sources).map((file) => file.replace(/\.[ch]$/, "")),
  );
  return new Map(
    [...names].sort().map((name) => [
      name,
      readUnit(sources[`${name}.c`] ?? "", sources[`${name}.h`] ?? ""),
    ]),
  );
}

/** What the files use of each other: `name` is a function, or a variable. */
interface Use {
  from: string;
  to: string;
  name: string;
}

function listUses(units: Map<string, Unit>): Use[] {
  return [...units].flatMap(([from, { words }]) =>
    [...units].filter(([to]) => to !== from).flatMap(([to, { defines }]) =>
      // Each program has a main of its own.
      [...defines].filter((name) => words.has(name) && name !== "main")
        .map((name) => ({ from, to, name }))
    )
  );
}

/** Every rule that the C breaks. */
function judgeC(
  sources: Record<string, string>,
  floors: Record<string, string[]>,
): string[] {
  const units = readUnits(sources);
  const names = Object.keys(floors);
  const floorOf = (name: string) =>
    names.findIndex((floor) => floors[floor]!.includes(name));
  const broken: string[] = [];
  const arrows = new Set<string>();
  for (const [name, { declares, defines, includes }] of units) {
    if (floorOf(name) < 0) broken.push(`${name} has no floor`);
    for (const it of declares) {
      if (!defines.has(it)) broken.push(`${name}.h: ${it} is not ${name}.c's`);
    }
    for (const to of [...includes.c, ...includes.h]) {
      if (to !== name) arrows.add(`${name} ${to}`);
    }
  }
  for (const { from, to, name } of listUses(units)) {
    arrows.add(`${from} ${to}`);
    if (!units.get(from)!.includes.c.has(to)) {
      broken.push(`${from}.c uses ${name} without ${to}.h`);
    }
  }
  const ways = [...arrows].map((arrow) => {
    const [from, to] = arrow.split(" ");
    return { from: from!, to: to! };
  });
  for (const { from, to } of ways) {
    const [low, high] = [floorOf(from), floorOf(to)];
    if (low >= 0 && low < high) {
      broken.push(`${from} -> ${to}: ${names[low]} is below ${names[high]}`);
    }
  }
  return [...broken, ...findCircles(ways)];
}

function readC(): Record<string, string> {
  return Object.fromEntries(
    [...Deno.readDirSync(`${ROOT}/c`)].map(({ name }) => [
      name,
      Deno.readTextFileSync(`${ROOT}/c/${name}`),
    ]),
  );
}

Deno.test("the C has floors: its files use those below, in no circle", () => {
  assertEquals(judgeC(readC(), FLOORS), []);
});

testOn(["cc"], "listUses() reads of the C what its objects say", () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-floors-" });
  const run = (program: string, ...args: string[]) => {
    const { code, stdout, stderr } = new Deno.Command(program, {
      args,
      cwd: dir,
    }).outputSync();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  };
  try {
    const sources = readC();
    const files = Object.keys(sources).filter((file) => file.endsWith(".c"));
    run("cc", ...DIALECT, "-c", ...files.map((file) => `${ROOT}/c/${file}`));
    const symbols = files.flatMap((file) =>
      run("nm", "-g", file.replace(/c$/, "o")).trimEnd().split("\n")
        .map((line) => {
          const [kind, name] = line.trim().split(/\s+/).slice(-2);
          return { file: file.slice(0, -2), kind: kind!, name: name! };
        })
    );
    const home = new Map(
      symbols.filter(({ kind }) => kind !== "U")
        .map(({ name, file }) => [name, file]),
    );
    const uses = symbols.filter(({ kind, name }) =>
      kind === "U" && home.has(name)
    ).map(({ file, name }) => ({ from: file, to: home.get(name)!, name }));
    const sort = (all: Use[]) =>
      all.map(({ from, to, name }) => `${from} ${to} ${name}`).sort();
    assertEquals(sort(listUses(readUnits(sources))), sort(uses));
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

const MADE_UP = {
  "low.h": "int low(void);",
  "low.c": '#include "low.h"\nint low(void)\n{\n\treturn 1;\n}\n',
  "a.h": "void a(int n);\nextern int state;",
  "a.c":
    '#include "a.h"\n#include "b.h"\nint state = 2;\nvoid a(int n)\n{\n\tb(n);\n}\n',
  "b.h": "void b(int n);",
  "b.c": '#include "b.h"\n#include "low.h"\nvoid b(int n)\n{\n\tlow();\n}\n',
};

for (
  const [what, change, want] of [
    ["what stands in order", {}, []],
    ["a circle", {
      "b.c": '#include "a.h"\n#include "b.h"\nvoid b(int n)\n{\n\ta(n);\n}\n',
    }, ["a -> b -> a"]],
    ["a circle by a variable", {
      "b.c":
        '#include "a.h"\n#include "b.h"\nvoid b(int n)\n{\n\tstate = n;\n}\n',
    }, ["a -> b -> a"]],
    ["a circle that no header shows", {
      "b.c":
        "void a(int n);\nvoid b(int n)\n{\n\tvoid (*next)(int) = a;\n\tnext(n);\n}\n",
    }, ["b.c uses a without a.h", "a -> b -> a"]],
    ["a circle of headers", { "b.h": '#include "a.h"\nvoid b(int n);' }, [
      "a -> b -> a",
    ]],
    ["an arrow up", { "low.h": '#include "c.h"\nint low(void);', "c.h": "" }, [
      "low -> c: ground is below above",
    ]],
    ["a header of another's", { "low.h": "int low(void);\nvoid b(int n);" }, [
      "low.h: b is not low.c's",
    ]],
    ["a file without a floor", { "d.c": "" }, ["d has no floor"]],
    ["a name that is only a member's, a comment's or its own static's", {
      "low.c":
        '#include "low.h"\n/* b(1) */\nstatic int a(struct b *it)\n{\n\treturn it->b + it->x.b;\n}\nint low(void)\n{\n\treturn a("b");\n}\n',
    }, []],
  ] as [string, Record<string, string>, string[]][]
) {
  Deno.test(`judgeC() ${want.length ? "refuses" : "accepts"} ${what}`, () => {
    assertEquals(
      judgeC({ ...MADE_UP, ...change }, {
        ground: ["low"],
        above: ["a", "b", "c"],
      }),
      want,
    );
  });
}
