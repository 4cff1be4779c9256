/**
 * A container ends although a process of its own holds the first one before that
 * is dead: nobody needs a capability for it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  type Box,
  cliCommand,
  makeBox,
  runCli,
  runToEnd,
  start,
} from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { readProcessState, waitFor } from "../wait.ts";

const NEEDS: Need[] = ["root", "helper", "busybox", "cc"];

/** A box with the program in it. */
async function makeHeld(): Promise<Box> {
  const box = makeBox();
  const source = `${import.meta.dirname}/exit_held.c`;
  const built = await runToEnd([
    ...["cc", "-static", "-O1", "-o", `${box.rootfs}/bin/held`, source],
  ]);
  assertEquals([built.code, built.stderr], [0, ""]);
  return box;
}

testOn(NEEDS, "a timeout ends a first process that is held", async () => {
  await using box = await makeHeld();
  const got = await box.run(["--timeout", "1s", "--", "held"]);
  assertEquals([got.code, got.stdout], [124, "traced\n"]);
});

testOn(
  NEEDS,
  "the third Ctrl-C ends one that has come to its end by itself",
  async () => {
    await using box = await makeHeld();
    const running = box.start(["--", "held", "gone"]);
    await running.waitFor("traced");
    const { pid } = JSON.parse((await runCli(["state", box.id])).stdout);
    const state = () => readProcessState(pid);
    assertEquals(await waitFor(state, (it) => it === "t"), "t");
    for (let i = 0; i < 3; i++) running.kill("SIGINT");
    const { code, stderr } = await running.done;
    // It has a code of its own already.
    assertEquals([code, stderr], [0, ""]);
  },
);

for (
  const [how, flags, words] of [
    ["kill", [], ["kill", "ID", "KILL"]],
    ["delete --force", [], ["delete", "--force", "ID"]],
    [
      "delete --force, without cgroups,",
      ["--cgroup-manager", "disabled"],
      ["delete", "--force", "ID"],
    ],
  ] as [string, string[], string[]][]
) {
  testOn(NEEDS, `${how} ends it`, async () => {
    await using box = await makeHeld();
    const running = start([
      ...[...cliCommand(), ...flags, "run", "--rootfs", box.rootfs],
      ...["--name", box.id, "--", "held"],
    ]);
    await running.waitFor("traced");
    const line = words.map((it) => it === "ID" ? box.id : it);
    const { code, stderr } = await runCli(line);
    assertEquals([code, stderr], [0, ""]);
    assertEquals((await running.done).code, 137);
  });
}

testOn(NEEDS, "the warden ends it", async () => {
  await using box = await makeHeld();
  const running = box.start(["--", "held"]);
  await running.waitFor("traced");
  running.kill("SIGKILL");
  await running.done;
});
