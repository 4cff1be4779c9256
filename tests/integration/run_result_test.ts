/**
 * `run --timeout` and `--result-fd`: a container's time is up whatever it does, and
 * a program in any language reads one object about its end, or about the error.
 * tests/c/keeper_test.py has what no command line can reach.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  cliCommand,
  type CliOptions,
  type CliResult,
  makeBox,
  ROOT as REPOSITORY,
  runToEnd,
} from "../harness.ts";
import { findPython, type Need, testOn } from "../needs.ts";

const ROOT: Need[] = ["root", "helper", "busybox"];

/** How a command line ended, and what descriptor 3 got: parsed, when it is one
 * object and nothing else. */
type WithResult = CliResult & { result: Record<string, unknown> };

async function runForResult(
  args: readonly string[],
  options: CliOptions = {},
): Promise<WithResult> {
  const file = Deno.makeTempFileSync({ prefix: "result-" });
  Deno.chmodSync(file, 0o666);
  try {
    const ended = await runToEnd([
      "sh",
      "-c",
      `exec "$@" 3>>${file}`,
      "sh",
      ...cliCommand(options),
      ...args,
    ], options);
    const text = Deno.readTextFileSync(file);
    assertMatch(text, /^\{.*\}\n$/, JSON.stringify(ended));
    return { ...ended, result: JSON.parse(text) };
  } finally {
    Deno.removeSync(file);
  }
}

/** A container in `box`, with its result. */
function runIn(
  box: { id: string; rootfs: string },
  args: readonly string[],
  options: CliOptions = {},
): Promise<WithResult> {
  return runForResult(
    ["run", "--result-fd", "3", "--rootfs", box.rootfs, "--name", box.id]
      .concat(args),
    options,
  );
}

const LATE = "rustyrun: The container was killed: it ran longer than it may " +
  "(--timeout 300ms)\n  hint: Give it more time, or make it end sooner\n";

for (
  const [what, script] of [
    ["sleeps", "sleep 600"],
    ["stays after SIGTERM", "trap '' TERM INT HUP; while :; do :; done"],
    ["stops itself", "kill -STOP $$; sleep 600"],
    ["has sent its children away", "setsid sleep 600 & exec sleep 600"],
    ["has closed what it writes to", "exec >&- 2>&-; sleep 600"],
    ["forks on and on", `exec awk 'BEGIN { while (1) system("sleep 600 &") }'`],
  ] as const
) {
  testOn(ROOT, `run --timeout ends what ${what}`, async () => {
    await using box = makeBox();
    const flags = ["--pids-limit", "50", "--timeout", "300ms"];
    const { code, stderr, result } = await runIn(
      box,
      [...flags, "--", "sh", "-c", script],
    );
    assertEquals(code, 124, stderr);
    // It may say that it cannot fork.
    assert(stderr.endsWith(LATE), stderr);
    assertEquals([result.code, result.signal, result.timedOut], [
      124,
      "SIGKILL",
      true,
    ]);
    // A slow machine has not come to the limit by then.
    const limits = what === "forks on and on" ? ["pids", "time"] : ["time"];
    assert(limits.includes(`${result.limit}`), `${result.limit}`);
  });
}

testOn(ROOT, "run --timeout ends a container with a terminal", async () => {
  await using box = makeBox();
  const { code, stdout } = await runToEnd([
    "script",
    "-qec",
    `${
      cliCommand({}).join(" ")
    } run -t --timeout 300ms --rootfs ${box.rootfs} --name ${box.id} sleep 600`,
    "/dev/null",
  ]);
  assertEquals(code, 124);
  assertMatch(stdout, /it ran longer than it may/);
});

testOn(ROOT, "run --timeout leaves who ends in time alone", async () => {
  await using box = makeBox();
  const { code, stdout, stderr, result } = await runIn(
    box,
    ["--timeout", "10m", "--", "sh", "-c", "echo out; exit 7"],
  );
  assertEquals([code, stdout, stderr], [7, "out\n", ""]);
  assertEquals(
    [result.code, result.signal, result.limit, result.timedOut],
    [7, null, null, false],
  );
});

