// rustyrun: argv in, exit code out.
import { readArguments } from "./mod/caller.ts";
import { main } from "./mod/cli/main.ts";

// A turn of the event loop, and this module done: only then does Deno keep the
// compiled code in its cache, which halves the start of every later call. `run`
// gives it no other chance: it ends in another program.
async function start(turn: string): Promise<never> {
  if (!Deno.build.standalone) await import(turn);
  Deno.exit(await main(readArguments()));
}

if (import.meta.main) start("data:text/javascript,");
