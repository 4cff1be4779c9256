/**
 * Writes dist/package: what is published on JSR. That is the library's sources,
 * and the helpers of both architectures as modules. Helpers in dist/ that are
 * newer than their sources are taken as they are.
 *
 *     deno task package
 *     (cd dist/package && deno publish)
 *
 * The clone itself has no helper to publish: there, `deno publish --config
 * deno.jsr.json --dry-run` looks whether the sources are fit for it.
 *
 * @module
 */

import {
  type Arch,
  BuildError,
  buildPrograms,
  programPath,
  ROOT,
} from "./build.ts";
import { refuseArguments } from "./output.ts";

const ARCHITECTURES: readonly Arch[] = ["x86_64", "aarch64"];
const PACKAGE = `${ROOT}dist/package`;

/** Copies a file, or a directory with all its files. */
function copy(from: string, to: string): void {
  if (Deno.statSync(from).isFile) return Deno.copyFileSync(from, to);
  Deno.mkdirSync(to, { recursive: true });
  for (const { name } of Deno.readDirSync(from)) {
    copy(`${from}/${name}`, `${to}/${name}`);
  }
}

/** The text of the module that has a helper. */
async function packHelper(arch: Arch): Promise<string> {
  buildPrograms({ arch });
  const bytes = Deno.readFileSync(programPath("helper", arch));
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return `/** The helper of ${arch}. @module */

import type { PackedHelper } from "../packed.ts";

export const HELPER: PackedHelper = {
  sha256: "${new Uint8Array(digest).toHex()}",
  base64: "${bytes.toBase64()}",
};
`;
}

/** ffi/packed.ts where it loads these helpers. */
function packIndex(archs: readonly Arch[]): string {
  const source = Deno.readTextFileSync(`${ROOT}ffi/packed.ts`);
  const empty = "Readonly<Record<string, LoadPacked>> = {};";
  if (!source.includes(empty)) {
    throw new BuildError(
      "Cannot pack the helpers: ffi/packed.ts has no place for them",
    );
  }
  const rows = archs.map((it) => `  ${it}: () => import("./packed/${it}.ts"),`);
  return source.replace(empty, empty.replace("{}", `{\n${rows.join("\n")}\n}`));
}

/** Removes what an earlier run left: nothing that is gone may be published. */
function makeAnew(dir: string): void {
  try {
    Deno.removeSync(dir, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  Deno.mkdirSync(dir, { recursive: true });
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
  const index = packIndex(archs);
  const text = Deno.readTextFileSync(`${ROOT}deno.jsr.json`);
  const { publish } = JSON.parse(text) as { publish: { include: string[] } };
  makeAnew(dir);
  for (const path of publish.include) {
    copy(`${ROOT}${path}`, `${dir}/${path}`);
  }
  Deno.writeTextFileSync(`${dir}/deno.json`, text);
  Deno.writeTextFileSync(`${dir}/ffi/packed.ts`, index);
  Deno.mkdirSync(`${dir}/ffi/packed`);
  for (const arch of archs) {
    Deno.writeTextFileSync(
      `${dir}/ffi/packed/${arch}.ts`,
      await packHelper(arch),
    );
  }
}

if (import.meta.main) {
  try {
    refuseArguments("make the package", "deno task package");
    await makePackage(PACKAGE);
    console.log("Wrote dist/package: publish it from there");
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
