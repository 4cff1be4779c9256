/**
 * This very program, as it is to be called again.
 *
 * @module
 */

/** The file that was started: main.ts, the bundle; undefined for the executable
 * and for what came from the network. */
export function mainFile(): string | undefined {
  return !Deno.build.standalone && Deno.mainModule.startsWith("file:")
    ? decodeURIComponent(new URL(Deno.mainModule).pathname)
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
