/**
 * Writes dist/rustyrun: one executable, with the program, its chunks and the
 * helper inside.
 *
 *     deno task compile
 *
 * `deno compile` downloads a runtime ("denort") of its own version. Where that
 * cannot be: DENORT_BIN names one, and RUSTYRUN_COMPILE_DENO the command line of
 * the Deno that fits it ("npx -y deno@2.6.8").
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
import { encodeFront } from "../mod/serve/protocol.ts";
import { makeProgram } from "./bundle.ts";

/** The command line of the Deno that compiles. */
export function compileLine(): string[] {
  return Deno.env.get("RUSTYRUN_COMPILE_DENO")?.split(" ") ??
    [Deno.execPath()];
}

/**
 * Bundles and compiles.
 *
 * @throws {BuildError} when a part of it fails
 */
export function compile(): void {
  buildHelper();
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-compile-" });
  const helper = helperPath(Deno.build.arch as Arch);
  const inside = `${dir}/${helper.slice(helper.lastIndexOf("/") + 1)}`;
  const line = compileLine();
  const out = `${ROOT}dist/rustyrun`;
  const part = `${out}.${Deno.pid}`;
  const [program, ...words] = line;
  try {
    const files = makeProgram(dir);
    Deno.copyFileSync(helper, inside);
    const { success, stderr } = new Deno.Command(program!, {
      args: [
        ...words,
        "compile",
        "--quiet",
        "--allow-all",
        // With a code cache the program would load V8 bytecode from a name in
        // /tmp that anybody can take: not for a tool that root runs.
        "--no-code-cache",
        "--no-check",
        "--no-config",
        "--no-lock",
        // Nothing in main.js says that it loads them.
        ...files.map((path) => `--include=${path}`),
        `--include=${inside}`,
        `--output=${part}`,
        `${dir}/main.js`,
      ],
      cwd: dir,
      env: { NO_COLOR: "1" },
    }).outputSync();
    if (!success) {
      throw new BuildError(
        `Cannot compile dist/rustyrun: "${line.join(" ")} compile" failed\n${
          new TextDecoder().decode(stderr).trimEnd()
        }\n  hint: DENORT_BIN can name a denort that is already here; README.md (Under an engine) says what does without`,
      );
    }
    Deno.renameSync(part, out);
    writeFront(helper);
  } finally {
    Deno.removeSync(dir, { recursive: true });
    try {
      Deno.removeSync(part);
    } catch {
      // Renamed, or never made.
    }
  }
  console.log(
    `Compiled dist/rustyrun: ${
      Math.ceil(Deno.statSync(out).size / (1 << 20))
    } MiB`,
  );
}

/** Writes dist/rustyrun-front: bin/rustyrun of an installation, which has the
 * executable as lib/rustyrun/rustyrun beside that directory. */
function writeFront(helper: string): void {
  const path = `${ROOT}dist/rustyrun-front`;
  const bytes = encodeFront(Deno.readFileSync(helper), {
    program: ["lib/rustyrun/rustyrun"],
  });
  Deno.writeFileSync(path, bytes);
  Deno.chmodSync(path, 0o755);
}

if (import.meta.main) {
  try {
    compile();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
