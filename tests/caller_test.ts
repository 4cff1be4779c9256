/**
 * Who called: this process as it is started in odd surroundings, and what of a
 * caller is read in its directory of /proc (tests/integration/bytes_test.ts has
 * the whole way of what is no UTF-8).
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { type Caller, findVariable, readCaller } from "../mod/caller.ts";
import {
  deviceOf,
  guessSoftFiles,
  isHandedOn,
  readSoftFiles,
  readStatus,
} from "../mod/caller/status.ts";
import { resolvePath } from "../mod/config/flags/use.ts";
import { ContainerError } from "../mod/errors.ts";

/** Calls in a directory of its own, which may be gone afterwards. */
function inDirectory(call: (dir: string) => void): void {
  const before = Deno.cwd();
  const above = Deno.makeTempDirSync({ prefix: "rustyrun-test-caller-" });
  Deno.mkdirSync(`${above}/d`);
  Deno.chdir(`${above}/d`);
  try {
    call(`${above}/d`);
  } finally {
    Deno.chdir(before);
    Deno.removeSync(above, { recursive: true });
  }
}

/** Starts a process by a line of shell.
 *
 * @param show what it prints of its caller
 * @param line the shell's, "$@" is the process */
function ask(show: string, line = '"$@"', env: Record<string, string> = {}) {
  const { stdout, stderr } = new Deno.Command("/bin/sh", {
    args: [
      "-c",
      line,
      "sh",
      Deno.execPath(),
      "eval",
      "--no-check",
      `import { readCaller } from "${import.meta.resolve("../mod/caller.ts")}";
       const caller = readCaller();
       const told = JSON.stringify(${show}, (_, it) =>
         typeof it === "bigint" ? String(it) : it);
       Deno.writeTextFileSync("/dev/fd/9", told);`,
    ].map((it, at) => at === 1 ? `exec 9>&1; ${it}` : it),
    clearEnv: true,
    env: {
      DENO_DIR: Deno.env.get("DENO_DIR") ??
        `${Deno.env.get("HOME")}/.cache/deno`,
      ...env,
    },
  }).outputSync();
  const text = new TextDecoder().decode(stdout);
  if (text === "") throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(text);
}

Deno.test("the directory is the current one", () => {
  inDirectory((dir) =>
    assertEquals(readCaller().directory(), Deno.realPathSync(dir))
  );
});

Deno.test("a deleted current directory is an error where it is needed, and only there", () => {
  inDirectory((dir) => {
    Deno.removeSync(dir);
    const { directory } = readCaller();
    assertEquals(resolvePath(directory, "/bundle"), "/bundle");
    const error = assertThrows(
      () => resolvePath(directory, "bundle"),
      ContainerError,
      "Cannot find the current directory: it was deleted, may not be entered, or has too long a path",
    );
    assertEquals(error.code, "current-directory");
  });
});

Deno.test("the environment is the caller's, without what Deno adds", () => {
  const environment: Caller["environment"] = ask(
    "caller.environment",
    undefined,
    { A: "1=2", EMPTY: "" },
  );
  assertEquals(
    environment.filter((it) => !/^(DENO_DIR|PWD|SHLVL|_)=/.test(it)).sort(),
    ["A=1=2", "EMPTY="],
  );
});

Deno.test("findVariable() is undefined for what is not set", () => {
  const environment = ["AB=1", "A=2=3", "E="];
  assertEquals(
    ["A", "AB", "E", "B", "A=2"].map((it) => findVariable(environment, it)),
    ["2=3", "1", "", undefined, "3"],
  );
});

for (const [umask, want] of [["000", 0], ["077", 0o77], ["0177", 0o177]]) {
  Deno.test(`a umask of ${umask}`, () => {
    assertEquals(ask("caller.umask", `umask ${umask}; "$@"`), want);
  });
}

