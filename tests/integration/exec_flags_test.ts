/**
 * `exec` as people type it who know docker.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  cliCommand,
  makeBox,
  runCli,
  runToEnd,
  withTerminal,
} from "../harness.ts";
import { testOn } from "../needs.ts";

const HELD = ["--", "sh", "-c", "exec sleep 1000 >/dev/null 2>&1"];

/** A container that waits, and `exec` in it. */
async function withContainer(
  flags: readonly string[],
  body: (
    exec: (
      words: readonly string[],
      options?: Parameters<typeof runCli>[1],
    ) => Promise<unknown[]>,
    words: readonly string[],
  ) => Promise<void>,
): Promise<void> {
  await using box = makeBox();
  const root = Deno.makeTempDirSync({ prefix: "rustyrun-test-root-" });
  const global = ["--root", root];
  try {
    const line = ["run", "--rootfs", box.rootfs, "--name", box.id, "-d"];
    const { code, stderr } = await runCli([
      ...global,
      ...line,
      ...flags,
      ...HELD,
    ]);
    assertEquals([code, stderr], [0, ""]);
    await body(async (words, options) => {
      const got = await runCli([...global, "exec", ...words], options);
      return [got.code, got.stdout, got.stderr];
    }, [...global, "exec", "-it", box.id]);
  } finally {
    await runCli([...global, "delete", "--force", box.id]);
    Deno.removeSync(root, { recursive: true });
  }
}

const NEEDS = ["helper", "busybox", "root"] as const;

/** What the process is, in one line. */
const SHOW =
  `echo $(id -u) $(id -g) $(id -G) $HOME $(grep CapEff /proc/self/status | cut -f2) $PWD`;
const NONE = "0000000000000000";
const DEFAULT = "00000000a80425fb";

testOn(
  NEEDS,
  "exec takes -u by name and number, -w and -e as docker has them",
  async () => {
    await withContainer([], async (exec, words) => {
      const id = words.at(-1)!;
      const rows: [string[], string][] = [
        [[], `0 0 0 /root ${DEFAULT} /`],
        [["-u", "app"], `1000 1000 1000 50 / ${NONE} /`],
        [["-u", "app:staff"], `1000 50 50 / ${NONE} /`],
        [["-u", "1000"], `1000 0 0 / ${NONE} /`],
        [["-u", "0:50", "-w", "/tmp"], `0 50 50 /root ${DEFAULT} /tmp`],
        [["-u", "app", "-e", "HOME=/tmp"], `1000 1000 1000 50 /tmp ${NONE} /`],
        [["-i", "--workdir", "/etc"], `0 0 0 /root ${DEFAULT} /etc`],
      ];
      for (const [flags, want] of rows) {
        assertEquals(
          await exec([...flags, id, "sh", "-c", SHOW]),
          [0, `${want}\n`, ""],
          flags.join(" "),
        );
      }
    });
  },
);

testOn(NEEDS, "exec -e NAME passes the caller's variable on", async () => {
  await withContainer([], async (exec, words) => {
    const id = words.at(-1)!;
    assertEquals(
      await exec(
        ["-e", "MINE", "-e", "NOT_MINE", "-e", "A=b", id, "sh", "-c", "env"],
        { env: { MINE: "it is" } },
      ).then(([code, out]) => [
        code,
        String(out).split("\n").filter((it) => /MINE|^A=/.test(it)).sort(),
      ]),
      [0, ["A=b", "MINE=it is"]],
    );
    const [code, ...said] = await exec(["-e", "=x", id, "true"]);
    assertEquals([code !== 0, ...said], [
      true,
      "",
      `rustyrun: Cannot use "-e =x": "=x" has no name
  hint: Write NAME=VALUE, or NAME to pass the caller's on
`,
    ]);
  });
});

testOn(
  NEEDS,
  "exec in a container of another user: root has what the container may have",
  async () => {
    await withContainer(["-u", "app"], async (exec, words) => {
      const id = words.at(-1)!;
      assertEquals(await exec([id, "sh", "-c", SHOW]), [
        0,
        `1000 1000 1000 50 / ${NONE} /\n`,
        "",
      ]);
      assertEquals(await exec(["-u", "root", id, "sh", "-c", SHOW]), [
        0,
        `0 0 0 /root ${DEFAULT} /\n`,
        "",
      ]);
    });
  },
);

testOn(
  NEEDS,
  "exec -u NAME that the container does not know is an error",
  async () => {
    await withContainer([], async (exec, words) => {
      const [code, out, error] = await exec([
        "-u",
        "nobody",
        words.at(-1)!,
        "true",
      ]);
      assertEquals([code !== 0, out], [true, ""]);
      assertEquals(
        /^rustyrun: Cannot run as the user "nobody": \/etc\/passwd in .* has no such name\n {2}hint: .*\n$/
          .test(String(error)),
        true,
        String(error),
      );
    });
  },
);

testOn([...NEEDS, "script"], "exec -it gives a terminal", async () => {
  await withContainer([], async (_, words) => {
    const { code, stdout } = await runToEnd(
      withTerminal([...cliCommand(), ...words, "sh", "-c", "tty; exit 7"]),
      { stdin: "" },
    );
    // The end of the caller's standard input is echoed somewhere.
    assertEquals([code, stdout.includes("/dev/pts/0\r\n")], [7, true]);
  });
});
