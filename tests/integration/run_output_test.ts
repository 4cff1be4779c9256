/**
 * `run --max-output`: so many bytes of standard output and error together go on,
 * then the container ends; and there is nothing else that a command or a reader
 * would notice of the pipes in between.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  type Box,
  cliCommand,
  type CliOptions,
  makeBox,
  type Running,
  runToEnd,
  start,
} from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";

const ROOT: Need[] = ["root", "helper", "busybox"];

/** Starts a container with its result in a file, by a line of shell in which
 * "$@" is the command line. */
function startIn(
  box: Box,
  file: string,
  line: string,
  args: readonly string[],
  options: CliOptions = {},
): Running {
  return start([
    "sh",
    "-c",
    `exec 3>${file}; ${line}`,
    "sh",
    ...cliCommand(options),
    ...["run", "--result-fd", "3", "--rootfs", box.rootfs, "--name", box.id],
    ...args,
  ], options);
}

interface Case {
  args: readonly string[];
  line?: string;
  options?: CliOptions;
}

/** Runs one to its end. */
async function runIn(box: Box, { args, line = `"$@"`, options }: Case) {
  const file = Deno.makeTempFileSync({ prefix: "result-" });
  Deno.chmodSync(file, 0o666);
  try {
    const ended = await startIn(box, file, line, args, options).done;
    const result = JSON.parse(Deno.readTextFileSync(file));
    return { ...ended, result };
  } finally {
    Deno.removeSync(file);
  }
}

const words = (size: string, bytes: number) =>
  `rustyrun: The container was killed: it wrote more than ${bytes} bytes (--max-output ${size})\n` +
  "  hint: Let it write more, or make it write less\n";

for (
  const [what, flags, script] of [
    ["floods standard output", [], "exec yes"],
    ["floods standard error", [], "exec yes >&2"],
    ["floods from the background", [], "yes & exec sleep 600"],
    ["floods from a session of its own", [], "setsid yes & exec sleep 600"],
    ["floods and takes no signal", [], "trap '' TERM INT PIPE; yes; sleep 600"],
    ["floods under --init", ["--init"], "yes"],
    ["floods and stops itself", ["--init"], "yes & kill -STOP $$"],
    ["floods both", [], "yes & exec yes >&2"],
    ["floods as another user", ["-u", "1000"], "exec yes >/dev/stdout"],
  ] as const
) {
  testOn(ROOT, `run --max-output ends what ${what}`, async () => {
    await using box = makeBox();
    const { code, stdout, stderr, result } = await runIn(box, {
      args: [...flags, "--max-output", "100k", "--", "sh", "-c", script],
    });
    assertEquals([code, result.code], [137, 137], stderr);
    const end = words("100k", 102400);
    assert(stderr.endsWith(end), stderr.slice(-200));
    const errors = stderr.slice(0, -end.length);
    assertEquals(stdout.length + errors.length, 102400);
    assertMatch(stdout + errors, /^(y\n)*y?(y\n)*y?$/);
    assertEquals([result.limit, result.truncated, result.timedOut], [
      "output",
      true,
      false,
    ]);
  });
}

testOn(ROOT, "run --max-output lets exactly so much pass", async () => {
  await using box = makeBox();
  const write = "printf 012; printf 3456 >&2; printf 789; exit 4";
  const all = await runIn(box, {
    args: ["--max-output", "10", "--", "sh", "-c", write],
  });
  assertEquals([all.code, all.stdout, all.stderr], [4, "012789", "3456"]);
  assertEquals([all.result.limit, all.result.truncated], [null, false]);
  // However soon it ends: one verdict.
  for (const rest of ["exit 4", "exit 0", "sleep 600"]) {
    const some = await runIn(box, {
      args: [
        "--max-output",
        "10",
        "--",
        "sh",
        "-c",
        `printf 01234567890; ${rest}`,
      ],
    });
    assertEquals([some.code, some.stdout, some.stderr], [
      137,
      "0123456789",
      words("10", 10),
    ]);
    assertEquals([some.result.limit, some.result.truncated], ["output", true]);
  }
  const none = await runIn(box, {
    args: ["--max-output", "0", "--", "sh", "-c", "printf x"],
  });
  assertEquals([none.code, none.stdout], [137, ""]);
});

testOn(ROOT, "run --max-output --json says it in its object", async () => {
  await using box = makeBox();
  const { code, stderr } = await runIn(box, {
    args: ["--json", "--max-output", "10", "--", "sh", "-c", "yes"],
  });
  const said = JSON.parse(stderr);
  assertEquals([code, said.exitCode, said.code], [137, 137, "output-limit"]);
});

for (
  const [what, line, script, want] of [
    ["a file", `"$@" >>F; cat F`, "echo a; echo b", "before\na\nb\n"],
    ["the null device", `"$@" >/dev/null`, "echo a", ""],
    ["nothing", `"$@" >&-`, "echo a", ""],
    [
      "one pipe for both",
      `"$@" 2>&1 | cat`,
      "echo a; sleep 0.1; echo b >&2",
      "a\nb\n",
    ],
    [
      "a slow reader",
      // When it begins, the container has ended.
      `"$@" | { until [ -s RESULT ]; do sleep 0.1; done; wc -c; }`,
      "head -c 100000 /dev/zero",
      "100000\n",
    ],
  ] as const
) {
  testOn(ROOT, `run --max-output writes to ${what}`, async () => {
    await using box = makeBox();
    const file = Deno.makeTempFileSync({ prefix: "result-" });
    const out = Deno.makeTempFileSync({ prefix: "output-" });
    Deno.writeTextFileSync(out, "before\n");
    try {
      const { code, stdout, stderr } = await startIn(
        box,
        file,
        line.replaceAll("F", out).replace("RESULT", file),
        ["--max-output", "1m", "--", "sh", "-c", script],
      ).done;
      assertEquals([code, stdout, stderr], [0, want, ""]);
      const result = JSON.parse(Deno.readTextFileSync(file));
      assertEquals([result.code, result.limit], [0, null]);
    } finally {
      Deno.removeSync(file);
      Deno.removeSync(out);
    }
  });
}

