// rustyrun: argv in, exit code out.
import { loadMain } from "./mod/cli/load.ts";
import { replay } from "./mod/container/replay.ts";

// No top-level await: parts of the rest import this file, and would wait for it
// forever. Loading the rest is also the turn of the event loop in which Deno
// keeps compiled code: `run` gives it no other, it ends in another program.
async function start(): Promise<never> {
  replay(Deno.args);
  const main = await loadMain();
  Deno.exit(await main(Deno.args));
}

if (import.meta.main) start();
