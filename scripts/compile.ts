/**
 * Writes dist/rustyrun: one executable, with the program, its chunks, the helper
 * and the front inside.
 *
 *     deno task compile
 *
 * `deno compile` downloads a runtime ("denort") of its own version. Where that
 * cannot be: DENORT_BIN names one, and RUSTYRUN_COMPILE_DENO the command line of
 * the Deno that fits it ("npx -y deno@2.6.8").
 *
 * @module
 */

import { V8_FLAGS } from "../mod/program.ts";
import { BuildError, buildPrograms, programPath, ROOT } from "./build.ts";
import { makeProgram } from "./bundle.ts";
import { refuseArguments } from "./output.ts";

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
  buildPrograms();
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-compile-" });
  const line = compileLine();
  const out = `${ROOT}dist/rustyrun`;
  const part = `${out}.${Deno.pid}`;
  const [program, ...words] = line;
  try {
    const files = makeProgram(dir);
    const programs = (["helper", "front"] as const).map((it) => {
      const path = programPath(it);
      const inside = `${dir}${path.slice(path.lastIndexOf("/"))}`;
      Deno.copyFileSync(path, inside);
      return inside;
    });
    const { success, stderr } = new Deno.Command(program!, {
      args: [
        ...words,
        "compile",
        "--quiet",
        "--allow-all",
        // With a code cache the program would load V8 bytecode from a name in
        // /tmp that anybody can take: not for a tool that root runs.
        `--v8-flags=${V8_FLAGS.join(",")}`,
        "--no-code-cache",
        "--no-check",
        "--no-config",
        "--no-lock",
        // Nothing in main.js says that it loads them.
        ...[...files, ...programs].map((path) => `--include=${path}`),
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

if (import.meta.main) {
  try {
    refuseArguments("compile", "deno task compile");
    compile();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
