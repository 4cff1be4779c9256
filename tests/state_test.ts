/**
 * The state directory: who owns an id, locks, files that are replaced, and
 * whether a process is still the one that was written down.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { testOn } from "./needs.ts";
import { waitFor } from "./wait.ts";
import { closeFd, libc, syscall } from "../ffi/libc.ts";
import { emptyState, removeState } from "../mod/container/kept/removal.ts";
import { ContainerError } from "../mod/errors.ts";
import {
  bootId,
  claimState,
  encodeState,
  holdState,
  isAlive,
  lockState,
  makeExecFifo,
  readLeftovers,
  readProcess,
  readSaved,
  readState,
  replaceFile,
  type State,
  type StateDir,
  tryLockState,
  writeLeftovers,
  writeSaved,
  writeState,
} from "../mod/state.ts";

libc();

const STATE: State = {
  version: 1,
  id: "box",
  ociVersion: "1.3.0",
  pid: Deno.pid,
  startTime: readProcess(Deno.pid)!.startTime,
  bootId: bootId(),
  bundle: "/bundle",
  rootfs: "/bundle/rootfs",
  created: "2026-01-02T03:04:05.678Z",
  owner: "root",
  foreground: false,
  waits: true,
  sharesPids: false,
  cgroup: { dirs: [] },
  hasPoststop: false,
  hasPoststart: false,
};

/** A root for states; its descriptors are closed at the end. */
function makeRoot() {
  const path = Deno.makeTempDirSync({ prefix: "rustyrun-state-" });
  const open: number[] = [];
  return {
    path,
    claim(id = "box") {
      // What holds the lock here never lets go of it.
      const dir = claimState(path, id, 20);
      open.push(dir.fd);
      return dir;
    },
    /** Ends the claim as a SIGKILL does: nothing is removed. */
    die(dir: StateDir) {
      closeFd(dir.fd);
    },
    names: (id = "box") =>
      [...Deno.readDirSync(`${path}/${id}`)].map((it) => it.name).sort(),
    [Symbol.dispose]() {
      for (const fd of open) closeFd(fd);
      Deno.removeSync(path, { recursive: true });
    },
  };
}

const countFds = () => [...Deno.readDirSync("/proc/self/fd")].length;

function refusal(call: () => unknown): ContainerError {
  return assertThrows(call, ContainerError);
}

/** How often a refusal was waited for, and what it says. No clock: that goes on
 * where a busy machine does not. */
function countPauses(call: () => ContainerError): [number, unknown] {
  const { wait } = Atomics;
  let pauses = 0;
  Atomics.wait = ((...args: Parameters<typeof wait>) => {
    pauses++;
    return wait(...args);
  }) as typeof wait;
  try {
    const error = call();
    return [pauses, error.toJSON()];
  } finally {
    Atomics.wait = wait;
  }
}

const EXISTS = {
  error: 'Cannot create "box": container with given ID already exists',
  code: "id-exists",
  hint: "Choose another id, or remove it first: rustyrun delete box",
  exitCode: 125,
};

Deno.test("claimState() makes a private directory and holds its lock", () => {
  using root = makeRoot();
  const dir = root.claim();
  assertEquals([dir.path, dir.reused], [`${root.path}/box`, false]);
  assertEquals(Deno.statSync(dir.path).mode! & 0o777, 0o700);
  assertEquals(holdState(root.path, "box", 0), "busy");
});

Deno.test("claimState() makes the root where it is missing, private too", () => {
  using root = makeRoot();
  const deep = `${root.path}/a/b`;
  closeFd(claimState(deep, "box").fd);
  assertEquals(Deno.statSync(deep).mode! & 0o777, 0o700);
});

Deno.test("claimState() refuses an id that is being made, after a while", () => {
  using root = makeRoot();
  root.claim();
  const [pauses, error] = countPauses(() => refusal(() => root.claim()));
  assertEquals(error, EXISTS);
  assert(pauses > 0);
});

Deno.test("claimState() refuses the id of a container, at once", () => {
  using root = makeRoot();
  const dir = root.claim();
  writeState(dir, STATE);
  assertEquals(countPauses(() => refusal(() => root.claim())), [0, EXISTS]);
  root.die(dir);
  assertEquals(countPauses(() => refusal(() => root.claim())), [0, EXISTS]);
});

