/**
 * This very program, as it is to be called again.
 *
 * @module
 */

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
