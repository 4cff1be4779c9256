/**
 * What ends the keeper's reads and writes (c/wake.c): it takes no entry of the
 * user's queue of signals, and no SIGALRM of anybody's.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  type Box,
  cliCommand,
  makeBox,
  runToEnd,
  SLOW,
  start,
  withTerminal,
} from "../harness.ts";
import { findPython, testOn } from "../needs.ts";

const NEEDS = ["root", "helper", "busybox", "python3", "script"] as const;

/** A container that starts once some words of Python have run in its caller. */
const callAfter = (box: Box, python: string, args: readonly string[]) => [
  ...[findPython(), "-c"],
  `import os, resource, signal, sys; ${python}; ` +
  "os.execvp(sys.argv[1], sys.argv[1:])",
  ...cliCommand(),
  ...["run", "--rootfs", box.rootfs, "--name", box.id, ...args],
];

/** As where a container of the same user has queued signals for all there is. */
const FULL = "resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0))";

for (const flags of [["--max-output", "1m"], ["-t"]]) {
  testOn(
    NEEDS,
    `run ${flags.join(" ")} where no signal can be queued`,
    async () => {
      await using box = makeBox();
      const call = callAfter(box, FULL, [
        ...[...flags, "--", "sh", "-c", "echo out; exit 5"],
      ]);
      const { code, stdout, stderr } = await runToEnd(withTerminal(call));
      // The terminal shows what `script` types as well.
      assertEquals([code, stdout.includes("out"), stderr], [5, true, ""]);
    },
  );
}

const CATCH = `trap "echo caught; exit 9" ALRM; echo ready; `;

for (
  const [what, loop] of [
    ["is silent", "while :; do sleep 0.02; done"],
    ["writes all the time", "while :; do echo; done"],
  ] as const
) {
  testOn(
    NEEDS,
    `run --max-output: a command that ${what} gets the caller's alarm(2)`,
    async () => {
      await using box = makeBox();
      // Past the start of Deno, which it would end.
      const alarm = `signal.setitimer(signal.ITIMER_REAL, ${5 * SLOW})`;
      const { code, stderr } = await runToEnd(callAfter(box, alarm, [
        ...["--max-output", "1g", "--", "sh", "-c", CATCH + loop],
      ]));
      assertEquals([code, stderr], [9, ""]);
    },
  );

  testOn(
    NEEDS,
    `run --max-output: a command that ${what} gets each SIGALRM`,
    async () => {
      await using box = makeBox();
      const running = start(callAfter(box, "pass", [
        ...["--max-output", "1g", "--", "sh", "-c", CATCH + loop],
      ]));
      await running.waitFor("ready");
      running.kill("SIGALRM");
      const { code, stderr } = await running.done;
      assertEquals([code, stderr], [9, ""]);
    },
  );
}
