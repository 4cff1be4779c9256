/**
 * Hooks of the runtime's namespaces, with /bin/sh: what they get, their order,
 * and every way to fail.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeFd, libc, syscall } from "../ffi/libc.ts";
import { spawnWithStreams } from "../ffi/spawn.ts";
import { waitProcess } from "../ffi/libc.ts";
import type { Hook } from "../mod/config/schema.ts";
import { ContainerError } from "../mod/errors.ts";
import { type HookState, runHook, runHooks } from "../mod/hooks.ts";

// Opened here: a library that a test opens counts as its leak.
libc();
waitProcess(spawnWithStreams("/bin/true", ["true"], [], new Map()));

/** Where the hooks run. */
const BUNDLE = Deno.makeTempDirSync({ prefix: "rustyrun-hooks-bundle-" });
addEventListener("unload", () => Deno.removeSync(BUNDLE));

const STATE: HookState = {
  ociVersion: "1.3.0",
  id: "box",
  status: "creating",
  pid: 4711,
  bundle: BUNDLE,
  annotations: { "a.b": "ü" },
};

/** A directory of its own for one test. */
function makeDir(): Disposable & { path: string; read(name: string): string } {
  const path = Deno.makeTempDirSync({ prefix: "rustyrun-hooks-" });
  return {
    path,
    read: (name) => Deno.readTextFileSync(`${path}/${name}`),
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

/** A hook that is a line of shell. */
const shell = (line: string, more: Partial<Hook> = {}): Hook => ({
  path: "/bin/sh",
  args: ["sh", "-c", line],
  ...more,
});

function failure(hook: Hook): ContainerError {
  return assertThrows(
    () => runHook("createRuntime", hook, STATE),
    ContainerError,
  );
}

Deno.test("runHook() gives the state on stdin, whole and at its beginning", () => {
  using dir = makeDir();
  runHook("prestart", shell(`cat >${dir.path}/state`), STATE);
  assertEquals(JSON.parse(dir.read("state")), STATE);
});

Deno.test("runHook() runs in the bundle", () => {
  using dir = makeDir();
  runHook("prestart", shell(`pwd >${dir.path}/cwd`), STATE);
  assertEquals(dir.read("cwd"), `${Deno.realPathSync(BUNDLE)}\n`);
});

Deno.test("runHook() gives of equal names the last, and a word as it is", () => {
  using dir = makeDir();
  const hook = shell(`tr '\\0' '\\n' </proc/$$/environ >${dir.path}/env`);
  const env = ["A=1", "WORD", "B=", "A=2", "WORDS=1"];
  runHook("prestart", { ...hook, env }, STATE);
  assertEquals(dir.read("env"), "WORD\nB=\nA=2\nWORDS=1\n");
});

Deno.test("runHook() throws when the hook is missing, and the bundle is not", () => {
  const hook = { path: "/none/such" };
  const error = assertThrows(
    () => runHook("poststop", hook, STATE),
    ContainerError,
  );
  assertEquals([error.message, error.hint], [
    'Cannot run the poststop hook "/none/such": posix_spawn: ENOENT (no such file or directory)',
    "Its path is one of the host, and it must be executable; a script needs the program of its #! line",
  ]);
});

Deno.test("runHook() throws when the bundle is a file", () => {
  const bundle = Deno.makeTempFileSync({ prefix: "rustyrun-hooks-" });
  try {
    const error = assertThrows(
      () => runHook("poststop", shell("exit 0"), { ...STATE, bundle }),
      ContainerError,
    );
    assertEquals(
      error.message,
      `Cannot run the poststop hook "/bin/sh": its working directory "${bundle}": not a directory`,
    );
  } finally {
    Deno.removeSync(bundle);
  }
});

Deno.test("runHook() throws when there is no bundle", () => {
  const error = assertThrows(
    () =>
      runHook(
        "prestart",
        shell("exit 0"),
        { ...STATE, bundle: "/nowhere" },
      ),
    ContainerError,
  );
  assertEquals([error.message, error.hint], [
    'Cannot run the prestart hook "/bin/sh": its working directory "/nowhere": no such file or directory',
    "It is the bundle, which must stay until the container is deleted",
  ]);
});

Deno.test("runHook() gives a large state whole", () => {
  using dir = makeDir();
  const state = { ...STATE, annotations: { big: "x".repeat(300_000) } };
  runHook("prestart", shell(`/bin/cat >${dir.path}/state`), state);
  assertEquals(JSON.parse(dir.read("state")), state);
});

Deno.test("runHook() passes the arguments, the first as the program's name", () => {
  using dir = makeDir();
  runHook(
    "prestart",
    {
      path: "/bin/sh",
      args: [
        "my name",
        "-c",
        `echo "$0|$1|$2" >${dir.path}/args`,
        "a b",
        "",
        "ü",
      ],
    },
    STATE,
  );
  assertEquals(dir.read("args"), "a b||ü\n");
});

for (
  const [what, args] of [["no", undefined], ["an empty list of", []]] as const
) {
  Deno.test(`runHook() with ${what} arguments has its path as the name`, () => {
    using dir = makeDir();
    const path = `${dir.path}/hook`;
    Deno.writeTextFileSync(
      path,
      `#!/bin/sh\necho "$0 $#" >${dir.path}/args\n`,
      {
        mode: 0o755,
      },
    );
    runHook("prestart", { path, ...(args && { args: [...args] }) }, STATE);
    assertEquals(dir.read("args"), `${path} 0\n`);
  });
}

Deno.test("runHook() gives the hook's own environment and nothing else", () => {
  using dir = makeDir();
  runHook(
    "prestart",
    shell(`/usr/bin/env >${dir.path}/env`, { env: ["A=1", "B=x y"] }),
    STATE,
  );
  const lines = dir.read("env").trim().split("\n").filter((it) =>
    !/^(PWD|_|SHLVL|OLDPWD)=/.test(it)
  );
  assertEquals(lines.sort(), ["A=1", "B=x y"]);
});

for (const [what, own] of [["names none", {}], ["says so", { env: [] }]]) {
  Deno.test(`runHook() gives an empty environment where the hook ${what}`, () => {
    using dir = makeDir();
    // A shell adds its own.
    const hook = shell(`tr '\\0' '\\n' </proc/$$/environ >${dir.path}/env`);
    runHook("prestart", { ...hook, ...own as object }, STATE);
    assertEquals(dir.read("env"), "");
  });
}

Deno.test("runHook() runs in the bundle, and in a session of its own", () => {
  using dir = makeDir();
  runHook(
    "prestart",
    shell("pwd >where; echo $$ $(cut -d' ' -f6 /proc/self/stat) >session", {
      env: ["PATH=/usr/bin:/bin"],
    }),
    { ...STATE, bundle: dir.path },
  );
  assertEquals(dir.read("where"), `${dir.path}\n`);
  const [pid, session] = dir.read("session").trim().split(" ").map(Number);
  assert(pid! > 0 && session === pid, dir.read("session"));
});

Deno.test("runHook() lends no descriptor beside 0, 1 and 2", () => {
  using dir = makeDir();
  using _open = Deno.openSync("/dev/null");
  // F_DUPFD: as what this process has from its own caller, open after exec.
  const handed = syscall("fcntl", 0, 0, 30);
  try {
    runHook(
      "prestart",
      shell(`/bin/ls /proc/self/fd >${dir.path}/fds`),
      STATE,
    );
  } finally {
    closeFd(handed);
  }
  // ls has one more, for the directory that it reads.
  assertEquals(dir.read("fds"), "0\n1\n2\n3\n");
});

for (
  const [what, hook, why] of [
    ["fails", shell("exit 3"), "exit status 3"],
    ["exits with 255", shell("exit 255"), "exit status 255"],
    ["is killed", shell("kill -9 $$"), "signal 9 killed it"],
    [
      "takes too long",
      shell("exec sleep 1000", {
        timeout: 1,
        env: ["PATH=/usr/bin:/bin"],
      }),
      "it took longer than its timeout of 1 s",
    ],
  ] as const
) {
  Deno.test(`runHook() throws when the hook ${what}`, () => {
    assertEquals(failure(hook).toJSON(), {
      error: `Cannot run the createRuntime hook "/bin/sh": ${why}`,
      code: "hook",
      hint: "The hook's own output above may say more",
      exitCode: 125,
    });
  });
}

for (
  const [what, path, why] of [
    ["is missing", "/nowhere/hook", "ENOENT (no such file or directory)"],
    ["may not be executed", "/etc/passwd", "EACCES (permission denied)"],
    ["is a directory", "/etc", "EACCES (permission denied)"],
  ] as const
) {
  Deno.test(`runHook() throws when the hook ${what}`, () => {
    assertEquals(
      failure({ path }).message,
      `Cannot run the createRuntime hook "${path}": posix_spawn: ${why}`,
    );
  });
}

/** Whether a process has the variable; its pid may be another's by now. */
function isRunning(pid: string, variable: string): boolean {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/environ`).includes(variable);
  } catch {
    return false;
  }
}

Deno.test("runHook() kills a hook at its timeout, and does not wait for its end", () => {
  using dir = makeDir();
  const mark = `MARK=${dir.path}`;
  const line =
    `echo $$ >${dir.path}/new; /bin/mv ${dir.path}/new ${dir.path}/pid
    exec /bin/sleep 1000`;
  // A slow machine may need more than a second until there is a pid.
  for (let timeout = 1; timeout < 100; timeout *= 2) {
    const begin = performance.now();
    failure(shell(line, { timeout, env: [mark] }));
    const took = performance.now() - begin;
    assert(took >= timeout * 1000 && took < 900_000, `${took} ms`);
    if ([...Deno.readDirSync(dir.path)].some((it) => it.name === "pid")) break;
  }
  assert(!isRunning(dir.read("pid").trim(), mark));
});

Deno.test("runHook() waits for a hook that ends before its timeout", () => {
  using dir = makeDir();
  runHook(
    "prestart",
    shell(`/bin/sleep 0.1; echo done >${dir.path}/end`, { timeout: 30 }),
    STATE,
  );
  assertEquals(dir.read("end"), "done\n");
});

Deno.test("runHook() leaves no descriptor open, whether it works or fails", () => {
  const count = () => [...Deno.readDirSync("/proc/self/fd")].length;
  runHook("prestart", shell("exit 0"), STATE);
  const before = count();
  for (let i = 0; i < 5; i++) {
    runHook("prestart", shell("exit 0"), STATE);
    failure(shell("exit 1"));
    failure({ path: "/nowhere" });
  }
  assertEquals(count(), before);
});

Deno.test("runHooks() runs them one after the other, in their order", () => {
  using dir = makeDir();
  const add = (word: string) =>
    shell(`/bin/sleep 0.0${word.length}; echo ${word} >>${dir.path}/order`);
  runHooks("prestart", ["three", "fo", "x"].map(add), STATE);
  assertEquals(dir.read("order"), "three\nfo\nx\n");
});

Deno.test("runHooks() stops at the first that fails", () => {
  using dir = makeDir();
  const add = (word: string, code = 0) =>
    shell(`echo ${word} >>${dir.path}/order; exit ${code}`);
  const error = assertThrows(
    () => runHooks("poststart", [add("a"), add("b", 7), add("c")], STATE),
    ContainerError,
  );
  assertEquals(
    error.message,
    'Cannot run the poststart hook "/bin/sh": exit status 7',
  );
  assertEquals(dir.read("order"), "a\nb\n");
});

for (const none of [undefined, null, []]) {
  Deno.test(`runHooks() of ${JSON.stringify(none)} does nothing`, () => {
    using dir = makeDir();
    const mark = shell(`echo x >>${dir.path}/ran`);
    // A hook cannot be run without the state, nor without its directory.
    const asked: PropertyKey[] = [];
    const state = new Proxy({ ...STATE, bundle: dir.path }, {
      get(target, name) {
        asked.push(name);
        return Reflect.get(target, name);
      },
    });
    runHooks("prestart", none, state);
    assertEquals([asked, [...Deno.readDirSync(dir.path)]], [[], []]);
    runHooks("prestart", [mark], state);
    assert(asked.includes("bundle"));
    assertEquals(dir.read("ran"), "x\n");
  });
}
