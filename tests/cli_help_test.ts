/** Tests of what is made from the flag table: help, the manual page and the
 * shell completions. */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { formatFlag, formatHelp } from "../mod/cli/help.ts";
import { formatMan } from "../mod/cli/man.ts";
import { formatCompletions } from "../mod/cli/completions.ts";
import { globalFlags, listCommands } from "../mod/cli/flags.ts";
import { readRow } from "../mod/cli/flag_row.ts";
import { ContainerError } from "../mod/errors.ts";
import { editDistance, findNearest } from "../mod/config/flags/nearest.ts";
import { listElsewhere } from "../mod/cli/elsewhere.ts";

const tables: [string, ReturnType<typeof globalFlags>][] = [
  ["global", globalFlags()],
  ...listCommands().map((c) =>
    [c.name, [...c.flags()]] as [string, ReturnType<typeof globalFlags>]
  ),
];

for (const [name, rows] of tables) {
  Deno.test(`flags of ${name}: a row is shown as it is written`, () => {
    for (const row of rows) assertEquals(formatFlag(readRow(row)), row.row);
  });

  Deno.test(`flags of ${name}: no name twice, and one-line help`, () => {
    const flags = rows.map(readRow);
    const names = flags.flatMap((f) => [
      f.name,
      ...f.aliases,
      ...(f.short ? [f.short] : []),
    ]);
    assertEquals(names, [...new Set(names)]);
    for (const { help } of flags) {
      assertEquals(/^[A-Za-z].*[^.]$|\.\.\.$/.test(help), true, help);
    }
  });
}

Deno.test("formatHelp() of run names every flag, the exit codes and examples", () => {
  const help = formatHelp("run");
  const run = listCommands().find((c) => c.name === "run")!;
  for (const row of run.flags()) assertStringIncludes(help, row.row);
  for (const part of ["125", "126", "127", "128+N", "--rootfs ./alpine -it"]) {
    assertStringIncludes(help, part);
  }
});

Deno.test("formatHelp() names every command that is not hidden", () => {
  for (const { name, summary, hidden } of listCommands()) {
    if (hidden) continue;
    assertStringIncludes(formatHelp(), `  ${name.padEnd(13)}${summary}\n`);
  }
});

for (const { name } of listCommands()) {
  Deno.test(`formatHelp() of ${name} keeps to 80 columns`, () => {
    // An example is one line, to be copied.
    const long = formatHelp(name).split("\n")
      .filter((l) => l.length > 80 && !l.startsWith("  rustyrun run "));
    assertEquals(long, []);
  });
}

Deno.test("formatHelp() of kill is the whole of it", () => {
  assertEquals(
    formatHelp("kill"),
    `Send a signal (SIGTERM) to a container.

Usage:
  rustyrun kill [FLAGS] ID [SIGNAL]

Without a signal it sends SIGTERM; docker kill sends SIGKILL. It returns at
once; docker stop waits. To end a container for sure: rustyrun kill ID KILL.

Flags:
  -a, --all                   Send it to every process of the container
  -r, --regex                 The id is a regular expression
`,
  );
});

const near: [string, string, number][] = [
  ["", "abc", 3],
  ["kitten", "sitting", 3],
  ["hostnmae", "hostname", 1],
  ["same", "same", 0],
];
for (const [a, b, want] of near) {
  Deno.test(`editDistance() of "${a}" and "${b}" is ${want}`, () => {
    assertEquals(editDistance(a, b), want);
  });
}

Deno.test("findNearest() finds nothing where nothing is near", () => {
  assertEquals(findNearest("privileged", ["rootfs", "env", "user"]), undefined);
});

Deno.test("findNearest() finds no other word that looks alike", () => {
  const flags = ["cpus", "env", "id", "init"];
  for (const name of ["dns", "ip", "pod", "gid"]) {
    assertEquals(findNearest(name, flags), undefined, name);
  }
  const commands = listCommands().map((it) => it.name);
  for (const name of ["rmi", "sed", "cat", "awk", "test"]) {
    assertEquals(findNearest(name, commands), undefined, name);
  }
});

for (const [command, rows] of listElsewhere()) {
  const what = command === "" ? "commands" : `flags of ${command}`;
  const have = command === ""
    ? listCommands().map((it) => it.name)
    : listCommands().find((it) => it.name === command)!.flags().map(readRow)
      .flatMap((it) => [it.name, ...it.aliases, it.short ?? ""]);
  const words = rows.flatMap(([names]) => names.split(" "));

  Deno.test(`listElsewhere() has ${what} that rustyrun has not, each once`, () => {
    assertEquals(words.filter((it) => have.includes(it)), []);
    assertEquals(words, [...new Set(words)]);
  });

  Deno.test(`listElsewhere() names only what there is, for ${what}`, () => {
    const flags = new Set(
      tables.flatMap(([, rows]) => rows.map(readRow))
        .flatMap((it) => [it.name, ...it.aliases]),
    );
    for (const [, hint] of rows) {
      for (const [, name] of hint.matchAll(/(?<!no )--([a-z][a-z-]*)/g)) {
        assertEquals(flags.has(name!), true, hint);
      }
      for (
        const [, name] of hint.matchAll(
          /rustyrun (?:--\S+ \S+ )?([a-z]+) (?:--|[A-Z]|-)/g,
        )
      ) {
        assertEquals(listCommands().some((it) => it.name === name), true, hint);
      }
    }
  });
}