testOn(
  ROOT,
  "run --max-output: a reader that goes away is noticed",
  async () => {
    await using box = makeBox();
    const { stdout } = await runIn(box, {
      line: `"$@" 2>/dev/null | head -n 1`,
      args: ["--max-output", "1g", "--", "sh", "-c", "yes; echo done >&2"],
    });
    assertEquals(stdout, "y\n");
  },
);

testOn(
  ROOT,
  "run --max-output: the end of standard output is seen",
  async () => {
    await using box = makeBox();
    // cat(1) ends while the container runs on, and lets it end.
    const { code, stdout } = await runIn(box, {
      line: `"$@" | { cat; echo end; touch ${box.rootfs}/go; }`,
      args: [
        ...["--max-output", "1m", "--", "sh", "-c"],
        "echo out; exec >&-; until [ -e /go ]; do sleep 0.1; done",
      ],
    });
    assertEquals([code, stdout], [0, "out\nend\n"]);
  },
);

testOn(
  ROOT,
  "run --max-output: nobody reads, and nothing is left",
  async () => {
    await using box = makeBox();
    const file = Deno.makeTempFileSync({ prefix: "result-" });
    const fifo = `${box.rootfs}/fifo`;
    try {
      const running = startIn(
        box,
        file,
        `mkfifo ${fifo}; sleep 600 <${fifo} 3>&- >&- 2>&- &
       echo $! >${fifo}.pid; exec "$@" >${fifo}`,
        ["--timeout", "1s", "--max-output", "1g", "--", "yes"],
      );
      // Written when all is measured; then all is removed.
      await waitFor(() => Deno.readTextFileSync(file).endsWith("\n"));
      await waitFor(() => !exists(`/run/rustyrun/${box.id}`));
      running.kill("SIGTERM");
      const { code, stderr } = await running.done;
      Deno.kill(Number(Deno.readTextFileSync(`${fifo}.pid`)), "SIGKILL");
      assertEquals(code, 124, stderr);
      const result = JSON.parse(Deno.readTextFileSync(file));
      assertEquals([result.limit, result.truncated], ["time", false]);
    } finally {
      Deno.removeSync(file);
    }
  },
);

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

testOn(ROOT, "run --max-output: any user may open /dev/stdout", async () => {
  await using box = makeBox();
  for (const flags of [[], ["-u", "1000"], ["--userns", "0:100000:65536"]]) {
    const { code, stdout, stderr } = await runIn(box, {
      args: [
        ...[...flags, "--max-output", "1m", "--", "sh", "-c"],
        "echo out >/dev/stdout; echo err >/dev/stderr",
      ],
    });
    assertEquals([code, stdout, stderr], [0, "out\n", "err\n"]);
  }
});

testOn(
  ["user", "helper", "busybox"],
  "run --max-output as a user",
  async () => {
    const options = { user: true } as const;
    await using box = makeBox(options);
    const { code, stdout, result } = await runIn(box, {
      args: ["--max-output", "10", "--", "sh", "-c", "yes"],
      options,
    });
    assertEquals([code, stdout, result.limit], [
      137,
      "y\ny\ny\ny\ny\n",
      "output",
    ]);
  },
);

for (
  const [flags, said] of [
    [["--max-output", "x"], /"x" is not a size/],
    [["--max-output", "-1"], /"-1" is not a size/],
    [
      ["--max-output", "1m", "-d"],
      /with --detach nothing of the output is kept/,
    ],
    [
      ["--max-output", "1m", "-t", "--console-socket", "/none"],
      /the command writes to a terminal/,
    ],
  ] as const
) {
  testOn(ROOT, `run ${flags.join(" ")} is refused`, async () => {
    await using box = makeBox();
    const { code, stdout, stderr } = await box.run([...flags, "--", "true"]);
    assertEquals([code, stdout], [125, ""]);
    assertMatch(stderr, said);
  });
}

testOn(ROOT, "run without --max-output has no pipe in between", async () => {
  await using box = makeBox();
  const seen = async (flags: string[]) => {
    const { stdout } = await runToEnd([
      "sh",
      "-c",
      `readlink /proc/self/fd/1; exec "$@"`,
      "sh",
      ...cliCommand({}),
      ...["run", "--rootfs", box.rootfs, "--name", box.id, ...flags],
      ...["--", "readlink", "/proc/self/fd/1"],
    ]);
    const [outside, inside] = stdout.trimEnd().split("\n");
    return outside === inside;
  };
  assertEquals(await seen([]), true);
  assertEquals(await seen(["--max-output", "1m"]), false);
});

testOn(
  ["helper"],
  "who reads no more of an answer ends the command",
  async () => {
    const file = Deno.makeTempFileSync({ prefix: "rustyrun-test-reader-" });
    try {
      const line = `{ sleep 0.5; "$@"; echo $? >${file}; } | :`;
      const { code, stderr } = await runToEnd(
        ["sh", "-c", line, "sh", ...cliCommand(), "features"],
      );
      assertEquals([code, stderr], [0, ""]);
      // As by SIGPIPE.
      assertEquals(
        await waitFor(() => Deno.readTextFileSync(file), (it) => it !== ""),
        "141\n",
      );
    } finally {
      Deno.removeSync(file);
    }
  },
);
