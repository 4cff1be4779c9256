/**
 * Writes dist/package: what is published on JSR. That is the sources, and the
 * helpers of both architectures in a module.
 *
 *     deno task package [DIRECTORY]
 *     (cd dist/package && deno publish)
 *
 * @module
 */

import {
  type Arch,
  BuildError,
  buildHelper,
  helperPath,
  ROOT,
} from "./build.ts";

const ARCHITECTURES: Arch[] = ["x86_64", "aarch64"];

/** Copies a file, or a directory with all its files. */
function copy(from: string, to: string): void {
  if (Deno.statSync(from).isFile) return Deno.copyFileSync(from, to);
  Deno.mkdirSync(to, { recursive: true });
  for (const { name } of Deno.readDirSync(from)) {
    copy(`${from}/${name}`, `${to}/${name}`);
  }
}

/** The module ffi/packed.ts with these helpers. */
async function packHelpers(archs: readonly Arch[]): Promise<string> {
  const source = Deno.readTextFileSync(`${ROOT}ffi/packed.ts`);
  const rows: string[] = [];
  for (const arch of archs) {
    buildHelper({ arch });
    const bytes = Deno.readFileSync(helperPath(arch));
    const sha256 = new Uint8Array(
      await crypto.subtle.digest("SHA-256", bytes),
    ).toHex();
    rows.push(
      `  ${arch}: {\n    sha256: "${sha256}",\n    base64:\n      "${bytes.toBase64()}",\n  },\n`,
    );
  }
  const empty = "Readonly<Record<string, PackedHelper>> = {};";
  if (!source.includes(empty)) {
    throw new BuildError(
      "Cannot pack the helpers: ffi/packed.ts has no place for them",
    );
  }
  return source.replace(
    empty,
    () => empty.replace("{}", `{\n${rows.join("")}}`),
  );
}

/**
 * Makes the package.
 *
 * @param dir a directory that is made anew
 * @throws {BuildError} when a helper cannot be built
 */
export async function makePackage(
  dir: string,
  archs: readonly Arch[] = ARCHITECTURES,
): Promise<void> {
  const packed = await packHelpers(archs);
  const config = Deno.readTextFileSync(`${ROOT}deno.jsr.json`);
  const { publish } = JSON.parse(config) as { publish: { include: string[] } };
  Deno.mkdirSync(dir, { recursive: true });
  for (const path of publish.include) copy(`${ROOT}${path}`, `${dir}/${path}`);
  Deno.writeTextFileSync(`${dir}/deno.json`, config);
  Deno.writeTextFileSync(`${dir}/ffi/packed.ts`, packed);
}

if (import.meta.main) {
  const dir = Deno.args[0] ?? `${ROOT}dist/package`;
  try {
    await makePackage(dir);
    console.log(`Wrote ${dir}: publish it from there`);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