testOn(ROOT, "run -d --timeout ends it in the background", async () => {
  await using box = makeBox();
  const flags = ["-d", "--timeout", "300ms"];
  const { code } = await box.run([...flags, "--", "sleep", "600"]);
  assertEquals(code, 0);
  const words = (word: string) => [...cliCommand({}), word, box.id];
  assertEquals((await runToEnd(words("wait"))).stdout, "124\n");
  assertEquals((await runToEnd(words("delete"))).code, 0);
});

testOn(ROOT, "run --result-fd names the limit that ended it", async () => {
  await using box = makeBox();
  const rows: [string[], string, number, string | null][] = [
    [
      ["--memory", "64m", "--memory-swap", "64m"],
      `exec awk 'BEGIN { s = "x"; while (length(s) < 200000000) s = s s }'`,
      137,
      "memory",
    ],
    // Not the first process.
    [
      ["--memory", "64m", "--memory-swap", "64m"],
      `awk 'BEGIN { s = "x"; while (length(s) < 200000000) s = s s }'; exit 3`,
      3,
      "memory",
    ],
    [
      ["--pids-limit", "5"],
      "for i in 1 2 3 4 5 6; do sleep 9 & done",
      2,
      "pids",
    ],
    [["--ulimit", "cpu=1"], "while :; do :; done", 137, "cpu"],
    [["--init", "--ulimit", "cpu=1:2"], "while :; do :; done", 152, "cpu"],
    // It has met no limit.
    [["--memory", "64m", "--pids-limit", "50"], "exit 137", 137, null],
    [
      ["--pids-limit", "5"],
      "(for i in 1 2 3 4 5 6; do sleep 0 & done); true",
      0,
      null,
    ],
  ];
  for (const [flags, script, code, limit] of rows) {
    const got = await runIn(box, [...flags, "--", "sh", "-c", script]);
    assertEquals([got.code, got.result.limit], [code, limit], script);
  }
});

testOn(ROOT, "run --result-fd says what was used", async () => {
  await using box = makeBox();
  const spin = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
  const fill = "dd if=/dev/zero of=/dev/shm/x bs=1M count=20 2>/dev/null";
  const { result } = await runIn(box, ["--", "sh", "-c", `${fill}; ${spin}`]);
  assert(Number(result.peakBytes) > 20 << 20, JSON.stringify(result));
  assert(Number(result.cpuMs) > 10, JSON.stringify(result));
  assert(Number(result.wallMs) > 10, JSON.stringify(result));
  assertEquals(Object.keys(result), [
    "code",
    "signal",
    "limit",
    "timedOut",
    "truncated",
    "cpuMs",
    "wallMs",
    "peakBytes",
  ]);
});

testOn(ROOT, "run --result-fd without a cgroup: null", async () => {
  await using box = makeBox();
  const { result } = await runForResult([
    ..."--cgroup-manager disabled run --result-fd 3 --rootfs".split(" "),
    box.rootfs,
    "--",
    ..."sh -c".split(" "),
    "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 1",
  ]);
  assertEquals([result.peakBytes, result.limit], [null, null]);
  assert(Number(result.cpuMs) > 10, JSON.stringify(result));
});

testOn(ROOT, "run --result-fd of a bundle", async () => {
  await using box = makeBox();
  const bundle = Deno.makeTempDirSync({ prefix: "bundle-" });
  try {
    Deno.writeTextFileSync(
      `${bundle}/config.json`,
      JSON.stringify({
        ociVersion: "1.2.0",
        root: { path: box.rootfs },
        process: { args: ["sleep", "600"], env: ["PATH=/bin"], cwd: "/" },
        linux: { namespaces: [{ type: "pid" }, { type: "mount" }] },
      }),
    );
    const flags = ["--timeout", "300ms", "--result-fd", "3"];
    const { code, result } = await runForResult(
      ["run", ...flags, "--bundle", bundle, box.id],
    );
    assertEquals([code, result.limit], [124, "time"]);
  } finally {
    Deno.removeSync(bundle, { recursive: true });
  }
});

testOn(
  ["user", "helper", "busybox"],
  "run --timeout and --result-fd as a user",
  async () => {
    const options = { user: true } as const;
    await using box = makeBox(options);
    const { code, result } = await runIn(
      box,
      ["--timeout", "300ms", "--", "sleep", "600"],
      options,
    );
    assertEquals([code, result.limit, result.timedOut], [124, "time", true]);
  },
);

