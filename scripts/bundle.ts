/**
 * Writes dist/rustyrun.js, a program for a machine with Deno, and the files that
 * it loads, which run with the helper beside them.
 *
 *     deno task bundle
 *
 * @module
 */

import { GONE } from "../mod/caller.ts";
import { FILES } from "../mod/cli/load.ts";
import { BUNDLE_WORDS } from "../mod/program.ts";
import { BuildError, buildPrograms, ROOT } from "./build.ts";
import { refuseArguments } from "./output.ts";

/** Where the bundle is put. */
export const BUNDLE = `${ROOT}dist/rustyrun.js`;

/**
 * Makes the program: main.js, a file in mod/cli/ for each that is loaded when a
 * command needs it, and the chunks that these share.
 *
 * Deno 2.9's minifier puts a variable that is used once in its place, also that of
 * a `using`, whose value is not disposed of then: `using it = make(); return
 * it.value();` becomes `return make().value()` (tests/build_test.ts looks for it).
 *
 * @param dir an empty directory
 * @param minify as it is but for that test
 * @returns the paths of all but main.js, from `dir`; the names of chunks have a
 * hash of what they hold
 * @throws {BuildError} when the bundler fails
 */
export function makeProgram(dir: string, minify = true): string[] {
  const loaded = FILES.map((name) => `mod/cli/${name}`);
  const { success, stderr } = new Deno.Command(Deno.execPath(), {
    args: [
      "bundle",
      "--quiet",
      ...minify ? ["--minify"] : [],
      "--platform=deno",
      "--frozen",
      "--code-splitting",
      `--outdir=${dir}`,
      `${ROOT}main.ts`,
      ...loaded.map((path) => `${ROOT}${path}.ts`),
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
  const chunks = [...Deno.readDirSync(dir)].map((it) => it.name)
    .filter((name) => name.startsWith("chunk-"));
  return [...chunks, ...loaded.map((path) => `${path}.js`)];
}

/**
 * What the bundle begins with: lines of shell that are none of JavaScript. Without
 * a directory for its caches Deno would compile all of it at each start (podman
 * gives `start` and `delete` no HOME; c/front_user.c has the same). Deno does not
 * start where HOME leads to a file, since it looks for $HOME/.npmrc, nor where the
 * current directory was deleted, and looks for chunks beside a link, not beside
 * what it leads to.
 *
 * Nor does it start for a user without HOME whom no passwd knows (getent's 2): a
 * DENO_DIR that nobody can make has it run without caches. Root, who owns "/", is
 * in passwd, and is not kept waiting for getent.
 */
const FIRST_LINES = `#!/bin/sh
":" //; [ ! "$HOME" ] || [ -d "$HOME" ] || { f=$HOME; until [ -e "$f" ] || [ -L "$f" ] || [ "$f" = "\${f%/*}" ]; do f=\${f%/*}; done; [ -d "\${f:-/}" ] || unset HOME; }
":" //; [ "$DENO_DIR$XDG_CACHE_HOME$HOME" ] || if [ -O "$XDG_RUNTIME_DIR" ]; then export DENO_DIR="$XDG_RUNTIME_DIR/rustyrun.deno"; elif [ ! -O / ]; then getent passwd "$(id -u)" >/dev/null 2>&1; [ $? != 2 ] || export DENO_DIR=/dev/null/none; fi
":" //; f=$0; [ ! -L "$f" ] || f=$(readlink -f "$f"); [ . -ef "$PWD" ] || { cd / && export ${GONE}=1; }; exec deno ${
  BUNDLE_WORDS.join(" ")
} "$f" "$@"
`;

/**
 * Writes the bundle; builds the helper and the front before, if need be.
 *
 * @throws {BuildError} when a part of it fails
 */
export function bundle(): void {
  buildPrograms();
  const { files, size } = writeBundle(`${ROOT}dist`);
  console.log(
    `Bundled dist/rustyrun.js: ${files} files, ${Math.ceil(size / 1024)} KiB`,
  );
}

/** Removes the scripts of a directory but those of the bundle. */
function removeOthers(dist: string, dir: string, kept: readonly string[]) {
  for (const { name } of Deno.readDirSync(`${dist}/${dir}`)) {
    if (name.endsWith(".js") && !kept.includes(dir + name)) {
      Deno.removeSync(`${dist}/${dir}${name}`);
    }
  }
}

/**
 * Writes the bundle, without a helper, and removes what one before it left.
 *
 * @returns how many files it has, and the size of all in bytes
 * @throws {BuildError} when the bundler fails
 */
export function writeBundle(dist: string): { files: number; size: number } {
  const started = new Date();
  const part = `${dist}/.bundle-${Deno.pid}`;
  Deno.mkdirSync(part);
  try {
    const files = [...makeProgram(part), "rustyrun.js"];
    const text = FIRST_LINES + Deno.readTextFileSync(`${part}/main.js`);
    Deno.writeTextFileSync(`${part}/rustyrun.js`, text);
    Deno.mkdirSync(`${dist}/mod/cli`, { recursive: true, mode: 0o755 });
    let size = 0;
    for (const path of files) {
      size += Deno.statSync(`${part}/${path}`).size;
      // Whatever the umask: nobody else may write them.
      const mode = path === "rustyrun.js" ? 0o755 : 0o644;
      Deno.chmodSync(`${part}/${path}`, mode);
      // A source that changes meanwhile is newer than this.
      Deno.utimeSync(`${part}/${path}`, started, started);
      Deno.renameSync(`${part}/${path}`, `${dist}/${path}`);
    }
    removeOthers(dist, "", files);
    removeOthers(dist, "mod/cli/", files);
    return { files: files.length, size };
  } finally {
    Deno.removeSync(part, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    refuseArguments("bundle", "deno task bundle");
    bundle();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
