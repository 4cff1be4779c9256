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

/**
 * Writes the bundle; builds the helper before, if need be.
 *
 * @param others helpers to carry beside this machine's
 * @throws {BuildError} when a part of it fails
 */
export function bundle(others: readonly string[] = []): void {
  buildHelper();
  const helpers = Object.fromEntries(
    [...others, helperPath(Deno.build.arch as Arch)].map(readHelper),
  );
  const part = `${BUNDLE}.${Deno.pid}`;
  const { success, stderr } = new Deno.Command(Deno.execPath(), {
    args: [
      "bundle",
      "--quiet",
      "--minify",
      "--platform=deno",
      "--frozen",
      `--output=${part}`,
      `${ROOT}main.ts`,
    ],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).outputSync();
  try {
    if (!success) {
      throw new BuildError(
        `Cannot bundle main.ts: deno bundle failed\n${
          new TextDecoder().decode(stderr).trimEnd()
        }`,
      );
    }
    const code = Deno.readTextFileSync(part);
    Deno.writeTextFileSync(
      part,
      `#!/usr/bin/env -S deno run -A\nglobalThis.${EMBEDDED}=${
        JSON.stringify(helpers)
      };\n${code}`,
    );
    Deno.chmodSync(part, 0o755);
    Deno.renameSync(part, BUNDLE);
    console.log(
      `Bundled dist/rustyrun.js: ${
        Math.ceil(code.length / 1024)
      } KiB of code, helper for ${Object.keys(helpers).join(" and ")}`,
    );
  } finally {
    try {
      Deno.removeSync(part);
    } catch {
      // Renamed, or never made.
    }
  }
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
