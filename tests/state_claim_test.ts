/**
 * Who owns an id: the claim of a directory for it.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { testOn } from "./needs.ts";
import { waitFor } from "./wait.ts";
import { closeFd, libc } from "../ffi/libc.ts";
import { emptyState } from "../mod/container/kept/removal.ts";
import { ContainerError } from "../mod/errors.ts";
import {
  claimState,
  holdState,
  makeExecFifo,
  readLeftovers,
  writeLeftovers,
  writeState,
} from "../mod/state.ts";
import { makeRoot, STATE } from "./state_files.ts";

libc();

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
