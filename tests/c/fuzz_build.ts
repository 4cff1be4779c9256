/**
 * Builds the fuzzer of the helper: c/*.c with ASan, UBSan and line counters,
 * every system function renamed to a fake of tests/c/fuzz_*.c. A function that
 * is neither faked nor pure does not link.
 *
 * @module
 */

import { DIALECT, ROOT } from "../../scripts/build.ts";

const decoder = new TextDecoder();

/** Runs a program and returns what it prints.
 *
 * @throws {Error} with its stderr when it fails */
export function runTool(
  program: string,
  args: string[],
  cwd: string,
  env: Record<string, string> = {},
): string {
  const { success, stdout, stderr } = new Deno.Command(program, {
    args,
    cwd,
    env: { LC_ALL: "C", ...env },
    stdin: "null",
  }).outputSync();
  if (!success) {
    throw new Error(
      `${program} ${args.join(" ")}\n${decoder.decode(stdout)}${
        decoder.decode(stderr)
      }`,
    );
  }
  return decoder.decode(stdout);
}

/** Functions that touch nothing but the memory they are given. */
const PURE = new Set([
  ..."memchr memcmp memcpy memmove memset".split(" "),
  ..."strchr strcmp strcspn strlen strncmp strrchr strspn strstr".split(" "),
  ..."strerror sigaddset sigemptyset sigfillset cfmakeraw __errno_location"
    .split(" "),
]);

const FLAGS = [
  ...DIALECT,
  "-O1",
  "-g",
  "-fno-omit-frame-pointer",
  // Calls to libc must stay calls: they are renamed.
  "-fno-builtin",
  "-fsanitize=address,undefined",
  "-fno-sanitize-recover=all",
];

/** Files of the helper whose state outlives a call, and its name. */
const STATES: Record<string, string> = {
  keeper: "keeper",
  remove: "removal",
  stage: "child",
  warden: "warden",
};

/** Compiles c/NAME.c; returns the object's path. */
function compileUnit(name: string, dir: string): string {
  const state = STATES[name];
  const object = `${dir}/${name}.o`;
  const source = state === undefined ? [`${ROOT}c/${name}.c`] : [
    `-DFUZZ_UNIT="../../c/${name}.c"`,
    `-DFUZZ_STATE=${state}`,
    `-DFUZZ_RESET=fuzz_reset_${name}`,
    `${ROOT}tests/c/fuzz_unit.c`,
  ];
  runTool(
    "gcc",
    [
      ...FLAGS,
      "--coverage",
      // The fuzzer has a main of its own.
      "-Dmain=helper_main",
      "-include",
      `${ROOT}tests/c/fuzz_bounds.h`,
      "-c",
      ...source,
      "-o",
      object,
    ],
    dir,
  );
  return object;
}

/** The functions that objects want and do not have themselves. */
function listWanted(objects: readonly string[], dir: string): string[] {
  const wanted = new Set<string>();
  const have = new Set<string>();
  for (
    const line of runTool("nm", ["-g", ...objects], dir).split("\n")
  ) {
    const [, kind, name] = /\b([A-Za-z]) (\S+)$/.exec(line) ?? [];
    if (name === undefined) continue;
    if (kind === "U") wanted.add(name);
    else have.add(name);
  }
  return [...wanted].filter((name) =>
    !have.has(name) && !PURE.has(name) &&
    !/^(fuzz_bounds$|__(asan|ubsan)_|__gcov_(exit|init|merge_add)$|_GLOBAL_OFFSET_TABLE_)/
      .test(name)
  );
}

/** Builds the fuzzer in a directory; returns its path. */
export function buildFuzzer(dir: string): string {
  const names = listUnits();
  const objects = names.map((name) => compileUnit(name, dir));
  Deno.writeTextFileSync(
    `${dir}/fakes`,
    listWanted(objects, dir)
      // --coverage has its own way to call these two.
      .map((name) => `${name} fake_${name.replace(/^__gcov_/, "")}\n`)
      .join(""),
  );
  for (const object of objects) {
    runTool("objcopy", [`--redefine-syms=${dir}/fakes`, object], dir);
  }
  const own = ["fuzz", "fuzz_mutate", "fuzz_kernel", "fuzz_fakes", "fuzz_waits"]
    .map((name) => `${ROOT}tests/c/${name}.c`);
  const out = `${dir}/fuzz`;
  runTool(
    "gcc",
    [
      ...FLAGS,
      "-Wall",
      "-Wextra",
      // A fake kernel has little use for most of what it is told.
      "-Wno-unused-parameter",
      "-Werror",
      "--coverage",
      ...own,
      ...objects,
      "-o",
      out,
    ],
    dir,
  );
  return out;
}

/** How many of a file's lines ran, and which did not. */
export interface Coverage {
  lines: number;
  ran: number;
  missed: number[];
}

/** Reads the counters that a run left in the directory.
 *
 * @param name of c/NAME.c */
export function readCoverage(dir: string, name: string): Coverage {
  const text = runTool("gcov", ["--json-format", "--stdout", `${name}.o`], dir);
  const { files } = JSON.parse(text) as {
    files: { file: string; lines: { line_number: number; count: number }[] }[];
  };
  const counts = new Map<number, number>();
  for (const { file, lines } of files) {
    if (!file.endsWith(`c/${name}.c`)) continue;
    for (const { line_number, count } of lines) {
      counts.set(line_number, (counts.get(line_number) ?? 0) + count);
    }
  }
  const missed = [...counts].filter(([, count]) => count === 0)
    .map(([line]) => line);
  return { lines: counts.size, ran: counts.size - missed.length, missed };
}

/** The files that are fuzzed: those that read plans. What a front reads comes
 * from its own user's engine (tests/integration/front_test.ts). */
export function listUnits(): string[] {
  return [...Deno.readDirSync(`${ROOT}c`)].map((it) => it.name)
    .filter((name) => name.endsWith(".c")).map((name) => name.slice(0, -2))
    .filter((name) => !name.startsWith("front")).sort();
}
