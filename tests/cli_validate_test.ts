/** Tests for `rustyrun validate`: which configuration it looks at. */

import { assertEquals } from "@std/assert";
import { runCli } from "./harness.ts";

const GOOD = JSON.stringify({
  ociVersion: "1.2.0",
  process: { cwd: "/", args: ["sh"] },
  root: { path: "rootfs" },
});
const BAD = GOOD.replace("1.2.0", "2.0.0");

const SHAPELESS =
  "DIR/list.json: must be an object: found a list\n  clause:  config.md#valid-values\n  instead: write an object: {...}\n" +
  "DIR/list.json: then run this again: what may rest on these properties comes after them\n";

const PROBLEM =
  ': ociVersion must be a version 1.x: found "2.0.0"\n  clause:  config.md#specification-version\n  instead: write "1.3.0", and what that version has\n';

/** The words after `validate` in a directory with a good config.json and a bad
 * bad.json; the exit code, stdout and stderr. */
const rows: [string, number, string, string][] = [
  ["", 0, "DIR/config.json: valid\n", ""],
  ["bad.json", 1, `DIR/bad.json${PROBLEM}`, ""],
  ["--config bad.json", 1, `DIR/bad.json${PROBLEM}`, ""],
  ["list.json", 1, SHAPELESS, ""],
  ["--bundle .", 0, "DIR/config.json: valid\n", ""],
  [
    "none.json",
    1,
    "",
    'rustyrun: Cannot read "DIR/none.json": no such file or directory\n  hint: Write one with rustyrun spec\n',
  ],
  [
    "/",
    1,
    "",
    'rustyrun: Cannot read "/": is a directory\n  hint: Name a file that you may read\n',
  ],
  [
    "--config config.json bad.json",
    1,
    "",
    'rustyrun: Cannot read the command line: --config config.json and "bad.json" exclude each other\n  hint: Name one configuration: rustyrun validate FILE\n',
  ],
];

for (const [words, code, stdout, stderr] of rows) {
  Deno.test(`validate reads what is named: "${words}"`, async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-validate-" });
    try {
      Deno.writeTextFileSync(`${dir}/config.json`, GOOD);
      Deno.writeTextFileSync(`${dir}/bad.json`, BAD);
      Deno.writeTextFileSync(`${dir}/list.json`, "[]");
      const result = await runCli(
        ["validate", ...words.split(" ").filter(Boolean)],
        { cwd: dir },
      );
      const shown = (text: string) => text.replaceAll(dir, "DIR");
      assertEquals(
        [result.code, shown(result.stdout), shown(result.stderr)],
        [code, stdout, stderr],
      );
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  });
}
