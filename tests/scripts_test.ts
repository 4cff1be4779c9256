/**
 * The scripts' command lines: what cannot be done is said at once, in one error.
 *
 * @module
 */

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { BuildError } from "../scripts/build.ts";
import { checkOutput } from "../scripts/output.ts";
import { ROOT, runToEnd } from "./harness.ts";

Deno.test("checkOutput() leaves a file as it was, and none where there was none", () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-output-" });
  try {
    Deno.writeTextFileSync(`${dir}/old`, "kept");
    checkOutput(`${dir}/old`);
    checkOutput(`${dir}/new`);
    assertEquals(Deno.readTextFileSync(`${dir}/old`), "kept");
    assertEquals([...Deno.readDirSync(dir)].map((it) => it.name), ["old"]);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

for (
  const [path, why] of [
    ["/nonexistent/dir/x", "no such file or directory"],
    ["/dev/null/x", "not a directory"],
    ["/", "is a directory"],
    ["/proc/x", "no such file or directory"],
  ] as const
) {
  Deno.test(`checkOutput() refuses ${path}`, () => {
    assertThrows(
      () => checkOutput(path),
      BuildError,
      `Cannot write "${path}": ${why}\n  hint: Name a file`,
    );
  });
}

for (
  const [words, stderr] of [
    [
      ["bench/run.ts", "--json=/nonexistent/dir/x"],
      'Cannot write "/nonexistent/dir/x": no such file or directory',
    ],
    [
      ["scripts/differential.ts", "--json", "/nonexistent/dir/x"],
      'Cannot write "/nonexistent/dir/x": no such file or directory',
    ],
    [
      ["scripts/compile.ts", "fast"],
      'Cannot compile: unknown argument "fast"',
    ],
    [
      ["scripts/demo.ts", "fast"],
      'Cannot show the demo: unknown argument "fast"',
    ],
    [
      ["scripts/bundle.ts", "fast"],
      'Cannot bundle: unknown argument "fast"',
    ],
    [
      ["scripts/package.ts", "fast"],
      'Cannot make the package: unknown argument "fast"',
    ],
    [
      ["scripts/test.ts", "tests/plan_test.ts", "tests/none_test.ts"],
      'Cannot test "tests/none_test.ts": there is no such file or directory',
    ],
    [
      ["scripts/vm.ts"],
      'Cannot run tests in a guest: "/nonexistent/vm": no such file or directory',
    ],
    [
      ["scripts/differential.ts", "--json"],
      "Cannot run the differential test: --json needs a value",
    ],
    [
      ["scripts/differential.ts", "--bogus"],
      'Cannot run the differential test: unknown argument "--bogus"',
    ],
    [
      ["scripts/conformance.ts", "--bogus"],
      'Cannot run the conformance suite: unknown argument "--bogus"',
    ],
    [
      ["scripts/conformance.ts", "--runtime", "youki"],
      'Cannot run the conformance suite: no runtime "youki", but rustyrun, runc, crun',
    ],
  ] as const
) {
  Deno.test(`${words.join(" ")}: one error, before any work`, async () => {
    const [script, ...args] = words;
    const ended = await runToEnd([
      ...[Deno.execPath(), "run", "-A", "--no-check", `${ROOT}/${script}`],
      ...args,
    ], { env: { NO_COLOR: "1", VM: "/nonexistent/vm" } });
    assertEquals(ended.stdout, "");
    assertEquals(ended.code === 0, false);
    const [cause, hint, ...rest] = ended.stderr.split("\n");
    assertEquals([cause, rest], [stderr, [""]], ended.stderr);
    assertEquals(hint?.startsWith("  hint: "), true, ended.stderr);
  });
}

const dryRun = (config: string) =>
  runToEnd([
    ...[Deno.execPath(), "publish", "--dry-run", "--allow-dirty"],
    `--config=${ROOT}/${config}`,
  ], { cwd: ROOT, env: { NO_COLOR: "1" } });

Deno.test("the library's sources are fit to be published", async () => {
  const { code, stdout, stderr } = await dryRun("deno.jsr.json");
  assertEquals(code, 0, stderr);
  assertMatch(stdout + stderr, /Success Dry run complete/);
});

Deno.test("a mere deno publish in the clone is refused: it carries no helper", async () => {
  const { code, stderr } = await dryRun("deno.json");
  assertEquals(code, 1);
  assertMatch(stderr, /'publish' field is false/);
});
