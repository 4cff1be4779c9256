// rustyrun: argv in, exit code out.
import { loadMain } from "./mod/cli/load.ts";
import { replay } from "./mod/container/replay.ts";

async function start(turn: string): Promise<never> {
  replay(Deno.args);
  const main = await loadMain();
  // A turn of the event loop, and this module done: only then does Deno keep
  // the compiled code in its cache, which halves the start of every later call.
  // `run` gives it no other chance: it ends in another program.
  if (!Deno.build.standalone) await import(turn);
  Deno.exit(await main(Deno.args));
}

if (import.meta.main) start("data:text/javascript,");
