/**
 * Writes dist/rustyrun.js: all of rustyrun in one file, the helper inside, which
 * runs with `deno run -A dist/rustyrun.js` and nothing else.
 *
 *     deno task bundle [--with FILE]...
 *
 * It carries this machine's helper; `--with dist/rustyrun-helper-aarch64` adds
 * another one (the release does).
 *
 * @module
 */

import { EMBEDDED } from "../ffi/helper.ts";
import { GONE } from "../mod/caller.ts";
import {
  type Arch,
  BuildError,
  buildHelper,
  helperPath,
  ROOT,
} from "./build.ts";

/** Where the bundle is put. */
export const BUNDLE = `${ROOT}dist/rustyrun.js`;

function readHelper(path: string): [Arch, string] {
  const bytes = Deno.readFileSync(path);
  // e_machine of the ELF header: what the file is, whatever its name says.
  const machine = new DataView(bytes.buffer).getUint16(18, true);
  const arch = machine === 62 ? "x86_64" : machine === 183 ? "aarch64" : "";
  if (arch === "") {
    throw new BuildError(`Cannot bundle "${path}": it is for another machine`);
  }
  return [arch, bytes.toBase64()];
}

/** The program as one text, and the machines whose helper is in it. */
export interface Program {
  code: string;
  helpers: readonly Arch[];
}

/** What `deno bundle` makes of main.ts. */
function bundleMain(): string {
  const out = Deno.makeTempFileSync({ prefix: "rustyrun-bundle-" });
  try {
    const { success, stderr } = new Deno.Command(Deno.execPath(), {
      args: [
        "bundle",
        "--quiet",
        "--minify",
        "--platform=deno",
        "--frozen",
        `--output=${out}`,
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
    return Deno.readTextFileSync(out);
  } finally {
    Deno.removeSync(out);
  }
}

/**
 * Makes the program; builds the helper before, if need be.
 *
 * @param others helpers to carry beside this machine's
 * @throws {BuildError} when a part of it fails
 */
export function makeProgram(others: readonly string[] = []): Program {
  buildHelper();
  const helpers = new Map(
    [...others, helperPath(Deno.build.arch as Arch)].map(readHelper),
  );
  // The bundler's text stays as it is: the line before it is all that the
  // program has more (ffi/helper.ts reads it).
  const line = `globalThis.${EMBEDDED}=${
    JSON.stringify(Object.fromEntries(helpers))
  };\n`;
  return { code: line + bundleMain(), helpers: [...helpers.keys()] };
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
 * Writes the bundle.
 *
 * @param others helpers to carry beside this machine's
 * @throws {BuildError} when a part of it fails
 */
export function bundle(others: readonly string[] = []): void {
  const started = new Date();
  const { code, helpers } = makeProgram(others);
  const part = `${BUNDLE}.${Deno.pid}`;
  try {
    Deno.writeTextFileSync(
      part,
      `${FIRST_LINES}${code}`,
    );
    Deno.chmodSync(part, 0o755);
    // A source that changes meanwhile is newer than this.
    Deno.utimeSync(part, started, started);
    Deno.renameSync(part, BUNDLE);
  } finally {
    try {
      Deno.removeSync(part);
    } catch {
      // Renamed, or never made.
    }
  }
  console.log(
    `Bundled dist/rustyrun.js: ${
      Math.ceil(code.length / 1024)
    } KiB, helper for ${helpers.join(" and ")}`,
  );
}

function main(args: string[]): void {
  const others: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const path = args[i] === "--with" ? args[++i] : undefined;
    if (path === undefined) {
      throw new BuildError(
        `Cannot bundle: unknown argument "${
          args[i] ?? "--with"
        }"\n  hint: deno task bundle [--with FILE]...`,
      );
    }
    others.push(path);
  }
  bundle(others);
}

if (import.meta.main) {
  try {
    main(Deno.args);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
