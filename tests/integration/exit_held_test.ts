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
    ...[
      "cc",
      "-static",
      "-O1",
      "-pthread",
      "-o",
      `${box.rootfs}/bin/held`,
      source,
    ],
  ]);
  assertEquals([built.code, built.stderr], [0, ""]);
  return box;
}

/** How it is held: the program's word, and what it says then. The filter that
 * rustyrun has for containers lets none of them wait in splice(2). */
const WAYS = [
  ["by who traces it", [], "traced"],
  ["by who traces a thread of its own", ["thread"], "traced"],
  ["by who has the lock of a pipe", ["pipe"], "waits"],
] as const;

const UNCONFINED = ["--security-opt", "seccomp=unconfined"];

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

const ENDS: [string, string[], string[]][] = [
  ["kill", [], ["kill", "ID", "KILL"]],
  ["delete --force", [], ["delete", "--force", "ID"]],
  [
    "kill, without cgroups,",
    ["--cgroup-manager", "disabled"],
    ["kill", "ID", "KILL"],
  ],
  [
    "delete --force, without cgroups,",
    ["--cgroup-manager", "disabled"],
    ["delete", "--force", "ID"],
  ],
];

for (const [held, mode, said] of WAYS) {
  const command = [...UNCONFINED, "--", "held", ...mode];

  testOn(
    NEEDS,
    `a timeout ends a first process that is held ${held}`,
    async () => {
      await using box = await makeHeld();
      const got = await box.run(["--timeout", "3s", ...command]);
      assertEquals([got.code, got.stdout], [124, `${said}\n`]);
    },
  );

  for (const [how, flags, words] of ENDS) {
    testOn(NEEDS, `${how} ends one that is held ${held}`, async () => {
      await using box = await makeHeld();
      const running = start([
        ...[...cliCommand(), ...flags, "run", "--rootfs", box.rootfs],
        ...["--name", box.id, ...command],
      ]);
      await running.waitFor(said);
      const line = words.map((it) => it === "ID" ? box.id : it);
      const { code, stderr } = await runCli(line);
      assertEquals([code, stderr], [0, ""]);
      assertEquals((await running.done).code, 137);
    });
  }

  for (const flags of [[], ["--cgroup-manager", "disabled"]]) {
    const how = flags.length === 0 ? "" : ", without cgroups,";
    testOn(
      NEEDS,
      `the warden${how} ends one that is held ${held}`,
      async () => {
        await using box = await makeHeld();
        const running = start([
          ...[...cliCommand(), ...flags, "run", "--rootfs", box.rootfs],
          ...["--name", box.id, ...command],
        ]);
        await running.waitFor(said);
        running.kill("SIGKILL");
        await running.done;
      },
    );
  }
}
