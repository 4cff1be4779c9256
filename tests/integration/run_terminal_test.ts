/**
 * `run -t`: a terminal inside, and what becomes of the caller's.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  type Box,
  cliCommand,
  type CliOptions,
  makeBox,
  runToEnd,
} from "../harness.ts";
import { findPython, type Need, testOn } from "../needs.ts";

const CALLERS: { who: string; options: CliOptions; needs: Need[] }[] = [
  { who: "root", options: {}, needs: ["root", "helper", "busybox", "python3"] },
  {
    who: "a user",
    options: { user: true },
    needs: ["user", "userns", "helper", "busybox", "python3"],
  },
];

type PtyStep =
  | ["expect" | "send" | "signal", string]
  | ["raw", boolean]
  | ["resize", number, number];

/** What the terminal showed, and how it ended. */
interface Seen {
  shown: string;
  code: number | null;
  restored?: boolean;
  stuck?: unknown;
}

/** Runs a container in a terminal of 24 rows and 80 columns. */
async function drive(
  box: Box,
  options: CliOptions,
  args: string[],
  steps: PtyStep[],
  words = ["run", "--rootfs", box.rootfs, "--name", box.id],
): Promise<Seen> {
  const { stdout, stderr } = await runToEnd([
    findPython(),
    `${import.meta.dirname}/pty_driver.py`,
    JSON.stringify(steps),
    ...cliCommand(options),
    ...words,
    ...args,
  ], { ...options, timeout: 300 });
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout);
}

for (const { who, options, needs } of CALLERS) {
  testOn(
    needs,
    `run -it gives a terminal and takes it back, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const seen = await drive(box, options, ["-it", "--", "sh"], [
        ["raw", true],
        ["send", "tty; echo $TERM; stty size; exit 5\r"],
      ]);
      assertEquals([seen.code, seen.restored], [5, true], seen.shown);
      assertStringIncludes(seen.shown, "/dev/pts/0\r\nxterm\r\n24 80\r\n");
    },
  );

  testOn(
    needs,
    `run -it hands on a new size of the window, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const seen = await drive(box, options, [
        "-it",
        "--",
        "sh",
        "-c",
        "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done",
      ], [
        ["expect", "ready"],
        ["raw", true],
        ["resize", 40, 132],
        ["expect", "40 132"],
      ]);
      assertEquals([seen.code, seen.restored], [0, true], seen.shown);
    },
  );

  testOn(
    needs,
    `run -it makes SIGINT inside of Ctrl-C, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const seen = await drive(box, options, [
        "-it",
        "--",
        "sh",
        "-c",
        "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done",
      ], [["expect", "ready"], ["raw", true], ["send", "\x03"], [
        "expect",
        "caught",
      ]]);
      assertEquals([seen.code, seen.restored], [9, true], seen.shown);
    },
  );

  testOn(
    needs,
    `a third Ctrl-C ends a container that ignores it, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const seen = await drive(box, options, [
        "-it",
        "--",
        "sh",
        "-c",
        "trap '' INT; echo ready; while :; do sleep 0.05; done",
      ], [
        ["expect", "ready"],
        ["raw", true],
        ["send", "\x03"],
        ["expect", "^C"],
        // Three: where more than 2 s have gone since the first, it does not count.
        ["send", "\x03\x03\x03"],
      ]);
      assertEquals([seen.code, seen.restored], [137, true], seen.shown);
      assertStringIncludes(
        seen.shown.replaceAll("\r", ""),
        "rustyrun: The container was killed by a third Ctrl-C\n  hint: ",
      );
    },
  );

  testOn(
    needs,
    `the terminal is as before when the container is killed, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const seen = await drive(box, options, [
        "-it",
        "--init",
        "--",
        "sh",
        "-c",
        "echo ready; exec sleep 1000",
      ], [["expect", "ready"], ["raw", true], ["signal", "SIGTERM"]]);
      assertEquals([seen.code, seen.restored], [143, true], seen.shown);
    },
  );

  testOn(
    needs,
    `the terminal is as before when rustyrun gets SIGKILL, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const seen = await drive(box, options, [
        "-it",
        "--",
        "sh",
        "-c",
        "echo ready; exec sleep 1000",
      ], [["expect", "ready"], ["raw", true], ["signal", "SIGKILL"]]);
      assertEquals([seen.code, seen.restored], [-9, true], seen.shown);
    },
  );

  testOn(
    needs,
    `the end of input reaches a command with -it, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const seen = await drive(box, options, ["-it", "--", "cat"], [
        ["raw", true],
        ["send", "words\r"],
        ["expect", "words\r\nwords\r\n"],
        ["send", "\x04"],
      ]);
      assertEquals([seen.code, seen.restored], [0, true], seen.shown);
    },
  );

  testOn(
    needs,
    `run without -t leaves the terminal alone, as ${who}`,
    async () => {
      await using box = makeBox(options);
      const seen = await drive(box, options, [
        "-i",
        "--",
        "sh",
        "-c",
        "echo ready; read line; echo got $line",
      ], [["expect", "ready"], ["raw", false], ["send", "words\r"], [
        "expect",
        "got words",
      ]]);
      assertEquals([seen.code, seen.restored], [0, true], seen.shown);
    },
  );
}

testOn(
  CALLERS[0]!.needs,
  "the terminal is as before when exec -it gets SIGKILL",
  async () => {
    await using box = makeBox();
    const running = box.start(["--", "sh", "-c", "echo up; exec sleep 1000"]);
    await running.waitFor("up");
    const seen = await drive(box, {}, ["sh", "-c", "echo ready; read x"], [
      ["expect", "ready"],
      ["raw", true],
      ["signal", "SIGKILL"],
    ], ["exec", "-it", box.id]);
    assertEquals([seen.code, seen.restored], [-9, true], seen.shown);
    running.kill("SIGTERM");
    assertEquals((await running.done).code, 143);
  },
);

testOn(
  CALLERS[0]!.needs,
  "exec -it ends with its command, whoever goes on to write to the terminal",
  async () => {
    await using box = makeBox();
    const running = box.start([
      "--",
      "sh",
      "-c",
      "echo up; while :; do [ -e /dev/pts/0 ] && yes yyyyyyyy >/dev/pts/0; done",
    ]);
    await running.waitFor("up");
    const seen = await drive(box, {}, ["sh", "-c", "exit 3"], [], [
      "exec",
      "-it",
      box.id,
    ]);
    assertEquals([seen.code, seen.restored], [3, true], seen.shown.slice(-99));
    running.kill("SIGTERM");
    assertEquals((await running.done).code, 143);
  },
);