testOn(["helper"], "claimState() takes over what a killed creator left", () => {
  using root = makeRoot();
  const first = root.claim();
  writeLeftovers(first, { cgroups: ["/x"] });
  closeFd(makeExecFifo(first));
  root.die(first);
  const again = root.claim();
  assertEquals(again.reused, true);
  assertEquals(readLeftovers(again), { cgroups: ["/x"] });
  emptyState(again);
  assertEquals(root.names(), []);
  closeFd(makeExecFifo(again));
});

Deno.test("claimState() leaves a directory alone that is not a state", () => {
  using root = makeRoot();
  Deno.mkdirSync(`${root.path}/box`, { mode: 0o700 });
  Deno.writeTextFileSync(`${root.path}/box/thesis.txt`, "years of work");
  assertEquals(
    refusal(() => root.claim()).message,
    `Cannot create "box": "${root.path}/box" exists and is not rustyrun's`,
  );
  assertEquals(root.names(), ["thesis.txt"]);
});

for (
  const [what, make] of [
    ["a file", (path: string) => Deno.writeTextFileSync(path, "")],
    ["a symbolic link", (path: string) => Deno.symlinkSync("/tmp", path)],
  ] as const
) {
  Deno.test(`claimState() refuses ${what} of that name`, () => {
    using root = makeRoot();
    make(`${root.path}/box`);
    assertEquals(refusal(() => root.claim()).code, "state-directory");
  });
}

Deno.test("claimState() says when the root cannot be made", () => {
  const error = refusal(() => claimState("/proc/nowhere/states", "box"));
  assertEquals(error.code, "state-directory");
  assert(
    error.message.startsWith(
      'Cannot keep the container\'s state in "/proc/nowhere/states": ',
    ),
  );
});

Deno.test("claimState() of one id by many processes is won by one", async () => {
  using root = makeRoot();
  const script = `import { claimState, writeState } from "${
    import.meta.resolve("../mod/state.ts")
  }";
    try {
      const dir = claimState(${JSON.stringify(root.path)}, "box");
      writeState(dir, ${JSON.stringify(STATE)});
      console.log("won");
    } catch (error) { console.log(error.code); }`;
  const run = () =>
    new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-check", script],
      stderr: "inherit",
    }).output();
  const outputs = await Promise.all(Array.from({ length: 6 }, run));
  const words = outputs.map((it) => new TextDecoder().decode(it.stdout).trim());
  assertEquals(words.sort(), [
    "id-exists",
    "id-exists",
    "id-exists",
    "id-exists",
    "id-exists",
    "won",
  ]);
});

testOn(
  ["strace"],
  "claimState() refuses an id that another took between mkdir and the lock",
  async () => {
    using root = makeRoot();
    const script = `import { claimState } from "${
      import.meta.resolve("../mod/state.ts")
    }";
    try {
      claimState(${JSON.stringify(root.path)}, "box");
      console.log("won");
    } catch (error) { console.log(error.code); }`;
    const child = new Deno.Command("strace", {
      args: [
        ...["-f", "-qq", "-o", "/dev/null", "-P", `${root.path}/box`],
        ...["-e", "trace=mkdir,mkdirat"],
        // Until the tracer is killed.
        ...["-e", "inject=mkdir,mkdirat:delay_exit=600000000"],
        ...[Deno.execPath(), "eval", "--no-check", script],
      ],
      stdout: "piped",
    }).spawn();
    await waitFor(() => Deno.statSync(`${root.path}/box`));
    const dir = root.claim();
    writeState(dir, STATE);
    root.die(dir);
    child.kill("SIGKILL");
    const { stdout } = await child.output();
    assertEquals(new TextDecoder().decode(stdout), "id-exists\n");
  },
);

Deno.test("claimState() leaves no descriptor open when it refuses", () => {
  using root = makeRoot();
  root.claim();
  const before = countFds();
  for (let i = 0; i < 3; i++) refusal(() => root.claim());
  assertEquals(countFds(), before);
});

