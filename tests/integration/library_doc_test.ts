/**
 * docs/library.md and README.md: each block of TypeScript is a program, and prints
 * what its comments say.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { ROOT, runToEnd } from "../harness.ts";
import { testOn } from "../needs.ts";

/** A program in a document, and where it stands. */
interface Block {
  place: string;
  code: string;
}

function listBlocks(file: string): Block[] {
  const text = Deno.readTextFileSync(`${ROOT}/${file}`);
  let heading = "";
  const blocks: Block[] = [];
  for (
    const [, title, code] of text.matchAll(
      /^##? (.*)\n|^```ts\n([^]*?)^```$/gm,
    )
  ) {
    if (title !== undefined) heading = title;
    if (code !== undefined) {
      blocks.push({ place: `${file}, "${heading}"`, code });
    }
  }
  return blocks;
}

const blocks = [...listBlocks("README.md"), ...listBlocks("docs/library.md")];

/** The program, with the library of this clone. */
const here = (code: string) =>
  code.replaceAll(
    '"@rustyrun/rustyrun"',
    JSON.stringify(`${ROOT}/mod/mod.ts`),
  );

Deno.test("the documents' programs are of the right types", async () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-library-" });
  try {
    const files = blocks.map(({ code }, at) => {
      Deno.writeTextFileSync(`${dir}/${at}.ts`, here(code));
      return `${dir}/${at}.ts`;
    });
    const { code, stderr } = await runToEnd([
      ...[Deno.execPath(), "check", "-q", `--config=${ROOT}/deno.json`],
      ...files,
    ]);
    assertEquals(code, 0, stderr);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

for (const { place, code } of blocks) {
  testOn(
    ["helper", "root"],
    `${place}: prints what it says`,
    async () => {
      const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-library-" });
      try {
        const file = `${dir}/example.ts`;
        Deno.writeTextFileSync(file, here(code));
        const { code: exit, stdout, stderr } = await runToEnd([
          ...[Deno.execPath(), "run", "-A", "--no-check"],
          ...["--quiet", `--config=${ROOT}/deno.json`, file],
        ], { env: { TMPDIR: dir } });
        assertEquals({ exit, stderr }, { exit: 0, stderr: "" });
        const said = [...code.matchAll(/console\.log\(.*\/\/ (.*)$/gm)]
          .map(([, it]) => it!);
        const lines = stdout.trim().split("\n").filter((it) => it !== "");
        assertEquals(
          said.length > 0,
          true,
          "it says nothing of what it prints",
        );
        for (const it of said.join(", ").split(", ")) {
          assertEquals(lines.includes(it), true, `${it} in ${stdout}`);
        }
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    },
  );
}