/** Runs a program; undefined when this machine does not have it. */
function runProgram(program: string, args: string[]) {
  try {
    const { code, stdout, stderr } = new Deno.Command(program, { args })
      .outputSync();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Defines a test that needs a program; with RUSTYRUN_MUST_RUN=1 it fails
 * where there is none. */
function testWith(program: string, name: string, test: () => void) {
  const missing = runProgram(program, ["--version"]) === undefined;
  Deno.test({
    name: missing ? `${name} (needs ${program})` : name,
    ignore: missing && Deno.env.get("RUSTYRUN_MUST_RUN") !== "1",
    fn: test,
  });
}

function withFile(content: string, use: (path: string) => void) {
  const path = Deno.makeTempFileSync({ prefix: "rustyrun-cli-" });
  try {
    Deno.writeTextFileSync(path, content);
    use(path);
  } finally {
    Deno.removeSync(path);
  }
}

testWith(
  "groff",
  "formatMan() is a page that groff has nothing to say of",
  () => {
    withFile(formatMan("1.2.3"), (path) => {
      const done = runProgram("groff", [
        "-man",
        "-ww",
        "-Tascii",
        "-P-cbou",
        path,
      ])!;
      assertEquals([done.code, done.stderr], [0, ""]);
      for (const part of ["rustyrun 1.2.3", "--ephemeral[=DIR]", "128+N"]) {
        assertStringIncludes(done.stdout, part);
      }
    });
  },
);

/** [words before the cursor, what bash offers] */
const bash: [string[], string[]][] = [
  [["st"], ["start", "state"]],
  [["run", "--ro"], ["--rootfs"]],
  [["run", "--network", ""], ["none", "host"]],
  [["run", "--network", "=", "h"], ["host"]],
  [["--log-format", ""], ["text", "json"]],
  [["--root", "/x", "run", "--user"], ["--user", "--userns"]],
  [["--rootfs", "R", "--netw"], ["--network"]],
  [["--rootfs", "/et"], ["/etc"]],
  [["completions", ""], ["bash", "zsh", "fish"]],
  [["run", "-r", "R", "--ephemeral", "--rea"], ["--read-only"]],
];
for (const [words, want] of bash) {
  testWith("bash", `bash completes: rustyrun ${words.join(" ")}`, () => {
    withFile(formatCompletions("bash"), (path) => {
      // compopt works only while bash itself completes.
      const script = `compopt() { :; }; source "$1"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _rustyrun
        printf '%s\\n' "\${COMPREPLY[@]}"`;
      const done = runProgram("bash", [
        "-c",
        script,
        "bash",
        path,
        "rustyrun",
        ...words,
      ])!;
      assertEquals([done.stderr, done.stdout.trim().split("\n")], ["", want]);
    });
  });
}

testWith("zsh", "zsh takes its completions and knows the function", () => {
  withFile(formatCompletions("zsh"), (path) => {
    const script = `autoload -U compinit; compinit -u -D; source "$1"
      print -r -- $+functions[_rustyrun] $_comps[rustyrun]`;
    const done = runProgram("zsh", ["-f", "-c", script, "zsh", path])!;
    assertEquals([done.stderr, done.stdout], ["", "1 _rustyrun\n"]);
  });
});

const fish: [string, string[]][] = [
  ["rustyrun sta", ["start", "state"]],
  ["rustyrun run --roo", ["--rootfs"]],
  ["rustyrun --rootfs R --netw", ["--network"]],
  ["rustyrun run --network ", ["host", "none"]],
  ["rustyrun completions ", ["bash", "fish", "zsh"]],
];
for (const [line, want] of fish) {
  testWith("fish", `fish completes: ${line}`, () => {
    withFile(formatCompletions("fish"), (path) => {
      const done = runProgram("fish", [
        "--no-config",
        "-c",
        `source ${path}; complete -C '${line}'`,
      ])!;
      const words = done.stdout.trim().split("\n").map((l) => l.split("\t")[0]);
      assertEquals([done.stderr, words], ["", want]);
    });
  });
}

Deno.test("formatCompletions() refuses a shell that it does not know", () => {
  const error = assertThrows(() => formatCompletions("tcsh"), ContainerError);
  assertEquals(
    [error.message, error.hint, error.exitCode],
    [
      'Cannot print completions for "tcsh": there are none',
      "The shells are: bash, zsh, fish",
      1,
    ],
  );
});

Deno.test("formatMan() keeps the dots of what goes on", () => {
  assertStringIncludes(
    formatMan("1.2.3"),
    "no\\-new\\-privileges=true|false, ...\n",
  );
});
