/**
 * The state directory: files that are replaced, locks, and whether a process is
 * still the one that was written down.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { testOn } from "./needs.ts";
import { closeFd, libc, syscall } from "../ffi/libc.ts";
import { removeState } from "../mod/container/kept/removal.ts";
import { ContainerError } from "../mod/errors.ts";
import {
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
  tryLockState,
  writeLeftovers,
  writeSaved,
  writeState,
} from "../mod/state.ts";
import { makeRoot, STATE } from "./state_files.ts";

libc();

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

Deno.test("lockState() waits for another command, and not for ever", () => {
  using root = makeRoot();
  root.claim();
  const lock = lockState(root.path, "box")!;
  assertThrows(
    () => lockState(root.path, "box", 20),
    ContainerError,
    'Cannot work on "box": another command does, and does not end',
  );
  closeFd(lock);
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
