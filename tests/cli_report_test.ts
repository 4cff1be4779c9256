/**
 * How errors are printed, exit codes, tables, times, and where states are kept.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type Call, wordsOf } from "../mod/cli/call.ts";
import { formatTable } from "../mod/cli/lifecycle.ts";
import { checkDeno } from "../mod/cli/main.ts";
import { defaultRoot } from "../mod/state/place.ts";
import {
  exitCodeOf,
  formatError,
  formatLogLine,
  openLog,
  toContainerError,
  warnTo,
} from "../mod/cli/report.ts";
import { parseDuration } from "../mod/config/flags/numbers.ts";
import { ContainerError } from "../mod/errors.ts";
import { formatFindings } from "../mod/cli/doctor.ts";
import { makeCaller, makeOutlet } from "./manager_fixtures.ts";
import { runCli } from "./harness.ts";

Deno.test("run with an image's name, or a directory, where there is no bundle", async () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-image-" });
  Deno.mkdirSync(`${dir}/rootfs`);
  try {
    for (
      const [word, hint] of [
        [
          "alpine",
          "rustyrun knows no images yet: unpack alpine into a directory (mkdir DIR && docker export $(docker create alpine) | tar -xC DIR), then rustyrun run --rootfs DIR",
        ],
        ["rootfs", "Write --rootfs before it: rustyrun run --rootfs rootfs"],
        [
          "./rootfs",
          "Write --rootfs before it: rustyrun run --rootfs ./rootfs",
        ],
        [
          "ubuntu:22.04",
          "rustyrun knows no images yet: unpack ubuntu:22.04 into a directory (mkdir DIR && docker export $(docker create ubuntu:22.04) | tar -xC DIR), then rustyrun run --rootfs DIR",
        ],
      ]
    ) {
      assertEquals(await runCli(["run", word!], { cwd: dir }), {
        code: 1,
        stdout: "",
        stderr:
          `rustyrun: Cannot run "${word}": there is no config.json here, and a root file system must follow --rootfs\n  hint: ${hint}\n`,
        signal: null,
      });
    }
    const two = await runCli(["run", "rootfs", "sh"], { cwd: dir });
    assertEquals([two.code, two.stderr], [
      125,
      'rustyrun: Cannot read the command line: "rootfs" stands alone: a root file system must follow --rootfs\n  hint: Write --rootfs before it: rustyrun run --rootfs rootfs sh\n',
    ]);
    const json = await runCli(["run", "--json", "alpine"], { cwd: dir });
    assertEquals([json.code, JSON.parse(json.stderr).exitCode], [1, 1]);
    // Where a bundle is, an id is meant.
    const config = `${dir}/config.json`;
    Deno.writeTextFileSync(config, "{}");
    assertStringIncludes(
      (await runCli(["run", "./rootfs"], { cwd: dir })).stderr,
      'Cannot use the id "./rootfs": invalid container ID format',
    );
    Deno.removeSync(config);
    // Who names a bundle means one.
    const { stderr } = await runCli(["run", "--bundle", ".", "x"], {
      cwd: dir,
    });
    assertEquals(
      stderr,
      `rustyrun: Cannot read "${dir}/config.json": no such file or directory\n  hint: Write one with rustyrun spec, or run a command without: rustyrun run --rootfs DIR COMMAND\n`,
    );
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

for (
  const [words, code] of [
    [["run", "--json", "--rootfs", "/nowhere", "true"], 125],
    [["run", "--json", "--bundle", "/nowhere", "x"], 1],
    [["run", "--json", "x", "y"], 125],
    [["create", "--json", "--bundle", "/nowhere", "x"], 1],
    [["create", "--json"], 1],
    [["validate", "--json", "/nowhere"], 1],
    [["exec", "--json", "nobody", "true"], 1],
    [["list", "--json"], 1],
  ] as const
) {
  Deno.test(`${words.join(" ")} exits with the ${code} of its JSON`, async () => {
    const ended = await runCli([...words]);
    assertEquals(
      [ended.code, JSON.parse(ended.stderr).exitCode],
      [code, code],
    );
  });
}

Deno.test("an error that the keeper prints has its exit code in its JSON", () => {
  const { caller, outlet } = { caller: makeCaller(), outlet: makeOutlet() };
  const error = new ContainerError("Cannot", { code: "x" });
  for (
    const [friendly, code] of [[true, 125], [false, 1]] as const
  ) {
    const words = wordsOf({
      command: "run",
      friendly,
      reporting: { json: true, caller, outlet },
    } as unknown as Call, "x");
    assertEquals(words.exit(error), code);
    assertEquals(JSON.parse(words.error(error)).exitCode, code);
  }
});

Deno.test("formatError() is a line of cause and a line of hint", () => {
  assertEquals(
    formatError(
      new ContainerError('Cannot use "x": no', { code: "x", hint: "Do y" }),
    ),
    'rustyrun: Cannot use "x": no\n  hint: Do y\n',
  );
});

Deno.test("formatError() writes no control character, and fakes no line", () => {
  const message = 'Cannot use "\x1b[31m\u009bA\r\nrustyrun: fake\x7f"';
  assertEquals(
    formatError(new ContainerError(message, { code: "x", hint: "a\x07b" })),
    'rustyrun: Cannot use "\\x1b[31m\\x9bA\\x0d\n  rustyrun: fake\\x7f"\n  hint: a\\x07b\n',
  );
});

Deno.test("formatError() without a hint is one line", () => {
  assertEquals(
    formatError(new ContainerError("Cannot", { code: "x" })),
    "rustyrun: Cannot\n",
  );
});

const TIME = "2026-01-02T03:04:05.678Z";

for (
  const [level, format, message, want] of [
    ["error", "json", "a", `{"level":"error","msg":"a","time":"${TIME}"}\n`],
    [
      "error",
      "json",
      'Cannot use "x"\n',
      `{"level":"error","msg":"Cannot use \\"x\\"\\n","time":"${TIME}"}\n`,
    ],
    ["warning", "text", "a", `time="${TIME}" level=warning msg="a"\n`],
    [
      "warning",
      "json",
      "a",
      `{"level":"warning","msg":"a","time":"${TIME}"}\n`,
    ],
    ["error", "text", "a", `time="${TIME}" level=error msg="a"\n`],
    [
      "error",
      "text",
      'Cannot use "x"\n',
      `time="${TIME}" level=error msg="Cannot use \\"x\\"\\n"\n`,
    ],
  ] as const
) {
  Deno.test(`formatLogLine() of ${level} ${JSON.stringify(message)} as ${format}`, () => {
    assertEquals(formatLogLine(level, message, format, TIME), want);
  });
}

for (
  const [command, friendly, code, want] of [
    ["run", true, 125, 125],
    ["run", true, 126, 126],
    ["run", true, 127, 127],
    ["run", false, 125, 1],
    ["run", false, 127, 1],
    ["create", false, 125, 1],
    ["exec", false, 125, 255],
    ["exec", false, 127, 255],
    ["kill", false, 1, 1],
  ] as const
) {
  Deno.test(
    `exitCodeOf() ${command}${friendly ? " by flags" : ""} ${code} is ${want}`,
    () => assertEquals(exitCodeOf({ command, friendly }, code), want),
  );
}

Deno.test("toContainerError() keeps one that is told already", () => {
  const error = new ContainerError("Cannot", { code: "x" });
  assert(toContainerError(error) === error);
});

for (
  const [thrown, message] of [
    [new TypeError("no x"), "Cannot go on: TypeError: no x"],
    ["text", "Cannot go on: text"],
    [undefined, "Cannot go on: undefined"],
  ] as const
) {
  Deno.test(`toContainerError() owns up to ${thrown}`, () => {
    const error = toContainerError(thrown);
    assertEquals(error.toJSON(), {
      error: message,
      code: "internal",
      hint:
        "This is a bug in rustyrun: please report it with the output of --verbose",
      exitCode: 125,
    });
    assertEquals(error.cause, thrown);
  });
}

const REPORTING = {
  logFormat: "text",
  logLevel: "warning",
  json: false,
  verbose: false,
  outlet: makeOutlet().outlet,
  caller: makeCaller(),
} as const;

Deno.test("openLog() makes the file, and keeps what it holds", () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-log-" });
  try {
    const log = `${dir}/log`;
    openLog({ ...REPORTING, log });
    assertEquals(Deno.readTextFileSync(log), "");
    Deno.writeTextFileSync(log, "old\n");
    openLog({ ...REPORTING, log });
    assertEquals(Deno.readTextFileSync(log), "old\n");
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("openLog() says that it cannot", () => {
  let thrown: unknown;
  try {
    openLog({ ...REPORTING, log: "/proc/nowhere/log" });
  } catch (error) {
    thrown = error;
  }
  assert(thrown instanceof ContainerError);
  assertEquals(
    [thrown.code, thrown.hint],
    ["log", "Name a file that you may write: --log FILE"],
  );
  assertEquals(
    thrown.message,
    'Cannot write the log "/proc/nowhere/log": no such file or directory',
  );
});

for (
  const [uid, dir, want] of [
    [1000, "/run/user/1000", "/run/user/1000/rustyrun"],
    [1000, undefined, "/tmp/rustyrun-1000"],
    [1000, "", "/tmp/rustyrun-1000"],
  ] as const
) {
  Deno.test(`defaultRoot() of ${uid} with ${dir ?? "nothing"} is ${want}`, () => {
    assertEquals(defaultRoot(uid, dir), want);
  });
}

for (
  const [text, want] of [
    ["5s", 5000],
    ["500ms", 500],
    ["1m30s", 90_000],
    ["1h", 3_600_000],
    ["1.5s", 1500],
    ["250us", 0.25],
    ["0s", 0],
    ["", undefined],
    ["5", undefined],
    ["-5s", undefined],
    ["s", undefined],
    ["5 s", undefined],
    ["5s ", undefined],
    ["1d", undefined],
    ["5sx", undefined],
    [".5s", undefined],
  ] as const
) {
  Deno.test(`parseDuration() of ${JSON.stringify(text)} is ${want}`, () => {
    assertEquals(parseDuration(text), want);
  });
}

Deno.test("formatTable() has columns of twelve and more, the last one as it is", () => {
  assertEquals(
    formatTable([
      ["ID", "PID", "OWNER"],
      ["a-long-identifier", "4711", "root"],
      ["b", "0", ""],
    ]),
    "ID                  PID         OWNER\n" +
      "a-long-identifier   4711        root\n" +
      "b                   0           \n",
  );
});

Deno.test("formatFindings() marks, aligns, and says what would change it", () => {
  assertEquals(
    formatFindings([
      { name: "kernel", verdict: "fine", detail: "6.12.0" },
      {
        name: "user-namespace",
        verdict: "fails",
        detail: "unshare: EPERM",
        fix: "sysctl -w x=1",
      },
      { name: "overlay", verdict: "lacks", detail: "none" },
      { name: "a", verdict: "lacks", detail: "one", fix: "boot" },
      { name: "b", verdict: "lacks", detail: "two", fix: "boot" },
    ]),
    "ok  kernel          6.12.0\n" +
      "NO  user-namespace  unshare: EPERM\n" +
      "                    fix: sysctl -w x=1\n" +
      "--  overlay         none\n" +
      "--  a               one\n" +
      "--  b               two\n" +
      "                    fix: boot\n",
  );
});

Deno.test("warnTo() does not throw where nobody reads standard error", () => {
  const { outlet, said } = makeOutlet();
  const write: typeof outlet.write = (stream, bytes) => {
    outlet.write(stream, bytes);
    throw new Deno.errors.BrokenPipe();
  };
  const reporting = { ...REPORTING, outlet: { ...outlet, write } };
  warnTo({ reporting })("Cannot grant");
  assertEquals(said[2], "rustyrun: warning: Cannot grant\n");
});

Deno.test("--root is not the root of the file system", async () => {
  assertEquals(await runCli(["--root", "//", "list"]), {
    code: 1,
    signal: null,
    stdout: "",
    stderr:
      'rustyrun: Cannot keep the containers\' state in "/": --root argument should not be set to /\n  hint: Name a directory of its own: --root /run/rustyrun\n',
  });
});

for (
  const [version, fine] of [
    ["2.5.9", false],
    ["1.46.3", false],
    ["2.6.0", true],
    ["2.10.0", true],
    ["3.0.0-rc.1", true],
  ] as const
) {
  Deno.test(`Deno ${version} is ${fine ? "new enough" : "too old"}`, () => {
    if (fine) return checkDeno(version);
    const error = assertThrows(() => checkDeno(version), ContainerError);
    assertEquals(error.toJSON(), {
      error: `Cannot run on Deno ${version}: it is too old`,
      code: "deno-old",
      hint:
        "Take Deno 2.6 or newer: deno upgrade, or npx -y deno@latest in place of deno",
      exitCode: 125,
    });
  });
}
