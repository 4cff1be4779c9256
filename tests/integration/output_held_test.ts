/**
 * A command that would hold up who reads its output: its timeout ends it all the
 * same, under `run --max-output` and in the library. Where the first lets it do so,
 * it holds a process of its own (c/output.c), never the keeper.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Box, makeBox, ROOT, runToEnd } from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { nameOf, readProcessState, waitFor } from "../wait.ts";

const NEEDS: Need[] = ["root", "helper", "busybox", "cc"];

async function makeHeld(): Promise<Box> {
  const box = makeBox();
  const source = `${import.meta.dirname}/output_held.c`;
  const built = await runToEnd([
    ...["cc", "-static", "-O1", "-o", `${box.rootfs}/bin/held`, source],
  ]);
  assertEquals([built.code, built.stderr], [0, ""]);
  return box;
}

for (const way of ["from", "into", "sendfile"]) {
  testOn(NEEDS, `a timeout ends who holds its output: ${way}`, async () => {
    await using box = await makeHeld();
    const run = box.run([
      ...["--timeout", "2s", "--max-output", "1m", "--", "held", way],
    ]);
    const { code, stdout } = await run;
    assertEquals(code, 124);
    assertStringIncludes(stdout, "refused 22\n");
  });

  testOn(
    NEEDS,
    `who may hold its output holds no timeout: ${way}`,
    async () => {
      await using box = await makeHeld();
      const { code, stdout, stderr } = await box.run([
        ...["--security-opt", "seccomp=unconfined"],
        ...["--timeout", "2s", "--max-output", "1m", "--", "held", way],
      ]);
      assertEquals(code, 124, stderr);
      assertEquals(stdout.includes("refused"), false);
      assertStringIncludes(stderr, "(--timeout 2s)");
    },
  );

  testOn(NEEDS, `a run's timeout ends who holds it: ${way}`, async () => {
    await using box = await makeHeld();
    const program = `
      import { Sandbox } from "${ROOT}/mod/mod.ts";
      const [rootfs, name, way] = Deno.args;
      const { code, timedOut, stdout } = await Sandbox.run({
        rootfs, name, command: ["held", way], timeout: 2000,
      });
      console.log(code, timedOut, stdout.includes("refused 22"));
    `;
    const { code, stdout, stderr } = await runToEnd([
      ...[Deno.execPath(), "eval", program, box.rootfs, box.id, way],
    ], { cwd: ROOT });
    assertEquals([code, stdout, stderr], [0, "124 true true\n", ""]);
  });
}

/** The process that copies the output of a keeper. */
function findCopier(keeper: number): number {
  const children = Deno.readTextFileSync(
    `/proc/${keeper}/task/${keeper}/children`,
  ).trim().split(" ").map(Number);
  const pid = children.find((it) => nameOf(it) === "rustyrun-output");
  if (!pid) throw new Error(`Among ${children} there is none`);
  return pid;
}

const listOpen = (pid: number) =>
  [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) =>
    Deno.readLinkSync(`/proc/${pid}/fd/${name}`)
  );

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  testOn(NEEDS, `who is held by its output ends by ${signal}`, async () => {
    await using box = await makeHeld();
    const running = box.start([
      ...["--security-opt", "seccomp=unconfined", "--max-output", "1m"],
      // There is something to read whenever one of them begins to sleep.
      ...["--", "sh", "-c", "held from & while :; do echo; sleep 0.01; done"],
    ]);
    const copier = await waitFor(() => findCopier(running.pid));
    // In read(2) of the pipe, and not in poll(2).
    assert(await waitFor(() => readProcessState(copier) === "D"));
    Deno.kill(running.pid, signal);
    const { code } = await running.done;
    assertEquals(code, signal === "SIGTERM" ? 143 : 137);
    // Whoever reaps orphans here may take its time.
    const gone = () => ["", "Z"].includes(readProcessState(copier));
    assert(await waitFor(gone));
    assert(await waitFor(() => !isThere(`/run/rustyrun/${box.id}`)));
  });
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== null;
  } catch {
    return false;
  }
}

testOn(NEEDS, "the keeper has no pipe of what it counts", async () => {
  await using box = makeBox();
  const running = box.start([
    ...["--max-output", "1m", "--", "sh", "-c"],
    "echo up; exec sleep 600",
  ]);
  await running.waitFor("up");
  const copier = findCopier(running.pid);
  const pipes = await waitFor(
    () => listOpen(copier).filter((it) => it.startsWith("pipe:")),
    (it) => it.length === 4,
  );
  // What the caller gave, and the command's, and nothing but a socket.
  assertEquals(new Set(pipes).size, 4);
  assertEquals(listOpen(copier).length, 5);
  const kept = await waitFor(
    () => listOpen(running.pid).filter((it) => pipes.includes(it)),
    (it) => it.length === 1,
  );
  assertEquals(kept, [Deno.readLinkSync(`/proc/${running.pid}/fd/2`)]);
  // It gets no signal that a terminal sends.
  const stat = Deno.readTextFileSync(`/proc/${copier}/stat`);
  const [, , group, session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  assertEquals([Number(group), Number(session)], [copier, copier]);
  running.kill("SIGTERM");
  assertEquals((await running.done).code, 143);
  assert(!nameOf(copier));
});

testOn(NEEDS, "a container ends with who copies its output", async () => {
  await using box = makeBox();
  const running = box.start([
    ...["--max-output", "1m", "--", "sh", "-c", "echo up; exec sleep 600"],
  ]);
  await running.waitFor("up");
  Deno.kill(findCopier(running.pid), "SIGKILL");
  assertEquals((await running.done).code, 137);
});
