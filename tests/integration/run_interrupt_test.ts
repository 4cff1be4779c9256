/**
 * Ctrl-C, and what else is meant to end a container: at a terminal of the
 * caller's, which the container has none of, and by kill(1).
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  type Box,
  cliCommand,
  type CliOptions,
  makeBox,
  runCli,
  runToEnd,
  start,
} from "../harness.ts";
import { findPython, type Need, testOn } from "../needs.ts";
import { readProcessState, waitFor } from "../wait.ts";
import { makeSpec } from "./caller.ts";

const BASE: Need[] = ["helper", "busybox", "python3"];

const CALLERS: { who: string; options: CliOptions; needs: Need[] }[] = [
  { who: "root", options: {}, needs: [...BASE, "root"] },
  {
    who: "a user",
    options: { user: true },
    needs: [...BASE, "user", "userns"],
  },
];

const CTRL_C = "\x03";

/** What the terminal shows, what is typed, or typed again until the end. */
type Step = ["expect" | "send" | "press", string];

/** Runs a command line in a terminal of its own.
 *
 * @returns what the terminal showed, and the exit code */
async function atTerminal(
  options: CliOptions,
  words: string[],
  steps: Step[],
): Promise<{ shown: string; code: number | null }> {
  const { stdout, stderr } = await runToEnd([
    findPython(),
    `${import.meta.dirname}/pty_driver.py`,
    JSON.stringify(steps),
    ...cliCommand(options),
    ...words,
  ], { ...options, timeout: 300 });
  if (stdout === "") throw new Error(stderr);
  const { shown, code } = JSON.parse(stdout);
  return { shown: shown.replaceAll("\r", ""), code };
}

function runWords(box: Box, ...words: string[]): string[] {
  return ["run", "--rootfs", box.rootfs, "--name", box.id, ...words];
}

/** A command that says "ready" and waits, without a handler: a shell has one for
 * SIGINT until it has become another program. */
function sayReady(box: Box): string[] {
  Deno.writeTextFileSync(`${box.rootfs}/ready`, "ready\n");
  return ["tail", "-f", "/ready"];
}

/** Says "ready" when the command that it waits for is there: it is a loop, for
 * a shell may exec the last command of a list. */
const WAITS = "(echo ready; exec sleep 600); echo code $?; exit 4";

for (const { who, options, needs } of CALLERS) {
  for (const init of [[], ["--init"]]) {
    const named = init.length ? " --init" : "";

    testOn(
      needs,
      `run${named}: one Ctrl-C ends what a shell waits for, as ${who}`,
      async () => {
        await using box = makeBox(options);
        const trap = `trap : INT; ${WAITS}`;
        assertEquals(
          await atTerminal(
            options,
            runWords(box, ...init, "--", "sh", "-c", trap),
            [["expect", "ready"], ["send", CTRL_C]],
          ),
          { shown: "ready\n^Ccode 130\n", code: 4 },
        );
      },
    );

    testOn(
      needs,
      `run${named}: a program that handles Ctrl-C gets every one, as ${who}`,
      async () => {
        await using box = makeBox(options);
        const count = "n=0; trap 'n=$((n+1)); echo got $n.; " +
          "[ $n -lt 2 ] || exit 7' INT; " +
          "echo ready; while :; do sleep 0.02; done";
        const { shown, code } = await atTerminal(
          options,
          runWords(box, ...init, "--", "sh", "-c", count),
          [["expect", "ready"], ["send", CTRL_C], ["expect", "got 1."], [
            "send",
            CTRL_C,
          ]],
        );
        assertStringIncludes(shown, "got 2.\n");
        assertEquals(code, 7, shown);
      },
    );

    testOn(
      needs,
      `run${named}: a third Ctrl-C ends whoever goes on, as ${who}`,
      async () => {
        await using box = makeBox(options);
        const { shown, code } = await atTerminal(
          options,
          runWords(
            box,
            ...init,
            "--",
            "sh",
            "-c",
            "trap '' INT; echo ready; while :; do sleep 0.05; done",
          ),
          [["expect", "ready"], ["press", CTRL_C]],
        );
        assertMatch(
          shown,
          /rustyrun: The container was killed by a third Ctrl-C\n {2}hint: .*\n$/,
        );
        assertEquals(code, 137);
      },
    );
  }

  testOn(
    needs,
    `run: Ctrl-C ends a first process that has no handler, as ${who}`,
    async () => {
      await using box = makeBox(options);
      assertEquals(
        await atTerminal(
          options,
          runWords(box, "--", ...sayReady(box)),
          [["expect", "ready"], ["send", CTRL_C]],
        ),
        { shown: "ready\n^C", code: 130 },
      );
    },
  );
}

