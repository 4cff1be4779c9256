/**
 * docs/library.md and README.md: each block of TypeScript is a program, and prints what its
 * comments say. And the package that people load.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import { checkPacked, HelperError } from "../../ffi/helper.ts";
import type { PackedHelper } from "../../ffi/packed.ts";
import { makePackage } from "../../scripts/package.ts";
import { makeRootfs, ROOT, runToEnd } from "../harness.ts";
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

/** Serves files as a registry does. */
function serve(dir: string): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    async (request) =>
      new Response(
        await Deno.readTextFile(dir + new URL(request.url).pathname),
        {
          headers: { "content-type": "application/typescript" },
        },
      ),
  );
}

testOn(
  ["cc", "root"],
  "the package runs a container where all of it comes from the network",
  async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-package-" });
    const rootfs = makeRootfs();
    await makePackage(`${dir}/package`, [Deno.build.arch]);
    const server = serve(`${dir}/package`);
    try {
      const origin = `http://127.0.0.1:${server.addr.port}`;
      Deno.writeTextFileSync(
        `${dir}/a.ts`,
        `import { Sandbox } from "${origin}/mod/mod.ts";
const { stdout } = await Sandbox.run({
  rootfs: ${JSON.stringify(rootfs)},
  command: ["echo", "hi"],
});
console.log(stdout);`,
      );
      const { stdout, stderr } = await runToEnd(
        [
          ...[Deno.execPath(), "run", "-A", "-q", "--no-check", "--no-lock"],
          ...[`--config=${ROOT}/deno.json`, `${dir}/a.ts`],
        ],
        { env: { DENO_DIR: `${dir}/cache` } },
      );
      assertEquals({ stdout, stderr }, { stdout: "hi\n\n", stderr: "" });
    } finally {
      await server.shutdown();
      Deno.removeSync(dir, { recursive: true });
      Deno.removeSync(rootfs, { recursive: true });
    }
  },
);

testOn(
  ["cc", "aarch64"],
  "the package has the helpers of both architectures, and can be published",
  async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-package-" });
    try {
      await makePackage(dir);
      const { PACKED } = await import(`${dir}/ffi/packed.ts`) as {
        PACKED: Record<string, PackedHelper>;
      };
      // e_machine of elf(5): EM_X86_64, EM_AARCH64.
      const machines = Object.entries(PACKED).map(([arch, { base64 }]) => [
        arch,
        Uint8Array.fromBase64(base64)[18],
      ]);
      assertEquals(machines, [["x86_64", 62], ["aarch64", 183]]);
      for (const packed of Object.values(PACKED)) await checkPacked(packed);
      const { success, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["publish", "--dry-run", "--allow-dirty"],
        cwd: dir,
        env: { NO_COLOR: "1" },
      }).output();
      assertEquals(success, true, new TextDecoder().decode(stderr));
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

Deno.test("checkPacked() refuses bytes that are not those of the hash", async () => {
  const base64 = new Uint8Array([1, 2, 3]).toBase64();
  const error = await assertRejects(
    () => checkPacked({ base64, sha256: "0".repeat(64) }),
    HelperError,
  );
  assertEquals(error.reason, "changed");
});
