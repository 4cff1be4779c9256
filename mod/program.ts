/**
 * This very program, as it is to be called again.
 *
 * @module
 */

/** The file that was started: main.ts, the bundle; undefined for the executable
 * and for what came from the network. */
export function mainFile(): string | undefined {
  const scheme = "file://";
  // Cutting strings is cheaper than a URL.
  return !Deno.build.standalone && Deno.mainModule.startsWith(scheme)
    ? decodeURIComponent(Deno.mainModule.slice(scheme.length))
    : undefined;
}

/**
 * What V8 is told, by the bundle and the executable:
 *
 * - `--baseline-batch-compilation-threshold`: V8's first compiler makes code of
 *   what has run a few times when there is enough of it to be worth a go. In a
 *   single command there never is so much (bytes): it would only be slower by it.
 *   The warm engine comes to it soon.
 * - `--min-semi-space-size`: MB for new objects, enough for a command. With less
 *   garbage is collected twice in it.
 */
export const V8_FLAGS = [
  "--baseline-batch-compilation-threshold=262144",
  "--min-semi-space-size=2",
] as const;

/**
 * What stands between Deno and the bundle, always the same: V8 takes nothing that
 * was compiled with other flags from DENO_DIR, and Deno writes it anew.
 *
 * - `-q`: else Deno draws its progress, nothing but erased lines, on the terminal
 *   of whoever runs this: an engine's, in the middle of a line.
 * - `--no-config`: the bundle has no deno.json to be looked for.
 * - `--no-lazy`: V8 compiles each function when its file is loaded, and not when
 *   it is called. Only what is compiled then is kept in DENO_DIR for the next
 *   start (docs/performance.md).
 */
export const BUNDLE_WORDS = [
  "run",
  "-q",
  "-A",
  "--no-config",
  `--v8-flags=${["--no-lazy", ...V8_FLAGS].join(",")}`,
] as const;

/** What Deno is told to run a file: main.ts of a clone, or the bundle. */
export function denoWords(file: string): string[] {
  return [...(file.endsWith(".js") ? BUNDLE_WORDS : ["run", "-q", "-A"]), file];
}

/** The command line that runs this very rustyrun with other words. */
export function selfCommand(words: readonly string[]): string[] {
  const script = Deno.build.standalone
    ? []
    : denoWords(decodeURIComponent(new URL(Deno.mainModule).pathname));
  return [Deno.execPath(), ...script, ...words];
}
