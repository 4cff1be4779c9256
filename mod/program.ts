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

/** The command line that runs this very rustyrun with other words. */
export function selfCommand(words: readonly string[]): string[] {
  const script = Deno.build.standalone ? [] : [
    "run",
    "-q",
    "-A",
    decodeURIComponent(new URL(Deno.mainModule).pathname),
  ];
  return [Deno.execPath(), ...script, ...words];
}
