/**
 * The package, as a registry gets it and hands it out: `deno publish` sends it to
 * one that is served here, and a program with nothing else loads it from there.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { HelperError, unpackHelper } from "../../ffi/helper.ts";
import type { LoadPacked } from "../../ffi/packed.ts";
import { VERSION } from "../../mod/version.ts";
import { makePackage } from "../../scripts/package.ts";
import { makeRootfs, runToEnd } from "../harness.ts";
import { findProgram, testOn } from "../needs.ts";

const NAME = "@rustyrun/rustyrun";

/** The paths of the files below a directory, each with a slash before it. */
function listFiles(dir: string): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) =>
    isDirectory
      ? listFiles(`${dir}/${name}`).map((it) => `/${name}${it}`)
      : [`/${name}`]
  ).sort();
}

const sha256 = async (bytes: Uint8Array<ArrayBuffer>) =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();

/** What a registry says of a version: each file by its hash. */
async function describeVersion(dir: string) {
  const manifest: Record<string, { size: number; checksum: string }> = {};
  for (const path of listFiles(dir)) {
    const bytes = Deno.readFileSync(dir + path);
    manifest[path] = {
      size: bytes.length,
      checksum: `sha256-${await sha256(bytes)}`,
    };
  }
  const { exports } = JSON.parse(Deno.readTextFileSync(`${dir}/deno.json`));
  return { manifest, exports };
}

/** Unpacks what `deno publish` sends. */
async function receive(request: Request, dir: string): Promise<void> {
  const child = new Deno.Command("tar", {
    args: ["-xz", "-C", dir],
    stdin: "piped",
  }).spawn();
  await request.body!.pipeTo(child.stdin);
  assert((await child.status).success);
}

/** Serves one package: nothing of it is there until it is published.
 *
 * @param dir an empty directory, which gets its files */
function serveRegistry(dir: string): Deno.HttpServer<Deno.NetAddr> {
  const done = { id: "1", status: "success", error: null };
  const versionPath =
    `/api/scopes/rustyrun/packages/rustyrun/versions/${VERSION}`;
  return Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      if (request.method === "POST") {
        assertEquals(pathname, versionPath);
        await receive(request, dir);
        return Response.json(done);
      }
      if (pathname === versionPath) {
        const error = { code: "packageVersionNotFound", message: "not yet" };
        return Response.json(error, { status: 404 });
      }
      if (pathname.startsWith("/api/")) {
        return Response.json({ scope: "rustyrun", name: "rustyrun" });
      }
      const path = pathname.slice(`/${NAME}/`.length);
      if (path === "meta.json") {
        return Response.json({ versions: { [VERSION]: {} } });
      }
      if (path === `${VERSION}_meta.json`) {
        return Response.json(await describeVersion(dir));
      }
      const file = dir + path.slice(VERSION.length);
      return new Response(Deno.readFileSync(file), {
        headers: { "content-type": "application/typescript" },
      });
    },
  );
}

/** The helpers that came, and what they say when somebody starts them. */
async function startHelpers(dir: string): Promise<Record<string, string>> {
  const { PACKED } = await import(`${dir}/ffi/packed.ts`) as {
    PACKED: Record<string, LoadPacked>;
  };
  const said: Record<string, string> = {};
  for (const [arch, load] of Object.entries(PACKED)) {
    const { HELPER } = await load();
    const bytes = Uint8Array.fromBase64(HELPER.base64);
    assertEquals(await sha256(bytes), HELPER.sha256);
    // e_machine of elf(5).
    said[arch] = bytes[18] === { x86_64: 62, aarch64: 183 }[arch]
      ? "its own"
      : "another";
    const emulator = `qemu-${arch}-static`;
    const own = arch === Deno.build.arch;
    if (!own && findProgram(emulator) === undefined) continue;
    const file = `${dir}/${arch}`;
    Deno.writeFileSync(file, bytes, { mode: 0o700 });
    const { code, stderr } = await runToEnd(own ? [file] : [emulator, file]);
    assertEquals({ code, stderr }, {
      code: 125,
      stderr: "rustyrun-helper: started by rustyrun, not by hand\n",
    });
  }
  return said;
}

testOn(
  ["cc", "aarch64", "x86_64", "root"],
  "the package is published without a warning, and runs a container where nothing else is",
  async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-package-" });
    const rootfs = makeRootfs();
    for (const it of ["published", "program"]) Deno.mkdirSync(`${dir}/${it}`);
    const published = `${dir}/published`;
    const server = serveRegistry(published);
    const env = { JSR_URL: `http://127.0.0.1:${server.addr.port}/` };
    try {
      await makePackage(`${dir}/package`);
      const { code, stdout, stderr } = await runToEnd(
        [Deno.execPath(), "publish", "--token=none", "--no-provenance"],
        { cwd: `${dir}/package`, env },
      );
      assertEquals([code, /warning|error/i.exec(stdout + stderr)], [0, null]);
      const files = listFiles(published);
      const strange = files.filter((it) =>
        !/^\/(?:(?:ffi|mod)\/.*\.ts|README\.md|LICENSE|CHANGELOG\.md|deno\.json)$/
          .test(it) || /^\/mod\/(?:cli|serve)\//.test(it)
      );
      assertEquals(strange, []);

      const program = `${dir}/program/a.ts`;
      Deno.writeTextFileSync(
        program,
        `import { Sandbox } from "jsr:${NAME}@${VERSION}";
const { stdout } = await Sandbox.run({
  rootfs: ${JSON.stringify(rootfs)},
  command: ["echo", "hi"],
});
await Deno.stdout.write(new TextEncoder().encode(stdout));`,
      );
      const ran = await runToEnd(
        [Deno.execPath(), "run", "-A", "-q", "--no-check", program],
        {
          cwd: `${dir}/program`,
          env: { ...env, DENO_DIR: `${dir}/cache` },
        },
      );
      assertEquals(
        { code: ran.code, stdout: ran.stdout, stderr: ran.stderr },
        { code: 0, stdout: "hi\n", stderr: "" },
      );
      assertEquals(await startHelpers(published), {
        x86_64: "its own",
        aarch64: "its own",
      });
    } finally {
      await server.shutdown();
      Deno.removeSync(dir, { recursive: true });
      Deno.removeSync(rootfs, { recursive: true });
    }
  },
);

const base64 = new Uint8Array([1, 2, 3]).toBase64();
for (
  const [what, load, reason] of [
    [
      "bytes that are not those of the hash",
      async () => ({
        HELPER: { base64, sha256: await sha256(new Uint8Array([1, 2])) },
      }),
      "changed",
    ],
    [
      "what is no base64",
      async () => ({
        HELPER: {
          base64: base64.slice(1),
          sha256: await sha256(new Uint8Array([1, 2, 3])),
        },
      }),
      "changed",
    ],
    [
      "a module that cannot be loaded",
      () => Promise.reject(new TypeError("Module not found")),
      "missing",
    ],
  ] satisfies [string, LoadPacked, HelperError["reason"]][]
) {
  Deno.test(`unpackHelper() refuses ${what}`, async () => {
    const error = await assertRejects(() => unpackHelper(load), HelperError);
    assertEquals(error.reason, reason);
  });
}