Deno.test("holdState() finds nothing where nothing is", () => {
  using root = makeRoot();
  assertEquals(holdState(root.path, "box", 0), undefined);
});

Deno.test("holdState() takes what nobody holds", () => {
  using root = makeRoot();
  root.die(root.claim());
  const dir = holdState(root.path, "box", 0);
  assert(dir !== undefined && dir !== "busy");
  assertEquals(holdState(root.path, "box", 0), "busy");
  closeFd(dir.fd);
});

testOn(
  ["helper"],
  "removeState() removes everything, the directory too",
  () => {
    using root = makeRoot();
    const dir = root.claim();
    writeState(dir, STATE);
    writeSaved(dir, {});
    writeLeftovers(dir, {});
    Deno.mkdirSync(`${dir.path}/notify`);
    removeState(dir);
    assertThrows(() => Deno.statSync(dir.path), Deno.errors.NotFound);
    removeState(dir);
  },
);

testOn(
  ["helper"],
  "removeState() leaves a directory that has become another's",
  () => {
    using root = makeRoot();
    const old = root.claim();
    Deno.removeSync(old.path);
    const next = root.claim();
    writeState(next, STATE);
    removeState(old);
    assertEquals(readState(root.path, "box"), STATE);
  },
);

Deno.test("readState() reads what writeState() wrote, privately", () => {
  using root = makeRoot();
  const dir = root.claim();
  const state = { ...STATE, annotations: { a: "ü\n", "": "x" } };
  writeState(dir, state);
  assertEquals(readState(root.path, "box"), state);
  assertEquals(
    Deno.statSync(`${dir.path}/state.json`).mode! & 0o777,
    0o600,
  );
});

Deno.test("readState() finds nothing in rubbish, in a file, and nowhere", () => {
  using root = makeRoot();
  root.claim();
  Deno.writeTextFileSync(`${root.path}/file`, "");
  for (const id of ["box", "file", "none"]) {
    assertEquals(readState(root.path, id), undefined, id);
  }
});

Deno.test("readLeftovers() of none, or of half a file, is undefined", () => {
  using root = makeRoot();
  const dir = root.claim();
  assertEquals(readLeftovers(dir), undefined);
  Deno.writeTextFileSync(`${dir.path}/leftovers.json`, '{"cgroups":[');
  assertEquals(readLeftovers(dir), undefined);
});

Deno.test("replaceFile() puts a new file in the place of the old one", () => {
  using root = makeRoot();
  const path = `${root.path}/file`;
  replaceFile(path, "old");
  const before = Deno.statSync(path).ino;
  using reader = Deno.openSync(path);
  replaceFile(path, "new", 0o644);
  assertEquals(Deno.readTextFileSync(path), "new");
  assert(Deno.statSync(path).ino !== before);
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o644 & ~Deno.umask());
  const buffer = new Uint8Array(8);
  assertEquals(reader.readSync(buffer), 3);
  assertEquals([...Deno.readDirSync(root.path)].map((it) => it.name), ["file"]);
});

Deno.test("replaceFile() replaces a symbolic link, not what it leads to", () => {
  using root = makeRoot();
  Deno.writeTextFileSync(`${root.path}/target`, "kept");
  Deno.symlinkSync("target", `${root.path}/link`);
  replaceFile(`${root.path}/link`, "new");
  assertEquals(Deno.readTextFileSync(`${root.path}/target`), "kept");
  assertEquals(Deno.readTextFileSync(`${root.path}/link`), "new");
});

for (
  const [value, text] of [
    [{ a: 1, b: "x" }, '{"a":1,"b":"x"}'],
    [{ max: 18446744073709551615n }, '{"max":18446744073709551615}'],
    [[-9223372036854775808n, 0n], "[-9223372036854775808,0]"],
    [{ gone: undefined, list: [] }, '{"list":[]}'],
  ] as [unknown, string][]
) {
  Deno.test(`encodeState() writes ${text}`, () => {
    assertEquals(encodeState(value), text);
  });
}

Deno.test("writeSaved() and readSaved() keep the text", () => {
  using root = makeRoot();
  writeSaved(root.claim(), { limit: 2n ** 63n });
  assertEquals(readSaved(root.path, "box"), '{"limit":9223372036854775808}');
});