for (
  const [name, line, want] of [
    ["files and pipes", '"$@" </etc/passwd', ["other", "other", "other"]],
    ["the null device", '"$@" </dev/null 2>/dev/null', [
      "null",
      "other",
      "null",
    ]],
    ["devices that everybody has", '"$@" </dev/zero 2>/dev/urandom', [
      "zero",
      "other",
      "urandom",
    ]],
    ["a terminal", '"$@" </dev/ptmx', ["terminal", "other", "other"]],
    // Deno opens the null device where one is closed.
    ["closed streams", '"$@" <&- >&- 2>&-', ["null", "null", "null"]],
  ] as const
) {
  Deno.test(`streams that are ${name}`, () => {
    assertEquals(ask("caller.streams", line), want);
    assertEquals(
      ask("[0, 1, 2].map(caller.isTerminal)", line),
      want.map((it) => (it as string) === "terminal"),
    );
  });
}

Deno.test("low limits are the caller's, not what Deno makes of them", () => {
  assertEquals(
    ask("caller.fileLimit", 'ulimit -Sn 300; ulimit -Hn 500; "$@"; :'),
    { soft: "300", hard: "500" },
  );
});

for (
  const [name, parent, hard, want] of [
    ["the parent's below the hard one", 4096, 20000n, 4096n],
    ["1024 when the parent's is the hard one", 20000, 20000n, 1024n],
    ["1024 when the parent's is not known", undefined, 20000n, 1024n],
    ["a hard one below 1024", undefined, 100n, 100n],
  ] as const
) {
  Deno.test(`guessSoftFiles() is ${name}`, () => {
    assertEquals(guessSoftFiles(parent, hard), want);
  });
}

/** A directory as /proc/PID, with these files. */
function makeProc(
  files: Record<string, string>,
): Disposable & { proc: string } {
  const proc = Deno.makeTempDirSync({ prefix: "rustyrun-test-proc-" });
  Deno.mkdirSync(`${proc}/fdinfo`);
  for (const [name, text] of Object.entries(files)) {
    Deno.writeTextFileSync(`${proc}/${name}`, text);
  }
  return {
    proc,
    [Symbol.dispose]: () => Deno.removeSync(proc, { recursive: true }),
  };
}

Deno.test("deviceOf() tells a device by its number, and by no name", () => {
  using made = makeProc({ null: "" });
  const { proc } = made;
  Deno.mkdirSync(`${proc}/fd`);
  Deno.symlinkSync("/dev/full", `${proc}/other`);
  [`${proc}/other`, "/dev/random", `${proc}/null`, "/dev/tty"].forEach(
    (to, fd) => Deno.symlinkSync(to, `${proc}/fd/${fd}`),
  );
  assertEquals([0, 1, 2, 3, 4].map((fd) => deviceOf(proc, fd)), [
    "full",
    "random",
    undefined,
    undefined,
    undefined,
  ]);
});

Deno.test("readStatus() takes the effective ids and capabilities", () => {
  using made = makeProc({
    status: `Name:\tUid:\t7
Umask:\t0177
State:\tR (running)
Uid:\t1000\t1001\t1002\t1003
Gid:\t2000\t2001\t2002\t2003
CapInh:\t0000000000000001
CapPrm:\t000001ffffffffff
CapEff:\t00000000a80425fb
`,
  });
  assertEquals(readStatus(made.proc), {
    uid: 1001,
    gid: 2001,
    caps: 0xa80425fbn,
    umask: 0o177,
  });
});

Deno.test("isHandedOn() is of what is open and not close-on-exec", () => {
  using made = makeProc({
    "fdinfo/3": "pos:\t0\nflags:\t0100002\nmnt_id:\t13\n",
    "fdinfo/4": "pos:\t0\nflags:\t02100002\nmnt_id:\t13\n",
  });
  assertEquals([3, 4, 5].map((fd) => isHandedOn(made.proc, fd)), [
    true,
    false,
    false,
  ]);
});

Deno.test("readSoftFiles() of what is not there is not known", () => {
  assertEquals(readSoftFiles(0), undefined);
});
