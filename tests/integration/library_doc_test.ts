/**
 * docs/library.md: each block of TypeScript is a program, and prints what its
 * comments say.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { ROOT, runToEnd } from "../harness.ts";
import { testOn } from "../needs.ts";

const text = Deno.readTextFileSync(`${ROOT}/docs/library.md`);
const blocks = [...text.matchAll(/^## (.*)\n|^```ts\n([^]*?)^```$/gm)];

/** The program, with the library of this clone. */
const here = (code: string) =>
  code.replaceAll(
    '"@rustyrun/rustyrun"',
    JSON.stringify(`${ROOT}/mod/mod.ts`),
  );

Deno.test("docs/library.md: its programs are of the right types", async () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-library-" });
  try {
    const files = blocks.flatMap(([, , code], at) => {
      if (code === undefined) return [];
      Deno.writeTextFileSync(`${dir}/${at}.ts`, here(code));
      return [`${dir}/${at}.ts`];
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

let heading = "";
for (const [, title, code] of blocks) {
  if (title !== undefined) heading = title;
  if (code === undefined) continue;
  testOn(
    ["helper", "root"],
    `docs/library.md, "${heading}": prints what it says`,
    async () => {
      const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-library-" });
      try {
        const file = `${dir}/example.ts`;
        Deno.writeTextFileSync(file, here(code));
        const { code: exit, stdout, stderr } = await runToEnd([
          ...[Deno.execPath(), "run", "-A", "--no-check"],
          ...["--quiet", `--config=${ROOT}/deno.json`, file],
        ]);
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

testOn(
  ["helper", "root"],
  "the library works where its modules come from the network",
  async () => {
    const server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen() {} },
      async (request) => {
        const { pathname } = new URL(request.url);
        const body = await Deno.readTextFile(`${ROOT}${pathname}`);
        return new Response(body, {
          headers: { "content-type": "application/typescript" },
        });
      },
    );
    const origin = `http://127.0.0.1:${server.addr.port}`;
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-library-" });
    try {
      // The helper is no module: a package carries it in one of its own.
      Deno.writeTextFileSync(
        `${dir}/a.ts`,
        `import { doctor, Sandbox } from "${origin}/mod/mod.ts";
const steps = await Sandbox.explain({ rootfs: "/", ephemeral: true });
console.log(steps.length > 20);`,
      );
      const { stdout, stderr } = await runToEnd(
        [
          ...[Deno.execPath(), "run", "-A", "-q", "--no-check", "--no-lock"],
          ...[`--config=${ROOT}/deno.json`, `${dir}/a.ts`],
        ],
        { env: { DENO_DIR: `${dir}/cache` } },
      );
      assertEquals({ stdout, stderr }, { stdout: "true\n", stderr: "" });
    } finally {
      Deno.removeSync(dir, { recursive: true });
      await server.shutdown();
    }
  },
);