Deno.test("lockState() lets one command in", () => {
  using root = makeRoot();
  root.claim();
  const lock = lockState(root.path, "box")!;
  assertEquals(tryLockState(root.path, "box"), "busy");
  closeFd(lock);
  const next = tryLockState(root.path, "box");
  assert(typeof next === "number");
  closeFd(next);
});

Deno.test("lockState() says that there is no such container", () => {
  using root = makeRoot();
  Deno.writeTextFileSync(`${root.path}/file`, "");
  for (const id of ["none", "file"]) {
    assertEquals(lockState(root.path, id), undefined);
    assertEquals(tryLockState(root.path, id), undefined);
  }
});

Deno.test("lockState() follows no link", () => {
  using root = makeRoot();
  const dir = root.claim();
  Deno.symlinkSync(`${root.path}/stolen`, `${dir.path}/lock`);
  assertThrows(
    () => lockState(root.path, "box"),
    Error,
    "too many levels of symbolic links",
  );
  assertThrows(
    () => Deno.statSync(`${root.path}/stolen`),
    Deno.errors.NotFound,
  );
});

Deno.test("makeExecFifo() makes a fifo that is full, for its owner alone", () => {
  using root = makeRoot();
  const dir = root.claim();
  const fd = makeExecFifo(dir);
  const info = Deno.statSync(`${dir.path}/exec.fifo`);
  assertEquals([info.isFifo, info.mode! & 0o777], [true, 0o600]);
  // F_GETPIPE_SZ, FIONREAD
  const size = syscall("fcntl", fd, 1032, 0);
  const filled = new Int32Array(1);
  syscall("ioctl", fd, 0x541b, new Uint8Array(filled.buffer));
  assertEquals(filled[0], size);
  assertThrows(() => makeExecFifo(dir), Error, "EEXIST");
  closeFd(fd);
});

Deno.test("readProcess() reads the start time past a name with blanks", async () => {
  using root = makeRoot();
  const path = `${root.path}/a ) S 1 (b`;
  Deno.copyFileSync("/bin/sleep", path);
  Deno.chmodSync(path, 0o755);
  const child = new Deno.Command(path, { args: ["1000"] }).spawn();
  const found = readProcess(child.pid);
  child.kill("SIGKILL");
  await child.status;
  assert(/^\d+$/.test(found!.startTime), JSON.stringify(found));
  assert("RSD".includes(found!.letter));
  assertEquals(readProcess(child.pid), undefined);
});

for (
  const [name, change, want] of [
    ["this very process", {}, true],
    ["another boot", { bootId: "0" }, false],
    ["a pid that another has now", { startTime: "1" }, false],
    ["a pid that nobody has", { pid: 0x3fffff }, false],
    ["a start time that was not known", { startTime: "" }, false],
  ] as [string, Partial<State>, boolean][]
) {
  Deno.test(`isAlive() of ${name} is ${want}`, () => {
    assertEquals(isAlive({ ...STATE, ...change }), want);
  });
}

/** Waits for what another process does. */
async function waitUntil(done: () => boolean): Promise<void> {
  for (const end = performance.now() + 60_000; !done();) {
    assert(performance.now() < end, `never: ${done}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

Deno.test("isAlive() of a zombie is false", async () => {
  // The shell's child ends when we close its stdin; the program that the shell
  // has become by then never waits.
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", "exec 3<&0; cat <&3 & echo $!; exec sleep 1000 3<&-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  try {
    const { value } = await reader.read();
    const pid = Number(new TextDecoder().decode(value));
    const name = `/proc/${child.pid}/comm`;
    await waitUntil(() => Deno.readTextFileSync(name) === "sleep\n");
    const { startTime, letter } = readProcess(pid)!;
    assert(letter !== "Z");
    const state = { ...STATE, pid, startTime };
    assertEquals(isAlive(state), true);
    await child.stdin.close();
    await waitUntil(() => readProcess(pid)!.letter === "Z");
    assertEquals(isAlive(state), false);
  } finally {
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
  }
});
