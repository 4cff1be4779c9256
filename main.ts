// rustyrun: argv in, exit code out.
import { main } from "./mod/cli/main.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));
