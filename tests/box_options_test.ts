/**
 * The library's options: each flag of `run` has one, and both are read alike.
 *
 * @module
 */

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { splitSpawn } from "../mod/box/command.ts";
import { readOptions, SANDBOX_FLAGS, SPAWN_FLAGS } from "../mod/box/flags.ts";
import { execFlags, runFlags } from "../mod/cli/flag_lists.ts";
import { readRow } from "../mod/cli/flag_row.ts";
import { globalFlags } from "../mod/cli/flags.ts";
import { parseArgs } from "../mod/cli/parse.ts";
import { ContainerError } from "../mod/errors.ts";

/** Flags of `run` that no option stands for, and why. */
const NO_OPTION: Record<string, string> = {
  command: "the command is an array of words",
  interactive: "the option stdin says what is read",
  tty: "a program reads and writes streams; a terminal is for a person",
  rm: "a sandbox goes when it is disposed of",
  detach: "a run is awaited, or not",
  keep: "a sandbox goes when it is disposed of",
  "pid-file": "Sandbox.pid and Run.started are the pids",
  "console-socket": "there is no terminal",
  "pidfd-socket": "the library itself waits for the process",
  "preserve-fds": "descriptors of a Deno program are not its own to pass on",
  explain: "Sandbox.explain()",
  json: "results and errors are objects",
  verbose: "errors have their cause",
  "no-subreaper": "the library adopts nothing",
  bundle: "a bundle says its own command: rustyrun run --bundle",
  config: "as --bundle",
  timeout: "the option of that name is the library's own",
  "max-output": "as --timeout",
  "result-fd": "a run is awaited for the same members",
};

/** The same of `exec`. */
const NO_SPAWN_OPTION: Record<string, string> = {
  ...NO_OPTION,
  process: "the options say the process",
  "additional-gids": "the user's groups are those of the image",
  cap: "more than the sandbox has is for the sandbox's own options",
  "no-new-privs": "the sandbox's own securityOpt",
  apparmor: "the sandbox's own securityOpt",
  "process-label": "the sandbox's own securityOpt",
  cgroup: "each run has a cgroup of its own",
  "ignore-paused": "what is run would wait for resume()",
};

const RUN = runFlags().map(readRow);

Deno.test("every flag of run has an option, or a reason why not", () => {
  const options = Object.values(SANDBOX_FLAGS).filter((it) => !it.global)
    .map((it) => it.flag);
  assertEquals(
    RUN.map((it) => it.name).filter((it) =>
      !options.includes(it) && NO_OPTION[it] === undefined
    ),
    [],
  );
  assertEquals(
    options.filter((it) => !RUN.some(({ name }) => name === it)),
    [],
  );
});

Deno.test("every flag of exec has an option, or a reason why not", () => {
  const options = Object.values(SPAWN_FLAGS).map((it) => it.flag);
  const flags = execFlags().map(readRow).map((it) => it.name);
  assertEquals(
    flags.filter((it) =>
      !options.includes(it) && NO_SPAWN_OPTION[it] === undefined
    ),
    [],
  );
  assertEquals(options.filter((it) => !flags.includes(it)), []);
});

const KINDS: Record<string, string[]> = {
  boolean: ["switch"],
  string: ["text"],
  optional: ["optional"],
  list: ["list", "pairs"],
};

for (const [name, row] of Object.entries(SANDBOX_FLAGS)) {
  Deno.test(`the option ${name} is of its flag's kind`, () => {
    const flag = (row.global ? globalFlags().map(readRow) : RUN)
      .find((it) => it.name === row.flag)!;
    assertEquals(KINDS[flag.type]!.includes(row.kind), true);
    assertEquals(row.choices, flag.choices);
  });
}

Deno.test("options are read as the same flags on a command line", () => {
  const { global, flags } = readOptions({
    rootfs: "/r",
    ephemeral: true,
    readOnly: false,
    volumes: ["/a:/b", "/c:/d:ro"],
    env: { A: "1", B: undefined },
    ulimits: { nofile: 64, cpu: "1:2" },
    memory: "64m",
    cpus: 0.5,
    user: 1000,
    network: undefined,
    stateDir: "/s",
  }, SANDBOX_FLAGS);
  const parsed = parseArgs([
    ...["--root", "/s", "run", "--rootfs", "/r", "--ephemeral"],
    ...["--read-only=false", "-v", "/a:/b", "-v", "/c:/d:ro"],
    ...["-e", "A=1", "-e", "B", "--ulimit", "nofile=64", "--ulimit"],
    ...["cpu=1:2", "--memory", "64m", "--cpus", "0.5", "--user", "1000"],
  ]);
  const values = (uses: typeof parsed.flags) =>
    Object.fromEntries(
      [...uses].map(([name, list]) => [name, list.map((it) => it.value)]),
    );
  assertEquals(values(flags), values(parsed.flags));
  assertEquals(values(global), values(parsed.global));
  assertEquals(flags.get("memory")![0]!.typed, 'memory: "64m"');
});

Deno.test("ephemeral: false is no flag, as without it", () => {
  assertEquals(
    [
      ...readOptions({ ephemeral: false, volumes: [] }, SANDBOX_FLAGS).flags
        .keys(),
    ],
    [],
  );
});

for (
  const [options, message] of [
    [{ memroy: "1m" }, 'Cannot use memroy: "1m": there is no option "memroy"'],
    [{ memory: true }, "Cannot use the option memory: true is not a text"],
    [{ readOnly: "yes" }, 'Cannot use the option readOnly: "yes" is not true'],
    [{ volumes: "/a:/b" }, "is not an array of texts"],
    [{ env: ["A=1"] }, "is not an object"],
    [{ env: { A: null } }, "is not an object"],
    [{ network: "bridge" }, '"bridge" is not one of its values'],
    [{ cpus: NaN }, "NaN is not a text or a number"],
    [{ env: { "A=B": "c" } }, 'the option env: "A=B" is no name'],
    [{ toString: "a" }, 'there is no option "toString"'],
  ] as [Record<string, unknown>, string][]
) {
  Deno.test(`options ${JSON.stringify(options)} are refused`, () => {
    const error = assertThrows(
      () => readOptions(options, SANDBOX_FLAGS),
      ContainerError,
      message,
    );
    assertEquals(error.code, "invalid-option");
  });
}

Deno.test("a name that is no option: the nearest one, else those that there are", () => {
  const hintOf = (read: () => unknown) =>
    assertThrows(read, ContainerError).hint;
  const sandbox = (name: string) =>
    hintOf(() => readOptions({ [name]: 1 }, SANDBOX_FLAGS));
  const command = (name: string) => hintOf(() => splitSpawn({ [name]: 1 }));
  assertEquals(sandbox("memroy"), "The nearest one is memory");
  assertMatch(sandbox("alpine")!, /^A sandbox's options are: rootfs, /);
  assertEquals(command("tiemout"), "The nearest one is timeout");
  assertEquals(
    command("memory"),
    "A command's options are: env, cwd, user, stdin, timeout, signal, maxOutput",
  );
});