/** Waits until the keeper has taken every signal and sleeps again. */
async function waitForKeeper(pid: number): Promise<void> {
  await waitFor(() => {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return /^Name:\trustyrun$/m.test(status) &&
      !/^S\w+Pnd:\t.*[1-9a-f]/m.test(status) &&
      readProcessState(pid) === "S";
  });
}

for (const { who, options, needs } of CALLERS) {
  testOn(
    needs,
    `run: SIGTERM ends a first process that has no handler, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const running = box.start([
        "--json",
        "--",
        "sh",
        "-c",
        "echo ready; exec sleep 600",
      ]);
      await running.waitFor("ready");
      // As timeout(1): to its child, and to the group that the child is in.
      running.kill("SIGTERM");
      running.kill("SIGTERM");
      const { code, stderr } = await running.done;
      assertEquals([code, JSON.parse(stderr)], [143, {
        id: box.id,
        exitCode: 143,
        signal: "SIGTERM",
        oom: false,
      }]);
    },
  );
}

testOn(
  [...BASE, "root"],
  "run --bundle passes signals on and no more, as runc does",
  async () => {
    await using box = makeBox();
    const bundle = Deno.makeTempDirSync();
    try {
      const spec = makeSpec(box.id, {
        root: { path: box.rootfs },
        process: { args: sayReady(box) },
      });
      Deno.writeTextFileSync(`${bundle}/config.json`, JSON.stringify(spec));
      const running = start([
        ...cliCommand(),
        "run",
        "--bundle",
        bundle,
        box.id,
      ]);
      await running.waitFor("ready");
      for (const signal of ["SIGTERM", "SIGINT", "SIGINT", "SIGINT"] as const) {
        running.kill(signal);
        await waitForKeeper(running.pid);
      }
      const { code, stderr } = await runCli(["kill", box.id, "KILL"]);
      assertEquals([code, stderr], [0, ""]);
      assertEquals((await running.done).code, 137);
    } finally {
      Deno.removeSync(bundle, { recursive: true });
    }
  },
);

testOn(
  [...BASE, "root"],
  "exec: Ctrl-C is for the command's group, and a third ends it",
  async () => {
    await using box = makeBox();
    const running = box.start(["--", "sh", "-c", "echo up; exec sleep 600"]);
    await running.waitFor("up");
    assertEquals(
      await atTerminal(
        {},
        ["exec", box.id, "sh", "-c", `trap : INT; ${WAITS}`],
        [
          ["expect", "ready"],
          ["send", CTRL_C],
        ],
      ),
      { shown: "ready\n^Ccode 130\n", code: 4 },
    );
    const { shown, code } = await atTerminal({}, [
      "exec",
      box.id,
      "sh",
      "-c",
      "trap '' INT; echo ready; while :; do sleep 0.05; done",
    ], [["expect", "ready"], ["press", CTRL_C]]);
    assertStringIncludes(shown, "The command was killed by a third Ctrl-C\n");
    assertEquals(code, 137);
    running.kill("SIGKILL");
    await running.done;
  },
);