testOn(ROOT, "docs/using.md: the program in Python runs", async () => {
  await using box = makeBox();
  const dir = Deno.makeTempDirSync({ prefix: "docs-" });
  try {
    const text = Deno.readTextFileSync(`${REPOSITORY}/docs/using.md`);
    const [, program = ""] = /^```py\n(.*?)^```$/ms.exec(text) ?? [];
    Deno.writeTextFileSync(
      `${dir}/rustyrun`,
      `#!/bin/sh\nexec ${
        cliCommand({}).map((it) => `'${it}'`).join(" ")
      } "$@"\n`,
      { mode: 0o755 },
    );
    Deno.symlinkSync(box.rootfs, `${dir}/rootfs`);
    const { code, stdout, stderr } = await runToEnd(
      [findPython()!, "-c", program],
      { cwd: dir, env: { PATH: `${dir}:${Deno.env.get("PATH")}` } },
    );
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^\{'code': 0, 'signal': None, 'limit': None, /);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

testOn(ROOT, "run --result-fd is not the command's", async () => {
  await using box = makeBox();
  const { stdout } = await runIn(box, ["--", "ls", "/proc/self/fd"]);
  assertEquals(stdout.split("\n").filter((it) => Number(it) > 3), []);
  assert(!stdout.includes("result"));
});

testOn(ROOT, "run --result-fd gets errors, early and late", async () => {
  await using box = makeBox();
  const script = `${box.rootfs}/bin/odd`;
  Deno.writeTextFileSync(script, "#!/nonexistent\n", { mode: 0o755 });
  const rows: [string[], number, string][] = [
    [["run", "--result-fd", "3", "--bogus"], 125, "unknown-flag"],
    [["run", "--result-fd=3", "an-image"], 1, "config-unreadable"],
    [
      ["run", "--result-fd", "3", "--rootfs", `${box.rootfs}/none`],
      125,
      "rootfs-missing",
    ],
    [
      ["run", "--result-fd", "3", "--bundle", `${box.rootfs}/none`, "x"],
      1,
      "bundle-missing",
    ],
    [
      ["run", "--result-fd", "3", "--rootfs", box.rootfs, "nonexistent"],
      127,
      "command-not-found",
    ],
    // What execve(2) says only when the keeper is there.
    [
      ["run", "--result-fd", "3", "--rootfs", box.rootfs, "odd"],
      127,
      "interpreter-missing",
    ],
  ];
  for (const [args, code, word] of rows) {
    const got = await runForResult(args);
    const error = got.result.error as Record<string, unknown>;
    assertEquals([got.code, error.code], [code, word], got.stderr);
    const hint = error.hint === null ? "" : `  hint: ${error.hint}\n`;
    assertEquals(got.stderr, `rustyrun: ${error.message}\n${hint}`);
  }
});

for (
  const [flags, redirect, said] of [
    [["--result-fd", "3"], "", /"--result-fd 3": it is not open for writing/],
    [["--result-fd", "3"], "3</dev/null", /it is not open for writing/],
    [["--result-fd", "2"], "", /"2" is not the number of a descriptor from 3/],
    [["--result-fd", "x"], "", /"x" is not the number of a descriptor from 3/],
    [
      ["--result-fd", "3", "--preserve-fds", "1"],
      "3>/dev/null",
      /the container itself gets descriptor 3\n {2}hint: Take one from 4 on/,
    ],
    [["--result-fd", "3", "-d"], "3>/dev/null", /nobody waits for the result/],
    [["--timeout", "0"], "", /"--timeout 0": it leaves no time to run/],
    [["--timeout", "soon"], "", /"soon" is not a duration/],
    [["--timeout", "-1s"], "", /"-1s" is not a duration/],
    [
      ["--timeout", "1s", "-dt", "--console-socket", "/none"],
      "",
      /nobody of rustyrun's stays with the container/,
    ],
  ] as const
) {
  testOn(
    ROOT,
    `run ${flags.join(" ")} ${redirect} is refused`,
    async () => {
      await using box = makeBox();
      const { code, stdout, stderr } = await runToEnd([
        "sh",
        "-c",
        `exec "$@" ${redirect}`,
        "sh",
        ...cliCommand({}),
        "run",
        ...flags,
        ...["--rootfs", box.rootfs, "--name", box.id, "true"],
      ]);
      assertEquals([code, stdout], [125, ""]);
      assertMatch(stderr, said);
      assertEquals(stderr.split("\n").length, 3, stderr);
    },
  );
}
