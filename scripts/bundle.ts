/**
 * Writes dist/rustyrun.js and its chunks, which run with
 * `deno run -A dist/rustyrun.js`, Deno and the helper beside them.
 *
 *     deno task bundle
 *
 * @module
 */

import { GONE } from "../mod/caller.ts";
import { BuildError, buildHelper, ROOT } from "./build.ts";

/** Where the bundle is put. */
export const BUNDLE = `${ROOT}dist/rustyrun.js`;

/**
 * Makes the program: main.js, and beside it the chunks that it loads when a
 * command needs them.
 *
 * @param dir an empty directory
 * @returns the names of the chunks; each has a hash of what it holds
 * @throws {BuildError} when the bundler fails
 */
export function makeProgram(dir: string): string[] {
  const { success, stderr } = new Deno.Command(Deno.execPath(), {
    args: [
      "bundle",
      "--quiet",
      "--minify",
      "--platform=deno",
      "--frozen",
      "--code-splitting",
      `--outdir=${dir}`,
      `${ROOT}main.ts`,
    ],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).outputSync();
  if (!success) {
    throw new BuildError(
      `Cannot bundle main.ts: deno bundle failed\n${
        new TextDecoder().decode(stderr).trimEnd()
      }`,
    );
  }
  return [...Deno.readDirSync(dir)].map((it) => it.name)
    .filter((name) => name !== "main.js");
}

/**
 * What the bundle begins with: a line of shell that is none of JavaScript. Deno
 * does not start where the current directory was deleted.
 *
 * Without -q Deno draws its progress, nothing but erased lines, on the terminal of
 * whoever runs this: an engine's, in the middle of a line.
 */
const FIRST_LINES = `#!/bin/sh
":" //; [ . -ef "$PWD" ] || { cd / && export ${GONE}=1; }; exec deno run -q -A --no-config "$0" "$@"
`;

/**
 * Writes the bundle; builds the helper before, if need be.
 *
 * @throws {BuildError} when a part of it fails
 */
export function bundle(): void {
  buildHelper();
  const { chunks, size } = writeBundle(`${ROOT}dist`);
  console.log(
    `Bundled dist/rustyrun.js and ${chunks} chunks: ${
      Math.ceil(size / 1024)
    } KiB`,
  );
}

/**
 * Writes the bundle, without a helper, and removes the chunks of an older one.
 *
 * @returns how many chunks it has, and the size of all in bytes
 * @throws {BuildError} when the bundler fails
 */
export function writeBundle(dist: string): { chunks: number; size: number } {
  const started = new Date();
  const part = `${dist}/.bundle-${Deno.pid}`;
  Deno.mkdirSync(part);
  try {
    const chunks = makeProgram(part);
    const text = FIRST_LINES + Deno.readTextFileSync(`${part}/main.js`);
    let size = text.length;
    for (const name of chunks) {
      size += Deno.statSync(`${part}/${name}`).size;
      // As the entry: whatever the umask is, nobody else may write them.
      Deno.chmodSync(`${part}/${name}`, 0o644);
      Deno.renameSync(`${part}/${name}`, `${dist}/${name}`);
    }
    Deno.writeTextFileSync(`${part}/rustyrun.js`, text);
    Deno.chmodSync(`${part}/rustyrun.js`, 0o755);
    // A source that changes meanwhile is newer than this.
    Deno.utimeSync(`${part}/rustyrun.js`, started, started);
    Deno.renameSync(`${part}/rustyrun.js`, `${dist}/rustyrun.js`);
    // What the entry before this one has loaded.
    const kept = new Set(["rustyrun.js", ...chunks]);
    for (const { name } of Deno.readDirSync(dist)) {
      if (name.endsWith(".js") && !kept.has(name)) {
        Deno.removeSync(`${dist}/${name}`);
      }
    }
    return { chunks: chunks.length, size };
  } finally {
    Deno.removeSync(part, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    if (Deno.args.length > 0) {
      throw new BuildError(
        `Cannot bundle: unknown argument "${
          Deno.args[0]
        }"\n  hint: deno task bundle`,
      );
    }
    bundle();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
